"""Means of numbers that are known by their logarithms, which float64 may not hold themselves."""

from typing import NamedTuple

import numpy as np

from birkhoff_cli.analyses.core.arrays import Array
from birkhoff_cli.analyses.core.states import data
from birkhoff_cli.analyses.statistics.tree import Tree


@data()
class Sums(NamedTuple):
    """Sums of ``exp(log - largest)``, each ``(streams,)``."""

    largest: Array
    total: Array
    count: Array


@data()
class _Nodes(Tree[Sums]):
    """Sums that are joined."""

    def join(self, left: Sums, right: Sums) -> Sums:
        return join(left, right)


@data()
class LogMeans:
    """Streams of logarithms, filled side by side in numbered blocks; NaN is left out."""

    def __init__(self, streams: int) -> None:
        """Start with empty streams."""
        self.streams = streams
        self._tree = _Nodes()
        self._open: tuple[int, Sums] | None = None

    def add(self, number: int, logs: Array, first: int = 0) -> None:
        """Add ``logs[k]`` of a block to stream ``first + k``; NaN stands for what is not known.

        Args:
            number: of the block; a stream is given its numbers of a block at once, and blocks are
                not mixed.
            logs: ``(streams, n)``.
            first: the first stream that is given numbers.
        """
        if self._open is None or self._open[0] != number:
            self._close()
            self._open = number, _empty(self.streams)
        for whole, part in zip(self._open[1], _sums(logs), strict=True):
            whole[first : first + len(logs)] = part

    def _close(self) -> None:
        if self._open is not None:
            self._tree.add(*self._open)
            self._open = None

    def merge(self, other: "LogMeans") -> None:
        """Add the blocks of another."""
        self._close()
        other._close()
        self._tree.merge(other._tree)

    @property
    def logs(self) -> Array:
        """The logarithm of the mean of every stream, ``(streams,)``; NaN without a number."""
        self._close()
        sums = self._tree.total() or _empty(self.streams)
        with np.errstate(divide="ignore", invalid="ignore"):
            return sums.largest + np.log(sums.total / sums.count)


def _empty(streams: int) -> Sums:
    return Sums(np.full(streams, -np.inf), np.zeros(streams), np.zeros(streams))


def _sums(logs: Array) -> Sums:
    known = ~np.isnan(logs)
    largest = np.where(known, logs, -np.inf).max(1, initial=-np.inf)
    with np.errstate(invalid="ignore"):  # what is infinite is the largest itself, and counts as 1
        powers = np.exp(np.where(logs == largest[:, None], 0, logs - largest[:, None]))
    return Sums(largest, np.where(known, powers, 0).sum(1), known.sum(1))


def join(a: Sums, b: Sums) -> Sums:
    """The sums of the numbers of both."""
    largest = np.maximum(a.largest, b.largest)
    with np.errstate(invalid="ignore"):
        shares = [np.where(x.largest == largest, 0, x.largest - largest) for x in (a, b)]
    total = a.total * np.exp(shares[0]) + b.total * np.exp(shares[1])
    return Sums(largest, total, a.count + b.count)
