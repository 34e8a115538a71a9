"""identity: the streams are not mixed, H = I.

The residual connection itself, and what several released code bases apply although they compute
a mixing matrix (hyper-connections without mixing, HY-V4): no parameters.

Source: He et al., arXiv:1512.03385.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from birkhoff_cli.analyses.core.arrays import Array, like, namespace
from birkhoff_cli.analyses.core.ensemble import Circulants
from birkhoff_cli.analyses.core.parameterization import DOUBLY_STOCHASTIC, Parameterization

if TYPE_CHECKING:
    from birkhoff_cli.analyses.geometry.charts import Chart
    from birkhoff_cli.analyses.geometry.hypocycloids import Support
    from birkhoff_cli.analyses.regions._known_reach import Reach


@dataclass(frozen=True)
class Identity(Parameterization):
    """H = I for the empty parameter vector."""

    source = "He et al., arXiv:1512.03385"
    default_draw: ClassVar[str] = "init"
    exact = DOUBLY_STOCHASTIC
    parameters = 0
    is_local = True

    def __call__(self, theta: Array) -> Array:
        """The identity in the batch shape of ``theta``; the empty sum carries shape and dtype."""
        nothing = namespace(theta).sum(theta, axis=-1)
        return like(np.eye(self.d), theta) + nothing[..., None, None]

    def initial(self) -> Array:
        """No parameters."""
        return np.zeros(0)

    def count(self, width: int) -> int:
        """The pre and the post map with their two gates, as in Table 1 of go-mHC; no mixing."""
        return 2 * self.d**2 * width + 2 * self.d + 2

    def chart(self) -> "Chart":
        """The identity."""
        from birkhoff_cli.analyses.geometry.charts import Fixed

        return Fixed(np.eye(self.d))

    def known_reach(self) -> "Reach":
        """The eigenvalue 1 alone."""
        from birkhoff_cli.analyses.regions import _known_reach as known_reach

        return known_reach.real_only("all eigenvalues are 1")

    def flops(self) -> int:
        """None."""
        return 0

    def eigenvalues(self, theta: Array) -> Array:
        """All are 1."""
        return np.ones((*theta.shape[:-1], self.d))

    def projection_support(self) -> "Support":
        """The number 1."""
        from birkhoff_cli.analyses.geometry.hypocycloids import Support

        return Support("point", self.d)

    def slice_support(self) -> "Support":
        """The number 1."""
        from birkhoff_cli.analyses.geometry.hypocycloids import Support

        return Support("point", 3)

    def circulants(self, how: str) -> Circulants:
        """The identity is circulant, however it is drawn."""
        return Circulants("the identity", lambda n, rng: self.draw(n, rng, how))


EXAMPLES = (Identity(4), Identity(1))
