"""Convex polygons in the complex plane: the area of their union."""

import numpy as np

from birkhoff_cli.analyses.core.arrays import Array

PARALLEL = 1e-12
"""Cross product of two edges below which they are not crossed: they share no single point."""


def union_area(polygons: list[Array]) -> float:
    """Area of the union, by vertical strips between the corners and crossings of edges.

    Within a strip the length of the union on a vertical line is linear, so the middle gives the
    area to rounding.

    Args:
        polygons: of each, its corners in order, complex.
    """
    if not polygons:
        return 0.0
    begin = np.concatenate(polygons)
    edge = np.concatenate([np.roll(p, -1) for p in polygons]) - begin
    cuts = np.unique(np.concatenate([begin.real, _crossings(begin, edge)]))
    middle = 0.5 * (cuts[1:] + cuts[:-1])
    low, high = np.stack([_span(p, middle) for p in polygons], 1)
    order = low.argsort(0)
    length, top = np.zeros(len(middle)), np.full(len(middle), -np.inf)
    for k in range(len(polygons)):
        bottom, end = (np.take_along_axis(x, order[k : k + 1], 0)[0] for x in (low, high))
        length += np.maximum(end - np.maximum(bottom, top), 0)
        np.maximum(top, end, out=top)
    return float(length @ np.diff(cuts))


def _crossings(begin: Array, edge: Array) -> Array:
    """Real parts of the points where two edges cross."""
    offset = begin - begin[:, None]
    across = (edge[:, None].conj() * edge).imag
    crossing = np.abs(across) > PARALLEL
    across[~crossing] = 1
    along = (offset.conj() * edge).imag / across
    beside = (offset.conj() * edge[:, None]).imag / across
    meet = crossing & (np.abs(along - 0.5) <= 0.5) & (np.abs(beside - 0.5) <= 0.5)
    return (begin[:, None] + along * edge[:, None]).real[meet]


def _span(corners: Array, x: Array) -> tuple[Array, Array]:
    """Lower and upper end of a polygon on vertical lines; inf and -inf beside it."""
    a, b = corners[:, None], np.roll(corners, -1)[:, None]
    low, high = np.minimum(a.real, b.real), np.maximum(a.real, b.real)
    meets = (low < x) & (x < high)  # a vertical edge lies between two strips
    share = np.divide(x - a.real, b.real - a.real, out=np.zeros(meets.shape), where=meets)
    y = a.imag + share * (b.imag - a.imag)
    return np.where(meets, y, np.inf).min(0), np.where(meets, y, -np.inf).max(0)
