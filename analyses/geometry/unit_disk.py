"""The unit disk: the eigenvalues of matrices of spectral norm at most 1.

The functions are those of every region; the side d of the matrices has no effect here.
"""

import numpy as np

from birkhoff_cli.analyses.core.arrays import Array


def excess(re: Array, im: Array, _d: int) -> Array:
    """Distance beyond the circle, less than 0 inside."""
    return np.hypot(re, im) - 1


def distance(re: Array, im: Array, _d: int) -> Array:
    """Euclidean distance, 0 inside."""
    return np.maximum(np.hypot(re, im) - 1, 0)


def radius(angle: Array, _d: int) -> Array:
    """One."""
    return np.ones_like(angle)


def corners(_d: int) -> Array:
    """The ends of the upper half."""
    return np.array([0, np.pi])
