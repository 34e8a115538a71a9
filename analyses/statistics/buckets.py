"""Counts of the numbers of one stream in buckets as fine as the numbers are near to 0 or to 1.

Numbers of mixing matrices gather at 0 and at 1. A bucket is given by the sign, the exponent and
the leading bits of the distance to the nearer of the two, so that it is at most `WIDTH` of that
distance wide wherever the number lies, over the whole range of float64. Exactly 0 and exactly 1
have buckets of their own. Only the range of buckets that numbers were found in takes memory.
"""

from collections.abc import Sequence
from math import inf
from typing import Any, NamedTuple

import numpy as np

from birkhoff_cli.analyses.core.arrays import Array
from birkhoff_cli.analyses.core.states import data

BITS = 6
WIDTH = 2.0**-BITS
"""Width of a bucket, relative to the distance of its nearer edge to 0 or 1."""

SHIFT = 20 - BITS
"""Bits of the upper half of a float64 that a bucket does not look at."""
FIELD = (1 << (31 - SHIFT)) - 1
HALF = (1022 << BITS) + 1
"""The bucket that begins at 1/2, the last whose distances are to 0."""
LEAST = (1023 - 53) << BITS
"""Leading bits of 2^-53, the smallest distance to 1 of a float64 other than 1."""
INFINITY = 2047 << BITS
ONE = 2 * HALF - LEAST
"""The bucket of 1; every distance to it that is negative has a bucket above `HALF`."""

MAX_SHORT, MAX_LONG = 2**31 - 1, 2**63 - 1
"""Largest counts of 32 and of 64 bits."""

POINTS = {0: 0.0, HALF: 0.5, ONE: 1.0}
"""Buckets of one number."""

NARROW = (2.0**-126, 2.0)
"""Numbers that a float32 holds in full, and so their distances to 0 or 1."""
NARROW_SHIFT = 23 - BITS
"""Bits of a float32 that a bucket does not look at."""
NARROW_BIAS = (1023 - 127) << BITS
"""By how much leading bits of a float32 are less than those of the same float64."""


def buckets(values: Array, low: float = -inf, high: float = inf) -> Array:
    """The bucket of every number, int32: 0 for 0, `ONE` for 1, rising with the number.

    Args:
        values: ``(..., n)`` contiguous float64, none of them NaN.
        low: none is less; what is known of the range saves work.
        high: none is greater.
    """
    if low > 0.5:
        return _beside_one(values, low)
    if high <= 0.5:
        return _beside_zero(values, low)
    near_one = values > 0.5
    distance = values - near_one.astype(np.float64)
    distance += 0.0  # no negative zero
    code, sign = _leading(distance)
    anchor = near_one.astype(np.int32)
    code -= anchor * LEAST
    np.maximum(code, 0, out=code)  # 1 itself
    code ^= sign
    code += distance > 0
    anchor *= ONE
    code += anchor
    return code


def _beside_one(values: Array, low: float) -> Array:
    """Of numbers above 1/2, ``low`` the least."""
    distance = values - 1.0
    if low > 1:
        code = _upper(distance) >> SHIFT
        code += ONE + 1 - LEAST
        return code
    code, sign = _leading(distance)
    code -= LEAST - 1
    np.maximum(code, 0, out=code)  # 1 itself
    code ^= sign
    code -= sign
    code += ONE
    return code


def _beside_zero(values: Array, low: float) -> Array:
    """Of numbers up to 1/2, ``low`` the least."""
    if low > 0:
        code = _upper(values) >> SHIFT
        code += 1
        return code
    distance = values + 0.0  # no negative zero
    code, sign = _leading(distance)
    code ^= sign
    code += distance > 0
    return code


def _leading(distance: Array) -> tuple[Array, Array]:
    """Exponent and leading bits; 0, or -1 for what is negative: as a mask, x ^ -1 is -1 - x."""
    code = _upper(distance) >> SHIFT
    sign = code >> 31
    code &= FIELD
    return code, sign


def buckets_of_float32(values: Array) -> Array:
    """As `buckets`, of contiguous float32 within `NARROW`: half the bytes of a float64."""
    near_one = values > 0.5
    distance = values - near_one.view(np.int8)
    code = distance.view(np.int32) & 0x7FFFFFFF
    code >>= NARROW_SHIFT
    anchor = near_one.astype(np.int32)
    code += NARROW_BIAS
    code -= anchor * LEAST
    np.maximum(code, 0, out=code)  # 1 itself
    code ^= distance.view(np.int32) >> 31
    code += distance > 0
    anchor *= ONE
    code += anchor
    return code


def is_narrow(values: Array, low: Array, high: Array) -> bool:
    """Whether `buckets_of_float32` has numbers of these extremes."""
    is_float32 = values.dtype == np.float32 and values.flags.c_contiguous
    return bool(is_float32 and low.min() >= NARROW[0] and high.max() <= NARROW[1])


def _upper(distance: Array) -> Array:
    """The upper halves, int32."""
    if _BIG_ENDIAN:
        return (distance.view(np.int64) >> 32).astype(np.int32)
    return distance.view(np.int32)[..., 1::2]


