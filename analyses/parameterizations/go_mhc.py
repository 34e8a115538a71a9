"""go-mHC: squared block norms of an orthogonal matrix, Cayley's map of a skew one.

``H_ij = (1/s) ||Q_ij||_F^2`` over the s x s blocks of ``Q = (I - A)(I + A)^-1``. Exactly doubly
stochastic. For d >= 3 and every finite s the image is a proper closed subset of the Birkhoff
polytope, and it is reached in full on the box |A_ij| <= 1 (docs/mathematics.md 5.3, 5.4): hence
the default distribution, uniform on that box.

Source: go-mHC, arXiv:2604.02309, eq. 6-9; Nechita et al., arXiv:2310.03436, theorem 2.8.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

import numpy as np

from birkhoff_cli.analyses.core.arrays import Array
from birkhoff_cli.analyses.core.ensemble import Circulants, Ensemble
from birkhoff_cli.analyses.core.parameterization import (
    DOUBLY_STOCHASTIC,
    Parameterization,
    require,
)
from birkhoff_cli.analyses.core.pullback import Differentiable
from birkhoff_cli.analyses.geometry.orthogonal import Field, orthostochastic, skew_parameters

if TYPE_CHECKING:
    from birkhoff_cli.analyses.geometry.charts import Chart
    from birkhoff_cli.analyses.geometry.hypocycloids import Support
    from birkhoff_cli.analyses.regions._known_reach import Reach

GOLDEN = (np.sqrt(5) - 1) / 2


@dataclass(frozen=True)
class GoMHC(Parameterization):
    """Generalised orthostochastic (complex: unistochastic) matrices."""

    s: Annotated[int, "block size: 1 is orthostochastic, larger fills more"] = 2
    field: Annotated[Field, "orthogonal or unitary matrices"] = "real"

    source = "go-mHC, arXiv:2604.02309"
    default_draw: ClassVar[str] = "uniform"
    exact = DOUBLY_STOCHASTIC
    is_local = True

    def __post_init__(self) -> None:
        """Refuse sizes no block matrix has."""
        super().__post_init__()
        require(self.s >= 1, f"block size s = {self.s}", "at least 1")
        require(self.field in ("real", "complex"), f"field '{self.field}'", "real or complex")

    @property
    def parameters(self) -> int:
        """Dimension of the skew matrices of side ``d s``."""
        return skew_parameters(self.d * self.s, self.field)

    def __call__(self, theta: Array) -> Array:
        """Skew matrix, Cayley's map, squared block norms."""
        return orthostochastic(theta, self.d, self.s, self.field)

    def initial(self) -> Array:
        """Near the identity, and not at it: every derivative vanishes at A = 0.

        See docs/mathematics.md 5.1. The paper gives no numbers. Here: a fixed low-discrepancy
        sequence on [-0.1, 0.1].
        """
        return 0.2 * ((np.arange(1, self.parameters + 1) * GOLDEN) % 1) - 0.1

    def known_reach(self) -> "Reach":
        """The mean of s deltoids for three streams; a gap for every d."""
        from birkhoff_cli.analyses.regions import _known_reach as known_reach

        if self.d < 3:
            return known_reach.real_only("2 x 2 doubly stochastic matrices are symmetric")
        return known_reach.scallops(self.d, self.s)

    def flops(self) -> int:
        """A linear solve of side ds with ds right-hand sides, squares and sums: Table 4, C = 1."""
        n = self.d * self.s
        return round(8 * n**3 / 3) + 4 * n**2

    def chart(self) -> "Chart":
        """The orthogonal or unitary group itself."""
        from birkhoff_cli.analyses.geometry.rotations import Rotations

        return Rotations(self.d, self.s, self.field)

    def differentiable(self) -> Differentiable:
        """Written out for real matrices, with an inverse that is carried along."""
        if self.field == "complex" or not self.parameters:
            return super().differentiable()
        from birkhoff_cli.analyses.geometry.warm_cayley import WarmCayley

        return WarmCayley(self.d, self.s)

    def samplers(self) -> Mapping[str, Ensemble]:
        """Haar: block norms of Haar's measure on O(ds) or U(ds)."""
        from birkhoff_cli.analyses.geometry.ensembles import HaarBlocks

        return {"haar": HaarBlocks(self.d, self.s, self.field)}

    def projection_support(self) -> "Support | None":
        """Means of s points of the hypocycloid; beyond s = 1 found for d = 3, 4 only."""
        from birkhoff_cli.analyses.geometry.hypocycloids import Support

        known = self.s == 1 or self.d in (3, 4)
        return Support("scallops", self.d, self.s, proven=self.s == 1) if known else None

    def slice_support(self) -> "Support":
        """The same for d = 3; of real s = 1 only the boundary (docs/mathematics.md 4.3)."""
        from birkhoff_cli.analyses.geometry.hypocycloids import Support

        if self.s == 1 and self.field == "real":
            return Support("arcs", 3)
        return Support("scallops", 3, self.s, proven=self.s == 1)

    def circulants(self, how: str) -> Circulants:  # noqa: ARG002
        """Block-circulant matrices with Haar blocks: of parameters no law is known."""
        from birkhoff_cli.analyses.geometry.ensembles import HaarBlocks

        return HaarBlocks(3, self.s, self.field).circulants()

    def allocated(self, width: int) -> int:
        """As if all (d s)^2 entries of the skew matrix were learned (G.4), and the norm's gain."""
        gain = self.d * width
        unused = (self.d * self.s) ** 2 - self.parameters
        return self.count(width) + gain + (gain + 1) * unused


EXAMPLES = (GoMHC(4), GoMHC(3, s=1), GoMHC(2, s=3), GoMHC(3, s=2, field="complex"), GoMHC(1, s=1))
