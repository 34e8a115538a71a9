"""Block norms of Cayley's map with their gradient, and an inverse that is carried along.

Where parameters move in small steps, as in a descent, the inverse of I + A is corrected from one
call to the next instead of being computed.

Source: go-mHC, arXiv:2604.02309, eq. 29 for the gradient of Cayley's map; Schulz, Z. angew. Math.
Mech. 13 (1933) 57-59 for the inverse.
"""

import numpy as np

from birkhoff_cli.analyses.core.arrays import Array, aligned
from birkhoff_cli.analyses.core.pullback import Pullback


class WarmCayley:
    """``(1/s) ||Q_ij||_F^2`` over s x s blocks of ``Q = cayley(skew(theta))``, a `Differentiable`.

    With ``M = ((I + A) / 2)^-1`` and ``Q = M - I`` the gradient in A is ``-M^T G M^T / 2`` for the
    gradient G in Q, so that nothing is solved anywhere. Matrices are rows of ``(batch, n^2)``
    where arithmetic is by entry.
    """

    SETTLED = 1e-8
    """Mean square of an entry of the residual; the correction squares the residual once more."""

    COLD = 1e-2
    """Mean square of an entry of the residual from which on the inverse is computed anew."""

    inverse: Array
    minus: Array
    residual: Array
    work: Array
    q: Array
    slope: Array
    rows: dict[str, Array]
    """Views ``(batch, n^2)`` of these; made once, as each takes as long as 300 products."""
    diagonals: dict[str, Array]
    """Views ``(batch, n)`` of their diagonals."""

    def __init__(self, d: int, s: int) -> None:
        """The fixed parts, for d x d matrices of blocks of side s."""
        self.d, self.n = d, d * s
        row, col = np.tril_indices(self.n, -1)
        position = np.zeros((self.n, self.n), int)
        sign = np.zeros((self.n, self.n))
        position[row, col] = position[col, row] = np.arange(len(row))
        sign[row, col], sign[col, row] = -0.5, 0.5
        self.position, self.sign = position.ravel(), sign.ravel()
        self.lower, self.upper = row * self.n + col, col * self.n + row
        blocks = np.kron(np.eye(d), np.ones((s, 1)))
        self.gather = np.kron(blocks, blocks) / s
        self.spread = np.ascontiguousarray(-self.gather.T)
        self._resize(0)

    def _resize(self, batch: int) -> None:
        """Memory that every call uses again."""
        self.rows, self.diagonals = {}, {}
        for name in ("inverse", "minus", "residual", "work", "q", "slope"):
            self.rows[name] = rows = aligned((batch, self.n**2), float)
            self.diagonals[name] = rows[:, :: self.n + 1]
            setattr(self, name, rows.reshape(batch, self.n, self.n))
        self.difference, self.lower_half = (
            aligned((batch, len(self.lower)), float) for _ in range(2)
        )

    def __call__(self, theta: Array) -> tuple[Array, Pullback]:
        """Matrices ``(batch, d, d)`` of ``(batch, p)``, and their pullback until the next call."""
        self._correct(theta)
        np.copyto(self.q, self.inverse)
        self.diagonals["q"] -= 1
        rows = self.rows["q"]
        h = np.multiply(rows, rows, out=self.rows["work"]) @ self.gather
        return h.reshape(-1, self.d, self.d), self._pullback

    def _pullback(self, gradient: Array) -> Array:
        """As `Pullback`, of the last call."""
        slope, full = self.slope, self.rows["slope"]
        np.matmul(gradient.reshape(len(full), -1), self.spread, out=full)
        np.multiply(slope, self.q, out=slope)
        np.matmul(slope.swapaxes(1, 2), self.inverse, out=self.work)
        np.matmul(self.inverse, self.work, out=slope)
        full.take(self.upper, axis=1, out=self.difference, mode="clip")  # full is transposed
        full.take(self.lower, axis=1, out=self.lower_half, mode="clip")
        self.difference -= self.lower_half
        return self.difference

    def _correct(self, theta: Array) -> None:
        """The inverse by Newton-Schulz from the last one, or by LAPACK's if that is far."""
        if fresh := len(self.inverse) != len(theta):
            self._resize(len(theta))
        minus, residual = self.minus, self.residual
        theta.take(self.position, axis=1, out=self.rows["minus"], mode="clip")
        self.rows["minus"] *= self.sign
        self.diagonals["minus"][:] = -0.5
        square = 0.0 if not fresh else np.inf
        while square < self.COLD:
            np.matmul(minus, self.inverse, out=residual)
            self.diagonals["residual"] += 1
            square = np.vdot(residual, residual) / residual.size
            self.inverse += np.matmul(self.inverse, residual, out=self.work)
            if square < self.SETTLED:
                return
        self.inverse[:] = np.linalg.inv(-minus)
