"""kromhc: a Kronecker product of small mixtures of permutation matrices.

``H = U_0 (x) U_1 (x) ...``, the first factor most significant. Every ``U_k`` is the mhc-lite
map of its side: for 2 x 2 factors one pair of logits (keep, swap). With 2 x 2 factors all
matrices are symmetric and commute, and the spectrum is real (docs/mathematics.md 5.6).

Source: KromHC, arXiv:2601.21579.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import numpy as np

from birkhoff_cli.analyses.core.arrays import Array
from birkhoff_cli.analyses.core.ensemble import Ensemble
from birkhoff_cli.analyses.core.parameterization import DOUBLY_STOCHASTIC
from birkhoff_cli.analyses.core.pullback import Differentiable
from birkhoff_cli.analyses.geometry.pair_products import pair_products
from birkhoff_cli.analyses.geometry.permutations import refuse_too_many
from birkhoff_cli.analyses.parameterizations._kronecker import KroneckerProduct, resolve_sides
from birkhoff_cli.analyses.parameterizations.mhc_lite import MHCLite

if TYPE_CHECKING:
    from birkhoff_cli.analyses.regions._known_reach import Reach


@dataclass(frozen=True)
class KromHC(KroneckerProduct):
    """Kronecker product of convex combinations of permutations.

    Where a factor's permutations cannot be enumerated, its map raises TooLarge.
    """

    factors: Annotated[tuple[int, ...], "sides, slowest index first (the primes of d)"] = ()

    source = "KromHC, arXiv:2601.21579"
    exact = DOUBLY_STOCHASTIC

    @property
    def parts(self) -> tuple[MHCLite, ...]:
        """The map of every factor."""
        return tuple(MHCLite(side) for side in resolve_sides(self.d, self.factors))

    def theta(
        self, n: int, rng: np.random.Generator, how: str, scale: float | None = None
    ) -> Array:
        """As for every method, refused before numbers are drawn for an impossible factor."""
        refuse_too_many(max(self.factor_sides))
        return super().theta(n, rng, how, scale)

    def known_reach(self) -> "Reach | None":
        """That of the only factor; of factors up to 3 x 3, the products of theirs."""
        from birkhoff_cli.analyses.regions import _known_reach as known_reach

        parts = [part for part in self.parts if part.d > 1]
        if len(parts) == 1:
            return parts[0].known_reach()
        if all(part.d == 2 for part in parts):
            return known_reach.real_only("2 x 2 factors are symmetric")
        return known_reach.hexagram() if all(part.d <= 3 for part in parts) else None

    def samplers(self) -> Mapping[str, Ensemble]:
        """Dirichlet(1) weights on the permutations of every factor."""
        return {"dirichlet": self.ensemble("dirichlet")}

    def differentiable(self) -> Differentiable:
        """Written out for factors of side 2."""
        if {*self.factor_sides} != {2}:
            return super().differentiable()
        return pair_products(len(self.parts))

    def allocated(self, width: int) -> int:
        """All that is learned, and the gain of the norm."""
        return self.count(width) + self.d * width


EXAMPLES = (KromHC(4), KromHC(6), KromHC(6, factors=(3, 2)), KromHC(1))
