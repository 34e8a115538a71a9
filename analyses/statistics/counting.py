"""Counts of many short streams at once: a call of numpy for each would cost more than its numbers.

Streams that lie side by side mostly hold numbers of one kind and size, so that one table of counts
has room for several of them.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from birkhoff_cli.analyses.core.arrays import Array
from birkhoff_cli.analyses.statistics.buckets import Counts, Range, buckets

MAX_TOGETHER = 1 << 14
"""Numbers that are counted together: they and what is made of them stay in cache."""

MAX_EMPTY = 8
"""Buckets for each number of a stream, at most: most of them would be empty."""


def count_rows(counts: Sequence[Counts], values: Array, ends: Array, codes: Array) -> None:
    """Add every row of numbers to its counts.

    Args:
        counts: of every row.
        values: ``(rows, n)`` contiguous float64, none of them NaN.
        ends: the least and the greatest of every row, ``(2, rows)``.
        codes: their buckets.
    """
    low, high = codes.tolist()
    for rows in _groups(low, high, values.shape[1]):
        some = counts[rows], values[rows], ends[:, rows], codes[:, rows]
        if len(some[0]) == 1 or not _count_together(*some):
            both = *ends[:, rows].tolist(), *codes[:, rows].tolist()
            for one, row, *extremes in zip(*some[:2], *both, strict=True):
                one.add(row, Range(*extremes))


def _groups(low: list[int], high: list[int], n: int) -> Iterator[slice]:
    """Rows that may be counted together, by the first and the last bucket of every row."""
    start, most = 0, max(1, MAX_TOGETHER // n)
    for k in range(1, len(low) + 1):
        if (
            k == len(low)
            or k - start == most
            or min(low[start], low[k]) < 0
            or (low[start] == 0) != (low[k] == 0)
            or abs(high[start] - high[k]) > MAX_EMPTY * n
        ):
            yield slice(start, k)
            start = k


def _count_together(counts: Sequence[Counts], values: Array, ends: Array, codes: Array) -> bool:
    """Count rows of numbers of at least 0, all with zeros or none; False if their range is wide.

    Column 0 of the table is for zeros, from which on many buckets are empty.
    """
    low, high = codes
    with_zeros = not low[0]
    each = buckets(values, ends.min(), ends.max())
    before = _least(each) - 1 if with_zeros else int(low.min()) - 1
    width = max(int(high.max()) - before, 1) + 1
    if width > MAX_EMPTY * values.shape[1]:
        return False
    each -= before
    if with_zeros:
        np.maximum(each, 0, out=each)
    each += np.arange(0, len(each) * width, width, dtype=np.int32)[:, None]
    table = np.bincount(each.ravel(), minlength=len(each) * width).reshape(-1, width)
    first = (table[:, 1:] > 0).argmax(1) + 1 if with_zeros else low - before
    stop = np.maximum(high - before, 0) + 1
    for one, row, *span in zip(counts, table, first.tolist(), stop.tolist(), strict=True):
        one.zeros += int(row[0])
        one.above.add(before + span[0], row[slice(*span)])  # nothing if all are zeros
    return True


def _least(codes: Array) -> int:
    """The first bucket but that of 0; 1 if there is no other."""
    before = (codes - 1).view(np.uint32).min()  # as an unsigned number -1 is the largest
    return (int(before) + 1) % 2**32 or 1
