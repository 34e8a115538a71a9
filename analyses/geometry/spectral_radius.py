"""The spectral radius of many small matrices: closed forms up to side 3, LAPACK elsewhere."""

import numpy as np

from birkhoff_cli.analyses.core.arrays import Array, aligned
from birkhoff_cli.analyses.geometry.cubics import depressed, outer_root
from birkhoff_cli.analyses.geometry.eigenvalues import (
    CLOSED_FORM,
    SMALLEST,
    closed_form,
    lapack,
    tolerance,
)
from birkhoff_cli.analyses.geometry.lanes import dot


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
        largest, sure = _largest_of_three(m)
    if np.count_nonzero(sure) < batch:
        where = np.flatnonzero(~sure)
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


def _largest_of_three(m: Array) -> tuple[Array, Array]:
    """The spectral radius of 3 x 3 lanes, and where it is sure.

    The cubic is scaled in place of the matrix, by the Frobenius norm s of what is left without
    the mean eigenvalue. Where that is small beside the matrix, or far from 1, nothing is sure.
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
    sure = squares > 0.01 * size
    np.sqrt(squares, out=size)
    p /= squares
    q /= np.multiply(squares, size, out=rest)
    root, gap, is_complex = _roots(p, q, a, b)
    slope = np.multiply(gap, is_complex, out=p)
    slope += np.abs(root, out=q)
    slope *= gap
    root *= size
    gap *= size
    np.multiply(root, -0.5, out=a)
    a += middle
    np.abs(a, out=a)
    root += middle
    np.multiply(a, a, out=c)
    pair = a + gap  # of two real ones the larger
    pair *= pair
    gap *= gap
    c += gap
    np.copyto(pair, c, where=is_complex)
    root *= root
    largest: Array = np.maximum(root, pair)
    pair *= 1 / 0.98  # the first root is the one apart from the other two
    enough = slope >= tolerance(2)
    enough |= pair < largest
    sure &= enough
    sure &= (squares > 1e-60) & (squares < 1e60)
    return np.sqrt(largest, out=largest), sure


def _roots(p: Array, q: Array, half: Array, gap: Array) -> tuple[Array, Array, Array]:
    """Of x^3 + p x + q the outer root, half the distance of the others, and if they are complex.

    Args:
        p: coefficients.
        q: coefficients.
        half: scratch.
        gap: scratch, where the second result goes.
    """
    root = outer_root(p, q)
    np.multiply(root, root, out=gap)
    gap *= -0.75
    gap -= p
    is_complex = gap < 0
    np.abs(gap, out=half)
    return root, np.sqrt(half, out=gap), is_complex
