"""The Perfect-Mirsky region of order d: the regular k-gons on the roots of unity, k <= d.

It lies in the set of eigenvalues of doubly stochastic matrices and is all of it for d <= 4.

Source: Perfect & Mirsky, Monatsh. Math. 69 (1965); Levick, Pereira & Kribs, Proc. AMS 143 (2015)
for d = 4.
"""

from functools import cache

import numpy as np

from birkhoff_cli.analyses.core.arrays import Array
from birkhoff_cli.analyses.geometry import farey

VERTEX = 1e-9
"""Share of the way between two vertices below which a crossing is the vertex itself."""


def excess(re: Array, im: Array, d: int) -> Array:
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
    far = np.zeros_like(angle)
    for k in range(3, d + 1):
        turn = np.mod(angle, 2 * np.pi / k) - np.pi / k
        np.maximum(far, np.cos(np.pi / k) / np.cos(turn), out=far)
    real = (angle == 0) | (np.abs(angle) == np.pi)
    ends = (d >= 2) | (np.cos(angle) > 0)
    return np.where(real & ends, 1.0, far)


@cache
def corners(d: int) -> Array:
    """Angles in [0, pi] between which one straight edge bounds the union; the ends included.

    Between two neighbouring vertices, 1 / radius of each k-gon is a line in the tangent of the
    angle (from their middle). Their lower envelope is walked from crossing to crossing, between
    all pairs of neighbours at once.
    """
    vertices = farey.angles(d)
    if d < 3:
        return vertices
    middle, half = 0.5 * (vertices[1:] + vertices[:-1]), 0.5 * np.diff(vertices)
    k = np.arange(3, d + 1)[:, None]
    normal = (np.floor(middle * k / (2 * np.pi)) + 0.5) * (2 * np.pi / k) - middle
    level, slope = np.cos(normal) / np.cos(np.pi / k), np.sin(normal) / np.cos(np.pi / k)
    inner = (1 - VERTEX) * np.tan(half)
    edge = np.argmin(level - slope * inner, axis=0)
    found = [vertices]
    while edge.size:
        column = np.arange(edge.size)
        fall = slope[edge, column] - slope
        with np.errstate(divide="ignore", invalid="ignore"):
            cross = np.where(fall > 0, (level - level[edge, column]) / fall, np.inf)
        edge = np.argmin(cross, axis=0)
        at = cross[edge, column]
        on = at < inner
        found.append((middle + np.arctan(at))[on])
        middle, inner, edge = middle[on], inner[on], edge[on]
        level, slope = level[:, on], slope[:, on]
    return np.sort(np.concatenate(found))
