"""Random doubly stochastic matrices, and what is known of their laws.

Source: docs/mathematics.md 4.3 for circulant matrices, 7 for the variances.
"""

from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from math import factorial
from typing import Any

import numpy as np

from birkhoff_cli.analyses.core.arrays import Array, batch_first, lanes
from birkhoff_cli.analyses.core.ensemble import Circulants, Ensemble, Sampler
from birkhoff_cli.analyses.geometry import polytope
from birkhoff_cli.analyses.geometry.cycles import block_circulant, circulant, tied_permutations
from birkhoff_cli.analyses.geometry.lanes import average, kron
from birkhoff_cli.analyses.geometry.orthogonal import Field, block_norms, haar
from birkhoff_cli.analyses.geometry.permutations import all_permutations, mixture, table

UNIFORM_VARIANCES = {2: Fraction(1, 12), 3: Fraction(2, 45), 4: Fraction(18, 605)}
"""Variance of an entry of a uniform point of the Birkhoff polytope, by d."""


@dataclass(frozen=True)
class HaarBlocks(Ensemble):
    """Squared norms of the s x s blocks of Haar matrices of O(d s) or U(d s), over s."""

    d: int
    s: int = 1
    field: Field = "real"

    def __call__(self, n: int, rng: np.random.Generator) -> Array:
        """Independent matrices ``(n, d, d)``."""
        return block_norms(haar(n, self.d * self.s, rng, self.field), self.s)

    def entry_variance(self) -> Fraction | None:
        """From the fourth moments of Haar's measure; ``d s`` above 1."""
        d, side = self.d, self.d * self.s
        if side == 1:
            return None
        if self.field == "real":
            return Fraction(2 * (d - 1) ** 2, d * d * (side - 1) * (side + 2))
        return Fraction((d - 1) ** 2, d * d * (side * side - 1))

    def circulants(self) -> Circulants:
        """Of block-circulant matrices whose Fourier blocks are independent Haar matrices."""
        return Circulants(
            "block-circulant with Haar blocks",
            lambda n, rng: circulant(block_circulant(n, self.s, rng, self.field)),
        )


@dataclass(frozen=True)
class Uniform(Ensemble):
    """The uniform distribution on the Birkhoff polytope."""

    d: int

    def __call__(self, n: int, rng: np.random.Generator) -> Array:
        """Matrices ``(n, d, d)``; for d > 4 states of a Markov chain, see `polytope.uniform`."""
        return polytope.uniform(n, self.d, rng)

    def entry_variance(self) -> Fraction | None:
        """From the triangulations of d = 2, 3, 4."""
        return UNIFORM_VARIANCES.get(self.d)

    def circulants(self) -> Circulants:
        """Uniform on the triangle of the circulant ones."""
        return Circulants(
            "uniform", circulants_of_weights(lambda n, rng: rng.standard_exponential((3, n)))
        )


@dataclass(frozen=True)
class SinkhornOfUniform(Ensemble):
    """Converged Sinkhorn of independent U(0, 1) entries."""

    d: int

    def __call__(self, n: int, rng: np.random.Generator) -> Array:
        """Independent matrices ``(n, d, d)``."""
        return polytope.sinkhorn_uniform(n, self.d, rng)

    def circulants(self) -> Circulants:
        """U(0, 1) weights of the three permutations, over their sum."""
        return Circulants(
            "U(0, 1) weights", circulants_of_weights(lambda n, rng: rng.random((3, n)))
        )


@dataclass(frozen=True, eq=False)
class Dirichlet(Ensemble):
    """Permutation matrices mixed with Dirichlet(1, ..., 1) weights.

    Attributes:
        d: side.
        basis: ``(k, d)`` permutations; all of them if None.
    """

    d: int
    basis: Any = None

    def __call__(self, n: int, rng: np.random.Generator) -> Array:
        """Independent matrices ``(n, d, d)``."""
        return polytope.dirichlet(n, self.d if self.basis is None else self.basis, rng)

    def entry_variance(self) -> Fraction | None:
        """An entry is a sum of (d-1)! of the weights, if there are d!: a Beta distribution."""
        d, every = self.d, factorial(self.d)
        known = self.basis is None or len(self.basis) == every
        return Fraction(d - 1, d * d * (every + 1)) if known else None

    def circulants(self) -> Circulants | None:
        """Dirichlet(1) on the weights of orbits: the density of Dirichlet(1) where they agree.

        None if the 3-cycle conjugates a permutation to one that is not in the basis.
        """
        perms = self.permutations
        tied = tied_permutations(perms)
        if tied is None:
            return None
        columns, size = table(perms), np.bincount(tied, minlength=len(tied))

        def draw(n: int, rng: np.random.Generator) -> Array:
            weights = rng.standard_exponential((len(tied), n))
            return batch_first(mixture(weights[tied] / size[tied, None], columns), 2)

        return Circulants("Dirichlet weights, alike on orbits", draw)

    @cached_property
    def permutations(self) -> Any:
        """The basis, ``(k, d)``."""
        return all_permutations(self.d) if self.basis is None else self.basis


@dataclass(frozen=True)
class Average(Ensemble):
    """Several independent matrices of an ensemble, averaged with Dirichlet(1, ..., 1) weights."""

    ensemble: Ensemble
    terms: int

    def __call__(self, n: int, rng: np.random.Generator) -> Array:
        """Independent matrices ``(n, d, d)``."""
        return averages(self.ensemble, self.terms)(n, rng)

    def entry_variance(self) -> Fraction | None:
        """The expected sum of t squared weights is 2 / (t + 1)."""
        one = self.ensemble.entry_variance()
        return None if one is None else one * Fraction(2, self.terms + 1)

    def circulants(self) -> Circulants | None:
        """Averages of circulant matrices."""
        if (one := self.ensemble.circulants()) is None:
            return None
        return Circulants(f"averages, {one.description}", averages(one.draw, self.terms))


@dataclass(frozen=True)
class Kronecker(Ensemble):
    """Kronecker products of independent matrices, the first the most significant."""

    factors: tuple[Ensemble, ...]

    def __call__(self, n: int, rng: np.random.Generator) -> Array:
        """Independent matrices ``(n, d, d)``."""
        return batch_first(kron([lanes(factor(n, rng), 2) for factor in self.factors]), 2)


def circulants_of_weights(positive: Sampler) -> Sampler:
    """Circulant 3 x 3 matrices of positive weights ``(3, n)``, over their sums."""

    def draw(n: int, rng: np.random.Generator) -> Array:
        weights = positive(n, rng)
        return circulant(weights / weights.sum(0))

    return draw


def averages(sampler: Sampler, terms: int) -> Sampler:
    """Averages of independent matrices with Dirichlet(1, ..., 1) weights."""

    def draw(n: int, rng: np.random.Generator) -> Array:
        matrices = [lanes(sampler(n, rng), 2) for _ in range(terms)]
        return batch_first(average(matrices, rng.standard_exponential((terms, n))), 2)

    return draw
