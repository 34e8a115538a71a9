"""Sinkhorn-Knopp: normalise rows and columns of positive matrices in turn, in lanes.

Source: Sinkhorn & Knopp, Pacific J. Math. 21 (1967) 343-348.
"""

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np

from birkhoff_cli.analyses.core.arrays import Array, namespace

Guard = Literal["log", "floor", "add"]
"""What keeps a sum from being 0: nothing, ``max(sum, eps)``, or ``sum + eps``."""


def sweep(h: Array, axes: Sequence[int], guard: Guard = "log", eps: float = 0.0) -> Array:
    """Divide by the guarded sums over one axis after the other; overwrites a numpy ``h``.

    Args:
        h: lanes ``(d, d, ...)``, at least 0.
        axes: what to sum over in each step: 1 makes rows sum to 1, 0 columns.
        guard: see `Guard`; ``log`` says that the matrix is `narrow`.
        eps: size of the guard.
    """
    xp = namespace(h)
    for axis in axes:
        total = xp.sum(h, axis=axis, keepdims=True)
        if guard == "floor":
            total = xp.where(total > eps, total, eps)
        elif guard == "add":
            total = total + eps
        h = _rescale(h, 1 / total)
    return h


def log_sweep(z: Array, axes: Sequence[int]) -> Array:
    """As `sweep` of ``exp(z)`` for logits of any range.

    The last step is a softmax: its sums are 1 to rounding however large the logits are.
    """
    xp = namespace(z)
    for axis in axes[:-1]:
        z = z - xp.max(z, axis=axis, keepdims=True)
        z = z - xp.log(xp.sum(xp.exp(z), axis=axis, keepdims=True))
    h = xp.exp(z - xp.max(z, axis=axes[-1], keepdims=True))
    return h / xp.sum(h, axis=axes[-1], keepdims=True)


def narrow(z: Array) -> bool:
    """Whether `sweep` of ``exp(z)``, z at most 0, stays within the normal numbers.

    With z in [-r, 0], two entries of a row or column of a rescaled matrix differ by a factor
    exp(2 r) at most, so that all on the way are above exp(-2 r) / d. The gradient squares
    the reciprocal of a sum of them.
    """
    xp = namespace(z)
    r = -math.log(float(xp.finfo(z.dtype).smallest_normal)) / 4 - math.log(z.shape[0])
    return bool(xp.all(z >= -r))


def _rescale(h: Array, factor: Array) -> Array:
    if isinstance(h, np.ndarray):
        h *= factor
        return h
    return h * factor  # in place would spoil torch's gradient
