"""averaged-go-mhc: a weighted average of s orthostochastic d x d matrices.

``H = sum_k softmax(beta)_k |Q_k|^2`` with orthogonal (unitary) ``Q_k = cayley(A_k)``: the same
number of terms as go-mHC of block size s, at O(s d^2) instead of O(s^2 d^2) parameters.
``theta`` is the skew parameters of matrix after matrix and then beta.

Source: go-mHC, arXiv:2604.02309, H.1.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

import numpy as np

from birkhoff_cli.analyses.core.arrays import Array, batch_first
from birkhoff_cli.analyses.core.ensemble import Circulants, Ensemble
from birkhoff_cli.analyses.core.mixture import Mixture
from birkhoff_cli.analyses.core.parameterization import (
    DOUBLY_STOCHASTIC,
    Parameterization,
    require,
)
from birkhoff_cli.analyses.geometry.lanes import average, powers, vectors
from birkhoff_cli.analyses.geometry.orthogonal import Field
from birkhoff_cli.analyses.parameterizations._kronecker import apply_each
from birkhoff_cli.analyses.parameterizations.go_mhc import GoMHC

if TYPE_CHECKING:
    from birkhoff_cli.analyses.geometry.charts import Chart
    from birkhoff_cli.analyses.geometry.hypocycloids import Support
    from birkhoff_cli.analyses.regions._known_reach import Reach


@dataclass(frozen=True)
class AveragedGoMHC(Parameterization):
    """Convex combination of orthostochastic (complex: unistochastic) matrices."""

    s: Annotated[int, "number of matrices averaged"] = 2
    field: Annotated[Field, "orthogonal or unitary matrices"] = "real"

    source = "go-mHC, arXiv:2604.02309, H.1"
    default_draw: ClassVar[str] = GoMHC.default_draw
    exact = DOUBLY_STOCHASTIC
    is_local = True

    def __post_init__(self) -> None:
        """Refuse an empty average."""
        super().__post_init__()
        require(self.s >= 1, f"number of matrices s = {self.s}", "at least 1")
        _ = self.term

    @property
    def term(self) -> GoMHC:
        """The map of every term."""
        return GoMHC(self.d, 1, self.field)

    @property
    def parameters(self) -> int:
        """Those of every term, and one weight each."""
        return self.s * (self.term.parameters + 1)

    def __call__(self, theta: Array) -> Array:
        """Orthostochastic matrices, then their average."""
        x = vectors(theta)
        matrices = apply_each((self.term,) * self.s, x[: -self.s])
        return batch_first(average(matrices, powers(x[-self.s :])), 2)

    def initial(self) -> Array:
        """go-mHC's start, not critical, scaled down from term to term so that none are alike."""
        start = self.term.initial()
        terms = [start * (1 - t / self.s) for t in range(self.s)]
        return np.concatenate([*terms, np.zeros(self.s)])

    def chart(self) -> "Chart":
        """The groups of all terms, and the weights."""
        from birkhoff_cli.analyses.geometry.composites import average as average_chart

        return average_chart((self.term.chart(),) * self.s)

    def known_reach(self) -> "Reach | None":
        """Two terms reach every k-gon: means of two points of a connected curve (Fenchel, Bunt)."""
        from birkhoff_cli.analyses.regions import _known_reach as known_reach

        if self.s == 1:
            return self.term.known_reach()
        because = "means of two circulant terms fill every k-gon (Fenchel, Bunt)"
        return known_reach.perfect_mirsky(self.d, because)

    def flops(self) -> int:
        """Ours, none is published: the terms', softmax of the weights, the weighted sum."""
        return self.s * (self.term.flops() + 3 + 2 * self.d**2)

    def samplers(self) -> Mapping[str, Ensemble]:
        """Independent Haar matrices, averaged with Dirichlet(1) weights."""
        from birkhoff_cli.analyses.geometry.ensembles import Average, HaarBlocks

        return {"haar": Average(HaarBlocks(self.d, 1, self.field), self.s)}

    def mixtures(self) -> tuple[Mixture, ...]:
        """The weights of the terms, which are no permutations."""
        return (Mixture(self.s, first=self.parameters - self.s),)

    def simplified(self) -> Parameterization:
        """The only term, if there is one."""
        return self.term if self.s == 1 else self

    def projection_support(self) -> "Support | None":
        """The polygon, of two terms or more.

        Averages of two points of a connected plane set reach all of its convex hull (Fenchel;
        Bunt), which the corners of the hypocycloid span.
        """
        from birkhoff_cli.analyses.geometry.hypocycloids import Support

        return Support("polygon", self.d) if self.s > 1 else super().projection_support()

    def slice_support(self) -> "Support | None":
        """The triangle, for the same reason."""
        from birkhoff_cli.analyses.geometry.hypocycloids import Support

        return Support("polygon", 3) if self.s > 1 else super().slice_support()

    def circulants(self, how: str) -> Circulants:  # noqa: ARG002
        """Averages of the circulant matrices of the terms: of parameters no law is known."""
        from birkhoff_cli.analyses.geometry.ensembles import HaarBlocks, averages

        one = HaarBlocks(3, 1, self.field)
        description = "averages of circulants with Haar blocks"
        return Circulants(description, averages(one.circulants().draw, self.s))


EXAMPLES = (AveragedGoMHC(4), AveragedGoMHC(3, s=3, field="complex"), AveragedGoMHC(3, s=1))
