"""Eigenvalues of many small matrices: closed forms where they are exact, LAPACK elsewhere.

A matrix whose rows (or columns) sum to 1 has the eigenvalue 1; the others are those of a matrix
of side d - 1. For d <= 4 they are roots of a polynomial of degree 3 at most, found for a whole
block at once without a branch. Near a multiple root such a formula loses digits, so every matrix
whose error could exceed 1e-12 goes to LAPACK instead.

Source: MATH 10; Golub & Van Loan, Matrix Computations, 4th ed., chapter 7.
"""

from typing import Any

import numpy as np

from birkhoff_cli.analyses.core.arrays import Array, aligned, batch_first, lanes

ACCURACY = 1e-12
"""Largest error of an eigenvalue that is not itself ill-conditioned."""

EPS = np.finfo(float).eps
TINY = 1e-300
CLOSED_FORM = 4
"""Largest d that has a closed form here."""


def eigenvalues(h: Array) -> Array:
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


def eigenvalue_parts(h: Array) -> tuple[Array, Array]:
    """Real and imaginary parts of `eigenvalues`, ``(..., d)`` each; views of lanes."""
    d = h.shape[-1]
    batch = h.shape[:-2]
    x = np.ascontiguousarray(lanes(h, 2), dtype=float).reshape(d, d, -1)
    re, im = (aligned((d, x.shape[2]), float) for _ in range(2))
    rest = _deflate(x)
    if rest is None:
        roots = _nearest_to_one_first(_lapack(x))
        re[:], im[:] = roots.real, roots.imag
    else:
        re[0], im[0] = 1, 0
        _fill(re[1:], im[1:], rest)
    return batch_first(re.reshape(d, *batch), 1), batch_first(im.reshape(d, *batch), 1)


def largest_modulus(m: Array) -> Array:
    """The spectral radius of lanes ``(k, k, batch)``, ``(batch,)``.

    The closed form sees the matrix without its mean eigenvalue and at norm 1, so that what is
    nearly a multiple of the identity loses no digits. A double root matters only if it is the
    largest.
    """
    k, batch = m.shape[1:]
    if k < 2:
        return np.abs(m[0, 0]) if k else np.zeros(batch)
    if k >= CLOSED_FORM:
        return np.abs(_lapack(m)).max(0)
    middle = np.einsum("iib->b", m) * (1 / k)
    rest = m.copy()
    for i in range(k):
        rest[i, i] -= middle
    size = np.sqrt(np.einsum("ijb,ijb->b", rest, rest)) + TINY
    rest *= 1 / size
    re, im = (aligned((k, batch), float) for _ in range(2))
    doubtful = _quadratic(re, im, rest) if k == 2 else _cubic(re, im, rest)
    re *= size
    re += middle
    im *= size
    re *= re
    im *= im
    re += im  # squared moduli
    largest = re.max(0)
    if k == 3:  # the first root is the one apart from the other two
        doubtful &= np.maximum(re[1], re[2]) >= 0.98 * largest
    np.sqrt(largest, out=largest)
    if len(where := np.flatnonzero(doubtful)):
        largest[where] = np.abs(_lapack(m[:, :, where])).max(0)
    return largest


def _deflate(x: Array) -> Array | None:
    """The matrices of side d - 1 that are left when the eigenvalue 1 is split off, if it is one."""
    tolerance = 8 * len(x) * EPS
    if not x.size or np.abs(x.sum(1) - 1).max() <= tolerance:
        return x[:-1, :-1] - x[-1:, :-1]
    if np.abs(x.sum(0) - 1).max() <= tolerance:
        return x[:-1, :-1] - x[:-1, -1:]
    return None


def _fill(re: Array, im: Array, m: Array) -> None:
    if len(m) >= CLOSED_FORM:
        roots = _lapack(m)
        re[:], im[:] = roots.real, roots.imag
    elif len(m) == 1:
        re[0], im[0] = m[0, 0], 0
    elif len(m) > 1:
        doubtful = _quadratic(re, im, m) if len(m) == 2 else _cubic(re, im, m)
        if len(where := np.flatnonzero(doubtful)):
            roots = _lapack(m[:, :, where])
            re[:, where], im[:, where] = roots.real, roots.imag


