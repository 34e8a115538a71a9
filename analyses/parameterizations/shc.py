"""shc: unit row and column sums and spectral norm at most 1, with negative entries.

``H = J + Z U diag(tanh s) V^T Z^T`` with the Helmert basis Z (d x (d-1)) of the vectors of sum
0, ``U = cayley(skew(gamma tanh u))``, V alike. ``theta = [u, v, s]``; u fills the strict upper
triangle row by row. The image is all of ``||H - J|| < 1`` (docs/mathematics.md 6); the published
start is tanh(4) = 0.9993 of the way from J to I.

Source: sHC, arXiv:2603.20896, eq. 8-9 and appendix G.
"""

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np

from birkhoff_cli.analyses.core.arrays import Array, batch_first, lanes, like, namespace
from birkhoff_cli.analyses.core.parameterization import (
    COLUMNS,
    NORM,
    ROWS,
    Parameterization,
    require,
)
from birkhoff_cli.analyses.geometry.lanes import matmul, vectors
from birkhoff_cli.analyses.geometry.orthogonal import cayley, skew

if TYPE_CHECKING:
    from birkhoff_cli.analyses.geometry.charts import Chart
    from birkhoff_cli.analyses.geometry.hypocycloids import Support
    from birkhoff_cli.analyses.regions._known_reach import Reach


@dataclass(frozen=True)
class SHC(Parameterization):
    """Singular value decomposition on the vectors of sum 0."""

    gamma: Annotated[float, "bound on the skew entries; a learned gate, 1 at the start"] = 1.0

    source = "sHC, arXiv:2603.20896"
    exact = frozenset((ROWS, COLUMNS, NORM))

    def __post_init__(self) -> None:
        """Refuse a gate that is no number."""
        super().__post_init__()
        require(bool(np.isfinite(self.gamma)), f"gamma = {self.gamma}", "a finite number")

    @property
    def angles(self) -> int:
        """Skew parameters k of U, and of V."""
        return (self.d - 1) * (self.d - 2) // 2

    @property
    def parameters(self) -> int:
        """(d-1)^2: two rotations and the singular values."""
        return 2 * self.angles + self.d - 1

    def __call__(self, theta: Array) -> Array:
        """Both rotations in one Cayley map, then the sum over singular directions."""
        xp = namespace(theta)
        if self.d == 1:
            return 1 + xp.sum(theta, axis=-1)[..., None, None]
        x = xp.tanh(vectors(theta))
        k = self.angles
        upper = self.gamma * xp.moveaxis(x[: 2 * k].reshape((2, k, *x.shape[1:])), 1, 0)
        basis = like(helmert(self.d), x)
        both = xp.tensordot(basis, rotations(upper, self.d - 1), axes=1)
        u, v = both[:, :, 0], both[:, :, 1]
        return batch_first(matmul(u * x[2 * k :], xp.swapaxes(v, 0, 1)) + 1 / self.d, 2)

    def initial(self) -> Array:
        """No rotation, singular values tanh(4)."""
        return np.concatenate([np.zeros(2 * self.angles), np.full(self.d - 1, 4.0)])

    def count(self, width: int) -> int:
        """Eq. 8: W and b of (d-1)^2 outputs, tau x 3, gamma x 2; pre and post as in mHC."""
        return super().count(width) + 4  # three tau and two gamma in place of one gate

    def chart(self) -> "Chart | None":
        """The singular values and vectors together, unless their angles are bounded."""
        from birkhoff_cli.analyses.geometry.contractions import Contractions

        return Contractions(helmert(self.d)) if abs(self.gamma) >= 1 else None

    def known_reach(self) -> "Reach | None":
        """The unit disk, if no angle is out of reach: Cayley's map needs entries up to 1 only."""
        from birkhoff_cli.analyses.regions import _known_reach as known_reach

        if self.d < 3:
            return known_reach.real_only("the only eigenvalue besides 1 is real")
        return known_reach.unit_disk() if abs(self.gamma) >= 1 else None

    def flops(self) -> int:
        """Ours, none is published: two Cayley maps as in Table 4 of go-mHC, and the products."""
        d, m = self.d, self.d - 1
        cayley_maps = 2 * (round(8 * m**3 / 3) + 2 * self.angles)
        return cayley_maps + 4 * d * m**2 + 2 * m + d * m + 2 * d**2 * m + d**2

    def projection_support(self) -> "Support":
        """The unit disk: z is an eigenvalue of the circulant part, whose norm is at most 1."""
        from birkhoff_cli.analyses.geometry.hypocycloids import Support

        return Support("disk", self.d)

    def slice_support(self) -> "Support | None":
        """The unit disk for d = 3."""
        from birkhoff_cli.analyses.geometry.hypocycloids import Support

        return Support("disk", 3) if self.d == 3 else None

    def tied_parameters(self) -> Array | None:
        """For d = 3 the two singular values: two rotations of the plane, and a scale between."""
        return np.array([0, 1, 2, 2]) if self.d == 3 else None


@cache
def helmert(d: int) -> Any:
    """Orthonormal basis of the vectors of sum 0: ``(d, d - 1)``.

    Column k is ``(1, ..., 1, -k, 0, ..., 0) / sqrt(k (k + 1))`` with k ones, k = 1 to d - 1.
    """
    k = np.arange(1, d)
    row = np.arange(d)[:, None]
    return np.where(row < k, 1.0, np.where(row == k, -k, 0.0)) / np.sqrt(k * (k + 1.0))


def rotations(upper: Array, m: int) -> Array:
    """Lanes ``(m, m, ...)`` of ``cayley(A)``, A skew with this upper triangle, row by row."""
    xp = namespace(upper)
    if m != 3:  # skew fills the lower triangle: turn everything by half a turn, there and back
        skewed = skew(batch_first(xp.flip(upper, axis=0), 1), m)
        return xp.flip(lanes(cayley(skewed), 2), axis=(0, 1))
    p, q, r = upper  # the published four streams, by Rodrigues' formula: 2 (I + w w^T - A) t - I
    t = 2 / (1 + p * p + q * q + r * r)
    pq, pr, qr = p * q, p * r, q * r
    rows = (
        (t * (1 + r * r) - 1, t * (-qr - p), t * (pr - q)),
        (t * (p - qr), t * (1 + q * q) - 1, t * (-pq - r)),
        (t * (pr + q), t * (r - pq), t * (1 + p * p) - 1),
    )
    return xp.stack([xp.stack(row) for row in rows])


EXAMPLES = (SHC(4), SHC(3), SHC(2), SHC(6, gamma=3.0), SHC(1))
