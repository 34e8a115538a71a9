"""Tables of text in blocks of whole lines, so that no more than one of them is in memory as text.

A small table is kept as columns. Of a large one the columns without lists are kept, and where its
blocks are; a block is read again whenever somebody asks for its matrices.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import pyarrow as pa

from birkhoff_cli import extras
from birkhoff_cli.analyses.core.errors import BadInput, TooLarge
from birkhoff_cli.analyses.core.shortage import is_short_of_memory
from birkhoff_cli.containers import escape, where
from birkhoff_cli.content import Content
from birkhoff_cli.tables._columns import from_row, in_memory
from birkhoff_cli.tables._flat import list_depth
from birkhoff_cli.tables._format import Stored

MAX_WHOLE = 128 << 20
"""Bytes of text of which all columns are kept; they take about half as many."""

BLOCK = 16 << 20
MAX_LINE = 256 << 20
"""Bytes of a row in a file: a matrix of 3,500 x 3,500 as text."""

Parse = Callable[[bytes, Sequence[str]], pa.Table]
"""From whole lines and names of columns to these columns."""

COLUMN = re.compile(r"In CSV column #([0-9]+): ")
ROW = re.compile(r"Row #[0-9]+: | in row [0-9]+")
"""What Arrow says of a cell's place; rows are counted from the beginning of a block."""


class Place(NamedTuple):
    """A block of lines: where it begins, its bytes and its rows."""

    offset: int
    size: int
    rows: int


def blocks(content: Content, size: int = BLOCK, quoted: bool = False) -> Iterator[bytes]:
    """A text in blocks of about so many bytes, each of whole lines; only the last may lack its end.

    Args:
        content: of the text.
        size: bytes of a block.
        quoted: whether a line may end inside of quotes, where that is no end.

    Raises:
        TooLarge: a line is longer than rows are.
    """
    with content.open() as file:
        pending = b""
        while data := file.read(size):
            pending += data
            end = _end(pending, quoted)
            if end:
                yield pending[:end]
                pending = pending[end:]
            elif len(pending) > MAX_LINE:
                raise TooLarge(
                    f"{where(content.label)}: has a row of over {MAX_LINE >> 20} MB; save its "
                    f"matrices with numpy.save"
                )
    if pending:
        yield pending


def _end(lines: bytes, quoted: bool) -> int:
    """Behind the last line that is whole; 0 if none is."""
    end = lines.rfind(b"\n") + 1
    count = lines.count(b'"', 0, end) if quoted else 0
    while count % 2:  # then every end behind the last quote is inside of it
        before = lines.rfind(b"\n", 0, lines.rfind(b'"', 0, end)) + 1
        count -= lines.count(b'"', before, end)
        end = before
    return end


def stored(
    content: Content, every: Iterable[bytes], start: int, parse: Parse, names: Sequence[str]
) -> Stored:
    """A table whose rows are text.

    Args:
        content: of the text.
        every: blocks of lines, the first of which begins at ``start``.
        start: bytes before the rows.
        parse: reads columns of a block; all of them if no names are given.
        names: of all columns in the file.
    """

    def read(lines: bytes, needed: Sequence[str]) -> pa.Table:
        try:
            return parse(lines, needed)
        except pa.ArrowInvalid as error:
            if is_short_of_memory(error) or extras.of_import(error):
                raise
            raise BadInput(
                f"{where(content.label)}: has a row that cannot be read, {_reason(error, names)}; "
                f"write numbers as 0.25 and counts as 3, or copy a damaged file again"
            ) from error

    if content.size <= MAX_WHOLE:
        return in_memory(pa.concat_tables([read(block, ()) for block in every]), names)
    first = read(b"", ())
    small = [field.name for field in first.schema if not list_depth(field.type)]
    places, kept = [], [first.select(small)]
    for block in every:
        table = read(block, small or first.column_names[:1])
        places.append(Place(start, len(block), len(table)))
        kept.append(table.select(small))
        start += len(block)
    columns = pa.concat_tables(kept)

    def batches(names: list[str], rows: int, row: int = 0) -> Iterator[pa.RecordBatch]:
        if {*names} <= {*small}:  # they are asked for several times, and take little
            yield from columns.slice(row).select(names).to_batches(rows)
            return
        before = 0
        with content.open() as file:
            for place in places:
                if before + place.rows > row:
                    file.seek(place.offset)
                    table = read(file.read(place.size), names).select(names)
                    yield from from_row(table.to_batches(), max(0, row - before))
                before += place.rows

    count = sum(place.rows for place in places)
    return Stored(first.schema, count, content.size, batches, tuple(names))


def _reason(error: pa.ArrowInvalid, names: Sequence[str]) -> str:
    """What Arrow says of a row, with the name of the column in place of its number."""
    text = ROW.sub("", str(error))
    if match := COLUMN.match(text):
        text = f"in its column '{names[int(match[1])]}': {text[match.end() :]}"
    return escape(text, 120)


def options(data: bytes) -> dict[str, Any]:
    """Of a reader of pyarrow's: all lines at once, in this thread."""
    return {"use_threads": False, "block_size": max(1, len(data) + 1)}
