"""Which radii on rays from 0 are eigenvalues of an image.

A ray may meet the reached set in several intervals, so walks begin at several radii, go both ways
and are united; then the states at the ends of every ray are tried on the rays beside it, until
nothing improves.
"""

from typing import NamedTuple

import numpy as np

from birkhoff_cli.analyses.core.arrays import Array
from birkhoff_cli.analyses.geometry.charts import Chart
from birkhoff_cli.analyses.geometry.intervals import GAP, Intervals, unite
from birkhoff_cli.analyses.geometry.walks import LONGEST, STEPS, settle, walk

OUT, IN = 1.0, 0.0
"""Where the two ways along a ray lead."""

HOPS = (1, -1, 2, -2)
"""Neighbours on which the states of a ray are tried."""

BELOW = (1.0, 0.97, 0.85)
"""Where a ray on which nothing is known is tried, as shares of its neighbour's radius."""

ALIKE = 0.02
"""Of states that reach a ray at radii this near, one is followed."""

MAX_PASSES = 6
"""Where neighbours that go on improving one another by little are left."""

COARSE = 1e-2
"""Shortest stride of the first walks."""


class Effort(NamedTuple):
    """How hard to push the ends of intervals."""

    better: float
    """By how much a neighbour's state has to reach farther, to be taken."""
    stride: float
    """Shortest stride."""
    gain: float
    """Area per radian that a ray has to gain, for its neighbours to be tried again."""


class Offers(NamedTuple):
    """States to try on rays: lanes."""

    ray: Array
    aim: Array
    """Radius at which to try."""
    goal: Array
    """Where to walk from there."""
    back: Array
    """Where to walk the other way; NaN: what lies there is known."""
    state: Array


def explore(chart: Chart, rng: np.random.Generator, angle: Array, starts: int) -> Intervals:
    """Around random radii of every ray, those that random states can be brought to; coarsely.

    Args:
        chart: how to move.
        rng: source of states and radii.
        angle: of the rays, in order.
        starts: states for each ray.
    """
    ray = np.tile(np.arange(len(angle)), starts)
    radius = rng.random(len(ray))
    begin = chart.start(len(ray), rng)
    state, hit = settle(chart, begin, radius * np.exp(1j * angle[ray]), 2 * STEPS)
    ray, radius, state = ray[hit], radius[hit], state[..., hit]
    intervals = unite(Intervals(ray, radius, radius, state, state))
    return extend(chart, angle, intervals, LONGEST, COARSE)


def extend(
    chart: Chart, angle: Array, intervals: Intervals, stride: float, least: float
) -> Intervals:
    """The same intervals, each pushed outwards and inwards from its own ends."""
    n = len(intervals.ray)
    begin = np.concatenate([intervals.at_high, intervals.at_low], -1)
    radius, goal = np.concatenate([intervals.high, intervals.low]), np.repeat([OUT, IN], n)
    ray = angle[np.tile(intervals.ray, 2)]
    radius, state = walk(chart, begin, ray, radius, goal, stride, least)
    return unite(Intervals(intervals.ray, radius[n:], radius[:n], state[..., n:], state[..., :n]))


def spread(
    chart: Chart,
    angle: Array,
    intervals: Intervals,
    effort: Effort,
    active: Array | None = None,
    passes: int = MAX_PASSES,
) -> Intervals:
    """Push every end, from its own state and from those of its neighbours, as long as it helps.

    Args:
        chart: how to move.
        angle: of all rays, in order; where it falls, the rays of another search begin.
        intervals: what is known.
        effort: how hard.
        active: rays ``(rays,)`` whose states are tried first; all if not given.
        passes: over the neighbours, at most.
    """
    if active is None:
        active = np.ones(len(angle), bool)
        intervals = extend(chart, angle, intervals, effort.better, effort.stride)
    for _ in range(passes):
        before = intervals.sizes(len(angle))
        offers = _offers(intervals, angle, active, effort.better)
        intervals = unite(intervals, accept(chart, angle, offers, effort.better, effort.stride))
        active = intervals.sizes(len(angle)) - before > effort.gain
        if not active.any():
            break
    return intervals


