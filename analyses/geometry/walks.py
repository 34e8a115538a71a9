"""Bring eigenvalues to points of the plane, and follow them along rays from 0.

All lanes of a batch move at once, and leave it when they are done.
"""

import numpy as np

from birkhoff_cli.analyses.core.arrays import Array
from birkhoff_cli.analyses.geometry.characteristic import residual
from birkhoff_cli.analyses.geometry.charts import Chart

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

MAX_STRIDES = 24
"""Where a walk that goes on in tiny strides is left."""


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
    state, hit = state.copy(), np.zeros(len(targets), bool)
    active, size = np.arange(len(targets)), np.full(len(targets), np.inf)
    for step in range(steps + 1):
        r, gradient = residual(chart.matrices(state[..., active]), targets[active])
        before, size = size, np.abs(r)
        hit[active[size <= EXACT]] = True
        on = (size > EXACT) & ((size < SLOW * before) | (step < FREE))
        if step == steps or not on.any():
            break
        active, size = active[on], size[on]
        state[..., active] = chart.move(state[..., active], gradient[..., on], r[on])
    return state, hit


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
    for _ in range(MAX_STRIDES):
        left = np.abs(goal - radius)
        (active,) = np.nonzero((stride > least) & (left > EXACT))
        if not len(active):
            break
        aim = radius[active] + (way * np.minimum(stride, left))[active]
        there, hit = settle(chart, state[..., active], aim * ray[active])
        won = active[hit]
        state[..., won], radius[won] = there[..., hit], aim[hit]
        stride[active] *= np.where(hit, np.where(succeeded[active], GROW, 1), SHRINK)
        np.minimum(stride, LONGEST, out=stride)
        succeeded[active] = hit
    return radius, state
