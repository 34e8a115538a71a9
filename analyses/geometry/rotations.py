"""Moves over orthogonal and unitary matrices, of which the squared block norms are taken."""

from dataclasses import dataclass

import numpy as np

from birkhoff_cli.analyses.core.arrays import Array, aligned, batch_first, lanes
from birkhoff_cli.analyses.geometry.charts import Chart
from birkhoff_cli.analyses.geometry.elimination import divide
from birkhoff_cli.analyses.geometry.lanes import contract
from birkhoff_cli.analyses.geometry.orthogonal import Field, block_norms, haar, orthonormal_rows


@dataclass(frozen=True)
class Rotations(Chart):
    """Block norms of orthogonal (unitary) matrices; the state is Q, lanes ``(d s, d s, batch)``.

    Moves on the group itself, not in the parameters of Cayley's map: the derivative along
    Q exp(W) needs no solve, and no part of the group is far away. Tangent directions are the
    blocks of W above the diagonal, for unitary Q real and then imaginary parts; the blocks on the
    diagonal turn columns within a block and change no block norm.
    """

    d: int
    s: int
    field: Field = "real"
    longest = 0.5**0.5
    """Longest step: a turn by one radian, for W and its mirror image below the diagonal."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Rows and columns of Q."""
        return (self.d * self.s, self.d * self.s)

    @property
    def directions(self) -> int:
        """The blocks above the diagonal."""
        blocks = self.d * (self.d - 1) // 2 * self.s**2
        return blocks if self.field == "real" else 2 * blocks

    def start(self, n: int, rng: np.random.Generator) -> Array:
        """Haar's measure."""
        return np.ascontiguousarray(lanes(haar(n, self.d * self.s, rng, self.field), 2))

    def matrices(self, state: Array) -> Array:
        """Squared block norms over s."""
        return lanes(block_norms(batch_first(state, 2), self.s), 2)

    def slopes(self, state: Array, gradient: Array) -> Array:
        """``2 / s sum_i (G_ib - G_ia) conj(Q_ia) Q_ib``, in the real and imaginary part of W_ab."""
        d, s, batch = self.d, self.s, state.shape[-1]
        rows = state.reshape(d, s, d, s, batch)
        left = rows if self.field == "real" else rows.conj()
        parts = np.stack([gradient.real, gradient.imag])
        parts *= 2 / s
        total = aligned((2, d * (d - 1) // 2, s, s, batch), state.dtype)
        for k, (a, b) in enumerate(zip(*np.triu_indices(d, 1), strict=True)):
            inner = contract("irxn,iryn->ixyn", left[:, :, a], rows[:, :, b])
            weight = parts[:, :, b] - parts[:, :, a]
            total[:, k] = contract("cin,ixyn->cxyn", weight, inner)
        total = total.reshape(2, -1, batch)
        return total if self.field == "real" else np.concatenate([total.real, total.imag], 1)

    def moved(self, state: Array, step: Array) -> Array:
        """Q times Cayley's map of the rotation W."""
        n, s, batch = self.d * self.s, self.s, state.shape[-1]
        if self.field == "complex":
            half = len(step) // 2
            step = step[:half] + 1j * step[half:]
        step = (-0.5 * step).reshape(-1, s, s, batch)
        minus = np.zeros((n, n, batch), state.dtype)  # I - W/2
        for a, b, block in zip(*np.triu_indices(self.d, 1), step, strict=True):
            minus[a * s : (a + 1) * s, b * s : (b + 1) * s] = block
            minus[b * s : (b + 1) * s, a * s : (a + 1) * s] = -block.swapaxes(0, 1).conj()
        diagonal = np.einsum("ii...->i...", minus)
        diagonal += 1
        turned = divide(state, minus)
        turned *= 2
        turned -= state
        return turned

    def coarse(self, state: Array) -> Array:
        """In single precision, which takes half the time."""
        return state.astype(np.float32 if self.field == "real" else np.complex64)

    def exact(self, state: Array) -> Array:
        """Orthogonal to rounding in double precision."""
        return orthonormal_rows(state)
