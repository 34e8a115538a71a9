"""Bring eigenvalues to points of the plane, and follow them along rays from 0.

All lanes of a batch move at once, and leave it when they are done.
"""

import numpy as np

from birkhoff_cli.analyses.core.arrays import Array
from birkhoff_cli.analyses.geometry.characteristic import residual
from birkhoff_cli.analyses.geometry.charts import Chart
from birkhoff_cli.analyses.geometry.lanes import select

EXACT = 1e-10
"""Residual at which an eigenvalue is on its target."""

STEPS = 12
"""Gauss-Newton steps to a target at most."""

SLOW = 0.7
"""A lane leaves if a step leaves more than this share of its residual: a double root, which
halves it, stays."""

FREE = 3
"""First steps, after which no lane leaves for being slow."""

LONGEST = 0.15
"""Longest stride of a walk."""

SHRINK = 0.35
"""A stride that fails is shortened to this share."""

GROW = 1.6
"""A stride is lengthened by this factor after two in a row that do not fail."""

MAX_STEPS = 100
"""Gauss-Newton steps of a walk at most: one that goes on in tiny strides is left."""


def settle(chart: Chart, state: Array, targets: Array, steps: int = STEPS) -> tuple[Array, Array]:
    """Move matrices until they have an eigenvalue at their target, or come no nearer.

    Args:
        chart: how to move.
        state: ``(..., batch)``.
        targets: ``(batch,)`` complex.
        steps: at most.

    Returns:
        The new states, and which are on target.
    """
    approach, hit = _Approach(chart, state.copy(), steps), np.zeros(len(targets), bool)
    active = np.arange(len(targets))
    while len(active):
        here, on = approach.advance(active, targets[active])
        hit[active[here]] = True
        active = active[on]
    return approach.state, hit


def walk(
    chart: Chart,
    state: Array,
    angle: Array,
    radius: Array,
    goal: Array,
    stride: Array | float,
    least: float,
) -> tuple[Array, Array]:
    """Follow eigenvalues along their rays until the map allows not even the shortest stride.

    A lane begins its next stride while others are still on theirs: waiting for them would leave
    few lanes to a batch.

    Args:
        chart: how to move.
        state: ``(..., batch)``, with an eigenvalue at ``radius`` on the ray.
        angle: ``(batch,)`` of the rays, in radians.
        radius: ``(batch,)``.
        goal: ``(batch,)`` radius at which to stop, farther out or farther in.
        stride: the first, ``(batch,)`` or one for all.
        least: the shortest.

    Returns:
        Radii and states there.
    """
    ray, state, way = np.exp(1j * angle), state.copy(), np.sign(goal - radius)
    radius, stride = radius.copy(), np.broadcast_to(stride, len(angle)).copy()
    succeeded = np.ones(len(angle), bool)  # whether the last stride did not fail
    approach = _Approach(chart, state.copy(), STEPS)
    steps = np.zeros(len(angle), int)
    while True:
        left = np.abs(goal - radius)
        (active,) = np.nonzero((stride > least) & (left > EXACT) & (steps < MAX_STEPS))
        if not len(active):
            return radius, state
        aim = radius[active] + (way * np.minimum(stride, left))[active]
        hit, on = approach.advance(active, aim * ray[active])
        won, ended = active[hit], active[~on]
        state[..., won], radius[won] = approach.state[..., won], aim[hit]
        share = np.where(hit[~on], np.where(succeeded[ended], GROW, 1), SHRINK)
        stride[ended] = np.minimum(stride[ended] * share, LONGEST)
        succeeded[ended] = hit[~on]
        steps[active] += 1
        approach.begin(ended, state[..., ended])


class _Approach:
    """States on their way to targets, each by steps of its own number."""

    def __init__(self, chart: Chart, state: Array, steps: int) -> None:
        """Begin at states ``(..., batch)``, with so many steps at most."""
        self.chart, self.state, self.steps = chart, state, steps
        self.step, self.size = np.zeros(state.shape[-1], int), np.full(state.shape[-1], np.inf)

    def begin(self, lanes: Array, state: Array) -> None:
        """Go to another target, from these states."""
        self.state[..., lanes], self.step[lanes], self.size[lanes] = state, 0, np.inf

    def advance(self, lanes: Array, targets: Array) -> tuple[Array, Array]:
        """A step of some lanes to their targets; which are there, and which go on."""
        state, step = self.state[..., lanes], self.step[lanes]
        h, slopes = self.chart.linearised(state)
        r, gradient = residual(h, targets)
        before, size = self.size[lanes], np.abs(r)
        hit = size <= EXACT
        on = ~hit & (step < self.steps) & ((size < SLOW * before) | (step < FREE))
        moving, of = lanes[on], slice(None) if on.all() else np.flatnonzero(on)
        if len(moving):
            gradient, state = (select(x, of) for x in (gradient, state))
            self.state[..., moving] = self.chart.step(state, slopes(gradient, of), r[of])
        self.step[moving] += 1
        self.size[moving] = size[on]
        return hit, on