def fill(
    chart: Chart, rng: np.random.Generator, angle: Array, intervals: Intervals, tries: int
) -> Intervals:
    """The same, with what random states reach in the gaps below the intervals.

    A walk inwards may end where its own state can go no farther, and others can.

    Args:
        chart: how to move.
        rng: source of states and radii.
        angle: of all rays.
        intervals: what is known.
        tries: states for each gap.
    """
    first = np.diff(intervals.ray, prepend=-1) > 0
    below = np.where(first, IN, np.concatenate([[IN], intervals.high[:-1]]))
    gap = np.tile(np.flatnonzero(intervals.low > below + GAP), tries)
    if not len(gap):
        return intervals
    below, above = below[gap], intervals.low[gap]
    aim = below + rng.random(len(gap)) * (above - below)
    state = chart.start(len(gap), rng)
    state = chart.blend(intervals.at_low[..., gap], state, rng.random(len(gap)))
    offers = Offers(intervals.ray[gap], aim, above, below, state)
    return unite(intervals, accept(chart, angle, offers, LONGEST, COARSE))


def accept(chart: Chart, angle: Array, offers: Offers, stride: float, least: float) -> Intervals:
    """Intervals around the offers that can be had, walked to their ends.

    Args:
        chart: how to move.
        angle: of all rays.
        offers: what to try.
        stride: the first one towards ``goal``; back, the longest.
        least: the shortest one.
    """
    state, hit = settle(chart, offers.state, offers.aim * np.exp(1j * angle[offers.ray]))
    hits = np.flatnonzero(hit)
    keys = [offers.ray[hits], offers.goal[hits], (offers.aim[hits] / ALIKE).round()]
    _, one = np.unique(keys, axis=1, return_index=True)
    taken = Offers(*(x[..., hits[one]] for x in offers._replace(state=state)))
    back = np.flatnonzero(~np.isnan(taken.back))
    lane = np.concatenate([np.arange(len(one)), back])
    goal = np.concatenate([taken.goal, taken.back[back]])
    strides = np.repeat([stride, LONGEST], [len(one), len(back)])
    ray, begin, start = taken.ray[lane], taken.aim[lane], taken.state[..., lane]
    end, there = walk(chart, start, angle[ray], begin, goal, strides, least)
    outwards = goal >= begin
    states = np.where(outwards, start, there), np.where(outwards, there, start)
    return Intervals(ray, np.minimum(begin, end), np.maximum(begin, end), *states)


def joined(offers: list[Offers]) -> Offers:
    """All lanes."""
    return Offers(*(np.concatenate(x, -1) for x in zip(*offers, strict=True)))


def _offers(intervals: Intervals, angle: Array, active: Array, better: float) -> Offers:
    """The ends of active rays, for the rays beside them."""
    offers, reach = [], max(HOPS)
    padded = np.pad(angle, reach, constant_values=np.nan)  # no ray is beside the last
    for hop in HOPS:
        beside = padded[intervals.ray + reach + hop]
        there = active[intervals.ray] & ((beside - angle[intervals.ray]) * hop > 0)
        offers += _outer(intervals, np.flatnonzero(there), hop, better)
        offers += _inner(intervals, np.flatnonzero(there & (intervals.low > 0)), hop, better)
    return joined(offers)


def _outer(intervals: Intervals, use: Array, hop: int, better: float) -> list[Offers]:
    """Upper ends: a little beyond what is known, where they are, or where nothing is known."""
    ray, radius, n = intervals.ray[use] + hop, intervals.high[use], len(use)
    index, known = intervals.at_or_below(ray, radius)
    high = intervals.high[index]
    beyond = np.minimum(high + better, OUT)
    tries = [(known & (high < beyond), beyond, np.full(n, np.nan))]
    tries += [(known & (radius > beyond), radius, high)]
    tries += [(~known, share * radius, np.full(n, IN)) for share in BELOW]
    offers = []
    for which, aim, back in tries:
        k = np.flatnonzero(which)
        outwards = np.full(len(k), OUT)
        offers.append(Offers(ray[k], aim[k], outwards, back[k], intervals.at_high[..., use[k]]))
    return offers


def _inner(intervals: Intervals, use: Array, hop: int, better: float) -> list[Offers]:
    """Lower ends: a little below what is known, or where they are."""
    ray, radius = intervals.ray[use] + hop, intervals.low[use]
    index, known = intervals.at_or_below(ray, radius)
    known &= radius <= intervals.high[index]
    aim = np.where(known, np.maximum(intervals.low[index] - better, IN), radius)
    back = np.where(known, np.nan, OUT)
    k = np.flatnonzero(~known | (intervals.low[index] > IN))
    return [Offers(ray[k], aim[k], np.full(len(k), IN), back[k], intervals.at_low[..., use[k]])]
