"""Regions of the complex plane that hold the eigenvalues of stochastic matrices.

The Perfect-Mirsky region of order d is the union of the regular k-gons on the roots of unity,
k <= d. It lies in the set of eigenvalues of doubly stochastic matrices, and is all of it for
d <= 4; for d = 5 it misses 2.1e-4 of the area, for larger d equality is open (MATH 2).

Source: Perfect & Mirsky, Monatsh. Math. 69 (1965); Levick, Pereira & Kribs, Proc. AMS 143 (2015)
for d = 4; Mashreghi & Rivard, Linear Multilinear Algebra 55 (2007) for d = 5.
"""

from dataclasses import dataclass
from functools import cache
from typing import Literal

import numpy as np

from analyses.core.arrays import Array

Kind = Literal["perfect-mirsky", "unit disk"]


@dataclass(frozen=True)
class Region:
    """A star-shaped region, symmetric about the real axis."""

    kind: Kind
    d: int

    @property
    def area(self) -> float:
        """Area, to rounding."""
        return float(np.pi) if self.kind == "unit disk" else _polygons_area(self.d)

    @property
    def proven(self) -> str:
        """What is known about it being exactly the eigenvalues of the set it stands for."""
        if self.kind == "unit disk" or self.d <= 4:
            return "exact"
        return "low by 2.1e-4" if self.d == 5 else "conjectured"

    def excess(self, re: Array, im: Array) -> Array:
        """How far points lie outside, 0 or less inside: a distance up to a factor near corners."""
        if self.kind == "unit disk":
            return np.hypot(re, im) - 1
        return _polygons_excess(re, im, self.d)

    def outside(self, re: Array, im: Array, square: Array, tolerance: float) -> int:
        """How many points, of squared modulus ``square``, lie farther outside than that."""
        doubtful = square > self._inner_square
        if not doubtful.any():
            return 0
        return int((self.excess(re[doubtful], im[doubtful]) > tolerance).sum())

    @property
    def _inner_square(self) -> float:
        """Squared radius of a disk in the region: points there need no look at every edge."""
        if self.kind == "unit disk":
            return 1.0
        return float(np.cos(np.pi / self.d) ** 2) if self.d > 2 else -1.0

    def boundary(self) -> tuple[Array, Array]:
        """The boundary as a closed curve ``(re, im)``, corners included."""
        whisker = (np.nextafter(-np.pi, 0), np.nextafter(np.pi, 0))  # d = 3 reaches -1 as a line
        angle = np.array(sorted({*np.linspace(-np.pi, np.pi, 721), *_corners(self.d), *whisker}))
        radius = self.radius(angle)
        return radius * np.cos(angle), radius * np.sin(angle)

    def radius(self, angle: Array) -> Array:
        """Distance of the boundary from 0, by angle in radians."""
        if self.kind == "unit disk":
            return np.ones_like(angle)
        return _polygons_radius(angle, self.d)


def _polygons_excess(re: Array, im: Array, d: int) -> Array:
    """Least over the k-gons of the largest distance beyond an edge's line."""
    up = np.abs(im)
    if d == 1:
        return np.hypot(re - 1, up)
    nearest = np.maximum(up, np.abs(re) - 1)
    for k in range(3, d + 1):
        beyond = -np.inf
        for j in range((k + 1) // 2):
            normal = (2 * j + 1) * np.pi / k
            beyond = np.maximum(beyond, re * np.cos(normal) + up * np.sin(normal))
        nearest = np.minimum(nearest, beyond - np.cos(np.pi / k))
    return nearest


def _polygons_radius(angle: Array, d: int) -> Array:
    radius = np.zeros_like(angle)
    for k in range(3, d + 1):
        turn = np.mod(angle, 2 * np.pi / k) - np.pi / k
        np.maximum(radius, np.cos(np.pi / k) / np.cos(turn), out=radius)
    real = (angle == 0) | (np.abs(angle) == np.pi)
    ends = (d >= 2) | (np.cos(angle) > 0)
    return np.where(real & ends, 1.0, radius)


@cache
def _polygons_area(d: int) -> float:
    """Exact: between corners the boundary is straight, so the area is a sum of triangles."""
    if d < 3:
        return 0.0
    angle = _corners(d)
    middle = 0.5 * (angle[1:] + angle[:-1])
    edges = [_edge(middle, k) for k in range(3, d + 1)]
    farthest = np.argmax([offset / np.cos(middle - normal) for normal, offset in edges], axis=0)
    normal = np.array([normal for normal, _ in edges])[farthest, np.arange(len(middle))]
    offset = np.array([offset for _, offset in edges])[farthest]
    inner, outer = offset / np.cos(angle[:-1] - normal), offset / np.cos(angle[1:] - normal)
    return float((0.5 * inner * outer * np.sin(np.diff(angle))).sum())


@cache
def _corners(d: int) -> Array:
    """Angles in [-pi, pi] between which one straight edge bounds the union."""
    vertices = np.array([p / q for q in range(1, d + 1) for p in range(q)])
    turned = np.mod(2 * np.pi * vertices + np.pi, 2 * np.pi) - np.pi
    angle = np.array(sorted({-np.pi, *turned, np.pi}))
    middle = 0.5 * (angle[1:] + angle[:-1])
    crossings = []
    edges = [_edge(middle, k) for k in range(3, d + 1)]
    for i, (n1, c1) in enumerate(edges):
        for n2, c2 in edges[:i]:
            across = np.cos(n1) / c1 - np.cos(n2) / c2
            along = np.sin(n1) / c1 - np.sin(n2) / c2
            for flip in (0.0, np.pi):
                at = np.mod(np.arctan2(-across, along) + flip + np.pi, 2 * np.pi) - np.pi
                crossings.append(at[(at > angle[:-1]) & (at < angle[1:])])
    return np.array(sorted({*np.concatenate([angle, *crossings])}))


def _edge(angle: Array, k: int) -> tuple[Array, float]:
    """Direction of the normal, and distance from 0, of the k-gon's edge that an angle meets."""
    step = 2 * np.pi / k
    return (np.floor(angle / step) + 0.5) * step, float(np.cos(np.pi / k))
