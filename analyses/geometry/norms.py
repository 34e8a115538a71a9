"""The two largest singular values of many small matrices, by Jacobi sweeps over lanes.

Plane rotations make the Gram matrix diagonal. They keep the small entries of a graded matrix to
their own size, and what is left beside the diagonal shrinks cubically in the end: sweeps go on
until it is rounding beside the values that are wanted. Up to side 4 most matrices of float32
take two or three sweeps, those of float64 four or five.

Source: Golub & Van Loan, Matrix Computations, 4th ed., section 8.5; Demmel & Veselic, SIAM J.
Matrix Anal. Appl. 13 (1992) for graded matrices.
"""

import numpy as np

from birkhoff_cli.analyses.core.arrays import Array, aligned, batch_first
from birkhoff_cli.analyses.geometry.lanes import select

EPS = float(np.finfo(float).eps)

SINGLE = float(np.finfo(np.float32).eps)

LARGEST_JACOBI = 6
"""Side up to which sweeps over lanes beat one LAPACK call per matrix."""

NARROW, NARROW_SINGLE = (1e-140, 1e140), (1e-12, 1e12)
"""Sums of squares of entries whose own squares neither overflow nor underflow, by dtype."""

SWEEPS = 8
"""At most: reached only by what rounding left of a matrix of rank one."""


def two_largest_singular_values(x: Array, precision: float = EPS) -> tuple[Array, Array]:
    """Spectral norms and second singular values.

    Args:
        x: lanes ``(k, k, batch)``, float64, finite.
        precision: relative error of the entries of x; the values need be no better.

    Returns:
        ``(batch,)`` each; 0 where the side has no such value. The norm is right to a few ``k
        precision``. So is the second value where it is small because columns are; in general
        only their squares are, beside that of the norm. Where ``precision`` is that of float32
        the sweeps are done in float32.
    """
    k, batch = x.shape[1:]
    if k == 0 or not batch:
        return np.zeros(batch), np.zeros(batch)
    if k > LARGEST_JACOBI:
        values = np.linalg.svd(np.ascontiguousarray(batch_first(x, 2)), compute_uv=False)
        return values[:, 0], values[:, 1]
    single = precision > SINGLE / 2
    with np.errstate(over="ignore", invalid="ignore"):
        a = gram(x)
        squares = sum(a[i, i] for i in range(k))
    low, high = NARROW_SINGLE if single else NARROW
    if not low < squares.min() <= squares.max() < high:
        return _rescaled(x, precision)
    if single:
        a = _in_float32(a)
    _diagonalise(a, precision, unchecked=2 if single else 3)
    first, second = np.empty((2, batch), a.dtype)
    _largest_two([a[i, i] for i in range(k)], first, second)
    return np.sqrt(first, dtype=float), np.sqrt(second, dtype=float)


def _rescaled(x: Array, precision: float) -> tuple[Array, Array]:
    """The same by way of matrices whose largest entry is near 1: powers of 2 change no digit."""
    largest = np.abs(x).max((0, 1))
    exponent = np.frexp(largest)[1]
    unit = np.ldexp(x, -exponent)
    unit[0, 0, largest == 0] = 1  # any matrix that is not 0 will do
    first, second = two_largest_singular_values(unit, precision)
    known = largest > 0
    return np.ldexp(first, exponent) * known, np.ldexp(second, exponent) * known


def _in_float32(a: Array) -> Array:
    """Upper triangles in which a sweep costs less."""
    b = aligned(a.shape, np.float32)
    for i in range(len(a)):
        b[i, i:] = a[i, i:]
    return b


def gram(x: Array) -> Array:
    """The upper triangle of ``x^T x``."""
    k, batch = x.shape[1:]
    a = aligned((k, k, batch), float)
    term = aligned((batch,), float)
    for i in range(k):
        for j in range(i, k):
            np.multiply(x[0, i], x[0, j], out=a[i, j])
            for r in range(1, k):
                a[i, j] += np.multiply(x[r, i], x[r, j], out=term)
    return a


def _diagonalise(a: Array, precision: float, unchecked: int) -> None:
    """Rotate an upper triangle until its entries beside the diagonal are rounding.

    Some sweeps are always needed. After that a matrix that is done is left alone: what it gets
    does not depend on its neighbours.
    """
    pairs = [(p, q) for p in range(len(a)) for q in range(p + 1, len(a))]
    work = aligned((4, a.shape[2]), a.dtype)
    for sweep in range(SWEEPS):
        if sweep >= unchecked:
            left = _left(a, pairs, precision, work)
            if not left.any():
                return
            if not left.all():
                where = np.flatnonzero(left)
                rest = select(a, where)
                _diagonalise(rest, precision, unchecked=1)
                a[:, :, where] = rest
                return
        for p, q in pairs:
            _rotate(a, p, q, work)


def _left(a: Array, pairs: list[tuple[int, int]], precision: float, work: Array) -> Array:
    """Where an entry beside the diagonal could still change the two largest values.

    It moves the two that it couples by its square over their difference, or by itself.
    """
    first, second, size, square = work
    _largest_two([a[i, i] for i in range(len(a))], first, second)
    second *= precision
    left = np.zeros(a.shape[2], bool)
    for p, q in pairs:
        np.subtract(a[p, p], a[q, q], out=size)
        np.abs(size, out=size)
        np.maximum(size, second, out=size)
        size *= second
        np.multiply(a[p, q], a[p, q], out=square)
        left |= square > size
    return left


def _rotate(a: Array, p: int, q: int, work: Array) -> None:
    """One plane rotation that makes ``a[p, q]`` zero; ``work`` is four rows of scratch."""
    t, c, s, u = work
    beside = a[p, q]
    np.subtract(a[q, q], a[p, p], out=c)
    c *= 0.5
    np.multiply(c, c, out=t)
    t += np.multiply(beside, beside, out=u)
    np.sqrt(t, out=t)
    t += np.finfo(a.dtype).tiny  # equal diagonal and nothing beside it: no rotation
    np.copysign(t, c, out=t)
    t += c
    np.divide(beside, t, out=t)
    np.minimum(t, 1, out=t)  # where squares of tiny entries underflow
    np.maximum(t, -1, out=t)
    np.multiply(t, beside, out=u)
    a[p, p] -= u
    a[q, q] += u
    beside[:] = 0
    if len(a) == 2:
        return
    np.multiply(t, t, out=c)
    c += 1
    np.sqrt(c, out=c)
    np.divide(1, c, out=c)
    np.multiply(t, c, out=s)
    for r in range(len(a)):
        if r not in (p, q):
            x, y = a[min(r, p), max(r, p)], a[min(r, q), max(r, q)]
            np.multiply(s, x, out=t)
            x *= c
            x -= np.multiply(s, y, out=u)
            y *= c
            y += t


def _largest_two(rows: list[Array], first: Array, second: Array) -> None:
    """The largest and the second largest of several rows, elementwise; at least 0."""
    np.maximum(rows[0], 0, out=first)
    second[:] = 0
    for row in rows[1:]:
        np.maximum(second, np.minimum(first, row), out=second)
        np.maximum(first, row, out=first)
