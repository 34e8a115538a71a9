"""Parquet that comes through a pipe: pages, each of which says how many bytes follow its header.

Behind the last page there are indexes, filters and the footer, whose sizes only the footer says.

Source: Apache Parquet, parquet.thrift, PageHeader.
"""

from pathlib import Path

from birkhoff_cli.analyses.core.errors import BadInput
from birkhoff_cli.containers import where
from birkhoff_cli.containers.store import DAMAGED
from birkhoff_cli.tables._footer import I32, MAX_FOOTER, STRUCT, Reader
from birkhoff_cli.tables._incoming import Incoming

PAGE_TYPE, UNFOLDED, STORED = 1, 2, 3
"""Fields of a page's header: its type, and its bytes after decompression and as they are."""

KINDS = (5, 6, 7, 8)
"""Fields that say what is in the page: one of them is there."""

MAX_HEADER = 1 << 20
"""Bytes of a page's header, which may hold the least and the largest value."""


class Pages(Incoming):
    """Pages with what follows them.

    Args:
        label: of the pipe.
        start: where the first one begins.
    """

    def __init__(self, label: Path, start: int) -> None:
        """The next header is that of the first page."""
        super().__init__(label)
        self._start = self._next = start
        self._pending, self._goes_on = bytearray(), True

    def take(self, data: bytes) -> None:
        """Follow the pages; what is behind the last one is held to end.

        Raises:
            BadInput: no page, and more bytes than the footer of an empty table has.
            TooLarge: so many bytes behind the last page that no index of it can be meant.
        """
        start, self.size = self.size, self.size + len(data)
        if self._goes_on:
            self._pending += data[max(0, self._next - start) :]
            while self._pending and self._follow():
                pass
        behind = 0 if self._goes_on else self.size - self._next
        if behind > MAX_FOOTER:
            if self._next == self._start:
                raise BadInput(f"{where(self.label)}: begins as Parquet and has no page; {DAMAGED}")
            self.require_end(behind)

    def _follow(self) -> bool:
        """Go to the next page, if the header that is next has come whole and is one."""
        size = page_size(self._pending)
        if size is None:
            if len(self._pending) > MAX_HEADER:
                self._goes_on = False
                self._pending.clear()
            return False
        del self._pending[:size]
        self._next += size
        self.whole = self._next
        return True


def page_size(data: bytes | bytearray) -> int | None:
    """Bytes of the page that begins here, with its header; None if that is none, or is cut."""
    reader, numbers, kinds = Reader(bytes(data[:MAX_HEADER])), {}, 0
    try:
        for number, type_ in reader.fields():
            if number in (PAGE_TYPE, UNFOLDED, STORED) and type_ == I32:
                numbers[number] = reader.integer()
            else:
                kinds += number in KINDS and type_ == STRUCT
                reader.skip(type_)
    except ValueError:
        return None
    if len(numbers) < 3 or min(numbers.values()) < 0 or kinds != 1:
        return None
    return reader.position + numbers[STORED]
