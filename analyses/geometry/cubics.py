"""Cubics x^3 + p x + q of many 3 x 3 matrices of trace 0, without a branch.

Source: Cardano; Viete's cosine for three real roots.
"""

import numpy as np

from birkhoff_cli.analyses.core.arrays import Array

TINY = 1e-300
"""Keeps a quotient finite whose terms vanish together."""

COSINE = (1.7320597067, 0.3328580368, -0.0920105227, 0.0352847298, -0.0081988108)
"""Of ``2 cos(acos(r) / 3)`` for r from 0 to 1 in powers of r, within 1e-5."""


def depressed(m: Array, a: Array, b: Array, c: Array) -> tuple[Array, Array]:
    """The sum of the principal minors, and minus the determinant, with a diagonal of trace 0."""
    p = a * b
    q = p * c
    term = a + b
    p += np.multiply(term, c, out=term)
    for diagonal, i, j in ((a, 1, 2), (b, 0, 2), (c, 0, 1)):
        np.multiply(m[i, j], m[j, i], out=term)
        p -= term
        q -= np.multiply(term, diagonal, out=term)
    for x, y, z in ((m[0, 1], m[1, 2], m[2, 0]), (m[0, 2], m[1, 0], m[2, 1])):
        np.multiply(x, y, out=term)
        q += np.multiply(term, z, out=term)
    return p, np.negative(q, out=q)


def outer_root(p: Array, q: Array) -> Array:
    """The real root of x^3 + p x + q of the sign opposite to q, the largest when all are real.

    Three real roots: ``2 s cos(acos(r) / 3)`` with ``s^2 = -p / 3`` and ``r = |q| / (2 s^3)``, by
    a polynomial within 1e-5; else Cardano's. Two steps of Newton's method leave rounding.
    """
    half = np.abs(q)
    half *= 0.5
    third = p * (1 / 3)
    discriminant = third * third
    discriminant *= third
    x = half * half
    discriminant += x
    radical = np.maximum(discriminant, 0)
    np.sqrt(radical, out=radical)
    radical += half
    np.cbrt(radical, out=radical)
    size = np.sqrt(np.abs(third))
    np.maximum(radical, size, out=radical)  # of coefficients whose cubes and squares underflow
    radical += TINY
    np.divide(third, radical, out=x)
    np.subtract(radical, x, out=x)
    ratio = np.multiply(size, size, out=radical)
    ratio *= size
    ratio += TINY
    np.divide(half, ratio, out=ratio)
    np.minimum(ratio, 1, out=ratio)
    cosine = ratio * COSINE[-1]
    for coefficient in COSINE[-2:0:-1]:
        cosine += coefficient
        cosine *= ratio
    cosine += COSINE[0]
    x = np.where(discriminant < 0, np.multiply(cosine, size, out=cosine), x)
    half *= 2
    slope, value = ratio, size
    for _ in range(3):
        np.multiply(x, x, out=slope)
        np.add(slope, p, out=value)
        value *= x
        value -= half
        slope *= 3
        slope += p
        slope += TINY
        value /= slope
        x -= value
    return np.copysign(x, -q)


def largest_root(p: Array, q: Array, middle: Array, slope: float) -> tuple[Array, Array]:
    """The largest modulus of ``middle`` plus a root of x^3 + p x + q, and where it is sure.

    Args:
        p: coefficients.
        q: coefficients.
        middle: what is added to the roots.
        slope: least |f'| at the two roots beside the outer one, if one of them is the largest.
    """
    root = outer_root(p, q)
    gap = root * root
    gap *= -0.75
    gap -= p
    is_complex = gap < 0
    square = np.abs(gap, out=gap)
    half = np.sqrt(square)
    least = half * is_complex
    term = np.abs(root)
    least += term
    least *= half
    beside = np.multiply(root, -0.5, out=term)
    beside += middle
    np.abs(beside, out=beside)
    root += middle
    root *= root
    half += beside  # of two real ones the larger
    half *= half
    beside *= beside
    beside += square
    half = np.where(is_complex, beside, half)  # a masked copy takes twice as long
    largest: Array = np.maximum(root, half)
    half *= 1 / 0.98  # the outer root is apart from the other two
    sure = least >= slope
    sure |= half < largest
    return np.sqrt(largest, out=largest), sure
