"""Bring eigenvalues to targets: which points of the plane does the image of a map reach?

Source: go-mHC, appendix A.5.1, poses the question; here det(z I - G) = 0 is solved by Gauss-Newton
instead of chasing the nearest eigenvalue by Adam.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from birkhoff_cli.analyses.core.arrays import Array
from birkhoff_cli.analyses.geometry.characteristic import residual
from birkhoff_cli.analyses.geometry.charts import Chart

WIDTH = 1400
"""Targets pursued at a time: what they need fits a cache, and calls are few."""

PATIENCE = 2
"""Steps in a row without progress after which a target is given up."""

PROGRESS = 0.7
"""A step makes progress if it shrinks the residual to this share of the best so far."""

ON_TARGET = 1e-5
"""Residual at which a target counts as reached."""


class Pursuit(NamedTuple):
    """Where a batch of targets stands after a step; the arrays change with the next one."""

    which: Array
    """``(batch,)`` the target that each lane pursues."""
    state: Array
    """State of the chart, the batch axis last."""
    age: Array
    """``(batch,)`` steps taken so far."""
    ended: Array
    """Lanes whose target is reached, or given up, with this step."""


def pursue(
    chart: Chart, targets: Array, rng: np.random.Generator, max_steps: int
) -> Iterator[Pursuit]:
    """Move matrices until an eigenvalue is at its target, or no step brings it nearer.

    A lane whose target has ended takes the next one from a new random state, so that the batch
    stays full to the last.

    Args:
        chart: how to move.
        targets: ``(n,)`` complex.
        rng: source of the random states.
        max_steps: steps to a target at most.

    Yields:
        After every step, where all lanes stand; every target ends exactly once.
    """
    begun = min(WIDTH, len(targets))
    which, state = np.arange(begun), chart.start(begun, rng)
    stock = state[..., :0]
    best, idle, age = np.full(begun, np.inf), np.zeros(begun, int), np.zeros(begun, int)
    while len(which):
        r, gradient = residual(chart.matrices(state), targets[which])
        size = np.abs(r)
        idle = np.where(size < PROGRESS * best, 0, idle + 1)
        np.minimum(best, size, out=best)
        ended = np.flatnonzero((size < ON_TARGET) | (idle >= PATIENCE) | (age >= max_steps))
        yield Pursuit(which, state, age, ended)
        age += 1
        fresh = ended[: len(targets) - begun]
        if len(fresh):
            if stock.shape[-1] < len(fresh):  # drawn in full batches: small ones cost as much
                stock = chart.start(WIDTH, rng)
            state[..., fresh], stock = stock[..., : len(fresh)], stock[..., len(fresh) :]
            which[fresh] = np.arange(begun, begun + len(fresh))
            begun += len(fresh)
            first = residual(chart.matrices(state[..., fresh]), targets[which[fresh]])
            r[fresh], gradient[..., fresh] = first
            best[fresh], idle[fresh], age[fresh] = np.abs(first[0]), 0, 1
        if len(fresh) < len(ended):
            keep = np.delete(np.arange(len(which)), ended[len(fresh) :])
            which, best, idle, age, r = (x[keep] for x in (which, best, idle, age, r))
            state, gradient = state[..., keep], gradient[..., keep]
        if len(which):
            state = chart.move(state, gradient, r)


def directions(d: int, count: int, s: int = 1) -> Array:
    """Angles in (0, pi] for a frontier: evenly spaced, and close together where cusps can be.

    Args:
        d: number of streams.
        count: evenly spaced angles.
        s: cusps touch the edges of the k-gons, k <= d, at the multiples of 1/s
            (docs/mathematics.md 5.3).

    Returns:
        sorted angles in radians.
    """
    step = np.pi / count
    cusps = np.concatenate([np.angle(_edge_points(k, s)) for k in range(2, d + 1)])
    offsets = step * np.concatenate([[0], 0.5 ** np.arange(1, 6), -(0.5 ** np.arange(1, 6))])
    near = (cusps[:, None] + offsets).ravel()
    found = np.concatenate([step * np.arange(1, count + 1), near])
    return np.array(sorted({*found[(found > 1e-9) & (found <= np.pi)].round(12)}))


def _edge_points(k: int, s: int) -> Array:
    root = np.exp(2j * np.pi * np.arange(k + 1) / k)
    share = np.arange(s + 1)[:, None] / s
    points = (root[:-1] * (1 - share) + root[1:] * share).ravel()
    return points[np.abs(points) > 1e-9]


def trace_frontier(
    chart: Chart, rng: np.random.Generator, angle: Array, starts: int
) -> Iterator[Array]:
    """The farthest radius reached in every direction, improved from pass to pass.

    First from random states, then from the states of the neighbouring directions, as long as
    one of them gets farther.

    Args:
        chart: how to move.
        rng: source of the random states.
        angle: directions in radians, sorted.
        starts: random states to a direction.

    Yields:
        ``(len(angle),)`` radii, each reached by a matrix of the image; never smaller than before.
    """
    best, state = np.zeros(len(angle)), chart.start(len(angle), rng)
    for _ in range(starts):
        best, state = _farther(chart, best, state, chart.start(len(angle), rng), angle)
        yield best
    for hop in (1, -1):
        from_neighbour = state[..., np.clip(np.arange(len(angle)) + hop, 0, len(angle) - 1)]
        best, state = _farther(chart, best, state, from_neighbour, angle)
        yield best


def _farther(
    chart: Chart, best: Array, state: Array, begin: Array, angle: Array
) -> tuple[Array, Array]:
    radius, there = push(chart, begin, angle)
    wins = radius > best
    return np.where(wins, radius, best), np.where(wins, there, state)


def push(
    chart: Chart, state: Array, angle: Array, first: float = 0.2, least: float = 1e-5
) -> tuple[Array, Array]:
    """Push an eigenvalue outwards along its ray until the map can follow no farther.

    A stride is kept if Gauss-Newton brings the eigenvalue exactly onto the new point, and is
    shortened if not: what is returned was reached, so every radius is a lower bound.

    Args:
        chart: how to move.
        state: the batch axis last.
        angle: ``(batch,)`` directions in radians.
        first: radius to begin with.
        least: stride at which to stop.

    Returns:
        radius ``(batch,)``, 0 where not even ``first`` was reached, and the states there.
    """
    ray = np.exp(1j * angle)
    radius = np.zeros(len(angle))
    stride = np.full(len(angle), first)
    state = state.copy()
    active = np.arange(len(angle))
    while len(active):
        aim = np.minimum(radius[active] + stride[active], 1)
        there, hit = settle(chart, state[..., active], aim * ray[active])
        won = active[hit]
        state[..., won] = there[..., hit]
        radius[won] = aim[hit]
        stride[active] *= np.where(hit, 1.6, 0.35)
        stride[won] = np.minimum(stride[won], 0.1)
        active = active[(stride[active] > least) & (radius[active] < 1 - 1e-12)]
    return radius, state


def settle(
    chart: Chart, state: Array, targets: Array, steps: int = 8, exact: float = 1e-10
) -> tuple[Array, Array]:
    """A few Gauss-Newton steps for a whole batch: the new states, and which are on target."""
    for _ in range(steps):
        r, gradient = residual(chart.matrices(state), targets)
        far = np.flatnonzero(np.abs(r) > exact)
        if not len(far):
            break
        moved = chart.move(state[..., far], gradient[..., far], r[far])
        state = state.copy()
        state[..., far] = moved
    r, _ = residual(chart.matrices(state), targets)
    return state, np.abs(r) <= exact


def closed_curve(angle: Array, radius: Array) -> tuple[Array, Array, Array]:
    """The frontier of both half-planes from one: angle, re, im, closed, from angle 0 on."""
    turn = np.concatenate([[0.0], angle, 2 * np.pi - angle[::-1], [2 * np.pi]])
    size = np.concatenate([[1.0], radius, radius[::-1], [1.0]])
    return turn, size * np.cos(turn), size * np.sin(turn)


def area(re: Array, im: Array) -> float:
    """Area inside a closed polygon that goes round once."""
    return 0.5 * abs(float((re[:-1] * im[1:] - re[1:] * im[:-1]).sum()))


def thinned(re: Array, im: Array) -> tuple[Array, Array]:
    """Every other corner of a closed polygon."""
    return np.append(re[:-1:2], re[:1]), np.append(im[:-1:2], im[:1])


def gap(outer: tuple[Array, Array], inner: tuple[Array, Array]) -> float:
    """Largest distance from a corner of one polygon to the other polygon's edges."""
    point = (outer[0] + 1j * outer[1])[:, None]
    corner = inner[0] + 1j * inner[1]
    begin, edge = corner[:-1], np.diff(corner)
    length = np.maximum(np.abs(edge) ** 2, np.finfo(float).tiny)
    along = np.clip(((point - begin) * edge.conj()).real / length, 0, 1)
    return float(np.abs(point - begin - along * edge).min(1).max())
