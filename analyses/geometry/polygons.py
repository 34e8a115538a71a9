"""The union of the regular k-gons on the roots of unity, k <= d: its boundary and distances.

It is symmetric about the real axis and star-shaped about 0. Up to d = 3 it has parts without area:
the point 1, the line [-1, 1], and the line [-1, -1/2] beside the triangle.
"""

from functools import cache

import numpy as np

from birkhoff_cli.analyses.core.arrays import Array
from birkhoff_cli.analyses.geometry import curves, farey

CORNERS = {1: (1, 1), 2: (1, -1), 3: (1, complex(-0.5, np.sqrt(0.75)), -0.5, -1)}
"""Corners of the upper boundary, by d, where part of it is a line along a ray from 0."""

MANY = 16
"""k-gons from whose number on only the nearest edge of each is looked at, and not every one."""

TOGETHER = 1 << 20
"""Pairs of neighbours times k-gons that are looked at together."""

VERTEX = 1e-9
"""Share of the way between two vertices below which a crossing is the vertex itself."""


def excess(re: Array, im: Array, d: int) -> Array:
    """Least over the k-gons of the largest distance beyond an edge's line."""
    up = np.abs(im)
    if d == 1:
        return np.hypot(re - 1, up)
    if d > MANY:
        return _excess_of_many(re, up, d)
    nearest = np.maximum(up, np.abs(re) - 1)
    for k in range(3, d + 1):
        beyond = -np.inf
        for j in range((k + 1) // 2):
            normal = (2 * j + 1) * np.pi / k
            beyond = np.maximum(beyond, re * np.cos(normal) + up * np.sin(normal))
        nearest = np.minimum(nearest, beyond - np.cos(np.pi / k))
    return nearest


def _excess_of_many(re: Array, up: Array, d: int) -> Array:
    """The same from the nearest edge of each k-gon alone; in the d-gon's incircle from that."""
    re, up = np.broadcast_arrays(re, up)
    square = np.asarray(re * re + up * up)
    nearest = np.sqrt(square) - np.cos(np.pi / d)
    away = square > inner_square(d)
    modulus, angle = np.hypot(re[away], up[away]), np.arctan2(up[away], re[away])
    least = np.maximum(up[away], np.abs(re[away]) - 1)
    for k in range(3, d + 1):
        turn = np.mod(angle, 2 * np.pi / k) - np.pi / k
        least = np.minimum(least, modulus * np.cos(turn) - np.cos(np.pi / k))
    nearest[away] = least
    return nearest


def distance(re: Array, im: Array, d: int) -> Array:
    """Euclidean distance, 0 inside: the least of the distances from the k-gons, to rounding."""
    if d == 1:
        return np.hypot(re - 1, im)
    nearest = np.hypot(np.maximum(np.abs(re) - 1, 0), im)
    modulus, angle = np.hypot(re, im), np.arctan2(im, re)
    for k in range(3, d + 1):
        turn = np.mod(angle, 2 * np.pi / k) - np.pi / k  # from the normal of the nearest edge
        beyond = np.maximum(modulus * np.cos(turn) - np.cos(np.pi / k), 0)
        beside = np.maximum(modulus * np.abs(np.sin(turn)) - np.sin(np.pi / k), 0)
        nearest = np.minimum(nearest, np.hypot(beyond, beside))
    return nearest


def radius(angle: Array, d: int) -> Array:
    """Distance of the boundary from 0, by angle in radians."""
    angle = np.asarray(angle, dtype=float)
    far = np.zeros_like(angle)
    for k in range(3, d + 1):
        turn = np.mod(angle, 2 * np.pi / k) - np.pi / k
        np.maximum(far, np.cos(np.pi / k) / np.cos(turn), out=far)
    real = (angle == 0) | (np.abs(angle) == np.pi)
    ends = (d >= 2) | (np.cos(angle) > 0)
    return np.where(real & ends, 1.0, far)


def inner_square(d: int) -> float:
    """Squared radius of the d-gon's incircle; -1 if it has none.

    Points there need no look at every edge.
    """
    return float(np.cos(np.pi / d) ** 2) if d > 2 else -1.0


def upper_pieces(radius: curves.Radius, breaks: Array, d: int, points: int) -> Array:
    """The upper boundary of a region that is this union up to d = 3, complex.

    Args:
        radius: the region's boundary, by angle.
        breaks: angles of its corners.
        d: largest k.
        points: on each piece, its ends included.

    Returns:
        ``(pieces, points)``; up to d = 3 even in length, above in the angle.
    """
    if d in CORNERS:
        return curves.polyline(np.array(CORNERS[d]), points)
    return curves.arcs(radius, breaks, points)


@cache
def corners(d: int) -> Array:
    """Angles in [0, pi] between which one straight edge bounds the union; the ends included.

    Pairs of neighbouring vertices are looked at as many together as fit in little memory.
    """
    vertices = farey.angles(d)
    if d < 3:
        return vertices
    together = max(1, TOGETHER // d)
    slabs = (vertices[k : k + together + 1] for k in range(0, len(vertices) - 1, together))
    return np.sort(np.concatenate([vertices, *(_corners_between(slab, d) for slab in slabs)]))


def _corners_between(vertices: Array, d: int) -> Array:
    """Corners that are no vertices, between neighbours.

    Between two of them, 1 / radius of each k-gon is a line in the tangent of the angle (from their
    middle). Their lower envelope is walked from crossing to crossing, between all pairs at once.
    """
    middle, half = 0.5 * (vertices[1:] + vertices[:-1]), 0.5 * np.diff(vertices)
    k = np.arange(3, d + 1)[:, None]
    normal = (np.floor(middle * k / (2 * np.pi)) + 0.5) * (2 * np.pi / k) - middle
    level, slope = np.cos(normal) / np.cos(np.pi / k), np.sin(normal) / np.cos(np.pi / k)
    inner = (1 - VERTEX) * np.tan(half)
    edge = np.argmin(level - slope * inner, axis=0)
    corner = [vertices[:0]]
    while edge.size:
        column = np.arange(edge.size)
        fall = slope[edge, column] - slope
        with np.errstate(divide="ignore", invalid="ignore"):
            cross = np.where(fall > 0, (level - level[edge, column]) / fall, np.inf)
        edge = np.argmin(cross, axis=0)
        at = cross[edge, column]
        on = at < inner
        corner.append((middle + np.arctan(at))[on])
        middle, inner, edge = middle[on], inner[on], edge[on]
        level, slope = level[:, on], slope[:, on]
    return np.concatenate(corner)
