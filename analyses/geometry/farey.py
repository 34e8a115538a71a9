"""The Farey sequence: where regions of eigenvalues of d x d matrices touch the unit circle.

Source: Hardy & Wright, An Introduction to the Theory of Numbers, chapter 3.
"""

from functools import cache

import numpy as np

from birkhoff_cli.analyses.core.arrays import Array


@cache
def fractions(d: int) -> Array:
    """Fractions in [0, 1/2] with denominators up to d, in order: ``(2, count)``, p above q."""
    sequence = [(0, 1)]
    p, q, r, s = 0, 1, 1, d
    while d > 1 and 2 * r <= s:
        sequence.append((r, s))
        skip = (d + q) // s
        p, q, r, s = r, s, skip * r - p, skip * s - q
    return np.array(sequence).T


def angles(d: int) -> Array:
    """Angles in [0, pi] of the roots of unity of order at most d."""
    p, q = fractions(d)
    return 2 * np.pi * p / q


def upper(angle: Array) -> Array:
    """The same or the mirrored angle, in [0, pi]."""
    return np.abs(np.mod(np.asarray(angle, dtype=float) + np.pi, 2 * np.pi) - np.pi)
