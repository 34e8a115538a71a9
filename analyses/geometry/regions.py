"""Regions of the complex plane that hold the eigenvalues of stochastic matrices.

For d x d matrices, one inside the other: ``perfect-mirsky``, the union of the regular k-gons;
``doubly-stochastic``, the eigenvalues of doubly stochastic matrices as far as they are known;
``karpelevic``, the eigenvalues of stochastic matrices; ``unit disk``, those of matrices of norm
at most 1. All are symmetric about the real axis and star-shaped about 0 (but d = 1: the point 1).

Source: the modules of the regions; MATH 1, 2.
"""

from dataclasses import dataclass
from functools import cached_property
from types import ModuleType
from typing import Literal

import numpy as np

from birkhoff_cli.analyses.core.arrays import Array
from birkhoff_cli.analyses.geometry import (
    curves,
    exceptional,
    karpelevic,
    perfect_mirsky,
    unit_disk,
)

Kind = Literal["karpelevic", "perfect-mirsky", "doubly-stochastic", "unit disk"]

FLAT = {1: (1, 1), 2: (1, -1), 3: (1, complex(-0.5, np.sqrt(0.75)), -0.5, -1)}
"""Corners of the upper boundary, by d, where part of it is a line along a ray from 0."""


@dataclass(frozen=True)
class Region:
    """One of the regions above, for matrices of side d >= 1."""

    kind: Kind
    d: int

    @cached_property
    def area(self) -> float:
        """Area, to rounding."""
        if self.kind != "unit disk" and self.d < 3:
            return 0.0
        return 2 * curves.area(self.radius, self.breaks)

    @property
    def proven(self) -> str:
        """What is known about it being exactly the eigenvalues of the set it stands for.

        That of ``perfect-mirsky`` is the same as that of ``doubly-stochastic``: every point of
        either is an eigenvalue of a doubly stochastic matrix, but there may be more of them.
        """
        if self.kind in ("karpelevic", "unit disk") or self.d <= 4:
            return "proven"
        if self.d > 5:
            return "conjectured"
        return "low by 2.1e-4" if self.kind == "perfect-mirsky" else "lower bound"

    @property
    def breaks(self) -> Array:
        """Angles in [0, pi] between which the boundary is one edge or arc; the ends included."""
        return self._shape.corners(self.d)

    def excess(self, re: Array, im: Array) -> Array:
        """How far points lie outside, 0 or less inside, where only the sign means something.

        Outside polygons it is the distance beyond the line of an edge: at most the Euclidean
        distance, less near corners. Outside curves (the unit circle, Karpelevic's arcs for
        d >= 4) it is the distance along the ray from 0: at least the Euclidean distance, and up
        to twice that. Outside ``doubly-stochastic`` for d = 5 it is the smaller of the two.
        """
        return self._shape.excess(re, im, self.d)

    def outside(self, re: Array, im: Array, square: Array, tolerance: float) -> tuple[Array, Array]:
        """The points, of squared modulus ``square``, that lie farther outside than that."""
        doubtful = square > self._inner_square
        re, im = re[doubtful], im[doubtful]
        if not re.size:
            return re, im
        far = self.excess(re, im) > tolerance
        return re[far], im[far]

    def distance(self, re: Array, im: Array) -> Array:
        """Euclidean distance from the region, 0 inside, to about 1e-12."""
        return self._shape.distance(*np.broadcast_arrays(re, im), self.d)

    def radius(self, angle: Array) -> Array:
        """Distance of the boundary from 0, by angle in radians."""
        return self._shape.radius(np.asarray(angle, dtype=float), self.d)

    def pieces(self, points: int) -> Array:
        """The closed boundary from 1 counterclockwise, complex ``(pieces, points)``.

        A piece is one edge or arc with both its ends. Its points are even in the angle; where
        the region is a point, a line, or a triangle with a line (d <= 3), in length.
        """
        along = np.linspace(0, 1, points)
        if self.kind != "unit disk" and self.d in FLAT:
            corners = np.array(FLAT[self.d])[:, None]
            upper = corners[:-1] * (1 - along) + corners[1:] * along
        else:
            angle = self.breaks[:-1, None] + np.diff(self.breaks)[:, None] * along
            upper = self.radius(angle) * np.exp(1j * angle)
            upper[-1, -1] = -1  # what rounding leaves of its imaginary part would open the curve
        return np.concatenate([upper, upper[::-1, ::-1].conj()]) + 0  # no -0

    def boundary(self, points: int = 65) -> tuple[Array, Array]:
        """The boundary as a closed curve ``(re, im)``, corners included."""
        curve = self.pieces(points).ravel()
        return curve.real, curve.imag

    @property
    def _shape(self) -> ModuleType:
        """The module that knows this region's curve; up to d = 3 all are polygons."""
        if self.kind == "unit disk":
            return unit_disk
        if self.kind == "karpelevic" and self.d > 3:
            return karpelevic
        if self.kind == "doubly-stochastic" and self.d == 5:
            return exceptional
        return perfect_mirsky

    @property
    def _inner_square(self) -> float:
        """Squared radius of a disk in the region: points there need no look at every edge."""
        if self.kind == "unit disk":
            return 1.0
        return float(np.cos(np.pi / self.d) ** 2) if self.d > 2 else -1.0
