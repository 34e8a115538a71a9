"""krom-go-mhc: a Kronecker product of go-mHC matrices.

``H = B_0 (x) B_1 (x) ...``, the first factor most significant; every ``B_k`` holds the squared
block norms of an orthogonal (unitary) matrix of side ``s`` times the factor's. Exactly doubly
stochastic, with sum of s i (s i - 1) / 2 parameters over the factors i.

Source: go-mHC, arXiv:2604.02309, section 4.2.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from birkhoff_cli.analyses.core.ensemble import Ensemble
from birkhoff_cli.analyses.core.parameterization import DOUBLY_STOCHASTIC
from birkhoff_cli.analyses.geometry.orthogonal import Field
from birkhoff_cli.analyses.parameterizations._kronecker import KroneckerProduct, resolve_sides
from birkhoff_cli.analyses.parameterizations.go_mhc import GoMHC

if TYPE_CHECKING:
    from birkhoff_cli.analyses.regions._known_reach import Reach


@dataclass(frozen=True)
class KromGoMHC(KroneckerProduct):
    """Kronecker product of generalised orthostochastic matrices."""

    s: Annotated[int, "block size of every factor"] = 2
    factors: Annotated[tuple[int, ...], "sides, slowest index first (the primes of d)"] = ()
    field: Annotated[Field, "orthogonal or unitary matrices"] = "real"

    source = "go-mHC, arXiv:2604.02309, section 4.2"
    default_draw: ClassVar[str] = GoMHC.default_draw
    exact = DOUBLY_STOCHASTIC

    @property
    def parts(self) -> tuple[GoMHC, ...]:
        """The map of every factor."""
        return tuple(
            GoMHC(side, self.s, self.field) for side in resolve_sides(self.d, self.factors)
        )

    def known_reach(self) -> "Reach | None":
        """That of the only factor; of 2 x 2 factors, the segment [-1, 1]."""
        from birkhoff_cli.analyses.regions import _known_reach as known_reach

        parts = [part for part in self.parts if part.d > 1]
        if len(parts) == 1:
            return parts[0].known_reach()
        symmetric = all(part.d == 2 for part in parts)
        return known_reach.real_only("2 x 2 factors are symmetric") if symmetric else None

    def samplers(self) -> Mapping[str, Ensemble]:
        """Haar's measure in every factor, independently."""
        return {"haar": self.ensemble("haar")}


EXAMPLES = (KromGoMHC(4), KromGoMHC(6, s=1, factors=(2, 3)), KromGoMHC(4, field="complex"))
