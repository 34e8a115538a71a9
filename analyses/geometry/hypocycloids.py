"""Plane sets with the d-th roots of unity as corners: polygons, hypocycloids, scalloped polygons.

The hypocycloid H_d is bounded by ``((d - 1) e^{it} + e^{-i(d - 1)t}) / d``; for d = 3 it is the
deltoid, for d = 4 the astroid. The mean of s of its points fills the regular d-gon but for
*gaps*: every edge is cut into s pieces, and each piece is spanned by an arc of H_d at scale 1/s.

Traces of SU(d) fill d H_d, so level 1 of go-mHC projects into H_d. It projects onto all of it,
also with real Q: with ``w = e^{2 pi i/d}``, ``D = diag(w^j)`` and ``v_j = w^{-j/2} / sqrt(d)``,
``M = e^{-it} D (I + (e^{idt} - 1) v v*)`` is unitary and symmetric, and has the eigenvalues of D,
so that ``M = Q D Q^T`` with a real Q, along which ``tr(D* M) / d`` runs around the boundary.

A loop that winds around a point passes over it when it is contracted, and some multiple of this one
is contractible in SO(d): ``Q(t + 2 pi/d) = Q(t) C`` with a d-cycle C up to signs, det C = 1, so m
steps end at C^m. For odd d, C^d = I: Q closes after one round, and twice a loop of SO(d) is always
contractible. For even d the product of the signs is -1, so C^d = -I: Q closes after two rounds. C
turns d/2 planes by the odd multiples of pi/d, and 2d steps by ``1 + 3 + ... + (d - 1) = (d/2)^2``
full turns, contractible if that is even. For d = 6, 10, ... it is odd, and four rounds are needed.

Source: docs/mathematics.md, 4.2.
"""

from dataclasses import dataclass
from functools import cache
from typing import Literal

import numpy as np

from birkhoff_cli.analyses.core.arrays import Array
from birkhoff_cli.analyses.core.states import data

Shape = Literal["scallops", "arcs", "polygon", "disk", "plane", "segment", "point"]


@data()
@dataclass(frozen=True)
class Support:
    """The closure of the points that a family of matrices can have in the plane of a d-cycle.

    Attributes:
        shape: ``scallops``: means of s points of H_d; ``arcs``: the boundary of H_d alone;
            ``polygon``: the d-gon; ``disk``: the unit disk; ``plane``: no bound; ``segment``: in
            [-1, 1]; ``point``: the number 1.
        d: number of corners.
        s: pieces of every edge, of scallops.
        proven: whether it is proven to be all, or found numerically (to 2e-6).
    """

    shape: Shape
    d: int
    s: int = 1
    proven: bool = True

    @property
    def fraction(self) -> float:
        """Its share of the area of the d-gon."""
        if self.shape == "scallops":
            return 1 - (1 - hypocycloid_area(self.d) / polygon_area(self.d)) / self.s
        return float(self.shape in ("polygon", "disk", "plane"))

    @property
    def description(self) -> str:
        """What it is, in a few words."""
        if self.shape == "arcs":
            return f"curve of length {8 * (self.d - 1) / self.d:.4f}, area 0"
        if self.shape == "scallops":
            return "filled hypocycloid" if self.s == 1 else f"filled, {self.s} arcs to an edge"
        return {"polygon": "all of it", "plane": "all, and beyond", "disk": "the unit disk"}.get(
            self.shape, f"a {self.shape}"
        )

    def excess(self, re: Array, im: Array) -> Array:
        """How far points lie outside, 0 or less inside.

        Arcs and edges are measured square to the edge of the polygon: between the distance and
        ``1 / sin(pi / d)`` times it.
        """
        if self.shape == "plane":
            return np.full(np.shape(re), -np.inf)
        if self.shape == "disk":
            return np.hypot(re, im) - 1
        if self.shape == "point":
            return np.hypot(re - 1, im)
        if self.shape == "segment":
            return np.maximum(np.abs(im), np.abs(re) - 1)
        along, depth = edge_coordinates(re, im, self.d)
        if self.shape == "polygon":
            return -depth
        gap = _gap_depth(along, self.d, self.s) - depth
        return np.abs(gap) if self.shape == "arcs" else gap

    def outside(self, re: Array, im: Array, tolerance: float) -> int:
        """How many points lie farther outside than that."""
        if self.shape in ("scallops", "polygon"):
            depth = _deepest_gap(self.d) / self.s if self.shape == "scallops" else 0.0
            with np.errstate(over="ignore"):  # infinite is outside too
                doubtful = re * re + im * im > (np.cos(np.pi / self.d) - depth) ** 2
            re, im = re[doubtful], im[doubtful]
        return int((self.excess(re, im) > tolerance).sum())

    def boundary(self) -> tuple[Array, Array]:
        """A closed curve ``(re, im)``; of what has no area, itself; empty for the plane."""
        if self.shape == "plane":
            return np.zeros(0), np.zeros(0)
        if self.shape in ("segment", "point"):
            return np.array([1.0, -1.0 if self.shape == "segment" else 1.0]), np.zeros(2)
        root = np.exp(2j * np.pi / self.d)
        if self.shape == "polygon":
            curve = root ** np.arange(self.d + 1)
        elif self.shape == "disk":
            curve = np.exp(1j * np.linspace(0, 2 * np.pi, 361))
        else:
            angle = np.linspace(0, 2 * np.pi / self.d, 91)
            arc = hypocycloid(angle, self.d)
            pieces = np.arange(self.s)[:, None]
            edge = ((arc + (self.s - 1 - pieces) + pieces * root) / self.s).ravel()
            curve = (root ** np.arange(self.d)[:, None] * edge).ravel()
        return curve.real, curve.imag


