"""Stretches of bytes: which of a file are known, which are missing, which travel together."""

from bisect import bisect_right, insort
from collections.abc import Iterable, Iterator

Span = tuple[int, int]
"""From the first byte to the one behind the last."""

GAP = 64 << 10
"""Bytes between two spans that cost less to read than a request of their own."""

LARGEST = 8 << 20
"""Bytes of one request: more are several requests, side by side."""


def merge(spans: Iterable[Span], gap: int = GAP) -> list[Span]:
    """Spans in order, those with at most ``gap`` bytes between them as one; empty ones left out."""
    merged: list[Span] = []
    for start, stop in sorted(span for span in spans if span[0] < span[1]):
        if merged and start <= merged[-1][1] + gap:
            merged[-1] = (merged[-1][0], max(stop, merged[-1][1]))
        else:
            merged.append((start, stop))
    return merged


def cut(span: Span, largest: int = LARGEST) -> Iterator[Span]:
    """A span as pieces of at most ``largest`` bytes, in order."""
    start, stop = span
    while start < stop:
        yield start, min(start + largest, stop)
        start += largest


class Known:
    """Spans of one file that have been read, and where each is kept."""

    def __init__(self) -> None:
        """Start with none."""
        self._spans: list[tuple[int, int, int]] = []

    def find(self, position: int) -> tuple[int, int] | None:
        """Where the byte at a position is kept, and how many bytes behind it, itself counted.

        None if it is not known: a byte that was not read is never a zero.
        """
        index = bisect_right(self._spans, position, key=lambda span: span[0]) - 1
        if index < 0 or self._spans[index][1] <= position:
            return None
        start, stop, offset = self._spans[index]
        return offset + position - start, stop - position

    def missing(self, start: int, stop: int) -> list[Span]:
        """What is not known of a span, in order."""
        gaps = []
        while start < stop:
            if known := self.find(start):
                start += known[1]
                continue
            index = bisect_right(self._spans, start, key=lambda span: span[0])
            end = min(stop, self._spans[index][0]) if index < len(self._spans) else stop
            gaps.append((start, end))
            start = end
        return gaps

    def add(self, start: int, stop: int, offset: int) -> None:
        """Take in a span of which nothing was known."""
        insort(self._spans, (start, stop, offset))
