"""The eigenvalues that a method reaches on every ray from 0, their area, and how sure it is."""

from collections.abc import Iterator

import numpy as np

from birkhoff_cli.analyses.core.arrays import Array
from birkhoff_cli.analyses.core.parameterization import Parameterization
from birkhoff_cli.analyses.core.result import Summary
from birkhoff_cli.analyses.core.table import Columns
from birkhoff_cli.analyses.geometry.charts import Chart, chart_of
from birkhoff_cli.analyses.geometry.intervals import Intervals, unite
from birkhoff_cli.analyses.geometry.rays import Effort, explore, fill, spread
from birkhoff_cli.analyses.geometry.refinement import refine
from birkhoff_cli.analyses.geometry.region import Region
from birkhoff_cli.analyses.geometry.sectors import Sectors
from birkhoff_cli.analyses.geometry.walks import SHRINK
from birkhoff_cli.analyses.probes import Probe
from birkhoff_cli.analyses.regions._known_reach import Reach
from birkhoff_cli.analyses.statistics.coverage import Coverage, judge

REACHED = 1e-8
"""A point of the frontier is an eigenvalue to about this."""

SEARCHED = "a search: every point was reached, area_uncertainty is what it may have missed"

FINE = Effort(1e-3, 3e-6, 1e-6)
EFFORTS = (Effort(5e-3, 1e-3, 1e-3), FINE)
"""Coarse first, then fine."""

TRIES = 24
"""Random states for a gap between two intervals."""

CORNER = 5e-6
"""Area that a ray may change without more rays beside it."""

ROUNDS = 5
"""How often angles are halved."""

MAX_GROWTH = 3
"""Rays at most, as a multiple of the evenly spaced ones."""

MARGIN = 4
"""Ends may be short by this many of the last strides that failed: near an end Gauss-Newton
converges slowly, and gives up. Against exact areas up to 2.3 were seen."""

BOUNDARY_POINTS = 4000
"""Points of the region's boundary from which the gap is measured, about."""


