"""The farthest eigenvalues that a method reaches in every direction, as a curve with an area."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from birkhoff_cli.analyses.core.parameterization import Parameterization
from birkhoff_cli.analyses.core.result import Summary
from birkhoff_cli.analyses.core.table import Columns
from birkhoff_cli.analyses.geometry import reach
from birkhoff_cli.analyses.geometry.charts import chart_of
from birkhoff_cli.analyses.geometry.coverage import Coverage
from birkhoff_cli.analyses.probes import Probe

REACHED = 1e-8
"""A point of the frontier is an eigenvalue to about this."""


def pushed(
    method: Parameterization,
    count: Coverage,
    rng: np.random.Generator,
    directions: int = 180,
    starts: int = 8,
) -> Probe:
    """Push an eigenvalue outwards along every direction of the half-plane, from several starts.

    Args:
        method: whose image to move in.
        count: the regions to compare with.
        rng: source of the starts.
        directions: evenly spaced ones; more are put where cusps can be.
        starts: for each direction.
    """
    angle = reach.directions(method.d, directions, getattr(method, "s", 1))
    passes = reach.trace_frontier(chart_of(method), rng, angle, starts)
    last: dict[str, Any] = {}

    def steps() -> Iterator[Columns]:
        for radius in passes:
            last["curve"] = reach.closed_curve(angle, radius)
            yield {}
        turn, re, im = last["curve"]
        yield {"sample": np.arange(len(turn)), "angle": turn, "re": re, "im": im}

    def summary() -> Summary:
        return _summary(count, *last["curve"])

    return Probe(("sample", "angle", "re", "im"), steps(), summary, starts + 2)


def _summary(count: Coverage, turn: Any, re: Any, im: Any) -> Summary:
    region = count.region
    area, coarse = reach.area(re, im), reach.area(*reach.thinned(re, im))
    return {
        "coverage": area / region.area if region.area else None,
        "outside_fraction": float((region.excess(re, im) > REACHED).mean()),
        "outside_karpelevic_fraction": float((count.widest.excess(re, im) > REACHED).mean()),
        "outside_tolerance": REACHED,
        "region": region.name,
        "region_proven": region.proven,
        "area_reached": area,
        "area_region": region.area,
        "area_error": abs(area - coarse),
        "area_is": "a lower bound on the reach, up to area_error",
        "gap_max": reach.gap(region.boundary(), (re, im)),
        "resolution": count.resolution,
        "eigenvalues": len(turn),
        "nonreal_fraction": float((im != 0).mean()),
    }
