"""Where the matrices of a plane lie: their points, the cells they hit, how far off it they are."""

from collections.abc import Iterable
from typing import Any

import numpy as np

from birkhoff_cli.analyses.core.arrays import Array
from birkhoff_cli.analyses.core.fold import Fold, Statistics
from birkhoff_cli.analyses.core.result import Summary
from birkhoff_cli.analyses.core.table import Columns
from birkhoff_cli.analyses.geometry import cycles
from birkhoff_cli.analyses.geometry.hypocycloids import Support
from birkhoff_cli.analyses.statistics.extremes import Extremes
from birkhoff_cli.analyses.statistics.moments import Moments
from birkhoff_cli.analyses.statistics.occupancy import Occupancy


class _Counts(Statistics):
    """What is counted of one kind of points."""

    def __init__(self, count: Occupancy) -> None:
        self.count = count
        self.extremes = Extremes(("alpha_sum_error_max",), ("plane_distance_min",))
        self.distance = Moments(1)


class Plane(Fold[_Counts, Array]):
    """The points of one kind, and where they lie.

    Attributes:
        kind: projection or slice.
        polygon: what doubly stochastic matrices fill.
        exact: what the method fills, if it is known.
    """

    def __init__(self, kind: str, block: int, corners: int, exact: Support | None) -> None:
        self.kind, self.block, self.exact = kind, block, exact
        self.polygon = Support("polygon", corners)
        self.where: dict[str, Any] = {}
        self.resolution, self.tolerance, self.solid = 0, 0.0, False

    def start(self) -> _Counts:
        """No points yet."""
        return _Counts(Occupancy(self.polygon, self.exact, self.resolution, self.tolerance))

    def add(self, state: _Counts, number: int, block: Array) -> Columns:
        """Count matrices ``(n, sites, d, d)``; their points are the rows."""
        matrices = block.astype(np.float64, copy=False)
        alpha = cycles.coefficients(matrices)
        re, im = cycles.point(alpha)
        distance = cycles.distance(matrices, alpha)
        error = np.abs(alpha.sum(0) - 1)
        state.count.add(number, re, im)
        state.distance.add(number, distance.reshape(1, -1))
        measured = {"alpha_sum_error_max": error, "plane_distance_min": distance}
        state.extremes.add(number, measured)
        columns = {"kind": self.kind, "re": re, "im": im, "distance": distance, **self.where}
        columns["sample"] = number * self.block + np.arange(len(block))[:, None]
        columns |= {f"alpha_{k}": alpha[k] for k in range(3)}
        if self.solid:
            w = cycles.point(cycles.coefficients(matrices, turn=-1))
            columns |= {"w_re": w[0], "w_im": w[1]}
        return columns

    def finish(self, state: _Counts) -> tuple[Iterable[Columns], Summary]:
        """No more rows, and the state for the summary of both kinds."""
        return (), vars(state)
