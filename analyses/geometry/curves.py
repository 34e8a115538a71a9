"""Curves around 0 that are given by a radius for every angle: their area, and how far they are."""

from collections.abc import Callable
from functools import cache

import numpy as np

from birkhoff_cli.analyses.core.arrays import Array

Radius = Callable[[Array], Array]
"""Distance of the curve from 0, smooth between two neighbouring breaks."""

NODES = 32
"""Gauss-Legendre nodes to a piece; twice as many change no area beyond rounding (tested)."""

KNOTS = 16
"""Parts of a piece among which the nearest are looked for."""

HALVINGS = 40

CHUNK = 4_000_000
"""Distances between points and knots that are held at a time."""


def area(radius: Radius, breaks: Array, nodes: int = NODES) -> float:
    """Area between 0 and the curve."""
    node, weight = gauss_legendre(nodes)
    half, middle = 0.5 * np.diff(breaks)[:, None], 0.5 * (breaks[1:] + breaks[:-1])[:, None]
    return float((0.5 * half * weight * radius(middle + half * node) ** 2).sum())


@cache
def gauss_legendre(nodes: int) -> tuple[Array, Array]:
    """Nodes and weights on [-1, 1]: numpy has them in a package that takes longer to import.

    Source: Golub & Welsch, Math. Comp. 23 (1969) 221-230.
    """
    k = np.arange(1, nodes)
    beside = k / np.sqrt(4 * k * k - 1)
    node, vector = np.linalg.eigh(np.diag(beside, 1) + np.diag(beside, -1))
    return node, 2 * vector[0] ** 2


def arcs(radius: Radius, breaks: Array, points: int) -> Array:
    """The curve from angle 0 to pi, complex ``(pieces, points)``, evenly spaced in the angle."""
    angle = breaks[:-1, None] + np.diff(breaks)[:, None] * np.linspace(0, 1, points)
    curve = _at(radius, angle)
    curve.imag[-1, -1] = 0  # what rounding leaves of it would open the curve
    return curve


def polyline(corners: Array, points: int) -> Array:
    """Straight edges from corner to corner, complex ``(pieces, points)``, evenly spaced."""
    along = np.linspace(0, 1, points)
    return corners[:-1, None] * (1 - along) + corners[1:, None] * along


def distance(points: Array, radius: Radius, breaks: Array) -> Array:
    """Euclidean distance from the curve, to about 1e-12.

    Every local minimum over the knots is refined in the parts beside it, so that of two walls
    that are nearly as far neither is overlooked.

    Args:
        points: complex, ``(n,)``.
        radius: the curve.
        breaks: angles where the curve begins, has its corners, and ends.
    """
    parts = np.linspace(breaks[:-1], breaks[1:], KNOTS, endpoint=False, axis=1).ravel()
    angles = np.append(parts, breaks[-1])
    knots = _at(radius, angles)
    step = max(1, CHUNK // len(knots))
    chunks = [points[i : i + step] for i in range(0, len(points), step)]
    return np.concatenate([_nearest(c, radius, angles, knots) for c in chunks] or [np.empty(0)])


def _nearest(points: Array, radius: Radius, angles: Array, knots: Array) -> Array:
    gap = np.abs(points[:, None] - knots)
    nearest = gap.min(axis=1)
    walled = np.pad(gap, ((0, 0), (1, 1)), constant_values=np.inf)
    row, knot = np.nonzero((gap <= walled[:, :-2]) & (gap <= walled[:, 2:]))
    for beside in (-1, 1):
        other = np.clip(knot + beside, 0, len(angles) - 1)
        low, high = angles[np.minimum(knot, other)], angles[np.maximum(knot, other)]
        np.minimum.at(nearest, row, _refine(points[row], radius, low, high))
    return nearest


def _refine(points: Array, radius: Radius, low: Array, high: Array) -> Array:
    """The least distance on each arc from ``low`` to ``high``, halved towards where it falls."""
    for _ in range(HALVINGS):
        middle, step = 0.5 * (low + high), 1e-3 * (high - low)
        ahead, behind = (np.abs(points - _at(radius, middle + side * step)) for side in (1, -1))
        low, high = np.where(ahead < behind, middle, low), np.where(ahead < behind, high, middle)
    return np.abs(points - _at(radius, 0.5 * (low + high)))


def _at(radius: Radius, angle: Array) -> Array:
    return radius(angle) * np.exp(1j * angle)
