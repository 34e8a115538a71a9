"""mhc-linear: Sinkhorn-Knopp on absolute values instead of exponentials.

``M = |W|``, then K times: rows divided by their sum + eps, columns by theirs. No exponential,
so no saturation; no side is exact, because eps keeps every sum below 1 by about eps.

Source: go-mHC, arXiv:2604.02309, B.9, Algorithm 1.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import numpy as np

from birkhoff_cli.analyses.core.arrays import Array, batch_first, namespace
from birkhoff_cli.analyses.core.ensemble import Ensemble
from birkhoff_cli.analyses.core.parameterization import (
    NONNEGATIVE,
    Parameterization,
    require,
    require_scale,
)
from birkhoff_cli.analyses.geometry.cycles import tied_entries
from birkhoff_cli.analyses.geometry.lanes import vectors
from birkhoff_cli.analyses.geometry.sinkhorn import sweep
from birkhoff_cli.analyses.parameterizations._sinkhorn_variants import MAX_ITERS

if TYPE_CHECKING:
    from birkhoff_cli.analyses.geometry.charts import Chart
    from birkhoff_cli.analyses.regions._known_reach import Reach


@dataclass(frozen=True)
class MHCLinear(Parameterization):
    """Truncated Sinkhorn-Knopp of ``|theta|``, columns last."""

    iters: Annotated[int, "sweeps, each rows then columns"] = 20
    eps: Annotated[float, "added to every sum"] = 1e-8

    source = "go-mHC, arXiv:2604.02309, Algorithm 1"
    exact = frozenset((NONNEGATIVE,))

    def __post_init__(self) -> None:
        """Refuse settings no Sinkhorn could have."""
        super().__post_init__()
        fits = 0 <= self.iters <= MAX_ITERS
        require(fits, f"iters = {self.iters}", f"at least 0, {MAX_ITERS:,} at most")
        require_scale(self.eps, "eps =")

    @property
    def parameters(self) -> int:
        """One weight per entry."""
        return self.d**2

    def __call__(self, theta: Array) -> Array:
        """Absolute values, then rows and columns in turn."""
        x = vectors(theta)
        h = namespace(x).abs(x.reshape((self.d, self.d, *x.shape[1:])))
        return batch_first(sweep(h, (1, 0) * self.iters, "add", self.eps), 2)

    def initial(self) -> Array:
        """The exponential of mHC's start: at 0 the absolute value has no derivative."""
        return np.exp(8 * np.eye(self.d).ravel() - 8)

    def chart(self) -> "Chart | None":
        """The weights, so large that the first sum is far above eps."""
        from birkhoff_cli.analyses.geometry.balances import SMALLEST, Balanced

        axes = (1, 0) * self.iters
        return Balanced(self.d, axes, "add", self.eps, largest=1 / SMALLEST) if axes else None

    def known_reach(self) -> "Reach":
        """Large multiples of doubly stochastic matrices: a sweep changes only their scale."""
        from birkhoff_cli.analyses.regions import _known_reach as known_reach

        total = np.inf
        for _ in range(2 * self.iters):
            total = 1 / (1 + self.eps / total)
        because = "doubly stochastic matrices are fixed, up to the guards of their sums"
        return known_reach.doubly_stochastic(self.d, because, total if self.iters else 1.0)

    def flops(self) -> int:
        """As mHC, 4 S d^2 for S sweeps (Table 4 of go-mHC, C = 1)."""
        return 4 * self.iters * self.d**2

    def samplers(self) -> Mapping[str, Ensemble]:
        """Converged Sinkhorn of U(0, 1) entries; uniform on the Birkhoff polytope."""
        from birkhoff_cli.analyses.geometry.ensembles import SinkhornOfUniform, Uniform

        return {"sinkhorn-uniform": SinkhornOfUniform(self.d), "polytope": Uniform(self.d)}

    def tied_parameters(self) -> Array:
        """Entries along every shifted diagonal."""
        return tied_entries(self.d)


EXAMPLES = (MHCLinear(4), MHCLinear(3, iters=2, eps=1e-3))
