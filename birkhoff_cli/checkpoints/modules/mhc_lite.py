"""Sites of the mhc-lite and KromHC repositories: four types, told by the shape of ``static_alpha``.

The code builds a matrix M and applies its transpose, ``x_out = M^T x_in``, so H = M^T.

Source: github.com/FFTYYY/mhc-lite @ ea19775, github.com/wz1119/KromHC @ 7b15834.
"""

from collections.abc import Callable, Mapping
from math import factorial, prod
from typing import NamedTuple

import numpy as np

from birkhoff_cli.analyses.core.parameterization import Parameterization
from birkhoff_cli.analyses.geometry.permutations import inverse_order
from birkhoff_cli.analyses.networks.connection import Connection
from birkhoff_cli.analyses.parameterizations.hc import HC
from birkhoff_cli.analyses.parameterizations.kromhc import KromHC
from birkhoff_cli.analyses.parameterizations.mhc import MHC
from birkhoff_cli.analyses.parameterizations.mhc_lite import MHCLite
from birkhoff_cli.checkpoints.modules import forks
from birkhoff_cli.checkpoints.modules.forks import Entries, Tensors
from birkhoff_cli.checkpoints.sites.values import Array, Shape

ITERS = 20


class Kind(NamedTuple):
    """One ``hyper_conn_type``: the shape of ``static_alpha``, what in it is what, and what H is.

    ``map(n, iters)`` takes the ``entries`` of mixing in their order; what it has beyond, the
    dynamic half of HC, stays zero.
    """

    method: str
    alpha: Callable[[int], Shape]
    entries: Callable[[int], Entries]
    map: Callable[[int, int], Parameterization]
    convention: str


def _square(n: int) -> Shape:
    return (n, n + 1)


def _permutations(n: int) -> Shape:
    return (n + factorial(min(n, 20)),)  # no file holds 20! of anything


def _inverse(n: int) -> Entries:
    return Entries(np.arange(n), n + inverse_order(n))


def _pairs(n: int) -> Shape:
    """Two coefficients per 2 x 2 factor; a shape that nothing has if n is no power of 2."""
    return (n + 2 * (n.bit_length() - 1) if n > 1 and n.bit_count() == 1 else -1,)


def _in_order(n: int) -> Entries:
    return Entries(np.arange(n), np.arange(n, _pairs(n)[0]))


KINDS: Mapping[str, Kind] = {
    "hc": Kind(
        "hc",
        _square,
        forks.square,
        lambda n, _: HC(n),
        "stores M = static_alpha[:, 1:], applies x_out = M^T x_in; transposed here",
    ),
    "mhc": Kind(
        "mhc",
        _square,
        forks.square,
        lambda n, iters: MHC(n, variant="mhc-lite", iters=iters),
        "stores logits of M, static_alpha[:, 1:], applies x_out = M^T x_in; transposed here",
    ),
    "mhc_lite": Kind(
        "mhc-lite",
        _permutations,
        _inverse,
        lambda n, _: MHCLite(n),
        "stores logits of permutations, static_alpha[n:], applies x_out = M^T x_in; "
        "every permutation is replaced by its inverse here",
    ),
    "kromhc": Kind(
        "kromhc",
        _pairs,
        _in_order,
        lambda n, _: KromHC(n, factors=(2,) * (n.bit_length() - 1)),
        "stores logit pairs of 2 x 2 factors, static_alpha[n:]; M is symmetric, nothing is turned",
    ),
}


def connection(type_: str, tensors: Tensors, map_: Parameterization) -> Connection:
    """The site of one type: its tensors, by their names in the code, and the map of H."""
    if type_ == "hc":
        return forks.unconstrained(tensors, map_)
    return forks.together(tensors, map_, KINDS[type_].entries(map_.d))


def theta(kind: Kind, alpha: Array, map_: Parameterization) -> Array:
    """Parameters ``(sites, p)``, of every site's ``static_alpha``."""
    mixing = alpha.reshape(len(alpha), -1)[:, kind.entries(map_.d).mixing]
    more = map_.parameters - mixing.shape[1]
    return np.ascontiguousarray(np.pad(mixing, ((0, 0), (0, more))))


def shapes(type_: str, n: int, width: int) -> dict[str, Shape]:
    """Shapes of a site's tensors; ``hc`` normalises every stream, the others all at once."""
    alpha = KINDS[type_].alpha(n)
    return forks.shapes_apart(n, width) if type_ == "hc" else shapes_together(alpha, n, width)


def shapes_together(alpha: Shape, n: int, width: int) -> dict[str, Shape]:
    """Shapes of a site that normalises all streams as one vector."""
    wide = n * width
    return {
        **{"norm.gamma": (wide,), "static_alpha": alpha, "static_beta": (n,)},
        **{"dynamic_alpha_fn": (wide, prod(alpha)), "dynamic_beta_fn": (wide, n)},
        **{"pre_branch_scale": (1,), "residual_scale": (1,), "h_post_scale": ()},
    }
