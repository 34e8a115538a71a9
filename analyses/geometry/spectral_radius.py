"""The spectral radius of many small matrices: closed forms up to side 3, LAPACK elsewhere."""

import numpy as np

from birkhoff_cli.analyses.core.arrays import Array, aligned
from birkhoff_cli.analyses.geometry.cubics import depressed, largest_root
from birkhoff_cli.analyses.geometry.eigenvalues import (
    CLOSED_FORM,
    SMALLEST,
    closed_form,
    lapack,
    tolerance,
)
from birkhoff_cli.analyses.geometry.lanes import dot

ALIKE = 1e-8
"""Least square of the norm without the mean eigenvalue, beside that of the matrix."""

SLOPE = tolerance(2) / 2
"""Least |f'| at a root with a Frobenius norm of 1, which leaves coefficients a smaller error than
a largest entry of 1 does."""


def largest_modulus(m: Array) -> Array:
    """The spectral radius of lanes ``(k, k, batch)``, ``(batch,)``.

    What is nearly a multiple of the identity loses no digits. A double root matters only if it
    is the largest.
    """
    k, batch = m.shape[1:]
    if k < 2:
        return np.abs(m[0, 0]) if k else np.zeros(batch)
    if k != 3:
        return _largest_modulus(m)
    with np.errstate(all="ignore"):  # of any size: what is NaN is doubtful
        largest, sure, usual = _largest_of_three(m)
    if np.count_nonzero(sure) < batch:
        if len(where := np.flatnonzero(usual & ~sure)):
            largest[where] = np.abs(lapack(m[:, :, where])).max(0)
        if len(where := np.flatnonzero(~usual)):
            largest[where] = _largest_modulus(m[:, :, where])
    return largest


def _largest_modulus(m: Array) -> Array:
    """The same of lanes of any side above 1, of any size."""
    k, batch = m.shape[1:]
    if k >= CLOSED_FORM:
        return np.abs(lapack(m)).max(0)
    re, im = (aligned((k, batch), float) for _ in range(2))
    top = np.abs(m).max((0, 1))  # the squares of moduli neither overflow nor underflow
    *_, slope = closed_form(re, im, m * (1 / np.maximum(top, SMALLEST)))
    doubtful = ~(slope >= tolerance(k - 1))  # not >= is true of NaN too
    re *= re
    im *= im
    re += im  # squared moduli
    largest = re.max(0)
    if k == 3:  # the first root is the one apart from the other two
        doubtful &= np.maximum(re[1], re[2]) >= 0.98 * largest
    np.sqrt(largest, out=largest)
    largest *= top
    if len(where := np.flatnonzero(doubtful)):
        largest[where] = np.abs(lapack(m[:, :, where])).max(0)
    return largest


def _largest_of_three(m: Array) -> tuple[Array, Array, Array]:
    """The spectral radius of 3 x 3 lanes, where it is sure, and where the cubic could be scaled.

    The cubic is scaled in place of the matrix, by the Frobenius norm s of what is left without
    the mean eigenvalue. Where that is small beside the matrix, or far from 1, it is not.
    """
    size = dot(m, m)
    a, b, c = m[0, 0], m[1, 1], m[2, 2]
    middle = a + b
    middle += c
    middle *= 1 / 3
    a, b, c = a - middle, b - middle, c - middle
    rest = a + b
    rest += c
    rest *= 1 / 3  # what the mean was rounded by
    a -= rest
    b -= rest
    c -= rest
    middle += rest
    p, q = depressed(m, a, b, c)
    squares = middle * middle
    squares *= -3
    squares += size
    usual = squares > ALIKE * size
    np.sqrt(squares, out=size)
    usual &= (squares > 1e-60) & (squares < 1e60)
    p /= squares
    squares *= size
    q /= squares
    middle /= size
    largest, sure = largest_root(p, q, middle, SLOPE)
    largest *= size
    return largest, sure & usual, usual
