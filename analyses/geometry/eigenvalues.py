"""Eigenvalues of many small matrices: closed forms where they are exact, LAPACK elsewhere.

A matrix whose rows (or columns) sum to 1 has the eigenvalue 1; the others are those of a matrix
of side d - 1. For d <= 4 they are roots of a polynomial of degree 3 at most, found for a whole
block at once without a branch, of the matrix less its mean eigenvalue and scaled to a largest
entry of 1. Near a multiple root such a formula loses digits, so every matrix whose error could
exceed 1e-12 goes to LAPACK instead.

Source: Golub & Van Loan, Matrix Computations, 4th ed., chapter 7.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from birkhoff_cli.analyses.core.arrays import Array, aligned, batch_first, lanes
from birkhoff_cli.analyses.core.shapes import Shaped
from birkhoff_cli.analyses.geometry.cubics import depressed, outer_root

ACCURACY = 1e-12
"""Largest error of an eigenvalue that is not itself ill-conditioned."""

EPS = float(np.finfo(float).eps)
SMALLEST = float(np.finfo(float).tiny)
"""The smallest number with all its digits; its reciprocal is finite."""

COEFFICIENT_ERROR = {1: 2, 2: 8}
"""Rounding of a characteristic polynomial in eps, by degree of its derivative.

