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

WIDTH = 2800
"""Targets pursued at a time: what they need is near a cache in size, and calls are few."""

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
    """State of the chart, the batch axis last, as its `coarse` makes it."""
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
    which, state = np.arange(begun), chart.coarse(chart.start(begun, rng))
    stock = state[..., :0]
    targets = targets.astype(np.result_type(state, np.complex64))
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
                more = min(WIDTH, len(targets) - begun - stock.shape[-1])
                stock = np.concatenate([stock, chart.coarse(chart.start(more, rng))], -1)
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
