"""Matrices drawn in the plane of a 3-cycle: exactly circulant 3 x 3 matrices that a method reaches.

go-mHC: block-circulant orthogonal or unitary matrices with Haar blocks. Other maps commute with
a simultaneous turn of rows and columns, so that parameters that are alike along every orbit of
the turn give circulant matrices: such parameters are drawn. The densities are those of these
draws, not of the method's matrices given that they lie in the plane: that event has probability 0.

Source: MATH 4.3, 4.4.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from birkhoff_cli.analyses.core.arrays import Array, batch_first
from birkhoff_cli.analyses.core.parameterization import Parameterization
from birkhoff_cli.analyses.core.source import Draws
from birkhoff_cli.analyses.geometry.cycles import (
    block_circulant,
    circulant,
    tied_entries,
    tied_permutations,
)
from birkhoff_cli.analyses.geometry.lanes import average
from birkhoff_cli.analyses.geometry.permutations import all_permutations, mixture, table
from birkhoff_cli.analyses.parameterizations.averaged_go_mhc import AveragedGoMHC
from birkhoff_cli.analyses.parameterizations.be_hc import BEHC
from birkhoff_cli.analyses.parameterizations.go_mhc import GoMHC
from birkhoff_cli.analyses.parameterizations.hc import HC
from birkhoff_cli.analyses.parameterizations.identity import Identity
from birkhoff_cli.analyses.parameterizations.mhc import MHC
from birkhoff_cli.analyses.parameterizations.mhc_linear import MHCLinear
from birkhoff_cli.analyses.parameterizations.mhc_lite import MHCLite
from birkhoff_cli.analyses.parameterizations.orthostochastic import Orthostochastic
from birkhoff_cli.analyses.parameterizations.shc import SHC
from birkhoff_cli.analyses.planes.supports import is_local, single


class OnSlice(NamedTuple):
    """How matrices in the plane are drawn, in words, and ``(n, rng) -> (n, 3, 3)``."""

    words: str
    draw: Callable[[int, np.random.Generator], Array]


def on_slice(method: Parameterization, draws: Draws) -> OnSlice | None:
    """A sampler of the slice; None where we have none.

    For d > 3 that of d = 3, if the two slices are alike.
    """
    method = single(method)
    if method.d > 3 and not is_local(method):
        return None
    method = method if method.d == 3 else replace(method, d=3)
    how = draws.draw or method.default_draw
    if isinstance(method, Identity):
        return OnSlice("the identity", lambda n, rng: method.draw(n, rng))
    if isinstance(method, GoMHC):
        return _haar(method.s, method)
    if isinstance(method, AveragedGoMHC):
        return OnSlice("averages of circulants with Haar blocks", _averages(method))
    if how == "haar":
        return _haar(1, GoMHC(3, s=1))
    if how == "polytope":
        return OnSlice("uniform", _weights(lambda n, rng: rng.standard_exponential((3, n))))
    if how == "sinkhorn-uniform":
        return OnSlice("U(0, 1) weights", _weights(lambda n, rng: rng.random((3, n))))
    tied = _tied(method)
    if tied is None:
        return None
    if how == "dirichlet":
        return OnSlice(
            "Dirichlet weights, alike on orbits", _dirichlet(_permutations(method), tied)
        )
    return OnSlice(f"{how} parameters, alike on orbits", _parameters(method, draws, how, tied))


def _haar(s: int, method: GoMHC) -> OnSlice:
    def draw(n: int, rng: np.random.Generator) -> Array:
        return circulant(block_circulant(n, s, rng, method.field))

    return OnSlice("block-circulant with Haar blocks", draw)


def _averages(method: AveragedGoMHC) -> Callable[[int, np.random.Generator], Array]:
    def draw(n: int, rng: np.random.Generator) -> Array:
        terms = [block_circulant(n, 1, rng, method.field) for _ in range(method.s)]
        return circulant(average(terms, rng.standard_exponential((method.s, n))))

    return draw


def _weights(
    positive: Callable[[int, np.random.Generator], Array],
) -> Callable[[int, np.random.Generator], Array]:
    def draw(n: int, rng: np.random.Generator) -> Array:
        weights = positive(n, rng)
        return circulant(weights / weights.sum(0))

    return draw


def _dirichlet(perms: Array, tied: Array) -> Callable[[int, np.random.Generator], Array]:
    """Dirichlet(1) on the weights of orbits: the density of Dirichlet(1) where they are alike."""
    columns, size = table(perms), np.bincount(tied, minlength=len(tied))

    def draw(n: int, rng: np.random.Generator) -> Array:
        weights = rng.standard_exponential((len(tied), n))
        return batch_first(mixture(weights[tied] / size[tied, None], columns), 2)

    return draw


def _parameters(
    method: Parameterization, draws: Draws, how: str, tied: Array
) -> Callable[[int, np.random.Generator], Array]:
    evaluate = draws.evaluator()

    def draw(n: int, rng: np.random.Generator) -> Array:
        theta = method.theta(n, rng, how, draws.scale)[:, tied]
        return evaluate(method, theta) if evaluate else method(theta)

    return draw


def _tied(method: Parameterization) -> Array | None:
    """Which parameter stands for which, such that the matrix is circulant."""
    if isinstance(method, MHC | MHCLinear | Orthostochastic):
        return tied_entries(3)
    if isinstance(method, HC):
        return np.concatenate([tied_entries(3), 9 + tied_entries(3)])
    if isinstance(method, MHCLite | BEHC):
        return tied_permutations(_permutations(method))
    # two rotations of the plane and equal singular values: again a turn and a scale
    return np.array([0, 1, 2, 2]) if isinstance(method, SHC) else None


def _permutations(method: Parameterization) -> Any:
    return method.permutations if isinstance(method, BEHC) else all_permutations(3)