Near the bound that follows from it 0.5 and 2 are the most that was seen on a million matrices.
"""

CLOSED_FORM = 4
"""Largest d that has a closed form here."""


def eigenvalues(h: Shaped[Array, "*batch d d"]) -> Shaped[Array, "*batch d"]:
    """Eigenvalues of real matrices.

    Args:
        h: ``(..., d, d)``, finite.

    Returns:
        ``(..., d)`` complex128. The first is the eigenvalue 1 where rows or columns sum to 1,
        else the one nearest to 1. The others come in no particular order, conjugate pairs side
        by side, the positive imaginary part first.
    """
    re, im = eigenvalue_parts(h)
    return re + 1j * im


def eigenvalue_parts(
    h: Shaped[Array, "*batch d d"],
) -> tuple[Shaped[Array, "*batch d"], Shaped[Array, "*batch d"]]:
    """Real and imaginary parts of `eigenvalues`.

    Args:
        h: ``(..., d, d)``, finite.

    Returns:
        ``(..., d)`` float64 each, in the order of `eigenvalues`; views of lanes.
    """
    d = h.shape[-1]
    batch = h.shape[:-2]
    x = np.ascontiguousarray(lanes(h, 2), dtype=float).reshape(d, d, -1)
    rows = sums_to_one(x, 1)
    if rows.all():  # usual: no copies
        re, im = _parts(x, _less_last_row)
    else:  # each matrix by its own sums: no number depends on a neighbour
        re, im = np.empty((2, d, x.shape[2]))
        columns = sums_to_one(x, 0) & ~rows
        groups = (rows, _less_last_row), (columns, _less_last_column), (~(rows | columns), None)
        for group, deflate in groups:
            if len(where := np.flatnonzero(group)):
                re[:, where], im[:, where] = _parts(x[:, :, where], deflate)
    return batch_first(re.reshape(d, *batch), 1), batch_first(im.reshape(d, *batch), 1)


def sums_to_one(x: Array, axis: int) -> Array:
    """Whether all sums over an axis are 1 up to rounding, ``(batch,)``."""
    with np.errstate(over="ignore", invalid="ignore"):  # sums of huge entries are not 1 either
        return np.abs(x.sum(axis) - 1).max(0, initial=0) <= 8 * len(x) * EPS


def _less_last_row(x: Array) -> Array:
    """Matrices of side d - 1 with the eigenvalues other than 1, where rows sum to 1."""
    return x[:-1, :-1] - x[-1:, :-1]


def _less_last_column(x: Array) -> Array:
    """The same where columns sum to 1."""
    return x[:-1, :-1] - x[:-1, -1:]


def _parts(x: Array, deflate: Callable[[Array], Array] | None) -> tuple[Array, Array]:
    """Real and imaginary parts ``(d, batch)``: 1 and those of the deflated matrices, or of all."""
    if deflate is None:
        roots = _nearest_to_one_first(lapack(x))
        return roots.real, roots.imag
    re, im = (aligned(x.shape[1:], float) for _ in range(2))
    re[0], im[0] = 1, 0
    _fill(re[1:], im[1:], deflate(x))
    return re, im


def _fill(re: Array, im: Array, m: Array) -> None:
    if len(m) >= CLOSED_FORM:
        roots = lapack(m)
        re[:], im[:] = roots.real, roots.imag
    elif len(m) == 1:
        re[0], im[0] = m[0, 0], 0
    elif len(m) > 1:
        middle, size, slope = closed_form(re, im, m)
        # an error is scaled too: where the scale is small, more of it is harmless
        doubtful = ~(slope >= tolerance(len(m) - 1) * np.minimum(size, 1))
        if len(where := np.flatnonzero(doubtful)):
            roots = lapack(m[:, :, where]) * size[where] + middle[where]
            re[:, where], im[:, where] = roots.real, roots.imag


def closed_form(re: Array, im: Array, m: Array) -> tuple[Array, Array, Array]:
    """Roots of 2 x 2 or 3 x 3 matrices.

    The formulas see a matrix without its mean eigenvalue and with a largest entry of 1: near a
    multiple of the identity their products of three entries would underflow, of large matrices
    overflow.

    Args:
        re: where the real parts of the roots go.
        im: where their imaginary parts go.
        m: the matrices; in the end those that the formulas saw.

    Returns:
        The mean eigenvalue, the largest entry of what is left, and the least |f'| at a root for
        the characteristic polynomial f of the scaled matrix, up to a factor of 2.
    """
    k = len(m)
    middle = m[0, 0] * (1 / k)
    for i in range(1, k):
        middle += m[i, i] * (1 / k)  # the sum of the largest numbers would overflow
    for i in range(k):
        m[i, i] -= middle
    size = np.abs(m).max((0, 1))
    m *= 1 / np.maximum(size, SMALLEST)
    # the mean was rounded at the size of the eigenvalues, which may be far above that of their
    # differences: what is left of the trace would part a double root by its square root
    rest = m[0, 0] * (1 / k)
    for i in range(1, k):
        rest += m[i, i] * (1 / k)
    for i in range(k):
        m[i, i] -= rest
    middle += rest * size
    slope = _quadratic(re, im, m) if k == 2 else _cubic(re, im, m)
    re *= size
    re += middle
    im *= size
    return middle, size, slope


def _quadratic(re: Array, im: Array, m: Array) -> Array:
    """Roots of 2 x 2 matrices of trace 0; returns half their distance."""
    square = m[0, 0] * m[0, 0]
    square += m[0, 1] * m[1, 0]
    gap = np.sqrt(np.abs(square))
    _pair(re, im, gap, square < 0)
    return gap


def _cubic(re: Array, im: Array, m: Array) -> Array:
    """Roots of 3 x 3 matrices of trace 0; returns about the least |f'| at a root.

    The depressed cubic x^3 + p x + q: the real root farthest from the others by a start within
    0.5 % and three Newton steps, the other two from the quadratic that is left.
    """
    p, q = depressed(m, m[0, 0], m[1, 1], m[2, 2])
    root = outer_root(p, q)
    square = root * root
    square *= -0.75
    square -= p
    gap = np.sqrt(np.abs(square))
    is_complex = square < 0
    re[0], im[0] = root, 0
    _pair(re[1:], im[1:], gap, is_complex)
    re[1:] -= 0.5 * root
    return gap * (np.abs(root) + gap * is_complex)


def _pair(re: Array, im: Array, gap: Array, is_complex: Array) -> None:
    """The two roots of x^2 = gap^2, or of x^2 = -gap^2."""
    np.multiply(gap, is_complex, out=im[0])
    np.negative(im[0], out=im[1])
    np.subtract(gap, im[0], out=re[0])
    np.negative(re[0], out=re[1])


def tolerance(degree: int) -> float:
    """Smallest |f'| at a root of a scaled matrix for which rounding is harmless.

    No entry exceeds 1, so the coefficients carry an error of a few eps, and a root moves by that
    over |f'|.
    """
    return COEFFICIENT_ERROR[degree] * EPS / ACCURACY


def lapack(m: Array) -> Array:
    """Eigenvalues of lanes, ``(d, d, batch) -> (d, batch)``."""
    return np.linalg.eigvals(np.ascontiguousarray(batch_first(m, 2))).astype(complex).T


def _nearest_to_one_first(roots: Array) -> Array:
    first = np.abs(roots - 1).argmin(0)
    order: Any = np.argsort(np.arange(len(roots))[:, None] != first, axis=0, kind="stable")
    return np.take_along_axis(roots, order, axis=0)
