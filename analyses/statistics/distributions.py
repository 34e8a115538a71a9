"""Mean, deviation, extremes and percentiles of many streams of numbers, in one pass."""

from typing import Self

import numpy as np

from birkhoff_cli.analyses.core.arrays import Array
from birkhoff_cli.analyses.core.quantities import AT_LEAST_0, quantity
from birkhoff_cli.analyses.core.states import data
from birkhoff_cli.analyses.core.table import column
from birkhoff_cli.analyses.statistics.moments import Moments
from birkhoff_cli.analyses.statistics.percentiles import Percentiles

COLUMNS = (
    column("mean", "float64", "mean over samples (of sums: and rows or columns)", nullable=True),
    column("std", "float64", "standard deviation", nullable=True),
    column("min", "float64", "smallest value", nullable=True),
    column("p10", "float64", "10th percentile", nullable=True),
    column("p50", "float64", "median", nullable=True),
    column("p90", "float64", "90th percentile", nullable=True),
    column("max", "float64", "largest value", nullable=True),
    column("unknown", "int64", "values that are not known, left out of the other statistics"),
)
QUANTILE_ERROR = quantity(
    "quantile_error",
    "bound on the error of percentiles, relative to the distance to 0 or 1, whichever is nearer; "
    "0 where they are exact, null where one is next to 0 or infinite",
    range=AT_LEAST_0,
    good="0",
)

STATISTICS = tuple(c.name for c in COLUMNS[:-1])


@data()
class Distributions(Percentiles):
    """Streams of numbers of which mean and deviation are known besides, and are exact."""

    def __init__(self, streams: int, length: int, what: str, kept: int = 0) -> None:
        """As `Percentiles`."""
        super().__init__(streams, length, what, kept)
        self._moments = Moments(streams)

    def _take(self, number: int, values: Array, low: Array, high: Array, first: int) -> None:
        whole = np.ascontiguousarray(values, np.float64)
        self._moments.add_block(number, whole, low, high, first)
        super()._take(number, values if self.exact else whole, low, high, first)

    def merge(self, other: Self) -> None:
        """Add the blocks of another."""
        super().merge(other)
        self._moments.merge(other._moments)

    def joined(self) -> Self:
        """The numbers of all streams as one stream."""
        one = super().joined()
        one._moments = self._moments.joined()
        return one

    def statistics(self) -> Array:
        """``(streams, 7)`` in the order of `STATISTICS`; NaN where no number is known."""
        return np.column_stack([self.columns()[name] for name in STATISTICS])

    def columns(self) -> dict[str, Array]:
        """Columns `COLUMNS`, ``(streams,)``; NaN where no number is known."""
        below, above = self._infinite > 0
        mean = np.where(above, np.inf, np.where(below, -np.inf, self._moments.mean))
        std = np.where(below | above, np.nan, self._moments.std)
        return {"mean": np.where(below & above, np.nan, mean), "std": std, **super().columns()}


def largest_error(*parts: Percentiles) -> float | None:
    """The largest ``quantile_error`` of several; None if that of one is not known."""
    errors = [part.quantile_error for part in parts]
    known = [error for error in errors if error is not None]
    return max(known) if len(known) == len(errors) else None
