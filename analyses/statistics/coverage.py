"""Which cells of a grid over [-1, 1]^2 hold an eigenvalue, and how many lie outside a region."""

from typing import Any

import numpy as np

from birkhoff_cli.analyses.core.quantities import AT_LEAST_0, SHARE, judged, quantity
from birkhoff_cli.analyses.core.states import data
from birkhoff_cli.analyses.geometry.region import Region

OUTSIDE = 1e-9
"""An eigenvalue farther than this outside the region counts as outside; float64 stays below."""


OUTSIDE_FACTOR = quantity(
    "outside_factor_fraction",
    "share of eigenvalues outside the region of the largest factor; Kronecker products only",
    range=SHARE,
)
REGION = (
    *judged(
        "inside, or outside if an eigenvalue lies outside the region",
        "inside",
        "share of eigenvalues outside the region that is allowed",
    ),
    quantity("coverage", "share of the region's cells that hold an eigenvalue", range=SHARE),
    quantity("outside_fraction", "share of eigenvalues outside the region", range=SHARE, good="0"),
    quantity(
        "outside_karpelevic_fraction",
        "share of eigenvalues that no stochastic matrix has; null where that is not known",
        range=SHARE,
        good="0",
    ),
    quantity(
        "outside_tolerance",
        "distance from the region beyond which an eigenvalue is outside",
        range=AT_LEAST_0,
    ),
    quantity("region", "name of the region that eigenvalues are held against"),
    quantity("region_proven", "whether the region is proven or conjectured"),
    quantity("area_reached", "area of the region that is reached", range=AT_LEAST_0),
    quantity("area_region", "area of the region", range=AT_LEAST_0),
)
COUNTS = (
    quantity("resolution", "cells along each side of [-1, 1]^2", range=AT_LEAST_0),
    quantity("eigenvalues", "number of eigenvalues that were counted", range=AT_LEAST_0),
    quantity("nonreal_fraction", "share of eigenvalues that are not real", range=SHARE),
)
QUANTITIES = (*REGION, OUTSIDE_FACTOR, *COUNTS)
"""What `Coverage.summary` gives."""


def judge(outside: float | None) -> dict[str, Any]:
    """The verdict on a share of eigenvalues outside the region."""
    word = None if outside is None else "outside" if outside > 0 else "inside"
    return {"verdict": word, "threshold": 0.0}


@data("region", "widest", "factor")
class Coverage:
    """Running counts over all eigenvalues."""

    def __init__(
        self,
        region: Region,
        widest: Region,
        resolution: int,
        tolerance: float = OUTSIDE,
        factor: Region | None = None,
    ) -> None:
        """Start with empty counts.

        Args:
            region: what is counted against.
            widest: the Karpelevic region, outside which no stochastic matrix has eigenvalues.
            resolution: cells along each side of the grid.
            tolerance: how far outside an eigenvalue counts as outside.
            factor: the region of the largest factor of a Kronecker product.
        """
        self.region, self.widest = region, widest
        self.factor, self.outside_factor = factor, 0
        self.resolution, self.tolerance = resolution, tolerance
        self.seen = np.zeros(resolution * resolution, dtype=bool)
        self.total = self.outside = self.outside_karpelevic = self.nonreal = 0

    def add(self, number: int, re: Any, im: Any) -> None:
        """Count eigenvalues ``(d, ...)`` of a block, the eigenvalue 1 first."""
        del number  # counts and cells do not depend on the order of blocks
        self.total += re.size
        self.nonreal += int(np.count_nonzero(im))
        if re.size and (re[0] == 1).all():  # usual, and one look is enough for all of them
            self._mark(re[0].ravel()[:1], im[0].ravel()[:1])
            re, im = re[1:], im[1:]
        with np.errstate(over="ignore"):  # infinite is outside too
            square = re * re
            square += im * im
        far = self.region.outside(re, im, square, self.tolerance)
        self.outside += far[0].size
        if self.factor:
            self.outside_factor += self.factor.outside(re, im, square, self.tolerance)[0].size
        if far[0].size:  # the region lies in Karpelevic's
            self.outside_karpelevic += int((self.widest.excess(*far) > self.tolerance).sum())
        if square.size and square.max() >= 1:  # the circle belongs to the cells within
            reach = 1 + self.tolerance
            near = (np.abs(re) <= reach) & (np.abs(im) <= reach)
            re, im = re[near], im[near]
        self._mark(re, im)

    def merge(self, other: "Coverage") -> None:
        """Add the counts of another, against the same regions."""
        self.seen |= other.seen
        self.total += other.total
        self.nonreal += other.nonreal
        self.outside += other.outside
        self.outside_factor += other.outside_factor
        self.outside_karpelevic += other.outside_karpelevic

    def _mark(self, re: Any, im: Any) -> None:
        half, last = self.resolution / 2, self.resolution - 1
        column, row = re * half, im * half
        for axis in (column, row):
            axis += half
            np.minimum(axis, last, out=axis)
        cell = column.astype(np.int32)
        cell *= self.resolution
        cell += row.astype(np.int32)
        self.seen[cell] = True

    @property
    def inside(self) -> Any:
        """Cells ``(resolution, resolution)`` whose centre lies in the region."""
        centre = (np.arange(self.resolution) + 0.5) * (2 / self.resolution) - 1
        return np.asarray(self.region.excess(centre[:, None], centre) <= OUTSIDE)

    @property
    def outside_karpelevic_fraction(self) -> float | None:
        """Share that no stochastic matrix has; null if those outside the region do not tell."""
        if not self.region.stochastic or not self.total:
            return None
        return self.outside_karpelevic / self.total

    def summary(self) -> dict[str, Any]:
        """Coverage, shares and areas."""
        inside = self.inside
        cells, reached = int(inside.sum()), int((self.seen.reshape(inside.shape) & inside).sum())
        outside = self.outside / self.total if self.total else None
        return {
            **judge(outside),
            "coverage": reached / cells if cells else None,
            "outside_fraction": outside,
            "outside_karpelevic_fraction": self.outside_karpelevic_fraction,
            **(
                {"outside_factor_fraction": self.outside_factor / self.total} if self.factor else {}
            ),
            "outside_tolerance": self.tolerance,
            "region": self.region.name,
            "region_proven": self.region.proven,
            "area_reached": reached * (2 / self.resolution) ** 2,
            "area_region": self.region.area,
            "resolution": self.resolution,
            "eigenvalues": self.total,
            "nonreal_fraction": self.nonreal / self.total if self.total else None,
        }
