"""Eigenvalues of doubly stochastic 5 x 5 matrices that leave the union of regular polygons.

The mixtures of the permutations (1 2 3)(4 5), with weight t, and (1 5 2 3)(4), with weight 1 - t,
have an eigenvalue that leaves it between a pentagon's and a triangle's edge.

Source: Mashreghi & Rivard, Linear Multilinear Algebra 55 (2007) 491-498.
"""

from functools import cache

import numpy as np

from birkhoff_cli.analyses.core.arrays import Array

WEIGHTS = (0.470527495836, 0.549001278039)
"""Between these the eigenvalue is outside; at them it lies on the edges, to 1e-12."""

ENDS = (-0.254391332 + 0.767994054j, -0.319006725 + 0.761528888j)
"""The eigenvalues there, to 1e-9: where Newton's method starts from."""


def point(t: Array) -> Array:
    """The eigenvalue in the upper half plane, complex, for weights t in `WEIGHTS`; to rounding."""
    along = (t - WEIGHTS[0]) / (WEIGHTS[1] - WEIGHTS[0])
    x = ENDS[0] + (ENDS[1] - ENDS[0]) * along
    for _ in range(8):
        x = x - _quartic(x, t) / _slope(x, t)
    return x


def ends() -> tuple[float, float]:
    """Angles of the curve's two ends, where it meets the polygons in the upper half plane."""
    angle = np.angle(_table()[1])
    return float(angle[0]), float(angle[-1])


def radius(angle: Array) -> Array:
    """Modulus of the curve's point at an angle between `ends`, to rounding.

    Newton's method for weight and eigenvalue in turn, from a point beside it.
    """
    weights, known = _table()
    t, x = (np.interp(angle, np.angle(known), values) for values in (weights, known))
    for _ in range(3):
        speed = -(x**3 + (1 - 2 * t) * x**2 - 2 * t * x + 3 - 6 * t) / _slope(x, t)
        step = (angle - np.angle(x)) / (speed / x).imag
        t, x = t + step, x + speed * step
        x = x - _quartic(x, t) / _slope(x, t)
    return np.abs(x)


@cache
def _table() -> tuple[Array, Array]:
    """Weights and their points, whose angles rise with them."""
    weights = np.linspace(*WEIGHTS, 33)
    return weights, point(weights)


def _quartic(x: Array, t: Array) -> Array:
    """The characteristic polynomial, divided by x - 1."""
    return x**4 + t * x**3 + t * (1 - t) * x**2 - t**2 * x + 3 * t - 3 * t**2 - 1


def _slope(x: Array, t: Array) -> Array:
    return 4 * x**3 + 3 * t * x**2 + 2 * t * (1 - t) * x - t**2
