"""Counts of the numbers of one stream in buckets as fine as the numbers are near to 0 or to 1.

Numbers of mixing matrices gather at 0 and at 1. A bucket is given by the sign, the exponent and
the leading bits of the distance to the nearer of the two, so that it is at most `WIDTH` of that
distance wide wherever the number lies, over the whole range of float64. Exactly 0 and exactly 1
have buckets of their own. Only the range of buckets that numbers were found in takes memory.
"""

import struct
from typing import Any

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

POINTS = {0: 0.0, HALF: 0.5, ONE: 1.0}
"""Buckets of one number."""


def buckets(values: Array) -> Array:
    """The bucket of every number, int32: 0 for 0, `ONE` for 1, rising with the number.

    Args:
        values: ``(..., n)`` contiguous float64, none of them NaN.
    """
    near_one = values > 0.5
    distance = values - near_one
    distance += 0.0  # no negative zero
    upper = distance.view(np.int64) >> 32 if _BIG_ENDIAN else distance.view(np.int32)[..., 1::2]
    code = upper.astype(np.int32) >> SHIFT if _BIG_ENDIAN else upper >> SHIFT
    sign = code >> 31  # 0, or -1: as a mask, x ^ sign is -1 - x
    code &= FIELD
    anchor = near_one.astype(np.int32)
    code -= anchor * LEAST
    np.maximum(code, 0, out=code)  # 1 itself
    code ^= sign
    code += distance > 0
    anchor *= ONE
    code += anchor
    return code


def edges(bucket: int) -> tuple[float, float]:
    """The smallest and the largest number that can be in a bucket."""
    if bucket in POINTS:
        return POINTS[bucket], POINTS[bucket]
    anchor, least, code = (1.0, LEAST, bucket - ONE) if bucket > HALF else (0.0, 0, bucket)
    near, far = (_number(min(abs(code) - 1 + least + k, INFINITY)) for k in (0, 1))
    return (anchor + near, anchor + far) if code > 0 else (anchor - far, anchor - near)


def _number(code: int) -> float:
    """The float64 with these leading bits, all others 0."""
    number: float = struct.unpack("<d", struct.pack("<q", code << (32 + SHIFT)))[0]
    return number


_BIG_ENDIAN = not np.little_endian


@data()
class Window:
    """Counts of buckets from the first to the last that was seen."""

    def __init__(self) -> None:
        """Start empty."""
        self.first, self.counts = 0, np.zeros(0, np.int64)

    def __getstate__(self) -> dict[str, Array | int]:
        """For another process: whole numbers as short as they can be, an eighth of the bytes."""
        kind = np.min_scalar_type(self.counts.max(initial=0))
        return {"first": self.first, "counts": self.counts.astype(kind)}

    def __setstate__(self, kept: dict[str, Any]) -> None:
        """As it was."""
        self.first, self.counts = kept["first"], kept["counts"].astype(np.int64)

    def add(self, first: int, counts: Array) -> None:
        """Add the counts of buckets from ``first`` on."""
        if not len(counts):
            return
        low = min(self.first, first) if len(self.counts) else first
        high = max(self.first + len(self.counts), first + len(counts))
        if high - low > len(self.counts):
            wider = np.zeros(high - low, np.int64)
            wider[self.first - low : self.first - low + len(self.counts)] = self.counts
            self.first, self.counts = low, wider
        self.counts[first - self.first : first - self.first + len(counts)] += counts


@data()
class Counts:
    """Counts of the numbers of one stream."""

    def __init__(self) -> None:
        """Start empty."""
        self.zeros = 0
        self.below, self.above = Window(), Window()

    def add(self, codes: Array, low: int, high: int) -> None:
        """Count numbers, given their buckets and the least and the greatest of these."""
        if low > 0 or high < 0:
            window = self.below if high < 0 else self.above
            window.add(low, np.bincount(codes - low))
            return
        size = np.abs(codes)
        if not (gap := int(size.min())):
            self.zeros += len(codes) - int(np.count_nonzero(codes))
            codes, size = codes[size > 0], size[size > 0]
            if not len(codes):
                return
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

    def ranks(self) -> tuple[Array, Array]:
        """The buckets that hold numbers, rising, and how many each holds."""
        windows = [(w.first, w.counts) for w in (self.below, self.above)]
        windows.insert(1, (0, np.array([self.zeros])))
        filled = [(first, counts, np.flatnonzero(counts)) for first, counts in windows]
        codes = [first + where for first, _, where in filled]
        return np.concatenate(codes), np.concatenate([c[where] for _, c, where in filled])
