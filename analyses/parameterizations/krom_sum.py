"""krom-sum: a weighted average of several KromHC matrices.

``H = sum_t softmax(beta)_t (U_t0 (x) U_t1 (x) ...)``; ``theta`` is the logits of term after
term and then beta. The sum breaks the symmetry of a single Kronecker product.

Source: go-mHC, arXiv:2604.02309, H.2.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated

import numpy as np

from birkhoff_cli.analyses.core.arrays import Array, batch_first, lanes
from birkhoff_cli.analyses.core.ensemble import Ensemble
from birkhoff_cli.analyses.core.mixture import Mixture
from birkhoff_cli.analyses.core.parameterization import (
    DOUBLY_STOCHASTIC,
    Parameterization,
    require,
)
from birkhoff_cli.analyses.geometry.lanes import average, powers, vectors
from birkhoff_cli.analyses.parameterizations._kronecker import apply_each
from birkhoff_cli.analyses.parameterizations.kromhc import KromHC

if TYPE_CHECKING:
    from birkhoff_cli.analyses.geometry.charts import Chart
    from birkhoff_cli.analyses.geometry.hypocycloids import Support
    from birkhoff_cli.analyses.regions._known_reach import Reach


@dataclass(frozen=True)
class KromSum(Parameterization):
    """Convex combination of Kronecker products."""

    terms: Annotated[int, "number of Kronecker products"] = 2
    factors: Annotated[tuple[int, ...], "sides, slowest index first (the primes of d)"] = ()

    source = "go-mHC, arXiv:2604.02309, H.2"
    exact = DOUBLY_STOCHASTIC

    def __post_init__(self) -> None:
        """Refuse factors that do not multiply to d, and an empty sum."""
        super().__post_init__()
        require(self.terms >= 1, f"terms = {self.terms}", "at least 1")
        _ = self.term

    @property
    def term(self) -> KromHC:
        """The map of every term."""
        return KromHC(self.d, self.factors)

    @property
    def parameters(self) -> int:
        """Those of every term, and one weight each."""
        return self.terms * (self.term.parameters + 1)

    def __call__(self, theta: Array) -> Array:
        """Kronecker products, then their average.

        Raises:
            TooLarge: a factor's permutations cannot be enumerated.
        """
        x = vectors(theta)
        products = apply_each((self.term,) * self.terms, x[: -self.terms])
        return batch_first(average(products, powers(x[-self.terms :])), 2)

    def require_memory(self) -> None:
        """As for every method, of a term too."""
        self.term.require_memory()
        super().require_memory()

    def initial(self) -> Array:
        """KromHC's start in every term, equal weights; the paper gives none.

        Like terms would stay alike under gradient descent: term t starts with -8 - t / 8.
        """
        start = self.term.initial()
        terms = [start * (1 + t / 64) for t in range(self.terms)]
        return np.concatenate([*terms, np.zeros(self.terms)])

    def theta(
        self, n: int, rng: np.random.Generator, how: str, scale: float | None = None
    ) -> Array:
        """As for every method, refused before numbers are drawn for an impossible factor."""
        self.term.theta(0, rng, how)
        return super().theta(n, rng, how, scale)

    def chart(self) -> "Chart | None":
        """The weights of all factors of all terms, and those of the terms."""
        from birkhoff_cli.analyses.geometry.composites import average as average_chart

        term = self.term.chart()
        return average_chart((term,) * self.terms) if term else None

    def known_reach(self) -> "Reach | None":
        """A mixture of doubly stochastic matrices is one; of symmetric matrices, symmetric."""
        sides = [part.d for part in self.term.parts if part.d > 1]
        known = self.terms == 1 or max(sides, default=self.d) in (2, self.d)
        return self.term.known_reach() if known else None

    def flops(self) -> int:
        """Ours, none is published: the terms', softmax of the weights, the weighted sum."""
        return self.terms * (self.term.flops() + 3 + 2 * self.d**2)

    def samplers(self) -> Mapping[str, Ensemble]:
        """Dirichlet(1) weights on the permutations of every factor, and on the terms."""
        from birkhoff_cli.analyses.geometry.ensembles import Average

        return {"dirichlet": Average(self.term.samplers()["dirichlet"], self.terms)}

    def mixtures(self) -> tuple[Mixture, ...]:
        """Those of every term, and the weights of the terms."""
        parts = self.term.mixtures()
        every = [
            replace(part, first=part.first + t * self.term.parameters, summand=t)
            for t in range(self.terms)
            for part in parts
        ]
        return (*every, Mixture(self.terms, first=self.parameters - self.terms))

    def simplified(self) -> Parameterization:
        """The only term; or one of several, if it already reaches all of the polytope."""
        alone = self.terms == 1 or self.d in self.term.factor_sides
        return self.term.simplified() if alone else self

    def eigenvalues(self, theta: Array) -> Array | None:
        """Those of the only term; means of them, where all terms have the same eigenvectors.

        So it is with factors of side 2: their eigenvectors are (1, 1) and (1, -1).
        """
        if self.terms > 1 and max(self.factor_sides) > 2:
            return None
        x = vectors(theta)
        parts = np.split(x[: -self.terms], self.terms)
        roots = [lanes(self.term.eigenvalues(batch_first(part, 1)), 1) for part in parts]
        mean = average(roots, powers(x[-self.terms :]))
        mean[0] = 1
        return batch_first(mean, 1)

    @property
    def factor_sides(self) -> tuple[int, ...]:
        """Those of every term."""
        return self.term.factor_sides

    def projection_support(self) -> "Support | None":
        """As of one term: the mean of symmetric matrices is symmetric."""
        return self.term.projection_support()


EXAMPLES = (KromSum(4), KromSum(6, terms=3, factors=(3, 2)), KromSum(2, terms=1))
