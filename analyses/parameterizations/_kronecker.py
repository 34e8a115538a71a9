"""What Kronecker products of smaller maps share: ``H = B_0 (x) B_1 (x) ...``.

The first factor is the most significant; ``theta`` is the parameters of factor after factor.
"""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from functools import reduce
from itertools import accumulate, groupby
from math import prod
from operator import mul
from typing import TYPE_CHECKING

import numpy as np

from birkhoff_cli.analyses.core.arrays import Array, batch_first, lanes, namespace
from birkhoff_cli.analyses.core.ensemble import Ensemble
from birkhoff_cli.analyses.core.mixture import Mixture
from birkhoff_cli.analyses.core.parameterization import Parameterization, require
from birkhoff_cli.analyses.geometry.eigenvalues import eigenvalue_parts
from birkhoff_cli.analyses.geometry.lanes import kron, vectors
from birkhoff_cli.analyses.geometry.permutations import prime_factors

if TYPE_CHECKING:
    from birkhoff_cli.analyses.geometry.charts import Chart
    from birkhoff_cli.analyses.geometry.hypocycloids import Support


class KroneckerProduct(Parameterization):
    """Kronecker products of the matrices of `parts`."""

    def __post_init__(self) -> None:
        """Refuse factors that do not multiply to d, and what a factor's map refuses."""
        super().__post_init__()
        _ = self.parts

    @property
    @abstractmethod
    def parts(self) -> tuple[Parameterization, ...]:
        """The map of every factor."""

    @property
    def factor_sides(self) -> tuple[int, ...]:
        """Side of every factor."""
        return tuple(part.d for part in self.parts)

    @property
    def parameters(self) -> int:
        """Those of every factor."""
        return sum(part.parameters for part in self.parts)

    def __call__(self, theta: Array) -> Array:
        """The map of every factor, then the product of the factors."""
        return batch_first(kron(apply_each(self.parts, vectors(theta))), 2)

    def require_memory(self) -> None:
        """As for every method, of each factor too."""
        for part in {*self.parts}:
            part.require_memory()
        super().require_memory()

    def initial(self) -> Array:
        """The start of every factor."""
        return np.concatenate([part.initial() for part in self.parts])

    def flops(self) -> int:
        """The factors' and their successive products: Table 4 of go-mHC, C = 1.

        The products of the first 2, 3, ... factors; (i^(2K+2) - i^4) / (i^2 - 1) for K equal i.
        """
        sides: list[int] = list(accumulate(self.factor_sides, mul))
        return sum(part.flops() for part in self.parts) + sum(side * side for side in sides[1:])

    def simplified(self) -> Parameterization:
        """The one factor that is not of side 1, if there is only one."""
        return max(self.parts, key=lambda part: part.d) if self.d in self.factor_sides else self

    def mixtures(self) -> tuple[Mixture, ...]:
        """One for every factor, if each of them is a mixture."""
        own = [part.mixtures() for part in self.parts]
        if any(len(mixture) != 1 for mixture in own):
            return ()
        starts = accumulate((part.parameters for part in self.parts), initial=0)
        return tuple(
            replace(mixture[0], first=start, factor=k)
            for k, (mixture, start) in enumerate(zip(own, starts, strict=False))
        )

    def projection_support(self) -> "Support | None":
        """Factors of side 2 are symmetric, and so is their product: z is real."""
        from birkhoff_cli.analyses.geometry.hypocycloids import Support

        if max(self.factor_sides) <= 2:
            return Support("segment", self.d)
        return super().projection_support()

    def eigenvalues(self, theta: Array) -> Array:
        """All products of an eigenvalue of each factor; those that are 1 make the first.

        Factors of side 2 have real ones, in the order of their common eigenvectors.
        """
        roots = [_eigenvalues(h) for h in apply_each(self.parts, vectors(theta))]
        return batch_first(reduce(_products, roots), 1)

    def chart(self) -> "Chart | None":
        """Those of all factors that are more than a number, if they have any."""
        from birkhoff_cli.analyses.geometry.composites import Kronecker

        charts = [part.chart() for part in self.parts if part.d > 1]
        if not charts or None in charts:
            return None
        return Kronecker(tuple(charts)) if len(charts) > 1 else charts[0]

    def ensemble(self, how: str) -> Ensemble:
        """Products of independent matrices that every factor draws alike."""
        from birkhoff_cli.analyses.geometry import ensembles

        return ensembles.Kronecker(tuple(part.samplers()[how] for part in self.parts))


def resolve_sides(d: int, factors: tuple[int, ...]) -> tuple[int, ...]:
    """The factors, the primes of d if none are given.

    Raises:
        UsageError: their product is not d; one that works is named.
    """
    primes = prime_factors(d)
    seen = f"factors {_spell(factors)} of product {prod(factors)} for d = {d} streams"
    holds = not factors or (min(factors) >= 1 and prod(factors) == d)
    require(holds, seen, f"product {d}, such as {_spell(primes)}")
    return factors or primes


def apply_each(parts: Sequence[Parameterization], x: Array) -> list[Array]:
    """Lanes ``(i, i, ...)`` of every part from lanes ``(sum of their parameters, ...)``.

    Neighbours that are alike become one more batch axis of a single call.
    """
    xp = namespace(x)
    matrices: list[Array] = []
    start = 0
    for part, run in groupby(parts):
        count = len(list(run))
        end = start + count * part.parameters
        theta = x[start:end].reshape((count, part.parameters, *x.shape[1:]))
        h = lanes(part(xp.moveaxis(theta, 1, -1)), 2)
        matrices += [h[:, :, t] for t in range(count)]
        start = end
    return matrices


def _eigenvalues(h: Array) -> Array:
    """Lanes ``(i, ...)`` of doubly stochastic ``(i, i, ...)``; real up to side 2."""
    re, im = (lanes(part, 1) for part in eigenvalue_parts(batch_first(h, 2)))
    return re if len(h) <= 2 else re + 1j * im


def _products(a: Array, b: Array) -> Array:
    """Products of every pair of ``(k, ...)`` and ``(l, ...)``: ``(k l, ...)``."""
    pairs = a[:, None] * b[None]
    if np.iscomplexobj(pairs):
        pairs.imag += 0.0  # of real factors it may be -0
    return pairs.reshape(len(a) * len(b), *pairs.shape[2:])


def _spell(factors: tuple[int, ...]) -> str:
    return ",".join(str(f) for f in factors)
