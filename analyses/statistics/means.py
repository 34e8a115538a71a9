"""Means of many streams of numbers, over numbered blocks that are given some samples at a time.

What is added up is how far a number is from the first of its stream in the block, so that the mean
of numbers that are all alike is exact, and means of near neighbours are not apart by rounding.
"""

from typing import NamedTuple

import numpy as np

from birkhoff_cli.analyses.core.arrays import Array
from birkhoff_cli.analyses.core.states import data
from birkhoff_cli.analyses.statistics.tree import Tree

SCALE = 2.0**-20
"""Of sums: those of a block of the largest numbers are below the largest number."""


@data()
class Node(NamedTuple):
    """Means of some numbers of every stream, each ``(streams,)``."""

    count: Array
    mean: Array
    rest: Array
    """What the mean was rounded by."""


@data()
class Means(Tree[Node]):
    """Streams of finite numbers; what is NaN or infinite is left out."""

    def join(self, left: Node, right: Node) -> Node:
        """The means of the numbers of both."""
        count = left.count + right.count
        apart = (right.mean - left.mean) + (right.rest - left.rest)
        rest = left.rest + apart * (right.count / np.maximum(count, 1))
        return _rounded(count, left.mean, rest)

    @property
    def count(self) -> Array:
        """How many numbers each stream has, ``(streams,)``."""
        total = self.total()
        return np.zeros(0) if total is None else total.count

    @property
    def mean(self) -> Array:
        """``(streams,)``; NaN where there is no number."""
        total = self.total()
        if total is None:
            return np.zeros(0)
        return np.where(total.count > 0, total.mean, np.nan)


class BlockMeans:
    """The means of one block, of several numbers at every site."""

    def __init__(self, sites: int) -> None:
        """Start empty."""
        self.sites = sites
        self._first: Array | None = None

    def add(self, values: Array) -> None:
        """Add samples: ``(numbers, samples * sites)``, those of a sample side by side.

        No later call has more of them than the first.
        """
        size = values.shape[1]
        if self._first is None:
            first = values[:, : self.sites]
            self._first = np.tile(np.where(np.isfinite(first), first, 0), size // self.sites)
            self._sums, self._count = np.zeros((2, *first.shape))
        with np.errstate(over="ignore", invalid="ignore"):
            apart = values - self._first[:, :size]
            sums = over_samples(apart, self.sites)
        self._count += size // self.sites
        if np.isfinite(sums).all():
            self._sums += sums * SCALE
        else:
            known = np.isfinite(apart)
            self._count -= over_samples((~known).astype(float), self.sites)
            self._sums += over_samples(np.where(known, apart, 0) * SCALE, self.sites)

    def node(self) -> Node:
        """For `Means`: streams are the numbers at every site, number by number."""
        assert self._first is not None
        rest = self._sums / (np.maximum(self._count, 1) * SCALE)
        parts = (self._count, self._first[:, : self.sites], rest)
        return _rounded(*(part.ravel() for part in parts))


def over_samples(values: Array, sites: int) -> Array:
    """Sums over samples, ``(numbers, sites)`` of ``(numbers, samples * sites)`` float64."""
    samples = values.shape[1] // sites
    sums: Array = np.ones(samples) @ values.reshape(len(values), samples, sites)
    return sums


def _rounded(count: Array, mean: Array, rest: Array) -> Node:
    """With the rest, which is smaller than the mean, added to it."""
    total = mean + rest
    return Node(count, total, rest - (total - mean))
