"""Mean, deviation, extremes and percentiles of many streams of numbers, in one pass.

Short streams are kept, and their percentiles are exact. A longer one becomes counts in buckets
(`birkhoff_cli.analyses.statistics.buckets`): count, mean, deviation and extremes stay exact, and
the buckets that a percentile was read from bound its error. NaN stands for what is not known of a
sample: it is left out of every statistic, and counted.
"""

from functools import lru_cache
from math import inf, isfinite
from typing import Any

import numpy as np

from birkhoff_cli.analyses.core.arrays import Array
from birkhoff_cli.analyses.core.memory import require_memory
from birkhoff_cli.analyses.core.quantities import AT_LEAST_0, quantity
from birkhoff_cli.analyses.core.states import data
from birkhoff_cli.analyses.core.table import column
from birkhoff_cli.analyses.statistics.buckets import Counts, buckets, edges
from birkhoff_cli.analyses.statistics.moments import Moments

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
QUANTILES = (0.1, 0.5, 0.9)

MAX_KEPT = 10_240
"""Numbers of a stream that are kept: counts of them would take no less memory."""

MAX_BYTES = 2**29
"""Bytes that longer streams may be kept in, at most, where a caller asks for it."""

COUNTED = 80_000
"""Bytes that the counts of a stream usually take."""


@data()
class Distributions:
    """Streams of numbers of the same length, filled side by side in numbered blocks.

    Attributes:
        streams: how many.
        length: numbers that each will be given; it alone decides whether percentiles are exact.
        exact: whether they are.
    """

    def __init__(self, streams: int, length: int, what: str, kept: int = 0) -> None:
        """Room for the streams; longer ones are kept too if all take at most ``kept`` bytes.

        Raises:
            TooLarge: even counts do not fit in memory; ``what`` says what they were of.
        """
        self.streams, self.length = streams, length
        self._what, self._kept = what, kept
        self.exact = length <= MAX_KEPT or 8 * streams * length <= min(kept, MAX_BYTES)
        require_memory(streams * (8 * length if self.exact else COUNTED), what)
        self.unknown = np.zeros(streams, np.int64)
        self._infinite = np.zeros((2, streams), np.int64)
        self._min, self._max = np.full(streams, np.inf), np.full(streams, -np.inf)
        self._moments = Moments(streams)
        self._added = np.zeros(streams, np.int64)
        self._values: dict[int, Array] = {}
        self._done: tuple[Array, Array] | None = None
        self._counts = [] if self.exact else [Counts() for _ in range(streams)]

    def add(self, number: int, values: Array, first: int = 0) -> None:
        """Add ``values[k]`` of a block to stream ``first + k``; NaN stands for what is not known.

        Args:
            number: of the block; a stream is given its numbers of a block at once, and blocks are
                not mixed.
            values: ``(streams, n)`` float64 or float32.
            first: the first stream that is given numbers.
        """
        if not values.shape[1]:
            return
        self._done = None
        rows = slice(first, first + len(values))
        whole = np.ascontiguousarray(values, np.float64)
        low, high = whole.min(1), whole.max(1)  # NaN where a row holds one
        self._moments.add_block(number, whole, low, high, first)
        for k in np.flatnonzero(~(np.isfinite(low) & np.isfinite(high))):
            low[k], high[k] = self._unusual(first + int(k), whole[k])
        np.minimum(self._min[rows], low, out=self._min[rows])
        np.maximum(self._max[rows], high, out=self._max[rows])
        if self.exact:
            self._keep(number, values, first)
        else:
            self._count(whole, first)

    def _unusual(self, stream: int, values: Array) -> tuple[float, float]:
        """The extremes of a row with NaN or infinity, both of which are counted."""
        known = values[~np.isnan(values)]
        self.unknown[stream] += len(values) - len(known)
        self._infinite[0, stream] += np.count_nonzero(known == -np.inf)
        self._infinite[1, stream] += np.count_nonzero(known == np.inf)
        return known.min(initial=np.inf), known.max(initial=-np.inf)

    def _keep(self, number: int, values: Array, first: int) -> None:
        if number not in self._values:
            self._values[number] = np.empty((self.streams, values.shape[1]), values.dtype)
        self._values[number][first : first + len(values)] = values
        self._added[first : first + len(values)] += values.shape[1]

    def _count(self, values: Array, first: int) -> None:
        codes = buckets(values)
        least, greatest = codes.min(1).tolist(), codes.max(1).tolist()
        for k, row in enumerate(codes):
            if self.unknown[first + k]:
                row = row[~np.isnan(values[k])]
                if not len(row):
                    continue
                least[k], greatest[k] = int(row.min()), int(row.max())
            self._counts[first + k].add(row, least[k], greatest[k])

    def merge(self, other: "Distributions") -> None:
        """Add the blocks of another."""
        self._done = None
        self._moments.merge(other._moments)
        self._values |= other._values
        self._added += other._added
        for mine, counts in zip(self._counts, other._counts, strict=True):
            mine.merge(counts)
        self.unknown += other.unknown
        self._infinite += other._infinite
        np.minimum(self._min, other._min, out=self._min)
        np.maximum(self._max, other._max, out=self._max)

    def joined(self) -> "Distributions":
        """The numbers of all streams as one stream."""
        one = Distributions(1, self.streams * self.length, self._what, self._kept)
        one._moments = self._moments.joined()
        one.unknown[:], one._infinite[:] = self.unknown.sum(), self._infinite.sum(1)[:, None]
        one._min[:], one._max[:] = self._min.min(), self._max.max()
        one._added[:] = self._added.sum()
        for number, values in self._values.items():
            if one.exact:
                one._values[number] = values.reshape(1, -1)
            else:
                one._count(values.reshape(1, -1).astype(np.float64), 0)
        for counts in self._counts:
            one._counts[0].merge(counts)
        return one

    def statistics(self) -> Array:
        """``(streams, 7)`` in the order of `STATISTICS`; NaN where no number is known."""
        return np.column_stack([self.columns()[name] for name in STATISTICS])

    def columns(self) -> dict[str, Array]:
        """Columns `COLUMNS`, ``(streams,)``; NaN where no number is known."""
        below, above = self._infinite > 0
        mean = np.where(above, np.inf, np.where(below, -np.inf, self._moments.mean))
        none = self._min > self._max
        percentiles = self._percentiles()[0]
        return {
            "mean": np.where(below & above, np.nan, mean),
            "std": np.where(below | above, np.nan, self._moments.std),
            "min": np.where(none, np.nan, self._min),
            **{f"p{100 * q:.0f}": p for q, p in zip(QUANTILES, percentiles, strict=True)},
            "max": np.where(none, np.nan, self._max),
            "unknown": self.unknown,
        }

    def summary(self) -> dict[str, Any]:
        """``quantile_error``: the largest error of a percentile; see `quantile_error`."""
        return {"quantile_error": self.quantile_error}

    @property
    def quantile_error(self) -> float | None:
        """Bound on the error of percentiles, relative to the distance to the nearer of 0 and 1.

        0 where they are exact; None where one is next to 0 or beyond the largest number.
        """
        error = self._percentiles()[1].max(initial=0)
        return float(error) if np.isfinite(error) else None

    def _percentiles(self) -> tuple[Array, Array]:
        """``(3, streams)`` percentiles, and bounds on their errors."""
        if self._done is None:
            self._done = self._read_percentiles()
        return self._done

    def _read_percentiles(self) -> tuple[Array, Array]:
        percentiles = np.full((2, len(QUANTILES), self.streams), np.nan)
        percentiles[1] = 0
        for k in np.flatnonzero(self._min <= self._max).tolist():
            if self.exact:
                percentiles[0, :, k] = self._of_values(k)
            else:
                percentiles[..., k] = self._of_counts(k, self._counts[k])
        return percentiles[0], percentiles[1]

    def _of_values(self, k: int) -> list[float]:
        ordered = np.concatenate([block[k] for block in self._values.values()])
        if len(ordered) != self._added[k]:
            raise ValueError(f"stream {k} was not given its numbers of every block")
        between = _ranks(len(ordered) - int(self.unknown[k]))  # NaN is last
        ordered.partition([rank for low, high, _ in between for rank in (low, high)])
        return [_between(ordered[low], ordered[high], share) for low, high, share in between]

    def _of_counts(self, k: int, stream: Counts) -> Array:
        codes, counts = stream.ranks()
        ends = np.cumsum(counts)
        between = _ranks(int(ends[-1]))
        ranks = [rank for low, high, _ in between for rank in (low, high)]
        bins = ends.searchsorted(ranks, side="right")
        columns = (x[bins].tolist() for x in (codes, ends - counts, counts))
        extremes = float(self._min[k]), float(self._max[k])
        numbers = [
            _in_bucket(code, (rank - before + 0.5) / count, *extremes)
            for rank, code, before, count in zip(ranks, *columns, strict=True)
        ]
        percentiles = np.empty((2, len(QUANTILES)))
        for p, (_, _, share) in enumerate(between):
            (a, a_error), (b, b_error) = numbers[2 * p : 2 * p + 2]
            percentiles[:, p] = _between(a, b, share), max(a_error, b_error)
        return percentiles


