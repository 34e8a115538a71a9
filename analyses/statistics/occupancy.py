"""Counts over points in the plane of a cycle: cells hit, points outside, errors of the sums."""

import numpy as np

from birkhoff_cli.analyses.core.arrays import Array
from birkhoff_cli.analyses.core.states import data
from birkhoff_cli.analyses.geometry.hypocycloids import Support


@data()
class Occupancy:
    """Running counts over points; the cells are those of a square grid over [-1, 1]^2.

    The share of cells that are hit depends on the density, the number of points and the grid. It
    is low where the density is, and high by the cells that the boundary cuts
    (docs/mathematics.md 4.5).
    """

    def __init__(self, polygon: Support, exact: Support | None, resolution: int, tol: float):
        self.polygon, self.exact, self.resolution, self.tolerance = polygon, exact, resolution, tol
        self.seen = np.zeros(resolution * resolution, dtype=bool)
        self.total = self.beyond_polygon = self.beyond_exact = 0

    def add(self, number: int, re: Array, im: Array) -> None:
        """Count points of a block, of any shape."""
        del number  # counts and cells do not depend on the order of blocks
        self.total += re.size
        self.beyond_polygon += self.polygon.outside(re, im, self.tolerance)
        if self.exact is not None:
            self.beyond_exact += self.exact.outside(re, im, self.tolerance)
        near = (np.abs(re) <= 1 + self.tolerance) & (np.abs(im) <= 1 + self.tolerance)
        if not near.all():
            re, im = re[near], im[near]
        last = self.resolution - 1
        row, column = (
            np.clip((x + 1) * (self.resolution / 2), 0, last).astype(np.int64) for x in (re, im)
        )
        self.seen[row * self.resolution + column] = True

    def merge(self, other: "Occupancy") -> None:
        """Add the counts of another, against the same sets."""
        self.seen |= other.seen
        self.total += other.total
        self.beyond_polygon += other.beyond_polygon
        self.beyond_exact += other.beyond_exact

    @property
    def inside(self) -> Array:
        """The cells whose centre is in the polygon, ``(resolution, resolution)``."""
        centre = (np.arange(self.resolution) + 0.5) * (2 / self.resolution) - 1
        return self.polygon.excess(centre[:, None], centre) <= 0

    @property
    def fraction(self) -> float | None:
        """Share of these cells that hold a point; None without points or cells."""
        cells = self.inside
        if not self.total or not cells.any():
            return None
        return int((self.seen.reshape(cells.shape) & cells).sum()) / int(cells.sum())
