"""mhc-lite: a softmax mixture of all d! permutation matrices.

``H = sum_r softmax(theta)_r P_r`` in the lexicographic order of permutations, ``P_r`` with a 1
at ``(i, pi_r(i))``. By Birkhoff's theorem it reaches every doubly stochastic matrix with
positive weights. The code base applies the transpose: `permutations.inverse_order` turns its
logits to ours.

Source: mHC-lite, arXiv:2601.05732.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import factorial
from typing import TYPE_CHECKING, Any

import numpy as np

from birkhoff_cli.analyses.core.arrays import Array, batch_first
from birkhoff_cli.analyses.core.ensemble import Ensemble
from birkhoff_cli.analyses.core.parameterization import DOUBLY_STOCHASTIC, Parameterization
from birkhoff_cli.analyses.core.pullback import Differentiable
from birkhoff_cli.analyses.geometry.cycles import tied_permutations
from birkhoff_cli.analyses.geometry.lanes import powers, vectors
from birkhoff_cli.analyses.geometry.permutations import (
    all_permutations,
    mixture,
    refuse_too_many,
    softmax_mixture,
    vertices,
)
from birkhoff_cli.analyses.geometry.projection import nearest_doubly_stochastic

if TYPE_CHECKING:
    from birkhoff_cli.analyses.geometry.charts import Chart
    from birkhoff_cli.analyses.geometry.hypocycloids import Support
    from birkhoff_cli.analyses.regions._known_reach import Reach


@dataclass(frozen=True)
class MHCLite(Parameterization):
    """Convex combinations of every vertex of the Birkhoff polytope, up to d = 8.

    Beyond, the counts are still there and everything else is refused.
    """

    source = "mHC-lite, arXiv:2601.05732"
    exact = DOUBLY_STOCHASTIC
    is_local = True

    @property
    def parameters(self) -> int:
        """One logit per permutation."""
        return factorial(self.d)

    @property
    def permutations(self) -> Any:
        """All of them, ``(d!, d)``."""
        return all_permutations(self.d)

    def __call__(self, theta: Array) -> Array:
        """Softmax, then the mixture.

        Raises:
            TooLarge: d! permutation matrices do not fit.
        """
        return batch_first(mixture(powers(vectors(theta)), vertices(self.d)), 2)

    def initial(self) -> Array:
        """0 for the identity, which comes first, and -8 for all others."""
        refuse_too_many(self.d)
        start = np.full(self.parameters, -8.0)
        start[0] = 0
        return start

    def require_memory(self) -> None:
        """As for every method, and that the permutations can be enumerated."""
        refuse_too_many(self.d)
        super().require_memory()

    def theta(
        self, n: int, rng: np.random.Generator, how: str, scale: float | None = None
    ) -> Array:
        """As for every method, refused before d! numbers are drawn."""
        refuse_too_many(self.d)
        return super().theta(n, rng, how, scale)

    def chart(self) -> "Chart":
        """The weights themselves."""
        from birkhoff_cli.analyses.geometry.mixtures import Mixture

        return Mixture(vertices(self.d).astype(float))

    def known_reach(self) -> "Reach":
        """Every doubly stochastic matrix, by Birkhoff's theorem."""
        from birkhoff_cli.analyses.regions import _known_reach as known_reach

        return known_reach.doubly_stochastic(self.d, "every permutation is mixed (Birkhoff)")

    def nearest(self, h: Array) -> Array:
        """In the whole polytope."""
        return nearest_doubly_stochastic(h)

    def flops(self) -> int:
        """Softmax and d! scaled matrices: Table 4 of go-mHC, C = 1."""
        return 3 * self.parameters + 2 * self.d**2 * self.parameters

    def samplers(self) -> Mapping[str, Ensemble]:
        """Dirichlet(1) weights on the permutations; uniform on the Birkhoff polytope."""
        from birkhoff_cli.analyses.geometry.ensembles import Dirichlet, Uniform

        return {"dirichlet": Dirichlet(self.d), "polytope": Uniform(self.d)}

    def differentiable(self) -> Differentiable:
        """Written out."""
        return softmax_mixture(vertices(self.d))

    def projection_support(self) -> "Support":
        """The polygon: its corners are powers of the d-cycle."""
        from birkhoff_cli.analyses.geometry.hypocycloids import Support

        return Support("polygon", self.d)

    def slice_support(self) -> "Support":
        """The triangle, of the powers of the 3-cycle."""
        from birkhoff_cli.analyses.geometry.hypocycloids import Support

        return Support("polygon", 3)

    def tied_parameters(self) -> Array | None:
        """Weights of permutations that the cycle conjugates to one another."""
        return tied_permutations(self.permutations)

    def allocated(self, width: int) -> int:
        """All that is learned, and the gain of the norm."""
        return self.count(width) + self.d * width


EXAMPLES = (MHCLite(4), MHCLite(2), MHCLite(5), MHCLite(1))