def _in_bucket(bucket: int, share: float, least: float, greatest: float) -> tuple[float, float]:
    """The number at a share of the way through a bucket, and the relative width of the bucket.

    Args:
        bucket: its code.
        share: of the numbers in it that are less.
        least: of all numbers.
        greatest: of all numbers.
    """
    low, high = (min(max(edge, least), greatest) for edge in edges(bucket))
    nearest = min(abs(low), abs(high), abs(low - 1), abs(high - 1))
    width = high - low if high > low else 0.0
    error = width / nearest if nearest else inf if width else 0.0
    return _between(low, high, share), error


def largest_error(*parts: Distributions) -> float | None:
    """The largest ``quantile_error`` of several; None if that of one is not known."""
    errors = [part.quantile_error for part in parts]
    known = [error for error in errors if error is not None]
    return max(known) if len(known) == len(errors) else None


@lru_cache(maxsize=16)
def _ranks(n: int) -> list[tuple[int, int, float]]:
    """The two ranks between which a percentile of n numbers lies, and where (Hyndman & Fan, 7)."""
    exact = [q * (n - 1) for q in QUANTILES]
    return [(int(x), min(int(x) + 1, n - 1), x - int(x)) for x in exact]


def _between(low: float, high: float, share: float) -> float:
    """Linear between two numbers, which may be infinite, or farther apart than the largest."""
    if not share or low == high:
        return float(low)
    step = float(high) - float(low)
    if isfinite(step):
        return float(low) + share * step
    return float(low) * (1 - share) + float(high) * share
