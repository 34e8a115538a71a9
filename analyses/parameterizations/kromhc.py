"""kromhc: a Kronecker product of small mixtures of permutation matrices.

``H = U_0 (x) U_1 (x) ...``, the first factor most significant. Every ``U_k`` is the mhc-lite
map of its side: for 2 x 2 factors one pair of logits (keep, swap). With 2 x 2 factors all
matrices are symmetric and commute, and the spectrum is real (MATH 5.6).

Source: KromHC, arXiv:2601.21579.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, groupby
from math import prod
from operator import mul
from typing import Annotated

import numpy as np

from birkhoff_cli.analyses.core.arrays import Array, batch_first, lanes, namespace
from birkhoff_cli.analyses.core.parameterization import (
    DOUBLY_STOCHASTIC,
    Parameterization,
    Sampler,
    require,
)
from birkhoff_cli.analyses.geometry.lanes import kron, vectors
from birkhoff_cli.analyses.geometry.permutations import prime_factors, refuse_too_many
from birkhoff_cli.analyses.parameterizations import _known_reach as known_reach
from birkhoff_cli.analyses.parameterizations._known_reach import Reach
from birkhoff_cli.analyses.parameterizations.mhc_lite import MHCLite


@dataclass(frozen=True)
class KromHC(Parameterization):
    """Kronecker product of convex combinations of permutations."""

    factors: Annotated[tuple[int, ...], "sides, slowest index first (the primes of d)"] = ()

    source = "KromHC, arXiv:2601.21579"
    exact = DOUBLY_STOCHASTIC

    def __post_init__(self) -> None:
        """Refuse factors that do not multiply to d."""
        super().__post_init__()
        sides(self.d, self.factors)

    @property
    def parts(self) -> tuple[MHCLite, ...]:
        """The map of every factor."""
        return tuple(MHCLite(side) for side in sides(self.d, self.factors))

    @property
    def parameters(self) -> int:
        """One logit per permutation of every factor."""
        return sum(part.parameters for part in self.parts)

    def __call__(self, theta: Array) -> Array:
        """Mix the permutations of every factor, then multiply the factors.

        Raises:
            TooLarge: a factor's permutations cannot be enumerated.
        """
        return batch_first(kron(apply_each(self.parts, vectors(theta))), 2)

    def initial(self) -> Array:
        """0 for the identity of every factor and -8 for its other permutations."""
        return np.concatenate([part.initial() for part in self.parts])

    def theta(
        self, n: int, rng: np.random.Generator, how: str, scale: float | None = None
    ) -> Array:
        """As for every method, refused before numbers are drawn for an impossible factor."""
        refuse_too_many(max(part.d for part in self.parts))
        return super().theta(n, rng, how, scale)

    def known_reach(self) -> Reach | None:
        """That of the only factor; of factors up to 3 x 3, the products of theirs."""
        parts = [part for part in self.parts if part.d > 1]
        if len(parts) == 1:
            return parts[0].known_reach()
        if all(part.d == 2 for part in parts):
            return known_reach.real_only("2 x 2 factors are symmetric")
        return known_reach.hexagram() if all(part.d <= 3 for part in parts) else None

    def flops(self) -> int:
        """The factors' and their successive products: Table 4 of go-mHC, C = 1."""
        return sum(part.flops() for part in self.parts) + product_flops(self.parts)

    def samplers(self) -> Mapping[str, Sampler]:
        """Dirichlet(1) weights on the permutations of every factor."""
        return {"dirichlet": lambda n, rng: draw_each(self.parts, "dirichlet", n, rng)}


def sides(d: int, factors: tuple[int, ...]) -> tuple[int, ...]:
    """The factors, the primes of d if none are given.

    Raises:
        UsageError: their product is not d; one that works is named.
    """
    primes = prime_factors(d)
    seen = f"factors {_words(factors)} of product {prod(factors)} for d = {d} streams"
    holds = not factors or (min(factors) >= 1 and prod(factors) == d)
    require(holds, seen, f"product {d}, such as {_words(primes)}")
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


def draw_each(
    parts: Sequence[Parameterization], how: str, n: int, rng: np.random.Generator
) -> Array:
    """Kronecker products ``(n, d, d)`` of independent draws of every part."""
    return batch_first(kron([lanes(part.draw(n, rng, how), 2) for part in parts]), 2)


def product_flops(parts: Sequence[Parameterization]) -> int:
    """Products of the first 2, 3, ... factors; (i^(2K+2) - i^4) / (i^2 - 1) for K equal i."""
    totals = list(accumulate((part.d for part in parts), mul))
    return sum(total**2 for total in totals[1:])


def _words(factors: tuple[int, ...]) -> str:
    return ",".join(str(f) for f in factors)


EXAMPLES = (KromHC(4), KromHC(6), KromHC(6, factors=(3, 2)), KromHC(1))