def _quadratic(re: Array, im: Array, m: Array) -> Array:
    """Roots of 2 x 2 matrices; returns where they are too close to each other."""
    half = 0.5 * (m[0, 0] - m[1, 1])
    square = half * half
    square += m[0, 1] * m[1, 0]
    gap = np.sqrt(np.abs(square))
    _pair(re, im, 0.5 * (m[0, 0] + m[1, 1]), gap, square < 0)
    return gap < _tolerance(1)


def _cubic(re: Array, im: Array, m: Array) -> Array:
    """Roots of 3 x 3 matrices; returns where two of them are too close to each other.

    The depressed cubic x^3 + p x + q: the real root farthest from the others by a start within
    0.5 % and three Newton steps, the other two from the quadratic that is left.
    """
    third = m[0, 0] + m[1, 1]
    third += m[2, 2]
    third *= 1 / 3
    a, b, c = (m[k, k] - third for k in range(3))
    bc, ac, ab = m[1, 2] * m[2, 1], m[0, 2] * m[2, 0], m[0, 1] * m[1, 0]
    p = a * b  # the sum of the principal minors, and minus the determinant
    q = p * c
    p += (a + b) * c
    for diagonal, product in ((a, bc), (b, ac), (c, ab)):
        p -= product
        product *= diagonal
        q -= product
    q += m[0, 1] * m[1, 2] * m[2, 0]
    q += m[0, 2] * m[1, 0] * m[2, 1]
    np.negative(q, out=q)
    root = _outer_root(p, q)
    square = root * root
    square *= -0.75
    square -= p
    gap = np.sqrt(np.abs(square))
    is_complex = square < 0
    np.add(third, root, out=re[0])
    im[0] = 0
    _pair(re[1:], im[1:], third - 0.5 * root, gap, is_complex)
    return gap * (np.abs(root) + gap * is_complex) < _tolerance(2)


def _outer_root(p: Array, q: Array) -> Array:
    """The real root of x^3 + p x + q of the sign opposite to q, the largest when all are real."""
    half = np.abs(q)
    half *= 0.5
    third = p * (1 / 3)
    discriminant = third * third
    discriminant *= third
    discriminant += half * half
    radical = np.maximum(discriminant, 0)
    np.sqrt(radical, out=radical)
    radical += half
    np.cbrt(radical, out=radical)
    radical += TINY
    x = third / radical
    np.subtract(radical, x, out=x)
    size = np.maximum(-third, 0)
    np.sqrt(size, out=size)
    ratio = size * size
    ratio *= size
    ratio += TINY
    np.divide(half, ratio, out=ratio)
    np.minimum(ratio, 1, out=ratio)
    size *= 1.7320508 + ratio * (1 / 3 - 0.0653841 * ratio)
    x = np.where(discriminant < 0, size, x)
    half *= 2
    for _ in range(3):
        slope = x * x
        value = slope + p
        value *= x
        value -= half
        slope *= 3
        slope += p
        slope += TINY
        value /= slope
        x -= value
    return np.copysign(x, -q)


def _pair(re: Array, im: Array, middle: Array, gap: Array, is_complex: Array) -> None:
    np.multiply(gap, is_complex, out=im[0])
    np.negative(im[0], out=im[1])
    real = gap - im[0]
    np.add(middle, real, out=re[0])
    np.subtract(middle, real, out=re[1])


def _tolerance(degree: int) -> float:
    """Smallest |f'| at a root for which eps-sized errors of the coefficients stay harmless.

    The coefficients carry an error of the order of eps ||M||^degree, and ||M|| is about 1 here:
    a root moves by that over |f'|. Seen on a million matrices: at most 5e-13 next to the bound.
    """
    return float(EPS * degree / ACCURACY)


def _lapack(m: Array) -> Array:
    """``(d, d, batch) -> (d, batch)``."""
    return np.linalg.eigvals(np.ascontiguousarray(batch_first(m, 2))).astype(complex).T


def _nearest_to_one_first(roots: Array) -> Array:
    first = np.abs(roots - 1).argmin(0)
    order: Any = np.argsort(np.arange(len(roots))[:, None] != first, axis=0, kind="stable")
    return np.take_along_axis(roots, order, axis=0)
