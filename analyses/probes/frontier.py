"""The farthest eigenvalues that a method reaches in every direction, as a curve with an area."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from birkhoff_cli.analyses.core.parameterization import Parameterization
from birkhoff_cli.analyses.core.quantities import AT_LEAST_0, quantity
from birkhoff_cli.analyses.core.result import Summary
from birkhoff_cli.analyses.core.table import Columns
from birkhoff_cli.analyses.geometry import reach
from birkhoff_cli.analyses.geometry.charts import chart_of
from birkhoff_cli.analyses.probes import Probe
from birkhoff_cli.analyses.regions._known_reach import Reach
from birkhoff_cli.analyses.statistics.coverage import Coverage, judge

REACHED = 1e-8
"""A point of the frontier is an eigenvalue to about this."""

SEARCHED = "a search: every point was reached, area_uncertainty is what it may have missed"


QUANTITIES = (
    quantity("area_discretisation", "error of the area by the grid of angles", range=AT_LEAST_0),
    quantity(
        "area_uncertainty",
        "area that the search may have missed; null where the area is proven",
        range=AT_LEAST_0,
    ),
    quantity("proven", "whether the area is proven"),
    quantity("proven_by", "why, or where it comes from"),
    quantity("area_found", "area that the search found", range=AT_LEAST_0),
    quantity("area_found_error", "error of that area", range=AT_LEAST_0),
    quantity("area_outside", "area that the search found outside the region", range=AT_LEAST_0),
    quantity(
        "gap_max",
        "largest distance from the boundary of the region to the curve",
        range=AT_LEAST_0,
        good="near 0",
    ),
    quantity("gap_expected", "what that distance should be, where it is known", range=AT_LEAST_0),
    quantity("gap_proven", "whether that is proven; null where nothing is known"),
)
"""What a frontier adds to those of a region."""


def pushed(
    method: Parameterization,
    count: Coverage,
    rng: np.random.Generator,
    directions: int = 180,
    starts: int = 8,
) -> Probe:
    """Push an eigenvalue outwards along every direction of the half-plane, from several starts.

    Two searches that share no start tell how much one of them misses.

    Args:
        method: whose image to move in.
        count: the regions to compare with.
        rng: source of the starts.
        directions: evenly spaced ones; more are put where cusps can be.
        starts: for each direction.
    """
    angle = reach.directions(method.d, directions, method.edge_pieces)
    half = (starts + 1) // 2
    halves: list[Any] = [None, None]

    def steps() -> Iterator[Columns]:
        for k in (0, 1):
            for radius in reach.trace_frontier(chart_of(method), rng, angle, half):
                halves[k] = radius
                yield {}
        turn, re, im = reach.closed_curve(angle, np.maximum(*halves))
        yield {"sample": np.arange(len(turn)), "angle": turn, "re": re, "im": im}

    def summary() -> Summary:
        return _summary(count, angle, halves, method.known_reach())

    return Probe(("sample", "angle", "re", "im"), steps(), summary, 2 * (half + 2))


def _summary(count: Coverage, angle: Any, halves: list[Any], known: Reach | None) -> Summary:
    region = count.region
    turn, re, im = reach.closed_curve(angle, np.maximum(*halves))
    whole = reach.area(re, im)
    half_turn = np.arccos(np.cos(turn))  # 0 and pi are exact here: the region has whiskers there
    bound = np.minimum(np.hypot(re, im), region.radius(half_turn))
    inside = bound * np.cos(turn), bound * np.sin(turn)
    found, coarse = reach.area(*inside), reach.area(*reach.thinned(*inside))
    each = [reach.area(*reach.closed_curve(angle, radius)[1:]) for radius in halves]
    discretisation, uncertainty = abs(found - coarse), whole - min(each)
    area, grid, stated = found, discretisation, known or Reach(None, "")
    if stated.area is None:
        stated = Reach(None, SEARCHED, False, uncertainty, stated.gap)
    else:
        area, grid = stated.area, 0.0
    outside = float((region.excess(re, im) > REACHED).mean())
    return {
        **judge(outside),
        "coverage": area / region.area if region.area else None,
        "outside_fraction": outside,
        "outside_karpelevic_fraction": float((count.widest.excess(re, im) > REACHED).mean()),
        "outside_tolerance": REACHED,
        "region": region.name,
        "region_proven": region.proven,
        "area_reached": area,
        "area_region": region.area,
        "area_discretisation": grid,
        "area_uncertainty": stated.missing,
        "proven": stated.proven,
        "proven_by": stated.because,
        "area_found": found,
        "area_found_error": discretisation + uncertainty,
        "area_outside": whole - found,
        "gap_max": reach.gap(region.boundary(), (re, im)),
        "gap_expected": stated.gap,
        "gap_proven": stated.gap_proven,
    }
