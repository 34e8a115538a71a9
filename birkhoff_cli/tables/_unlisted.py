"""Bytes of a file that its own list of contents leaves out: another file, of which nothing is read.

Of two files of one format, one behind the other, the last one's list is read, with places that are
those of the first.
"""

from collections.abc import Iterable, Iterator
from itertools import chain
from typing import BinaryIO

from birkhoff_cli.analyses.core.errors import BadInput
from birkhoff_cli.containers import where
from birkhoff_cli.containers.store import DAMAGED
from birkhoff_cli.content import Content

STEP = 1 << 20

Spans = Iterable[tuple[int, int]]
"""Beginning and end, each."""


def gaps(spans: Spans, start: int, stop: int) -> Iterator[tuple[int, int]]:
    """What spans leave out between two places."""
    for begin, end in chain(sorted(spans), [(stop, stop)]):
        if begin > start:
            yield start, min(begin, stop)
        start = max(start, end)


def check(content: Content, file: BinaryIO, left_out: Spans, magic: bytes) -> tuple[str, ...]:
    """Hold that what a list leaves out is no file of the same format; what is assumed of the rest.

    Zeros are how writers fill up blocks.

    Args:
        content: of the file.
        file: open.
        left_out: what the list does not explain.
        magic: how files of this format begin.

    Raises:
        BadInput: another file is in it.
    """
    others = 0
    for start, stop in left_out:
        before = b""
        for piece in _pieces(file, start, stop):
            if magic in before + piece:
                raise BadInput(
                    f"{where(content.label)}: holds more than one file, as if one was appended to "
                    f"another; {DAMAGED}"
                )
            before = piece[-len(magic) + 1 :]
            if piece.count(0) < len(piece):
                others += len(piece)
    if not others:
        return ()
    return (f"{others:,} bytes that the list of its contents leaves out are not meant to be read",)


def _pieces(file: BinaryIO, start: int, stop: int) -> Iterator[bytes]:
    file.seek(start)
    while start < stop and (piece := file.read(min(STEP, stop - start))):
        yield piece
        start += len(piece)
