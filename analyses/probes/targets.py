"""Eigenvalues of matrices that were moved towards random targets in the square [-1, 1]^2.

Source: go-mHC, arXiv:2604.02309, appendix A.5.1.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np

from birkhoff_cli.analyses.core.arrays import batch_first, lanes
from birkhoff_cli.analyses.core.parameterization import Parameterization
from birkhoff_cli.analyses.core.result import Summary
from birkhoff_cli.analyses.core.table import Columns
from birkhoff_cli.analyses.geometry import reach
from birkhoff_cli.analyses.geometry.charts import open_chart_of
from birkhoff_cli.analyses.geometry.eigenvalues import eigenvalue_parts
from birkhoff_cli.analyses.probes import Probe
from birkhoff_cli.analyses.statistics.coverage import Coverage

HIT = 1e-3
"""Distance within which a target counts as hit."""

Standing = tuple[Any, Any, Any]
"""Which targets, after how many steps, and where the chart's states are."""


def aimed(
    method: Parameterization,
    n: int,
    count: Coverage,
    rng: np.random.Generator,
    max_steps: int = 100,
    history: bool = False,
) -> Probe:
    """Move an eigenvalue as near as it gets to every target; then take all eigenvalues.

    Args:
        method: whose image to move in.
        n: number of targets.
        count: where to count.
        rng: source of the targets and of the starts.
        max_steps: Gauss-Newton steps to a target at most.
        history: take the eigenvalues of every step.
    """
    columns = ("sample", "step", "index", "re", "im")
    hunt = _Hunt(method, n, count, rng)
    return Probe(columns, hunt.steps(max_steps, history), hunt.summary, 8 * n // reach.WIDTH + 8)


class _Hunt:
    """Running counts over targets."""

    def __init__(
        self, method: Parameterization, n: int, count: Coverage, rng: np.random.Generator
    ) -> None:
        self.d, self.chart, self.count, self.rng = method.d, open_chart_of(method), count, rng
        self.target = rng.uniform(-1, 1, n) + 1j * rng.uniform(-1, 1, n)
        self.hits, self.row_error, self.column_error = 0, 0.0, 0.0

    def steps(self, max_steps: int, history: bool) -> Iterator[Columns]:
        standings: list[Standing] = []  # measured in full batches: small ones cost as much
        for now in reach.pursue(self.chart, self.target, self.rng, max_steps):
            over = now.ended
            standings.append((now.which[over], now.age[over], now.state[..., over]))
            full = sum(len(which) for which, *_ in standings) >= reach.WIDTH
            yield self._ended(standings) if full else {}
            if history:
                left = np.delete(np.arange(len(now.which)), over)
                yield self._measured(now.which[left], now.age[left], now.state[..., left])
        if standings:
            yield self._ended(standings)

    def _ended(self, standings: list[Standing]) -> Columns:
        which, age, state = (np.concatenate(parts, -1) for parts in zip(*standings, strict=True))
        rows = self._measured(which, age, state)
        goal = self.target[which[:, None]]
        near = np.hypot(rows["re"] - goal.real, rows["im"] - goal.imag)[:, 1:]
        self.hits += int((near.min(1, initial=2) < HIT).sum())
        standings.clear()
        return rows

    def _measured(self, which: Any, age: Any, state: Any) -> Columns:
        h = batch_first(self.chart.matrices(self.chart.exact(state)), 2)
        re, im = eigenvalue_parts(h)
        self.count.add(0, lanes(re, 1), lanes(im, 1))
        rows, columns = (float(np.abs(h.sum(axis) - 1).max(initial=0)) for axis in (-1, -2))
        self.row_error = max(self.row_error, rows)
        self.column_error = max(self.column_error, columns)
        at = {"sample": which[:, None], "step": age[:, None], "index": np.arange(self.d)}
        return {**at, "re": re, "im": im}

    def summary(self) -> Summary:
        return {
            **self.count.summary(),
            "targets": len(self.target),
            "hits": self.hits / len(self.target),
            "row_error_max": self.row_error,
            "column_error_max": self.column_error,
        }
