"""Mean and standard deviation of many streams of numbers, over numbered blocks.

A block gives its count, mean and sum of squared deviations; two blocks are joined by the formula
of Chan, Golub & LeVeque, in which nothing cancels. Sums of squares carry a power of 4 of their
own, so that numbers near 1e-300 or 1e300 neither underflow nor overflow.

Source: Chan, Golub & LeVeque, Am. Stat. 37 (1983) 242-247.
"""

from typing import NamedTuple

import numpy as np

from birkhoff_cli.analyses.core.arrays import Array
from birkhoff_cli.analyses.core.states import data
from birkhoff_cli.analyses.statistics.tree import Tree

SAFE = 400
"""Numbers of at most 2^SAFE and at least 2^-SAFE have squares that a float64 holds in full."""


@data()
class Node(NamedTuple):
    """Moments of some numbers of every stream, each ``(streams,)``."""

    count: Array
    mean: Array
    rest: Array
    """What the mean was rounded by: means of near neighbours must not be apart by rounding."""
    squares: Array
    """Sum of squared deviations from the mean, over ``4^exponent``."""
    exponent: Array


@data()
class _Nodes(Tree[Node]):
    """Moments that are joined."""

    def join(self, left: Node, right: Node) -> Node:
        return join(left, right)


@data()
class Moments:
    """Streams of finite numbers; what is NaN or infinite is left out."""

    def __init__(self, streams: int) -> None:
        """Start with empty streams."""
        self.streams = streams
        self._tree = _Nodes()
        self._open: tuple[int, Node] | None = None

    def add(self, number: int, values: Array, first: int = 0) -> None:
        """Add ``values[k]`` of a block to stream ``first + k``.

        Args:
            number: of the block; a stream is given its numbers of a block at once, and blocks are
                not mixed.
            values: ``(streams, n)``.
            first: the first stream that is given numbers.
        """
        if values.shape[1]:
            whole = np.ascontiguousarray(values, np.float64)
            self.add_block(number, whole, whole.min(1), whole.max(1), first)

    def add_block(
        self, number: int, values: Array, low: Array, high: Array, first: int = 0
    ) -> None:
        """The same of contiguous float64, where the extremes of every row are known."""
        if self._open is None or self._open[0] != number:
            self._close()
            self._open = number, _empty(self.streams)
        for whole, part in zip(self._open[1], measure(values, low, high), strict=True):
            whole[first : first + len(values)] = part

    def _close(self) -> None:
        if self._open is not None:
            self._tree.add(*self._open)
            self._open = None

    def merge(self, other: "Moments") -> None:
        """Add the blocks of another."""
        self._close()
        other._close()
        self._tree.merge(other._tree)

    def joined(self) -> "Moments":
        """The numbers of all streams as one stream, as a single block."""
        one, node = Moments(1), self.total()
        while len(node.count) > 1:  # a binary tree over the streams
            half = len(node.count) // 2
            left, right = (Node(*(x[k::2][:half] for x in node)) for k in (0, 1))
            last = [x[2 * half :] for x in node]
            joined = zip(join(left, right), last, strict=True)
            node = Node(*(np.concatenate(pair) for pair in joined))
        one._tree.add(0, node)
        return one

    def total(self) -> Node:
        """The moments of all blocks."""
        self._close()
        return self._tree.total() or _empty(self.streams)

    @property
    def count(self) -> Array:
        """How many numbers each stream has, ``(streams,)``."""
        return self.total().count.astype(np.int64)

    @property
    def mean(self) -> Array:
        """``(streams,)``; NaN where there is no number."""
        node = self.total()
        return np.where(node.count > 0, node.mean, np.nan)

    @property
    def std(self) -> Array:
        """Standard deviation ``(streams,)``, over n; NaN where there is no number."""
        node = self.total()
        with np.errstate(invalid="ignore"):
            return np.ldexp(np.sqrt(node.squares / node.count), node.exponent)


def _empty(streams: int) -> Node:
    count, mean, rest, squares = np.zeros((4, streams))
    return Node(count, mean, rest, squares, np.zeros(streams, np.int32))


def measure(values: Array, low: Array, high: Array) -> Node:
    """The moments of the finite numbers of ``(streams, n)`` contiguous float64.

    Args:
        values: the numbers.
        low: the least of every row, NaN if the row holds one.
        high: the greatest, likewise.
    """
    if (np.isfinite(low) & np.isfinite(high)).all():
        return _measure(values, low, high)
    rows = [row[np.isfinite(row)][None] for row in values]
    parts = [_measure(r, r.min(1), r.max(1)) if r.size else _empty(1) for r in rows]
    return Node(*map(np.concatenate, zip(*parts, strict=True)))


def _measure(values: Array, low: Array, high: Array) -> Node:
    streams, n = values.shape
    exponent = np.zeros(streams, np.int32)
    size = np.maximum(-low, high)
    rough = (size > 0) & ((size < 2.0**-SAFE) | (size > 2.0**SAFE))
    if rough.any():
        exponent[rough] = np.frexp(size[rough])[1]
        values = np.ldexp(values, -exponent[:, None])
        low, high = np.ldexp(low, -exponent), np.ldexp(high, -exponent)
    mean = np.clip(values.sum(1) / n, low, high)  # exact where all numbers are alike
    apart = values - mean[:, None]
    rest = apart.sum(1) / n
    squares = np.maximum(np.einsum("ij,ij->i", apart, apart) - n * rest * rest, 0)
    mean, rest = (np.ldexp(x, exponent) for x in _rounded(mean, rest))
    return Node(np.full(streams, float(n)), mean, rest, squares, exponent)


def _rounded(mean: Array, rest: Array) -> tuple[Array, Array]:
    """Their sum, and what it was rounded by; ``rest`` is the smaller one."""
    total = mean + rest
    return total, rest - (total - mean)


def join(a: Node, b: Node) -> Node:
    """The moments of the numbers of both."""
    count = a.count + b.count
    share = b.count / np.maximum(count, 1)
    scale = np.frexp(np.maximum(np.abs(a.mean), np.abs(b.mean)))[1]
    (left, more), (right, most) = ((np.ldexp(x, -scale) for x in n[1:3]) for n in (a, b))
    apart = np.where((a.count > 0) & (b.count > 0), (right - left) + (most - more), 0)
    between = apart * apart * a.count * share
    squares, exponent = _sum((a.squares, a.exponent), (b.squares, b.exponent), (between, scale))
    left, more = (np.where(a.count > 0, *pair) for pair in ((left, right), (more, most)))
    mean, rest = _rounded(left, more + apart * share)
    return Node(count, np.ldexp(mean, scale), np.ldexp(rest, scale), squares, exponent)


def _sum(*terms: tuple[Array, Array]) -> tuple[Array, Array]:
    """The sum of ``x 4^e`` over terms ``(x, e)``, as such a term itself."""
    least = np.iinfo(np.int32).min
    exponents = [np.where(x > 0, e + np.frexp(x)[1] // 2, least) for x, e in terms]
    common = np.maximum.reduce(exponents)
    common = np.where(common > least, common, 0)
    parts = [np.ldexp(x, np.maximum(2 * (e - common), -4096)) for x, e in terms]
    return parts[0] + parts[1] + parts[2], common
