"""The two largest singular values where the second is far below the first.

A Gram matrix holds squares: of a second value below ``sqrt(eps)`` times the first nothing is left
in it. One reflection with a pivot makes the matrix a graded one first.

Source: Golub & Van Loan, Matrix Computations, 4th ed., section 5.4.
"""

import numpy as np

from birkhoff_cli.analyses.core.arrays import Array, aligned
from birkhoff_cli.analyses.geometry.lanes import cases, dot, matmul, norm, reciprocal, select
from birkhoff_cli.analyses.geometry.norms import (
    EPS,
    LARGEST_JACOBI,
    two_largest_singular_values,
)
from birkhoff_cli.analyses.geometry.spectral_norms import largest_singular_value

LARGE = 100
"""Size of M from which on its own second value may hide in the square of its first."""


def accurate_singular_values(x: Array, precision: float = EPS) -> tuple[Array, Array]:
    """The same, the second value too right to a few ``k eps`` times the first.

    Args:
        x: lanes ``(k, k, batch)``, float64, finite, k at least 1; largest entries near 1.
        precision: relative error that the second value may have besides.
    """
    k = len(x)
    if k == 1 or k > LARGEST_JACOBI:
        return two_largest_singular_values(x, precision)
    a, b, m = _deflated(x)
    size = norm(m)
    unit = m * reciprocal(size)
    return triangular_singular_values(a, b, unit, size, precision)


def triangular_singular_values(
    a: Array, b: Array, unit: Array, size: Array, precision: float
) -> tuple[Array, Array]:
    """The two largest singular values of ``[[a, b], [0, M]]``, however small M is.

    Args:
        a: ``(batch,)``.
        b: ``(k, batch)``.
        unit: M divided by its Frobenius norm, ``(k, k, batch)``.
        size: that norm, ``(batch,)``.
        precision: relative error of the entries.
    """
    first, second = np.empty_like(size), np.empty_like(size)
    for where, (tiny, large) in cases(size**2 < precision, size > LARGE):
        method = _nearly_rank_one if tiny else _of_large if large else _graded
        m, length = select(unit, where), size[where]
        values = method(a[where], select(b, where), m, length, precision)
        first[where], second[where] = values
    return first, second


def _of_large(
    a: Array, b: Array, unit: Array, size: Array, precision: float
) -> tuple[Array, Array]:
    """With M far larger than a: it may itself be of any grading."""
    full = np.zeros((len(b) + 1, len(b) + 1, len(size)))
    full[0, 0], full[0, 1:], full[1:, 1:] = a / size, b / size, unit
    first, second = accurate_singular_values(full, precision)
    return first * size, second * size


def _graded(a: Array, b: Array, unit: Array, size: Array, precision: float) -> tuple[Array, Array]:
    """With M of any size whose square is no rounding: a Gram matrix of rows keeps its digits."""
    k = len(b)
    full = aligned((k + 1, k + 1, len(size)), float)
    full[0, 0], full[1:, 0], full[0, 1:] = a, b, 0
    np.multiply(unit.swapaxes(0, 1), size, out=full[1:, 1:])
    return two_largest_singular_values(full, precision)


def _nearly_rank_one(
    a: Array, b: Array, unit: Array, size: Array, precision: float
) -> tuple[Array, Array]:
    """Up to the square of M.

    The first value is ``|(a, b)|``, the second the norm of M on what is orthogonal to ``(a, b)``.
    ``M (I - k b b^T)`` with ``1/k = |(a, b)| (|(a, b)| + |a|)`` has it.
    """
    first = np.sqrt(a * a + dot(b, b))
    whole = first * (first + np.abs(a))
    along = matmul(unit, b[:, None])[:, 0] / np.where(whole > 0, whole, 1)
    return first, largest_singular_value(unit - along[:, None] * b, precision) * size


def _deflated(x: Array) -> tuple[Array, Array, Array]:
    """``[[a, b], [0, M]]`` with the singular values of lanes ``(k, k, batch)``: a, b and M.

    A Householder reflection along the longest column, which becomes the first.
    """
    squares = np.stack([dot(column, column) for column in x.swapaxes(0, 1)])
    pivot = squares.argmax(0)[None, None]
    a = np.sqrt(squares.max(0))
    v = np.take_along_axis(x, pivot, 1)[:, 0] * (1 / np.where(a > 0, a, 1))
    factor = 1 / (1 + np.abs(v[0]))
    v[0] += np.copysign(1, v[0])
    rest = x.copy()
    np.put_along_axis(rest, pivot, x[:, :1], 1)  # the first column takes the place of the pivot
    rest = rest[:, 1:]
    along = matmul(v[None], rest)[0] * factor
    rest -= v[:, None] * along
    return -np.copysign(a, v[0]), rest[0], rest[1:]
