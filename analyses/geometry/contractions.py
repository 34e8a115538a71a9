"""Moves over all matrices of spectral norm at most 1 on the vectors of sum 0."""

from dataclasses import dataclass

import numpy as np

from birkhoff_cli.analyses.core.arrays import Array, batch_first, lanes
from birkhoff_cli.analyses.geometry.charts import Chart, split


@dataclass(frozen=True, eq=False)
class Contractions(Chart):
    """``J + Z M Z^T`` with ``||M|| <= 1`` and a basis Z ``(d, m)``; the state is M."""

    basis: Array
    longest = 1.0

    @property
    def shape(self) -> tuple[int, ...]:
        """Rows and columns of M."""
        side = self.basis.shape[1]
        return (side, side)

    def start(self, n: int, rng: np.random.Generator) -> Array:
        """Gaussian entries, shortened where the norm is beyond 1."""
        return _shortened(rng.standard_normal((*self.shape, n)) * rng.random(n))

    def matrices(self, state: Array) -> Array:
        """On all vectors; those of equal entries stay as they are."""
        turned = np.einsum("ia,abn,jb->ijn", self.basis, state, self.basis, optimize=True)
        return turned + 1 / len(self.basis)

    def slopes(self, state: Array, gradient: Array) -> Array:  # noqa: ARG002 (it is linear)
        """The gradient on the vectors of sum 0."""
        return split(np.einsum("ia,ijn,jb->abn", self.basis, gradient, self.basis, optimize=True))

    def moved(self, state: Array, step: Array) -> Array:
        """Shortened where the norm is beyond 1."""
        return _shortened(state + step.reshape(state.shape))


def _shortened(m: Array) -> Array:
    """The nearest matrix of norm at most 1: singular values beyond it become 1."""
    (long,) = np.nonzero((m * m).sum((0, 1)) > 1)  # else the norm is below 1 anyway
    u, s, v = np.linalg.svd(batch_first(m[..., long], 2))
    m = m.copy()
    m[..., long] = lanes((u * np.minimum(s, 1)[:, None]) @ v, 2)
    return m
