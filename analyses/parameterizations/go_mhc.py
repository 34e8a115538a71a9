"""go-mHC: squared block norms of an orthogonal matrix, Cayley's map of a skew one.

``H_ij = (1/s) ||Q_ij||_F^2`` over the s x s blocks of ``Q = (I - A)(I + A)^-1``. Exactly doubly
stochastic. For d >= 3 and every finite s the image is a proper closed subset of the Birkhoff
polytope, and it is reached in full on the box |A_ij| <= 1 (MATH 5.3, 5.4): hence the default
distribution, uniform on that box.

Source: go-mHC, arXiv:2604.02309, eq. 6-9; Nechita et al., arXiv:2310.03436, theorem 2.8.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np

from birkhoff_cli.analyses.core.arrays import Array
from birkhoff_cli.analyses.core.parameterization import (
    DOUBLY_STOCHASTIC,
    Parameterization,
    Sampler,
    require,
)
from birkhoff_cli.analyses.geometry.charts import Rotations
from birkhoff_cli.analyses.geometry.orthogonal import (
    Field,
    block_norms,
    haar,
    orthostochastic,
    skew_parameters,
)
from birkhoff_cli.analyses.parameterizations import _known_reach as known_reach
from birkhoff_cli.analyses.parameterizations._known_reach import Reach

GOLDEN = (np.sqrt(5) - 1) / 2


@dataclass(frozen=True)
class GoMHC(Parameterization):
    """Generalised orthostochastic (complex: unistochastic) matrices."""

    s: Annotated[int, "block size: 1 is orthostochastic, larger fills more"] = 2
    field: Annotated[Field, "orthogonal or unitary matrices"] = "real"

    source = "go-mHC, arXiv:2604.02309"
    default_draw: ClassVar[str] = "uniform"
    exact = DOUBLY_STOCHASTIC

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
        """Near the identity, and not at it: every derivative vanishes at A = 0 (MATH 5.1).

        The paper gives no numbers. Here: a fixed low-discrepancy sequence on [-0.1, 0.1].
        """
        return 0.2 * ((np.arange(1, self.parameters + 1) * GOLDEN) % 1) - 0.1

    def known_reach(self) -> Reach:
        """The mean of s deltoids for three streams; a gap for every d."""
        if self.d < 3:
            return known_reach.real_only("2 x 2 doubly stochastic matrices are symmetric")
        return known_reach.scallops(self.d, self.s)

    def flops(self) -> int:
        """A linear solve of side ds with ds right-hand sides, squares and sums: Table 4, C = 1."""
        n = self.d * self.s
        return round(8 * n**3 / 3) + 4 * n**2

    def chart(self) -> Rotations | None:
        """The rotation group itself, for real matrices."""
        return Rotations(self.d, self.s) if self.field == "real" and self.d > 1 else None

    def samplers(self) -> Mapping[str, Sampler]:
        """Haar: block norms of Haar's measure on O(ds) or U(ds)."""
        side = self.d * self.s
        return {"haar": lambda n, rng: block_norms(haar(n, side, rng, self.field), self.s)}


EXAMPLES = (GoMHC(4), GoMHC(3, s=1), GoMHC(2, s=3), GoMHC(3, s=2, field="complex"), GoMHC(1, s=1))
