"""What goes into Sinkhorn, what it has left, and what more sweeps would do."""

import numpy as np

from birkhoff_cli.analyses.balancing.stage import Stage
from birkhoff_cli.analyses.balancing.tally import Key, Values
from birkhoff_cli.analyses.core.arrays import Array
from birkhoff_cli.analyses.geometry.scaling import convergence, diameter, spread

SWEEPS = (1, 2, 3, 5, 10, 20, 50, 100)
"""Numbers of sweeps at which residuals are recorded."""
TOLERANCES = {"1e-3": 1e-3, "1e-6": 1e-6}
MAX_SWEEPS = 1000
"""Sweeps after which a matrix is given up; one more stands for those that need more."""


def key_of(tolerance: str) -> str:
    """A key of `TOLERANCES` as part of an identifier."""
    return tolerance.replace("-", "_")


def measure_convergence(stage: Stage) -> Values:
    """What goes in, what is applied, and what more sweeps would do."""
    z, h = (x.reshape(*x.shape[:2], -1) for x in (stage.z, stage.h))
    rows, columns = (np.abs(h.sum(axis) - 1).max(0) for axis in (1, 0))
    now = np.maximum(rows, columns)
    last = stage.balancing.last == "rows" if stage.balancing else rows < columns
    after, needed = _convergence(z, np.broadcast_to(last, now.shape))
    columns = {
        Key("input", None, None, "spread"): spread(z),
        Key("input", None, None, "diameter"): diameter(z),
        Key("applied", None, None, "residual"): now,
    }
    if stage.logits is None:  # matrices may need no sweep
        columns[Key("sweeps", None, 0, "residual")] = now
        needed[now <= np.array(list(TOLERANCES.values()))[:, None]] = 0
    for k, values in zip(SWEEPS, after, strict=True):
        columns[Key("sweeps", None, k, "residual")] = values
    for word, values in zip(TOLERANCES, needed, strict=True):
        columns[Key("needed", None, None, f"sweeps_{word}")] = np.minimum(values, MAX_SWEEPS + 1)
    return {key: values.reshape(stage.h.shape[2:]).T for key, values in columns.items()}


def _convergence(z: Array, rows_last: Array) -> tuple[Array, Array]:
    """Residuals after `SWEEPS` sweeps and sweeps that `TOLERANCES` need, ``(..., n)`` each.

    A sweep normalises the rows last, or those that are nearer to 1.
    """
    after, needed = np.empty((len(SWEEPS), z.shape[2])), np.empty((len(TOLERANCES), z.shape[2]))
    for lanes_, axes in ((rows_last, (0, 1)), (~rows_last, (1, 0))):
        if lanes_.any():
            part = z if lanes_.all() else z[..., lanes_]
            result = convergence(part, axes, SWEEPS, tuple(TOLERANCES.values()), MAX_SWEEPS)
            after[:, lanes_], needed[:, lanes_] = result
    return after, needed
