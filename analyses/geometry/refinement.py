"""More rays where the reached set has corners and cusps."""

import numpy as np

from birkhoff_cli.analyses.core.arrays import Array
from birkhoff_cli.analyses.geometry.charts import Chart
from birkhoff_cli.analyses.geometry.intervals import Intervals, unite
from birkhoff_cli.analyses.geometry.rays import IN, OUT, Effort, Offers, accept, joined, spread
from birkhoff_cli.analyses.geometry.region import Region
from birkhoff_cli.analyses.geometry.walks import LONGEST, walk

DEPTH = 0.02
"""How far within an end its state is taken for a new ray."""

DOUBTFUL = 0.99
"""A new ray with less than this share of both its neighbours' areas was lost, and is left out."""

PASSES = 2
"""Over the neighbours of new rays: between known ones, what is far off is soon found."""


def refine(
    chart: Chart,
    region: Region,
    angle: Array,
    intervals: Intervals,
    effort: Effort,
    tolerance: float,
) -> tuple[Array, Intervals]:
    """Halve the angles beside rays that still change the area, once.

    Args:
        chart: how to move.
        region: within which area counts.
        angle: of the rays, in order.
        intervals: what is known.
        effort: how hard to push the new rays.
        tolerance: area that a ray may change.

    Returns:
        The angles of all rays, and what is known of them.
    """
    corner = np.flatnonzero(intervals.sectors(angle).closed().within(region).corners > tolerance)
    cells = np.unique([corner, corner + 1])
    edges = np.concatenate([[0.0], angle, [np.pi]])
    middle = 0.5 * (edges[cells] + edges[cells + 1])
    every = np.sort(np.concatenate([angle, middle]))
    new, known = (np.asarray(np.searchsorted(every, x)) for x in (middle, angle))
    intervals = intervals._replace(ray=known[intervals.ray])
    offers = _from_within(chart, every, intervals, new, effort.stride)
    intervals = unite(intervals, accept(chart, every, offers, LONGEST, effort.stride))
    active = np.zeros(len(every), bool)
    active[np.clip([new - 1, new, new + 1], 0, len(every) - 1)] = True
    intervals = spread(chart, every, intervals, effort, active, PASSES)
    return _without_lost(every, intervals, new)


def _from_within(
    chart: Chart, angle: Array, intervals: Intervals, new: Array, least: float
) -> Offers:
    """States for new rays: those of the rays beside them, somewhat within their upper ends.

    At an end itself no step leads inwards, to first order: hence tiny strides at first.
    """
    intervals = intervals.take(np.isin(intervals.ray + 1, new) | np.isin(intervals.ray - 1, new))
    goal = np.maximum(intervals.high - DEPTH, 0.5 * (intervals.low + intervals.high))
    ray = angle[intervals.ray]
    radius, state = walk(chart, intervals.at_high, ray, intervals.high, goal, 3 * least, least)
    offers = []
    for hop in (1, -1):
        k = np.flatnonzero(np.isin(intervals.ray + hop, new))
        goal, back = (np.full(len(k), way) for way in (OUT, IN))
        offers.append(Offers(intervals.ray[k] + hop, radius[k], goal, back, state[..., k]))
    return joined(offers)


def _without_lost(angle: Array, intervals: Intervals, new: Array) -> tuple[Array, Intervals]:
    size = np.concatenate([[np.inf], intervals.sizes(len(angle)), [np.inf]])
    lost = new[size[new + 1] < DOUBTFUL * np.minimum(size[new], size[new + 2])]
    keep = np.delete(np.arange(len(angle)), lost)
    intervals = intervals.take(np.isin(intervals.ray, keep))
    return angle[keep], intervals._replace(ray=np.searchsorted(keep, intervals.ray))
