"""Extremes and percentiles of many streams of numbers, in one pass.

Short streams are kept, and their percentiles are exact. A longer one becomes counts in buckets
(`birkhoff_cli.analyses.statistics.buckets`): count and extremes stay exact, and the buckets that a
percentile was read from bound its error. NaN stands for what is not known of a sample: it is left
out of every statistic, and counted.
"""

from functools import lru_cache
from typing import Any, Self

import numpy as np

from birkhoff_cli.analyses.core.arrays import Array
from birkhoff_cli.analyses.core.memory import require_memory
from birkhoff_cli.analyses.core.states import data
from birkhoff_cli.analyses.statistics.buckets import (
    Counts,
    buckets,
    buckets_of_float32,
    edges,
    is_narrow,
    range_of,
)
from birkhoff_cli.analyses.statistics.counting import count_rows

QUANTILES = (0.1, 0.5, 0.9)

MAX_KEPT = 10_240
"""Numbers of a stream that are kept: counts of them would take no less memory."""

MAX_BYTES = 2**29
"""Bytes that longer streams may be kept in, at most, where a caller asks for it."""

AT_ONCE = 16_384
"""Numbers that one vectorised step counts: with their buckets they fit a cache."""

WIDE = 512
"""Numbers in a row from which on the call of an inner loop does not count."""

COUNTED = 80_000
"""Bytes that the counts of a stream usually take."""


