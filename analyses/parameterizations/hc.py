"""hc: hyper-connections without a constraint, H = static + gate * tanh(dynamic).

``theta`` is the static d x d matrix and then the dynamic one, both row by row in our
orientation. Nothing is exact: entries, sums and norm are free, and products over depth explode.

Source: Hyper-Connections, arXiv:2409.19606; gate and start as in its code.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

import numpy as np

from birkhoff_cli.analyses.core.arrays import Array, batch_first, namespace
from birkhoff_cli.analyses.core.parameterization import MAX_SCALE, Parameterization, require
from birkhoff_cli.analyses.geometry.cycles import tied_entries
from birkhoff_cli.analyses.geometry.lanes import vectors

if TYPE_CHECKING:
    from birkhoff_cli.analyses.geometry.charts import Chart
    from birkhoff_cli.analyses.geometry.hypocycloids import Support
    from birkhoff_cli.analyses.regions._known_reach import Reach


@dataclass(frozen=True)
class HC(Parameterization):
    """An unconstrained matrix."""

    gate: Annotated[float, "scale of the dynamic part, 0.01 at the start of training"] = 0.01

    source = "Hyper-Connections, arXiv:2409.19606"
    exact: ClassVar[frozenset[str]] = frozenset()

    def __post_init__(self) -> None:
        """Refuse a gate that no network has."""
        super().__post_init__()
        fits = abs(self.gate) <= MAX_SCALE
        require(fits, f"gate = {self.gate:g}", f"-{MAX_SCALE:g} to {MAX_SCALE:g}")

    @property
    def parameters(self) -> int:
        """Static and dynamic entries."""
        return 2 * self.d**2

    def __call__(self, theta: Array) -> Array:
        """Static plus gated dynamic part."""
        xp = namespace(theta)
        x = vectors(theta)
        half = self.d**2
        h = x[:half] + self.gate * xp.tanh(x[half:])
        return batch_first(h.reshape((self.d, self.d, *x.shape[1:])), 2)

    def initial(self) -> Array:
        """Static part I, dynamic part 0."""
        return np.concatenate([np.eye(self.d).ravel(), np.zeros(self.d**2)])

    def count(self, width: int) -> int:
        """All of a dynamic site, the norm's gain included (arXiv:2409.19606, appendix).

        Static alpha d(d+1) and beta d, dynamic alpha C(d+1) and beta C, two scales, gain C.
        """
        return self.d * (self.d + 2) + width * (self.d + 3) + 2

    def chart(self) -> "Chart":
        """The entries: the static part alone reaches every matrix."""
        from birkhoff_cli.analyses.geometry.charts import Entries

        return Entries(self.d)

    def known_reach(self) -> "Reach":
        """Every matrix, and so every eigenvalue."""
        from birkhoff_cli.analyses.regions import _known_reach as known_reach

        return known_reach.doubly_stochastic(self.d, "every matrix is reached")

    def flops(self) -> int:
        """Ours, none is published: tanh, gate and sum of d^2 entries."""
        return 3 * self.d**2

    def projection_support(self) -> "Support":
        """Everything: the static entries are free."""
        from birkhoff_cli.analyses.geometry.hypocycloids import Support

        return Support("plane", self.d)

    def slice_support(self) -> "Support":
        """Everything."""
        from birkhoff_cli.analyses.geometry.hypocycloids import Support

        return Support("plane", 3)

    def tied_parameters(self) -> Array:
        """Entries along every shifted diagonal, static and dynamic ones."""
        tied = tied_entries(self.d)
        return np.concatenate([tied, self.d**2 + tied])


EXAMPLES = (HC(4), HC(3, gate=1.0))
