"""What is minimised: a mean square that is quadratic in the matrix, by its coefficients.

With ``u = P (W - T)``, P the identity or a read-out ``p^T`` of the streams, the mean over data
points and over the outputs is ``(<u G, u> - 2 <u, C> + c) / outputs`` for the moments G, C, c.
Errors are taken from the target, so nothing is lost where the noise is small.

Source: go-mHC, arXiv:2604.02309, eq. 15, 37 and appendix A.5.2.
"""

from typing import Any, NamedTuple

import numpy as np

from birkhoff_cli.analyses.core.arrays import Array
from birkhoff_cli.analyses.fitting.data import Moments


class Value(NamedTuple):
    """Losses ``(batch,)`` and their gradients."""

    loss: Array
    matrices: Array
    """``(batch, d, d)``"""
    read: Array | None
    """``(batch, d)``, with respect to the read-out in use, if there is one."""


def entries(batch: int, d: int) -> Moments:
    """Moments for which the loss is the mean square over the entries of W - T."""
    return Moments(np.eye(d) / d, np.zeros((batch, d, d)), np.zeros(batch))


class Objective:
    """Losses of a batch of matrices against a batch of targets.

    Args:
        targets: ``(batch, d, d)``.
        moments: of the data, or of its population.
        read: the targets' read-out ``(batch, d)``, if there is one.
    """

    def __init__(self, targets: Array, moments: Moments, read: Array | None = None) -> None:
        self.targets, self.moments, self.read = targets, moments, read
        self.aim = targets if read is None else read[:, None] @ targets
        outputs = self.aim.shape[1]
        self.gram, self.cross = (2 / outputs * m for m in (moments.gram, moments.cross))
        self.power = moments.power / outputs

    def __call__(self, h: Array, read: Array | None = None) -> Value:
        """Losses and gradients.

        Args:
            h: ``(batch, d, d)``.
            read: the read-out in use ``(batch, d)``; the targets' own if there is one and none
                is given.
        """
        if self.read is None:
            return Value(*self._quadratic(h - self.aim), None)
        read = self.read if read is None else read
        loss, slope = self._quadratic(read[:, None] @ h - self.aim)
        return Value(loss, read[..., None] * slope, (h @ slope.swapaxes(-1, -2))[..., 0])

    def part(self, which: Any) -> "Objective":
        """That of some of the targets."""
        gram, cross, power = self.moments
        read = None if self.read is None else self.read[which]
        return Objective(self.targets[which], Moments(gram, cross[which], power[which]), read)

    def _quadratic(self, u: Array) -> tuple[Array, Array]:
        slope = (u.reshape(-1, u.shape[-1]) @ self.gram).reshape(u.shape)
        slope -= self.cross
        flat = (len(u), -1)
        loss = np.vecdot(u.reshape(flat), (slope - self.cross).reshape(flat))
        loss *= 0.5
        loss += self.power
        return loss, slope
