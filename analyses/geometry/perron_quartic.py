"""The second modulus of 4 x 4 matrices without negative entries, from the quartic.

Newton's method from above finds the spectral radius, which is a root (Perron); dividing by it
leaves a cubic.

Source: Horn & Johnson, Matrix Analysis, 2nd ed., 8.3.
"""

import numpy as np

from birkhoff_cli.analyses.core.arrays import Array
from birkhoff_cli.analyses.geometry.cubics import largest_root

STEPS = 5
"""Newton steps from a bound on the root, which rounding of stochastic matrices puts off by 10 %."""

APART = 0.05
"""Least slope of the quartic at its largest root: a rounding moves the root by 20 times as much."""

SLOPE = 1e-4
"""Least |f'| of the cubic at a root: a few roundings of its coefficients move it by 1e-11."""

RESIDUAL = 1e-14
"""Largest last step of Newton's method that is rounding."""

PAIRS = ((0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3))


def second_modulus(x: Array) -> tuple[Array, Array]:
    """Of lanes ``(4, 4, n)`` of radius near 1 the second largest modulus, and where it is sure."""
    c3, c2, c1, c0 = _coefficients(x)
    root = np.minimum(x.sum(0).max(0), x.sum(1).max(0))
    for _ in range(STEPS):
        value = root + c3
        slope = value + root
        for c in (c2, c1, c0):
            value *= root
            value += c
            if c is not c0:
                slope *= root
                slope += value
        step = np.divide(value, slope, out=value)
        root -= step
    sure = np.abs(step) <= RESIDUAL
    sure &= slope > APART
    sure &= x.min((0, 1)) >= 0
    b2 = root + c3  # z^3 + b2 z^2 + b1 z + b0
    b1 = b2 * root
    b1 += c2
    b0 = np.multiply(b1, root, out=root)
    b0 += c1
    middle = b2 * (-1 / 3)
    q = middle + b2
    q *= middle
    q += b1
    q *= middle
    q += b0
    b2 *= middle
    b2 += b1
    largest, enough = largest_root(b2, q, middle, SLOPE)
    sure &= enough
    return largest, sure


def _coefficients(x: Array) -> tuple[Array, Array, Array, Array]:
    """Of ``z^4 + c_3 z^3 + ...``, from minors of the upper and of the lower two rows."""
    top, low = ({(i, j): _minor(rows, i, j) for i, j in PAIRS} for rows in (x[:2], x[2:]))
    a, b, c, d = (x[i, i] for i in range(4))
    upper, lower = a + b, c + d
    c0 = top[0, 1] * low[2, 3]
    for one, other, sign in (
        ((0, 2), (1, 3), -1),
        ((0, 3), (1, 2), 1),
        ((1, 2), (0, 3), 1),
        ((1, 3), (0, 2), -1),
        ((2, 3), (0, 1), 1),
    ):
        _add(c0, sign, top[one], low[other])
    c2 = top[0, 1] + low[2, 3]
    c2 += upper * lower
    for i in (0, 1):
        for j in (2, 3):
            _add(c2, -1, x[i, j], x[j, i])
    c1 = top[0, 1] * lower
    c1 += low[2, 3] * upper
    for sign, minor, entry in (
        (-1, top[0, 2], x[2, 1]),
        (1, top[1, 2], x[2, 0]),
        (-1, top[0, 3], x[3, 1]),
        (1, top[1, 3], x[3, 0]),
        (-1, low[1, 3], x[1, 2]),
        (1, low[1, 2], x[1, 3]),
        (-1, low[0, 3], x[0, 2]),
        (1, low[0, 2], x[0, 3]),
    ):
        _add(c1, sign, minor, entry)
    upper += lower
    return np.negative(upper, out=upper), c2, np.negative(c1, out=c1), c0


def _minor(rows: Array, i: int, j: int) -> Array:
    minor = rows[0, i] * rows[1, j]
    minor -= rows[0, j] * rows[1, i]
    return minor


def _add(total: Array, sign: int, one: Array, other: Array) -> None:
    """Add a product to a total, or take it away, in place."""
    (np.add if sign > 0 else np.subtract)(total, one * other, out=total)
