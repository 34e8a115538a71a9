"""Logits and results side by side, in lanes, as a search compares them."""

from typing import NamedTuple

import numpy as np

from birkhoff_cli.analyses.core.arrays import Array
from birkhoff_cli.analyses.kernels.arithmetic import SMALLEST
from birkhoff_cli.analyses.kernels.run import tempered


class Frame(NamedTuple):
    """What happens to logits and results outside the normalisations.

    Attributes:
        transposed: whether the result is the transpose of the kernel's own matrix.
        clamp: modulus at which logits are cut off.
        tau: what logits are divided by.
    """

    transposed: bool
    clamp: float
    tau: float


class Dump(NamedTuple):
    """Float64 lanes ``(n, n, batch)``, and the narrowest format that holds the results."""

    logits: Array
    results: Array
    format: str

    def part(self, which: Array) -> "Dump":
        """Some of the matrices."""
        return self._replace(logits=self.logits[..., which], results=self.results[..., which])

    def seen(self, frame: Frame) -> "Seen":
        """Logits as they are exponentiated, and what relative errors need of the results."""
        z = tempered(self.logits, frame.clamp, frame.tau)[:, :, None]
        h = self.results.swapaxes(0, 1) if frame.transposed else self.results
        h = h[:, :, None]
        counted = h > SMALLEST[self.format]
        inverse = np.divide(1, h, out=np.zeros_like(h), where=counted)
        return Seen(z, inverse, counted.astype(float))


class Seen(NamedTuple):
    """A dump in one frame, lanes ``(n, n, 1, batch)``.

    Attributes:
        logits: clamped and tempered.
        inverse: reciprocals of the results; 0 where a result is too small to have digits.
        counted: 1 where there is a reciprocal, else 0.
    """

    logits: Array
    inverse: Array
    counted: Array


def choose(logits: Array, results: Array, most: int) -> Array:
    """Indices of at most about ``most`` finite matrices in which recipes differ most.

    Those of large spread with every entry alive, those far from doubly stochastic, those of
    extreme logits, those with a small row, and some at random.

    Args:
        logits: ``(batch, n, n)``.
        results: the same shape.
        most: how many.
    """
    step = -(-len(logits) // MAX_LOOKED_AT)
    logits, results = logits[::step], results[::step]
    count = len(logits)
    z, h = logits.reshape(count, -1), results.reshape(count, -1)
    finite = np.isfinite(z).all(1) & np.isfinite(h).all(1)
    if count <= most:
        return np.flatnonzero(finite) * step
    sums = [np.abs(results.sum(axis) - 1).max(1) for axis in (1, 2)]
    scores = (
        np.where((h > 1e-30).all(1), z.max(1) - z.min(1), -1),
        np.maximum(*sums),
        np.abs(z).max(1),
        -logits.max(2).min(1),
    )
    share = most // (len(scores) + 1)
    picks = [
        np.argpartition(np.where(finite, score, -np.inf), count - share)[count - share :]
        for score in scores
    ]
    picks.append(np.random.default_rng(0).choice(count, share, replace=False))
    chosen = np.unique(np.concatenate(picks))
    return chosen[finite[chosen]] * step


MAX_LOOKED_AT = 100_000
"""Matrices among which the subset is chosen; of longer dumps every k-th one."""
