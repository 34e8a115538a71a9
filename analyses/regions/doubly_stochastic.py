"""Eigenvalues of all d x d doubly stochastic matrices, as far as they are known.

They are the Perfect-Mirsky region for d <= 4; for d = 5 the one curve that is known to leave it is
included; beyond, the Perfect-Mirsky region is conjectured.

Source: Perfect & Mirsky, Monatsh. Math. 69 (1965) 35-57; Mashreghi & Rivard, Linear Multilinear
Algebra 55 (2007) 491-498; Harlev, Johnson & Lim, arXiv:1908.03647.
"""

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np

from birkhoff_cli.analyses.core.arrays import Array
from birkhoff_cli.analyses.core.palette import GREEN
from birkhoff_cli.analyses.geometry import curves, farey, pair_curve, polygons
from birkhoff_cli.analyses.geometry.region import Region, Style, Window

NOTCH: Window = ((-0.36, -0.2), (0.735, 0.805))
"""Where it differs from the Perfect-Mirsky region for d = 5, by less than a line's width."""


@dataclass(frozen=True)
class DoublyStochastic(Region):
    """The union of polygons; for d = 5, and what a pair of permutations adds."""

    stochastic = True
    style = Style("doubly stochastic", "-", GREEN, "#c9ebe0", is_unit_circle=False)

    @property
    def proven(self) -> str:
        """Whether it is known to be all eigenvalues."""
        if self.d <= 4:
            return "proven"
        return "lower bound" if self.d == 5 else "conjectured"

    @property
    def proven_by(self) -> str:
        """Who showed it, or what is known."""
        if self.d <= 3:
            return "Perfect & Mirsky 1965: the regular k-gons, k <= d, are all of it for d <= 3"
        if self.d == 4:
            return (
                "Levick, Pereira & Kribs 2015: the regular k-gons, k <= d, are all of it for d = 4"
            )
        if self.d == 5:
            return (
                "every point is an eigenvalue (Mashreghi & Rivard 2007); that no other pair of "
                "permutations goes farther is observed (Harlev, Johnson & Lim, arXiv:1908.03647)"
            )
        return (
            "every point of the regular k-gons, k <= d, is an eigenvalue; that pairs of "
            "permutations reach no farther is observed for d = 6, 7, 8, and that pairs are enough "
            "is a conjecture (Harlev, Johnson & Lim, arXiv:1908.03647)"
        )

    @property
    def breaks(self) -> Array:
        """Corners of the union, and the ends of the curve."""
        corners = polygons.corners(self.d)
        if self.d != 5:
            return corners
        start, stop = pair_curve.ends()
        return np.sort([*corners[(corners < start) | (corners > stop)], start, stop])

    @property
    def inner_square(self) -> float:
        """That of the incircle of the d-gon."""
        return polygons.inner_square(self.d)

    def radius(self, angle: Array) -> Array:
        """Distance of the boundary from 0, by angle in radians; to rounding."""
        radius = polygons.radius(angle, self.d)
        if self.d == 5:
            angle = farey.upper(angle)
            on = _on_curve(angle)
            radius[on] = pair_curve.radius(angle[on])
        return radius

    def excess(self, re: Array, im: Array) -> Array:
        """As for the polygons, or beyond the curve along the ray from 0, whichever is less."""
        excess = np.asarray(polygons.excess(re, im, self.d))
        if self.d == 5:
            angle = np.angle(np.asarray(re) + 1j * np.abs(im))
            near = (excess > 0) & _on_curve(angle)
            beyond = np.hypot(re, im)[near] - pair_curve.radius(angle[near])
            excess[near] = np.minimum(excess[near], beyond)
        return excess

    def distance(self, re: Array, im: Array) -> Array:
        """Euclidean distance, 0 inside; to about 1e-12."""
        if self.d != 5:
            return polygons.distance(re, im, self.d)
        re, im = np.broadcast_arrays(re, im)
        away = self.excess(re, im) > 0
        nearest = np.zeros(away.shape)
        points = re[away] + 1j * np.abs(im[away])
        arc = curves.distance(points, pair_curve.radius, np.array(pair_curve.ends()))
        nearest[away] = np.minimum(arc, polygons.distance(re[away], im[away], self.d))
        return nearest

    def upper_pieces(self, points: int) -> Array:
        """Straight edges, and for d = 5 the curve."""
        return polygons.upper_pieces(self.radius, self.breaks, self.d, points)

    def detail(self, others: Collection[str]) -> Window | None:
        """The notch that the curve fills, beside the Perfect-Mirsky region."""
        return NOTCH if self.d == 5 and "perfect-mirsky" in others else None


def _on_curve(angle: Array) -> Array:
    """Whether the curve bounds the region at an angle in [0, pi]."""
    start, stop = pair_curve.ends()
    return (angle > start) & (angle < stop)
