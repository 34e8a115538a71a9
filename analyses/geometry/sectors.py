"""Sets given by intervals of radii on rays from 0: their area, their outline, and how far they are.

Between two neighbouring rays the outermost ends are joined by straight lines, and so are all
others, in order, if there are as many; else every ray stands for the angles nearer to it.
"""

from typing import NamedTuple

import numpy as np

from birkhoff_cli.analyses.core.arrays import Array
from birkhoff_cli.analyses.geometry.region import Region

CHUNK = 2_000_000
"""Distances between points and lines that are held at a time."""

BESIDE = 1e-9
"""Angle from the real axis at which the radius of a region is its own, not that of a line."""


class Sectors(NamedTuple):
    """Intervals on rays, the outermost first; in the upper half-plane, and mirrored below."""

    angle: Array
    """``(rays,)`` in order, in (0, pi)."""
    low: Array
    """``(rays, m)`` where the intervals begin; 0 where there are fewer."""
    high: Array
    """``(rays, m)`` where they end; 0 where there are fewer."""

    @classmethod
    def of_rows(
        cls, ray: Array, interval: Array, angle: Array, low: Array, high: Array
    ) -> "Sectors":
        """From one row for each interval: the numbers of rays from 0 on, and of intervals."""
        ends = np.zeros((2, ray.max() + 1, interval.max() + 1))
        ends[:, ray, interval] = low, high
        angles = np.zeros(ray.max() + 1)
        angles[ray] = angle
        return cls(angles, *ends)

    @property
    def area(self) -> float:
        """Area of both halves."""
        rays = np.arange(len(self.angle))
        return 2 * float(self._between(rays[:-1], rays[1:]).sum())

    @property
    def growth(self) -> float:
        """Area that both halves gain for every bit by which all ends move, to first order."""
        ends = self.high.sum(1) + self.low.sum(1)
        return float(np.diff(self.angle) @ (ends[1:] + ends[:-1]))

    @property
    def corners(self) -> Array:
        """Area that would be lost or gained without each of the inner rays, ``(rays - 2,)``."""
        rays = np.arange(len(self.angle))
        before, middle, after = rays[:-2], rays[1:-1], rays[2:]
        both = self._between(before, middle) + self._between(middle, after)
        return np.abs(both - self._between(before, after))

    def closed(self) -> "Sectors":
        """With rays at 0 and pi, where ends go on straight from the two rays beside them."""
        angle = np.concatenate([[0.0], self.angle, [np.pi]])
        ends = [
            np.concatenate([self._straight(x, 0, 1, 0.0), x, self._straight(x, -1, -2, np.pi)])
            for x in (self.low, self.high)
        ]
        return Sectors(angle, *ends)

    def mirrored(self) -> "Sectors":
        """With the lower half: the rays from 0 to 2 pi."""
        angle = np.concatenate([self.angle, 2 * np.pi - self.angle[::-1]])
        return Sectors(angle, *(np.concatenate([x, x[::-1]]) for x in (self.low, self.high)))

    def round(self) -> "Sectors":
        """Of rays from 0 to 2 pi, with the first again at the end."""
        angle = np.append(self.angle, self.angle[0] + 2 * np.pi)
        return Sectors(angle, *(np.concatenate([x, x[:1]]) for x in (self.low, self.high)))

    def within(self, region: Region) -> "Sectors":
        """The part inside a region that is star-shaped about 0; lines of it are left out."""
        beside = np.clip(self.angle, BESIDE, np.pi - BESIDE)  # a region may have a line at 0 or pi
        bound = region.radius(beside)[:, None]
        some = self.low < bound
        low, high = (np.where(some, np.minimum(x, bound), 0) for x in (self.low, self.high))
        order = np.argsort(~some, 1, kind="stable")  # the outermost first
        return self._replace(
            low=np.take_along_axis(low, order, 1), high=np.take_along_axis(high, order, 1)
        )

    def thinned(self) -> "Sectors":
        """Every other ray, and the last."""
        which = np.unique([*range(0, len(self.angle), 2), len(self.angle) - 1])
        return Sectors(*(x[which] for x in self))

    @property
    def points(self) -> Array:
        """Upper ends, complex."""
        return self._points()[1][self.high > 0]

    def lines(self) -> tuple[Array, Array]:
        """Where lines between ends of neighbouring rays begin and end, complex; inner ones too."""
        low, high = self._points()
        joined = self._joined()
        inner = joined & (self.low[:-1] > 0) & (self.low[1:] > 0)
        begin = np.concatenate([high[:-1][joined], low[:-1][inner]])
        return begin, np.concatenate([high[1:][joined], low[1:][inner]])

    def cells(self) -> Array:
        """What fills the set between the first ray and the last: quadrilaterals ``(n, 4)``."""
        low, high = self._points()
        cells = [np.stack([low[:-1], high[:-1], high[1:], low[1:]], -1)[self._joined()]]
        middle = np.exp(0.5j * np.diff(self.angle))[:, None]
        rays = np.arange(len(self.angle))
        apart = ~self._alike(rays[:-1], rays[1:])[:, None]
        for side, turn in ((slice(-1), middle), (slice(1, None), middle.conj())):
            a, b = low[side], high[side]
            wedges = np.stack([a, b, b * turn, a * turn], -1)
            cells.append(wedges[apart & (self.high[side] > 0)])
        return np.concatenate(cells)

    def gap(self, points: Array) -> float:
        """Largest distance of complex points, im >= 0, from the set: from its rays and lines."""
        low, high = (x[self.high > 0] for x in self._points())
        begin, end = self.lines()
        begin, end = np.concatenate([low, begin]), np.concatenate([high, end])
        if not len(begin):
            return float(np.abs(points).max())
        step = max(1, CHUNK // len(begin))
        chunks = (points[k : k + step] for k in range(0, len(points), step))
        return max(float(_distances(chunk, begin, end).max()) for chunk in chunks)

    def _points(self) -> tuple[Array, Array]:
        ray = np.exp(1j * self.angle)[:, None]
        return self.low * ray, self.high * ray

    def _between(self, i: Array, j: Array) -> Array:
        """Area between rays i and j: all below the outermost ends, less what is left out there."""
        turn = self.angle[j] - self.angle[i]
        full = np.sin(turn) * self.high[i, 0] * self.high[j, 0]
        lines = np.sin(turn) * (self.high[i] * self.high[j] - self.low[i] * self.low[j]).sum(1)
        sizes = (self.high**2 - self.low**2).sum(1)
        missing = self.high[:, 0] ** 2 - sizes
        apart = np.where(
            full > 0,
            full - 0.5 * turn * (missing[i] + missing[j]),
            0.5 * turn * (sizes[i] + sizes[j]),
        )
        return 0.5 * np.where(self._alike(i, j), lines, apart)

    def _alike(self, i: Array, j: Array) -> Array:
        count = (self.high > 0).sum(1)
        return np.asarray(count[i] == count[j])

    def _joined(self) -> Array:
        """``(rays - 1, m)`` whether an interval has a like on the next ray."""
        rays = np.arange(len(self.angle))
        return self._alike(rays[:-1], rays[1:])[:, None] & (self.high[:-1] > 0)

    def _straight(self, x: Array, near: int, far: int, angle: float) -> Array:
        """Ends ``(1, m)`` at an angle, on from two rays that have as many."""
        if len(x) < 2 or not self._alike(np.array(near), np.array(far)):
            return x[[near]]
        share = (angle - self.angle[near]) / (self.angle[near] - self.angle[far])
        return np.clip(x[[near]] + share * (x[[near]] - x[[far]]), 0, 1)


def _distances(points: Array, begin: Array, end: Array) -> Array:
    """From the nearest of the straight lines."""
    away, line = points[:, None] - begin, end - begin
    length = np.maximum(np.abs(line) ** 2, np.finfo(float).tiny)
    along = np.clip((away * line.conj()).real / length, 0, 1)
    return np.abs(away - along * line).min(1)
