"""The largest singular value alone, of side 3 from the cubic of the Gram matrix.

With ``q`` the mean eigenvalue of the Gram matrix A and ``6 p^2`` the sum of squares of ``A - q I``,
the largest eigenvalue is ``q + p (1 + u)``, where u is the root of

    u^2 (u + 3) = 2 + det(A - q I) / p^3

that is not negative. In u the double eigenvalue of the cubic is at 0: Newton's method from above
finds it in a few steps, however near. Where it is so near that rounding of the right-hand side
counts, Jacobi sweeps do the work.

Of a long product, which is nearly of rank one, the power method needs two steps.

Source: Smith, Comm. ACM 4 (1961) 168, for the shift and the scale; Kato, J. Phys. Soc. Japan 4
(1949) 334-339, for what a residual says of an eigenvalue.
"""

import numpy as np

from birkhoff_cli.analyses.core.arrays import Array
from birkhoff_cli.analyses.geometry.lanes import contract, dot, select
from birkhoff_cli.analyses.geometry.norms import EPS, gram, two_largest_singular_values

STEPS = 2
"""Newton steps from a start that is off by 1e-4 at most: quadratic to rounding."""

START = (-0.1648170762, 0.0578806752, -0.0135925377)
"""``u / w = 1 + START[0] w + ...`` with ``w^2 = right / 3``, within 1e-4."""

LEAST = 1e-32
"""Of a right-hand side: no root is 0, and none is moved by more than rounding of 1."""

CLOSE = 1e-5
"""Right-hand sides below this have roots that are not known to 1e-12."""

ALIKE = 1e-12
"""Of eigenvalues whose deviation p is below this times their mean, any u gives all digits."""

NARROW = (1e-90, 1e90)
"""Means of eigenvalues whose cubes neither overflow nor underflow."""

NARROW_SUM = (1e-30, 1e30)
"""Sums of squares whose fourth powers and less neither overflow nor underflow."""


def largest_singular_value(x: Array, precision: float) -> Array:
    """Spectral norms ``(batch,)``.

    Args:
        x: lanes ``(k, k, batch)``, float64, finite.
        precision: relative error of the entries; the norms need be no better.
    """
    if len(x) != 3:
        return two_largest_singular_values(x, precision)[0]
    with np.errstate(all="ignore"):
        mean, p, right = _cubic(gram(x))
        largest: Array = np.sqrt(mean + p * (1 + _root(right)))
    doubtful = (right < CLOSE) & (p > ALIKE * mean)
    doubtful |= ~((mean > NARROW[0]) & (mean < NARROW[1]))
    if len(where := np.flatnonzero(doubtful)):
        largest[where] = two_largest_singular_values(select(x, where), precision)[0]
    return largest


def dominant_singular_value(x: Array) -> Array:
    """Spectral norms ``(batch,)`` of lanes ``(k, k, batch)``, most of them nearly of rank one.

    With t the trace of ``A^T A``, and l the Rayleigh quotient of a vector whose residual is r, the
    largest eigenvalue is at most ``r^2 / (2 l - t)`` above l: all others are up to ``t - l``.
    """
    with np.errstate(all="ignore"):  # what is NaN is doubtful
        trace = dot(x, x)
        v = contract("ijb,ib->jb", x, x.sum(1))
        along = contract("ijb,jb->ib", x, v)
        size = dot(v, v)
        value = dot(along, along) / size
        rest = contract("ijb,ib->jb", x, along) - value * v
        doubtful = ~(dot(rest, rest) <= EPS * size * value * (2 * value - trace))
        largest: Array = np.sqrt(value)
    doubtful |= ~((trace > NARROW_SUM[0]) & (trace < NARROW_SUM[1]))
    if len(where := np.flatnonzero(doubtful)):
        largest[where] = largest_singular_value(select(x, where), EPS)
    return largest


def _root(right: Array) -> Array:
    """U of a right-hand side from 0 to 4."""
    third = right * (1 / 3)
    w = np.sqrt(np.maximum(third, LEAST, out=third))
    root = w * START[2]
    for coefficient in (START[1], START[0], 1):
        root += coefficient
        root *= w
    value, slope = w, np.empty_like(w)
    for _ in range(STEPS):
        np.multiply(root, 2, out=slope)
        np.multiply(slope, 1 / 3, out=value)
        value += 1
        root *= root
        value *= root
        value += third
        slope += root
        np.divide(value, slope, out=root)
    return root


def _cubic(a: Array) -> tuple[Array, Array, Array]:
    """q, p and the right-hand side, of an upper triangle ``(3, 3, batch)``."""
    mean = (a[0, 0] + a[1, 1] + a[2, 2]) * (1 / 3)
    x, y, z = (a[i, i] - mean for i in range(3))
    b, c, d = a[0, 1], a[0, 2], a[1, 2]
    bb, cc, dd = b * b, c * c, d * d
    square = (x * x + y * y + z * z) * (1 / 6) + (bb + cc + dd) * (1 / 3)
    p = np.sqrt(square)
    determinant = x * (y * z - dd) - y * cc - z * bb + 2 * (b * c * d)
    cube = square * p
    right = np.divide(determinant, cube, out=np.zeros_like(p), where=cube > 0)
    right += 2
    return mean, p, np.clip(right, 0, 4, out=right)
