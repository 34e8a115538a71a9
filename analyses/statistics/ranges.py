"""Least and greatest values of many streams of numbers."""

import numpy as np

from birkhoff_cli.analyses.core.arrays import Array
from birkhoff_cli.analyses.core.states import data


@data()
class Ranges:
    """Streams of numbers, none of them NaN.

    Attributes:
        low: the least of every stream, ``(streams,)``; infinity before the first value.
        high: the greatest, minus infinity before the first value.
    """

    def __init__(self, streams: int) -> None:
        """Start with empty streams."""
        self.low, self.high = np.full(streams, np.inf), np.full(streams, -np.inf)

    def add(self, number: int, values: Array) -> None:
        """Add values ``(streams, n)`` of a block."""
        self.add_block(number, values.min(1), values.max(1))

    def add_block(self, number: int, low: Array, high: Array) -> None:
        """The same of values whose extremes are known."""
        del number  # the order of blocks does not matter
        np.minimum(self.low, low, out=self.low)
        np.maximum(self.high, high, out=self.high)

    def merge(self, other: "Ranges") -> None:
        """Add the values of another."""
        self.add_block(0, other.low, other.high)