def hypocycloid(angle: Array, d: int) -> Array:
    """Boundary of H_d, complex, with the corner ``e^{2 pi i k / d}`` at angle ``2 pi k / d``."""
    return ((d - 1) * np.exp(1j * angle) + np.exp(-1j * (d - 1) * angle)) / d


def hypocycloid_area(d: int) -> float:
    """Area of H_d."""
    return float(np.pi * (d - 1) * (d - 2) / d**2)


def polygon_area(d: int) -> float:
    """Area of the regular d-gon on the roots of unity."""
    return float(d / 2 * np.sin(2 * np.pi / d))


def edge_coordinates(re: Array, im: Array, d: int) -> tuple[Array, Array]:
    """Position along the d-gon's edge that a point's angle meets, and depth below that edge.

    Returns:
        0 to 1 from one corner to the next, and the distance from the edge, positive inside.
    """
    angle = np.mod(np.arctan2(im, re), 2 * np.pi / d) - np.pi / d
    radius = np.hypot(re, im)
    along = 0.5 + 0.5 / np.sin(np.pi / d) * radius * np.sin(angle)
    return np.clip(along, 0, 1), np.cos(np.pi / d) - radius * np.cos(angle)


def _gap_depth(along: Array, d: int, s: int) -> Array:
    """Depth of the arcs below an edge that is cut into s pieces."""
    from numpy.polynomial import chebyshev  # numpy does not load it unasked

    piece = np.minimum(np.floor(along * s), s - 1)
    from_corner = np.sqrt(np.maximum(1 - np.abs(2 * (along * s - piece) - 1), 0))
    return chebyshev.chebval(2 * from_corner - 1, _arc(d)) / s


def _deepest_gap(d: int) -> float:
    return float(np.cos(np.pi / d)) - (d - 2) / d


@cache
def _arc(d: int) -> Array:
    """Chebyshev coefficients of the depth of H_d's arc below the edge, to 1e-14 or better.

    As a function of v on [0, 1]: ``1 - v^2`` is the distance from the middle of the edge, 1 at
    the corners. There depth and distance go with the square of the angle, so it is analytic.
    """
    from numpy.polynomial import chebyshev

    size = 16
    while True:
        nodes = chebyshev.chebpts1(size)
        values = _arc_depth(0.5 + 0.5 * nodes, d)
        coefficients = chebyshev.chebvander(nodes, size - 1).T @ values * (2 / size)
        coefficients[0] /= 2
        if np.abs(coefficients[-8:]).max() < 1e-15 or size >= 256:
            return coefficients[: np.flatnonzero(np.abs(coefficients) > 1e-16)[-1] + 1]
        size += 8


def _arc_depth(v: Array, d: int) -> Array:
    """The same by bisection of the angle, measured from the middle of the edge."""
    target = (1 - v * v) * np.sin(np.pi / d)
    low, high = np.zeros_like(v), np.full_like(v, np.pi / d)
    for _ in range(60):
        middle = (low + high) / 2
        short = ((d - 1) * np.sin(middle) + np.sin((d - 1) * middle)) / d < target
        low, high = np.where(short, middle, low), np.where(short, high, middle)
    return np.cos(np.pi / d) - ((d - 1) * np.cos(low) - np.cos((d - 1) * low)) / d
