"""Mean, deviation, extremes and percentiles of many streams of numbers, in one pass.

Up to `KEPT` numbers a stream is kept and its percentiles are exact. A longer one becomes counts in
buckets whose width grows with the distance to the nearer of 0 and 1, the two values that numbers
of mixing matrices gather at: mean, deviation and extremes stay exact, and a percentile is wrong
by at most `BUCKET` of that distance and the rounding of float32.
"""

import numpy as np

from birkhoff_cli.analyses.core.arrays import Array
from birkhoff_cli.analyses.core.memory import require_memory
from birkhoff_cli.analyses.core.table import column

BITS = 6
BUCKET = 2.0**-BITS
"""Width of a bucket, relative to the distance of its values to 0 or 1, whichever is nearer."""

SMALLEST, LARGEST = -30, 10
"""Powers of 2: distances below the first are one bucket, and so are those above the second."""

COLUMNS = (
    column("mean", "float64", "mean over samples (of sums: and rows or columns)", nullable=True),
    column("std", "float64", "standard deviation", nullable=True),
    column("min", "float64", "smallest value", nullable=True),
    column("p10", "float64", "10th percentile", nullable=True),
    column("p50", "float64", "median", nullable=True),
    column("p90", "float64", "90th percentile", nullable=True),
    column("max", "float64", "largest value", nullable=True),
)
STATISTICS = tuple(c.name for c in COLUMNS)
QUANTILES = (0.1, 0.5, 0.9)

SIDE = (LARGEST - SMALLEST) << BITS
"""Buckets on one side of 0 or of 1."""


KEPT = 4 * SIDE
"""Numbers of a stream that are kept: counting them would take no less memory."""

EXACT = 2**29
"""Bytes that longer streams may be kept in, at most, where a caller asks for it."""


class Distributions:
    """Streams of numbers of the same length, filled side by side.

    Attributes:
        streams: how many.
        length: numbers that each will get.
        exact: whether percentiles are exact.
    """

    def __init__(self, streams: int, length: int, what: str, kept: int = 0) -> None:
        """Room for the streams; longer ones are kept too if all take at most ``kept`` bytes.

        Raises:
            TooLarge: even counts do not fit in memory; ``what`` says what they were of.
        """
        self.streams, self.length = streams, length
        self._what, self._kept = what, kept
        self.exact = length <= KEPT or 8 * streams * length <= min(kept, EXACT)
        require_memory(8 * streams * (length if self.exact else 4 * SIDE), what)
        self._filled = np.zeros(streams, int)
        if self.exact:
            self._values = np.empty((streams, length))
            return
        self._counts = np.zeros((streams, 4 * SIDE), np.int64)
        self._centre = np.zeros(streams)
        self._sum, self._squares = np.zeros((2, streams))
        self._min, self._max = np.full(streams, np.inf), np.full(streams, -np.inf)

    def add(self, first: int, values: Array) -> None:
        """Append ``values[k]`` to stream ``first + k``; NaN stands for what is not defined.

        Args:
            first: the first stream that gets values.
            values: ``(streams, n)`` float64 or float32.
        """
        rows = slice(first, first + len(values))
        start = self._filled[first]
        self._filled[rows] += values.shape[1]
        if self.exact:
            self._values[rows, start : start + values.shape[1]] = values
        elif values.shape[1]:
            self._count(rows, values, start == 0)

    def _count(self, rows: slice, values: Array, new: bool) -> None:
        if new:
            self._centre[rows] = values[:, 0]
        low, high = values.min(1), values.max(1)
        np.minimum(self._min[rows], low, out=self._min[rows])
        np.maximum(self._max[rows], high, out=self._max[rows])
        moved = values - self._centre[rows, None]  # a centre among the values: no cancellation
        self._sum[rows] += moved.sum(1)
        self._squares[rows] += np.einsum("ij,ij->i", moved, moved)
        buckets = _buckets(values)
        least = buckets.min(1)
        buckets -= least[:, None]
        for counts, bucket, first in zip(self._counts[rows], buckets, least, strict=True):
            found = np.bincount(bucket)
            counts[first : first + len(found)] += found

    def joined(self) -> "Distributions":
        """The numbers of all streams as one."""
        one = Distributions(1, self.streams * self.length, self._what, self._kept)
        if self.exact:
            one.add(0, self._values.reshape(1, -1))
            return one
        moved = self._centre - self._centre[0]
        one._filled[0] = self._filled.sum()
        one._counts[0] = self._counts.sum(0)
        one._centre[0] = self._centre[0]
        one._sum[0] = (self._sum + self._filled * moved).sum()
        squares = self._squares + 2 * moved * self._sum + self._filled * moved**2
        one._squares[0] = squares.sum()
        one._min[0], one._max[0] = self._min.min(), self._max.max()
        return one

    def statistics(self) -> Array:
        """``(streams, 7)`` in the order of `STATISTICS`; NaN where nothing is defined."""
        with np.errstate(all="ignore"):
            return self._of_values() if self.exact else self._of_counts()

    def _of_values(self) -> Array:
        out = np.full((self.streams, len(STATISTICS)), np.nan)
        for row, values in zip(out, self._values, strict=True):
            if len(values) and not np.isnan(values.sum()):
                ordered = np.sort(values)
                percentiles = [_percentile(ordered, q) for q in QUANTILES]
                row[:] = values.mean(), values.std(), ordered[0], *percentiles, ordered[-1]
        return out

    def _of_counts(self) -> Array:
        mean = self._sum / self._filled
        variance = self._squares / self._filled - mean**2
        deviation = np.sqrt(np.maximum(variance, 0))
        quantiles = np.array([self._quantiles(k) for k in range(self.streams)]).T
        columns = (self._centre + mean, deviation, self._min, *quantiles, self._max)
        undefined = np.isnan(self._min)[:, None]
        return np.where(undefined, np.nan, np.stack(columns, axis=1))

    def _quantiles(self, k: int) -> list[float]:
        """Of one stream, linear between the edges of a bucket."""
        counts, total = self._counts[k], np.cumsum(self._counts[k])
        found = []
        for q in QUANTILES:
            rank = q * (total[-1] - 1)
            at = int(np.searchsorted(total, rank, side="right"))
            share = (rank - (total[at] - counts[at]) + 0.5) / counts[at]
            low, high = np.clip(_edges(at), self._min[k], self._max[k])
            found.append(low + (high - low) * share)
        return found