@data()
class Percentiles:
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
        self._added = np.zeros(streams, np.int64)
        self._values: dict[int, Array] = {}
        self._done: tuple[Array, Array] | None = None
        self._counts = [] if self.exact else [Counts(length) for _ in range(streams)]

    def add(self, number: int, values: Array, first: int = 0) -> None:
        """Add ``values[k]`` of a block to stream ``first + k``; NaN stands for what is not known.

        Args:
            number: of the block; a stream is given its numbers of a block at once, and blocks are
                not mixed.
            values: ``(streams, n)`` float64 or float32.
            first: the first stream that is given numbers.
        """
        if not values.size:
            return
        low, high = (_ends(values, end).astype(np.float64) for end in (np.minimum, np.maximum))
        self._take(number, values, low, high, first)

    def _take(self, number: int, values: Array, low: Array, high: Array, first: int) -> None:
        """Add values of which the extremes are known: NaN where a row holds one."""
        self._done = None
        rows = slice(first, first + len(values))
        for k in np.flatnonzero(~(np.isfinite(low) & np.isfinite(high))):
            low[k], high[k] = self._unusual(first + int(k), values[k])
        np.minimum(self._min[rows], low, out=self._min[rows])
        np.maximum(self._max[rows], high, out=self._max[rows])
        if self.exact:
            self._keep(number, values, first)
        else:
            self._count(values, low, high, first)

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

    def _count(self, values: Array, low: Array, high: Array, first: int) -> None:
        ends = np.stack([low, high])
        codes = buckets(ends)
        if is_narrow(values.T, low, high) and (codes[1] - codes[0]).sum() < values.size:
            self._count_together(values.T, codes, first)
        else:
            self._count_rows(values, ends, codes, first)

    def _count_rows(self, values: Array, ends: Array, codes: Array, first: int) -> None:
        """Rows of any numbers: several at a time, or one that holds what is not known."""
        counts = self._counts[first : first + len(values)]
        if not self.unknown[first : first + len(values)].any():
            count_rows(counts, np.ascontiguousarray(values, np.float64), ends, codes)
            return
        for k, row in enumerate(values):
            one, known = slice(k, k + 1), row[~np.isnan(row)].astype(np.float64)
            if len(known):
                count_rows(counts[one], known[None], ends[:, one], codes[:, one])

    def _count_together(self, values: Array, codes: Array, first: int) -> None:
        """All streams ``(n, streams)`` at once: of short rows the calls would cost most."""
        low, high = codes
        ends = (high - low + 1).cumsum()
        starts = ends - (high - low + 1)
        step = max(1, AT_ONCE // len(low)) * len(low)
        flat, shift = values.ravel(), np.tile(starts - low, step // len(low))
        index = np.empty(len(flat), np.intp)
        for k in range(0, len(flat), step):
            part = buckets_of_float32(flat[k : k + step])
            np.add(part, shift[: len(part)], out=index[k : k + step])
        counts = np.bincount(index, minlength=ends[-1])
        for k, both in enumerate(zip(low.tolist(), high.tolist(), strict=True)):
            self._counts[first + k].put(*both, counts[starts[k] : ends[k]])

    def merge(self, other: Self) -> None:
        """Add the blocks of another."""
        self._done = None
        self._values |= other._values
        self._added += other._added
        for mine, counts in zip(self._counts, other._counts, strict=True):
            mine.merge(counts)
        self.unknown += other.unknown
        self._infinite += other._infinite
        np.minimum(self._min, other._min, out=self._min)
        np.maximum(self._max, other._max, out=self._max)

    def joined(self) -> Self:
        """The numbers of all streams as one stream."""
        one = type(self)(1, self.streams * self.length, self._what, self._kept)
        one.unknown[:], one._infinite[:] = self.unknown.sum(), self._infinite.sum(1)[:, None]
        one._min[:], one._max[:] = self._min.min(), self._max.max()
        one._added[:] = self._added.sum()
        for number, values in self._values.items():
            if one.exact:
                one._values[number] = values.reshape(1, -1)
            else:
                numbers = values.ravel().astype(np.float64)
                numbers = numbers[~np.isnan(numbers)]
                if len(numbers):
                    one._counts[0].add(numbers, range_of(numbers))
        for counts in self._counts:
            one._counts[0].merge(counts)
        return one

    def columns(self) -> dict[str, Array]:
        """``min, p10, p50, p90, max, unknown``, ``(streams,)``; NaN where no number is known."""
        none = self._min > self._max
        percentiles = self._percentiles()[0]
        return {
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
        streams = np.flatnonzero(self._min <= self._max)
        if len(streams):
            find = self._of_values if self.exact else self._of_counts
            percentiles[..., streams] = find(streams)
        return percentiles[0], percentiles[1]

    def _of_values(self, streams: Array) -> Array:
        """Percentiles of some streams and bounds on their errors, ``(2, 3, len(streams))``."""
        number, share = np.empty((2, len(QUANTILES), len(streams))), np.empty((3, len(streams)))
        for at, k in enumerate(streams.tolist()):
            ordered = np.concatenate([block[k] for block in self._values.values()])
            if len(ordered) != self._added[k]:
                raise ValueError(f"stream {k} was not given its numbers of every block")
            low, high, share[:, at] = zip(*_ranks(len(ordered) - int(self.unknown[k])), strict=True)
            ordered.partition(low + high)  # NaN is last
            number[0, :, at], number[1, :, at] = ordered.take(low), ordered.take(high)
        percentiles = _between(number[0], number[1], share)
        return np.stack([percentiles, np.zeros_like(percentiles)])

    def _of_counts(self, streams: Array) -> Array:
        """The same of counts."""
        code, position, share = np.empty((3, 2, len(QUANTILES), len(streams)))
        for at, k in enumerate(streams.tolist()):
            counts = self._counts[k]
            low, high, share[:, :, at] = zip(*_ranks(counts.total), strict=True)
            bucket, within = counts.find(low + high)
            code[:, :, at], position[:, :, at] = bucket.reshape(2, -1), within.reshape(2, -1)
        extremes = self._min[streams], self._max[streams]
        number, error = _in_buckets(code.astype(np.int64), position, *extremes)
        return np.stack([_between(number[0], number[1], share[0]), error.max(0)])


def _ends(values: Array, end: np.ufunc) -> Array:
    """The least or the greatest number of every stream; NaN where it holds one."""
    across = values.T
    if not across.flags.c_contiguous or len(across) < 2:
        return end.reduce(values, axis=1)
    group = min(len(across), max(1, WIDE // len(values)))  # inner loops of few streams are short
    whole = len(across) - len(across) % group
    ends = end.reduce(across[:whole].reshape(-1, group * len(values)), axis=0)
    rest = np.concatenate([ends.reshape(group, -1), across[whole:]])
    return end.reduce(rest, axis=0)


def _in_buckets(bucket: Array, share: Array, least: Array, greatest: Array) -> tuple[Array, Array]:
    """Numbers at a share of the way through buckets, and the relative widths of the buckets.

    Args:
        bucket: their codes.
        share: of the numbers in each that are less.
        least: of all numbers of the stream.
        greatest: of all numbers of the stream.
    """
    low, high = (np.minimum(np.maximum(edge, least), greatest) for edge in edges(bucket))
    with np.errstate(all="ignore"):  # infinite edges
        nearest = np.minimum.reduce([abs(low), abs(high), abs(low - 1), abs(high - 1)])
        width = np.where(high > low, high - low, 0)
        error = np.where(width > 0, width / nearest, 0)
    return _between(low, high, share), error


@lru_cache(maxsize=16)
def _ranks(n: int) -> list[tuple[int, int, float]]:
    """The two ranks between which a percentile of n numbers lies, and where (Hyndman & Fan, 7)."""
    exact = [q * (n - 1) for q in QUANTILES]
    return [(int(x), min(int(x) + 1, n - 1), x - int(x)) for x in exact]


def _between(low: Array, high: Array, share: Array) -> Array:
    """Linear between two numbers, which may be infinite, or farther apart than the largest."""
    with np.errstate(over="ignore", invalid="ignore"):
        step = high - low
        linear = np.where(np.isfinite(step), low + share * step, low * (1 - share) + high * share)
    between: Array = np.where((share == 0) | (low == high), low, linear)
    return between
