"""Intervals of radii on rays from 0, with a state of a chart at each of their ends."""

from typing import NamedTuple

import numpy as np

from birkhoff_cli.analyses.core.arrays import Array
from birkhoff_cli.analyses.geometry.sectors import Sectors

GAP = 1e-3
"""Two intervals of a ray that are this near are one."""


class Intervals(NamedTuple):
    """Intervals, in order of rays and then of radii."""

    ray: Array
    """``(n,)`` number of the ray."""
    low: Array
    """``(n,)`` where it begins."""
    high: Array
    """``(n,)`` where it ends, at most 1."""
    at_low: Array
    """States ``(..., n)`` with an eigenvalue there."""
    at_high: Array
    """The same for the upper end."""

    def take(self, which: Array) -> "Intervals":
        """Some of them, by mask or index in order."""
        return Intervals(*(x[..., which] for x in self))

    def split(self, rays: int) -> tuple["Intervals", "Intervals"]:
        """Those of the first so many rays, and the others, whose rays are numbered from 0."""
        first = self.ray < rays
        second = self.take(~first)
        return self.take(first), second._replace(ray=second.ray - rays)

    def sizes(self, rays: int) -> Array:
        """Area per radian of every ray, ``(rays,)``."""
        return 0.5 * np.bincount(self.ray, self.high**2 - self.low**2, rays)

    def at_or_below(self, ray: Array, radius: Array) -> tuple[Array, Array]:
        """The interval of a ray that begins at or below a radius, and whether there is one."""
        order = 2 * self.ray + self.low  # radii are at most 1
        index = np.searchsorted(order, 2 * ray + radius, side="right") - 1
        index = np.maximum(index, 0)
        return index, (self.ray[index] == ray) & (self.low[index] <= radius)

    def sectors(self, angle: Array) -> Sectors:
        """Ray by ray, the outermost first, for the angles of the rays."""
        count = np.bincount(self.ray, minlength=len(angle))
        slot = np.cumsum(count)[self.ray] - 1 - np.arange(len(self.ray))
        low, high = np.zeros((2, len(angle), max(1, count.max())))
        low[self.ray, slot], high[self.ray, slot] = self.low, self.high
        return Sectors(angle, low, high)


def unite(*parts: Intervals) -> Intervals:
    """The union, ray by ray; every end keeps the state that reached it."""
    ray, low, high, at_low, at_high = (np.concatenate(x, -1) for x in zip(*parts, strict=True))
    order = np.lexsort((low, ray))
    ray, low, high = ray[order], low[order], high[order]
    so_far = np.maximum.accumulate(high + 2 * ray) - 2 * ray  # radii are at most 1
    first = np.ones(len(ray), bool)
    first[1:] = (ray[1:] != ray[:-1]) | (low[1:] > so_far[:-1] + GAP)
    begin = np.flatnonzero(first)
    last = np.append(begin[1:], len(ray))[: len(begin)] - 1
    farthest = np.lexsort((high, np.cumsum(first)))[last]
    states = at_low[..., order[begin]], at_high[..., order[farthest]]
    return Intervals(ray[begin], low[begin], high[farthest], *states)