def _percentile(ordered: Array, q: float) -> float:
    """Linear interpolation between order statistics, as ``numpy.quantile``."""
    at = q * (len(ordered) - 1)
    low = int(at)
    high = min(low + 1, len(ordered) - 1)
    step = ordered[high] - ordered[low] if ordered[high] > ordered[low] else 0.0
    return float(ordered[low] + (at - low) * step)


def _buckets(values: Array) -> Array:
    """The number of each value's bucket, rising with the value: below 0, above, below 1, above.

    Exponent and leading bits of the distance, as they stand in a float32.
    """
    with np.errstate(over="ignore"):
        distance = values.astype(np.float32)
    block = (distance > 0.5).astype(np.int32)
    distance -= block.astype(np.float32)
    bits = distance.view(np.int32)
    bucket = bits & 0x7FFFFFFF
    bucket >>= 23 - BITS
    bucket -= (127 + SMALLEST) << BITS
    np.clip(bucket, 0, SIDE - 1, out=bucket)
    bits >>= 31
    bucket ^= bits  # -1 - bucket where negative
    block *= 2 * SIDE
    block += SIDE
    bucket += block
    return bucket


def _edges(bucket: int) -> tuple[float, float]:
    """The smallest and the largest value of a bucket."""
    one, side = divmod(bucket, 2 * SIDE)
    step = side - SIDE if side >= SIDE else SIDE - 1 - side
    near, far = _distance(step), _distance(step + 1)
    return (one + near, one + far) if side >= SIDE else (one - far, one - near)


def _distance(step: int) -> float:
    """Where bucket ``step`` begins, as a distance to 0 or 1."""
    if step in (0, SIDE):
        return np.inf if step else 0.0
    exponent, leading = divmod(step, 1 << BITS)
    return float(np.ldexp(1 + leading * BUCKET, exponent + SMALLEST))
