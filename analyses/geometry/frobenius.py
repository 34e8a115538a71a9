"""The Frobenius norm of many small matrices, of any size of their entries.

Squares of entries below 1e-154 underflow and those above 1e154 overflow: such matrices are
divided by a power of 2 first, which is exact.
"""

import numpy as np

from birkhoff_cli.analyses.core.arrays import Array

NARROW = (1e-280, 1e280)
"""Sums of squares to which no entry that matters has lost digits."""


def frobenius_norm(x: Array, axes: tuple[int, ...] = (-2, -1)) -> Array:
    """``||X||_F`` over two axes, float64; infinite only where a float64 ends."""
    with np.errstate(over="ignore"):
        squares = np.square(x).sum(axes)
    odd = ~((squares > NARROW[0]) & (squares < NARROW[1]))
    norm: Array = np.sqrt(squares)
    if odd.any():
        norm = np.where(odd, _rescaled(x, axes), norm)
    return norm


def power_of_two(x: Array, axes: tuple[int, ...]) -> Array:
    """The largest power of 2 that is not above the largest modulus, axes kept; 1 for zeros."""
    size = np.abs(x).max(axes, initial=0, keepdims=True)
    power: Array = np.where(size > 0, np.ldexp(1.0, np.frexp(size)[1] - 1), 1.0)
    return power


def _rescaled(x: Array, axes: tuple[int, ...]) -> Array:
    scale = power_of_two(x, axes)
    with np.errstate(over="ignore", invalid="ignore"):  # of what is infinite already
        return np.sqrt(np.square(x / scale).sum(axes)) * scale.reshape(np.delete(x.shape, axes))
