"""Eigenvalues of doubly stochastic 5 x 5 matrices: Perfect-Mirsky's region and what sticks out.

The mixtures of the permutations (1 2 3)(4 5), with weight t, and (1 5 2 3)(4), with weight 1 - t,
have an eigenvalue that leaves the region between a pentagon's and a triangle's edge.

Source: Mashreghi & Rivard, Linear Multilinear Algebra 55 (2007) 491-498, for the pair; that no
other pair of permutations goes farther is observed: Harlev, Johnson & Lim, arXiv:1908.03647,
MATH 2.
"""

from functools import cache

import numpy as np

from birkhoff_cli.analyses.core.arrays import Array
from birkhoff_cli.analyses.geometry import curves, farey, perfect_mirsky

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


def corners(_d: int = 5) -> Array:
    """Angles in [0, pi] between which the boundary is one edge or arc; the ends included."""
    polygons, ends = perfect_mirsky.corners(5), curve_ends()
    return np.sort([*polygons[(polygons < ends[0]) | (polygons > ends[1])], *ends])


def excess(re: Array, im: Array, _d: int = 5) -> Array:
    """As for the polygons, or beyond the curve along the ray from 0, whichever is less."""
    excess = np.asarray(perfect_mirsky.excess(re, im, 5))
    angle = np.angle(np.asarray(re) + 1j * np.abs(im))
    near = (excess > 0) & _on_curve(angle)
    excess[near] = np.minimum(excess[near], np.hypot(re, im)[near] - curve_radius(angle[near]))
    return excess


def distance(re: Array, im: Array, _d: int = 5) -> Array:
    """Euclidean distance, 0 inside; to about 1e-12."""
    away = excess(re, im) > 0
    nearest = np.zeros(away.shape)
    points = re[away] + 1j * np.abs(im[away])
    arc = curves.distance(points, curve_radius, np.array(curve_ends()))
    nearest[away] = np.minimum(arc, perfect_mirsky.distance(re[away], im[away], 5))
    return nearest


def radius(angle: Array, _d: int = 5) -> Array:
    """Distance of the boundary from 0, by angle in radians; to rounding."""
    radius = perfect_mirsky.radius(angle, 5)
    angle = farey.upper(angle)
    on = _on_curve(angle)
    radius[on] = curve_radius(angle[on])
    return radius


def curve_ends() -> tuple[float, float]:
    """Between these angles the curve bounds the upper half of the region."""
    angle = np.angle(_table()[1])
    return float(angle[0]), float(angle[-1])


def curve_radius(angle: Array) -> Array:
    """Modulus of the curve's point at an angle between `curve_ends`, to rounding.

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


def _on_curve(angle: Array) -> Array:
    start, stop = curve_ends()
    return (angle > start) & (angle < stop)


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