def edges(bucket: Array) -> tuple[Array, Array]:
    """The smallest and the largest number that can be in each bucket."""
    code = np.asarray(bucket, np.int64)
    anchor = (code > HALF).astype(np.float64)
    least = np.where(code > HALF, LEAST, 0)
    code = np.where(code > HALF, code - ONE, code)
    near, far = (_numbers(np.abs(code) - 1 + least + k) for k in (0, 1))
    low = np.where(code > 0, anchor + near, anchor - far)
    high = np.where(code > 0, anchor + far, anchor - near)
    for point, number in POINTS.items():
        low, high = (np.where(bucket == point, number, edge) for edge in (low, high))
    return low, high


def _numbers(code: Array) -> Array:
    """The float64 with these leading bits, all others 0."""
    return (np.clip(code, 0, INFINITY) << (32 + SHIFT)).view(np.float64)


_BIG_ENDIAN = not np.little_endian


class Range(NamedTuple):
    """The least and the greatest of some numbers, and their buckets."""

    least: float
    greatest: float
    low: int
    high: int


def range_of(numbers: Array) -> Range:
    """Of numbers, none of them NaN."""
    ends = np.array([numbers.min(), numbers.max()])
    return Range(*ends.tolist(), *buckets(ends).tolist())


@data()
class Window:
    """Counts of buckets from the first to the last that was seen."""

    def __init__(self, kind: str) -> None:
        """Start empty, with whole numbers of a kind that hold every count there will be."""
        self.first, self.counts, self.kind = 0, np.zeros(0, kind), kind

    def __getstate__(self) -> dict[str, Any]:
        """For another process: whole numbers as short as they can be, an eighth of the bytes."""
        least = np.min_scalar_type(self.counts.max(initial=0))
        return {**vars(self), "counts": self.counts.astype(least)}

    def __setstate__(self, kept: dict[str, Any]) -> None:
        """As it was."""
        vars(self).update(kept, counts=kept["counts"].astype(kept["kind"]))

    def add(self, first: int, counts: Array) -> None:
        """Add the counts of buckets from ``first`` on."""
        if not len(counts):
            return
        at = first - self.first
        if 0 <= at <= len(self.counts) - len(counts):
            self.counts[at : at + len(counts)] += counts
            return
        low = min(self.first, first) if len(self.counts) else first
        high = max(self.first + len(self.counts), first + len(counts))
        if high - low > len(self.counts):
            wider = np.zeros(high - low, self.kind)
            wider[self.first - low : self.first - low + len(self.counts)] = self.counts
            self.first, self.counts = low, wider
        self.counts[first - self.first : first - self.first + len(counts)] += counts


@data()
class Counts:
    """Counts of the numbers of one stream."""

    def __init__(self, most: int = MAX_LONG) -> None:
        """Start empty, for so many numbers at most: half the memory where 32 bits hold that."""
        kind = "int32" if most <= MAX_SHORT else "int64"
        self.zeros = 0
        self.below, self.above = Window(kind), Window(kind)

    def add(self, numbers: Array, ends: Range) -> None:
        """Count numbers, contiguous float64 and none of them NaN."""
        low, high = ends.low, ends.high
        if low == high:
            self.put(low, high, np.full(1, len(numbers)))
            return
        codes = buckets(numbers, ends.least, ends.greatest)
        if low > 0 or high < 0:
            codes -= low
            self.put(low, high, np.bincount(codes))
        else:
            self._add_around_zero(codes, low)

    def put(self, low: int, high: int, counts: Array) -> None:
        """Counts of buckets on one side of 0, or of 0 alone."""
        if low == high == 0:
            self.zeros += int(counts[0])
        else:
            (self.below if high < 0 else self.above).add(low, counts)

    def _add_around_zero(self, codes: Array, low: int) -> None:
        size = np.abs(codes)
        if not (gap := int(size.min())):
            self.zeros += len(codes) - int(np.count_nonzero(codes))
            codes, size = codes[size > 0], size[size > 0]
            gap = int(size.min())
        start = min(low + gap - 1, 0)  # of the 130,000 buckets nearest to 0 those in use only
        counts = np.bincount(codes - ((codes >> 31) | 1) * (gap - 1) - start)
        self.below.add(low, counts[:-start])
        self.above.add(gap, counts[1 - start :])

    def merge(self, other: "Counts") -> None:
        """Add the counts of another stream, or of another range of this one."""
        self.zeros += other.zeros
        for mine, window in ((self.below, other.below), (self.above, other.above)):
            mine.add(window.first, window.counts)

    def find(self, ranks: Sequence[int]) -> tuple[Array, Array]:
        """For every rank the bucket of the number, and at which share of the bucket it lies."""
        below, above = self.below, self.above
        counts = np.concatenate([below.counts, (self.zeros,), above.counts])
        ends, zero = counts.cumsum(), len(below.counts)
        at = ends.searchsorted(ranks, side="right")
        if at.max() == len(ends):
            raise ValueError("a rank beyond the numbers")
        share = (np.asarray(ranks) - (ends[at] - counts[at]) + 0.5) / counts[at]
        first = np.where(at < zero, below.first, np.where(at > zero, above.first - zero - 1, -zero))
        return first + at, share

    @property
    def total(self) -> int:
        """How many numbers there are."""
        return self.zeros + int(self.below.counts.sum()) + int(self.above.counts.sum())