def pushed(
    method: Parameterization,
    count: Coverage,
    rng: np.random.Generator,
    directions: int = 180,
    starts: int = 8,
) -> Probe:
    """Push eigenvalues outwards and inwards along every ray of the half-plane.

    Two searches that share no start tell how much one of them misses. In the summary
    ``area_reached`` is the exact area where the method knows it (``proven``, ``proven_by``), else
    what the search found, and ``coverage`` its share of the region's; ``area_discretisation`` is
    its error by the grid of angles (the change when every other direction is left out),
    ``area_uncertainty`` by the search; ``area_found`` and ``area_found_error`` are the search's
    own; ``area_outside`` was found outside the region and counts nowhere else. ``gap_expected``
    is what ``gap_max`` is by argument (``gap_proven``) or observation, where that is known.

    Args:
        method: whose image to move in.
        count: the regions to compare with.
        rng: source of the starts.
        directions: evenly spaced rays; more are put at the corners of the region, and where the
            frontier turns out to have corners and cusps.
        starts: for each ray, half of them in each search.
    """
    search = _Search(chart_of(method), count.region, rng, directions, (starts + 1) // 2)

    def summary() -> Summary:
        return _summary(count, search, method.known_reach() or Reach(None, ""))

    columns = ("sample", "angle", "interval", "inner", "re", "im")
    return Probe(columns, search.steps(), summary, len(EFFORTS) + ROUNDS + 3)


class _Search:
    """Two searches from starts of their own, then their union on a finer grid of angles."""

    def __init__(
        self, chart: Chart, region: Region, rng: np.random.Generator, directions: int, starts: int
    ) -> None:
        self.chart, self.region, self.rng, self.starts = chart, region, rng, starts
        even = np.pi / directions * np.arange(1, directions)
        beside = (even[0] / 2, np.pi - even[0] / 2)  # no ray is at the real axis
        breaks = region.breaks[(region.breaks > beside[0]) & (region.breaks < beside[1])]
        self.angle = np.unique(np.concatenate([even, breaks]).round(12))
        self.directions = directions
        self.uncertainty = 0.0

    def steps(self) -> Iterator[Columns]:
        """Nothing for each part of the work, and all rows in the end."""
        both = np.tile(self.angle, 2)  # the angle falls between the rays of the two
        intervals = explore(self.chart, self.rng, both, self.starts)
        yield {}
        for effort in EFFORTS:
            intervals = spread(self.chart, both, self._filled(intervals, both), effort)
            yield {}
        halves = intervals.split(len(self.angle))
        intervals = self._filled(unite(*halves), self.angle)
        least, before = min(map(self._area, halves)), self._area(intervals)
        intervals = spread(self.chart, self.angle, intervals, FINE)
        after = self._area(intervals)
        self.uncertainty = max(before - least, 0.0) + abs(after - before)
        yield {}
        for _ in range(ROUNDS):
            if len(self.angle) > MAX_GROWTH * self.directions:
                break
            self.angle, intervals = refine(
                self.chart, self.region, self.angle, intervals, FINE, CORNER
            )
            intervals = self._filled(intervals, self.angle)
            yield {}
        self.reached = intervals.sectors(self.angle)
        self.uncertainty += MARGIN * FINE.stride / SHRINK * self.reached.closed().growth
        yield _rows(self.reached)

    def _filled(self, intervals: Intervals, angle: Array) -> Intervals:
        return fill(self.chart, self.rng, angle, intervals, TRIES)

    def _area(self, intervals: Intervals) -> float:
        return intervals.sectors(self.angle).closed().within(self.region).area


def _rows(reached: Sectors) -> Columns:
    """A row for every interval of every ray, both halves, in order of angles."""
    angle, low, high = reached.mirrored()
    some = high > 0
    some[:, 0] = True  # nothing reached is a row too
    ray, interval = np.nonzero(some)
    point = high[some] * np.exp(1j * angle[ray])
    return {
        "sample": ray,
        "angle": angle[ray],
        "interval": interval,
        "inner": low[some],
        "re": point.real,
        "im": point.imag,
    }


def _share_outside(region: Region, points: Array) -> float:
    """The share beyond a region; where nothing but [-1, 1] is reached, which all hold, 0."""
    if not len(points):
        return 0.0
    return float((region.excess(points.real, points.imag) > REACHED).mean())


def _summary(count: Coverage, search: _Search, known: Reach) -> Summary:
    region, reached = count.region, search.reached
    whole = reached.closed()
    inside = whole.within(region)
    area_reached, grid = inside.area, abs(inside.area - inside.thinned().area)
    searched = known.area is None
    area, missing = area_reached, search.uncertainty
    if known.area is not None:  # where more may be reached, what was found is
        area = min(max(area_reached, known.area), known.area + known.missing)
        missing = known.area + known.missing - area
    widest = count.widest if region.stochastic else None
    outside = _share_outside(region, reached.points)
    return {
        **judge(outside),
        "coverage": area / region.area if region.area else None,
        "outside_fraction": outside,
        "outside_karpelevic_fraction": widest and _share_outside(widest, reached.points),
        "outside_tolerance": REACHED,
        "region": region.name,
        "region_proven": region.proven,
        "area_reached": area,
        "area_region": region.area,
        "area_discretisation": grid if searched else 0.0,
        "area_uncertainty": missing,
        "proven": known.proven and not searched,
        "proven_by": SEARCHED if searched else known.because,
        "area_found": area_reached,
        "area_found_error": grid + search.uncertainty,
        "area_outside": whole.area - area_reached,
        "gap_max": _gap(region, whole),
        "gap_expected": known.gap,
        "gap_proven": known.gap_proven,
    }


def _gap(region: Region, reached: Sectors) -> float | None:
    """From the boundary off the real axis; None if there is none."""
    pieces = max(1, len(region.breaks) - 1)
    re, im = region.boundary(max(3, BOUNDARY_POINTS // pieces | 1))
    above = im > 0
    return reached.gap(re[above] + 1j * im[above]) if above.any() else None
