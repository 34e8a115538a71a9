"""CSV with a header; lists of one length become a column per entry, ``matrix_0_0`` and on.

A list of any length is one cell, its values with spaces between: ``1 0 2 3``.
"""

import csv
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from birkhoff_cli.analyses.core.errors import BadInput, UsageError
from birkhoff_cli.containers import where
from birkhoff_cli.containers.store import INCOMPLETE
from birkhoff_cli.content import Content
from birkhoff_cli.tables._format import COMPLETE, Footer, Stored, TableFormat

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

BEGINS = rb'(?:\xef\xbb\xbf)?\s*"?[A-Za-z_][\w .-]*"?\s*[,\r\n]'
BOM = b"\xef\xbb\xbf"
NAME = re.compile(rb'\s*("?)[A-Za-z_][\w .-]*\1\s*')
MATRIX = re.compile(rb'\s*"?\s*matrix', re.IGNORECASE)
BLOCK = 16 << 20
COLUMN_BYTES = 700
"""Of a block for every column: to begin with one costs as much as to read so many bytes."""

TOGETHER = 10_000
"""Columns that are read at once: pyarrow takes 9 kB for each, however few rows there are."""

_NUMBER = rb"-?[0-9]++(?:\.[0-9]++)?+(?:[eE][-+]?[0-9]++)?+"
NUMBERS = re.compile(_NUMBER + b"(?:," + _NUMBER + b")*+")
"""Numbers that every program reads alike."""


class Csv(TableFormat):
    """Text in blocks of lines; types are guessed where nobody knows them."""

    suffixes = (".csv",)
    binary = False

    def recognises(self, head: bytes) -> bool:
        """By a first line of names: several, or one that is quoted or a matrix's entry."""
        names, _ = _header(head)
        if not names or not all(map(NAME.fullmatch, names)):
            return False
        return len(names) > 1 or names[0].startswith(b'"') or MATRIX.match(names[0]) is not None

    def may_hold_matrices(self, head: bytes, path: Path | None) -> bool:
        """Whether a column is called like an entry, or more columns follow."""
        del path
        names, complete = _header(head)
        return not complete or any(map(MATRIX.match, names))

    def assumptions(self, content: Content) -> tuple[str, ...]:
        """That no row is missing."""
        del content
        return (COMPLETE,)

    def has_steps(self, content: Content) -> bool:
        """By the first line."""
        return b"step" in (name.strip(b'"') for name in _header(content.head())[0])

    def read(self, content: Content, types: "Mapping[str, pa.DataType] | None" = None) -> Stored:
        """The entries of a square matrix are one column."""
        from birkhoff_cli.tables._text import blocks, stored

        label = content.label
        names, start = _first_line(content)
        chosen = None if types is None else _columns(label, names, types)
        size = max(content.size, 1) if chosen is None else max(BLOCK, COLUMN_BYTES * len(chosen))

        def rows() -> Iterator[bytes]:
            left, block = start, b"\n"
            for block in blocks(content, size, quoted=True):
                yield block[left:]
                left = 0
            if not block.endswith(b"\n"):
                raise BadInput(f"{where(label)}: ends inside a line; {INCOMPLETE}")

        def parse(lines: bytes, needed: Sequence[str]) -> "pa.Table":
            return _parse(lines, names, chosen, needed)

        return stored(content, rows(), start, parse, names)

    def write(
        self,
        batches: "Iterable[pa.RecordBatch]",
        schema: "pa.Schema",
        sink: BinaryIO,
        footer: Footer,
    ) -> None:
        """Every cell as it is; text is quoted.

        Raises:
            UsageError: a column of lists of lists of different lengths.
        """
        import pyarrow as pa
        import pyarrow.csv

        from birkhoff_cli.tables._flat import flatten, list_depth, list_sizes, spelled
        from birkhoff_cli.tables._groups import row_groups
        from birkhoff_cli.tables._sink import Sink

        del footer
        for field in schema:
            if list_depth(field.type) > max(1, len(list_sizes(field.type))):
                raise UsageError(
                    f"csv has no lists of lists such as {field.name}; write parquet or ndjson"
                )
        flat = flatten(spelled(pa.Table.from_batches([], schema))).schema
        with pa.csv.CSVWriter(Sink(sink), flat) as writer:
            for group in row_groups(batches, schema):
                writer.write_table(flatten(spelled(group)))


def _header(head: bytes) -> tuple[list[bytes], bool]:
    """Names in the first line as far as they are complete, and whether these are all."""
    line, newline, _ = head.removeprefix(BOM).partition(b"\n")
    names = line.removesuffix(b"\r").split(b",")
    return (names, True) if newline else (names[:-1], False)


def _first_line(content: Content) -> tuple[list[str], int]:
    """Names of all columns, and where the rows begin."""
    from birkhoff_cli.tables._text import MAX_LINE

    with content.open() as file:
        line = file.readline(MAX_LINE)
    if not line.endswith(b"\n"):
        raise BadInput(f"{where(content.label)}: ends inside a line; {INCOMPLETE}")
    return next(csv.reader([line.removeprefix(BOM).decode("utf-8")])), len(line)


def _parse(
    lines: bytes,
    names: Sequence[str],
    types: "Mapping[str, pa.DataType] | None",
    needed: Sequence[str],
) -> "pa.Table":
    """Columns of some rows, the entries of a matrix as one.

    Args:
        lines: whole ones.
        names: of all columns.
        types: of those that are read; of all if not given, as their values look.
        needed: columns of the result that are needed; all if none are named.
    """
    import pyarrow as pa
    import pyarrow.csv

    from birkhoff_cli.tables._flat import matrix_of, nest
    from birkhoff_cli.tables._text import options

    def read(columns: Sequence[str] = ()) -> "pa.Table":
        chosen = {name: types[name] for name in columns} if types else {}
        return pa.csv.read_csv(
            pa.BufferReader(lines),
            read_options=pa.csv.ReadOptions(column_names=names, **options(lines)),
            convert_options=pa.csv.ConvertOptions(
                column_types=chosen, include_columns=list(columns)
            ),
        )

    own = [n for n in types or names if not needed or n in needed or matrix_of(n) in needed]
    if not lines.strip():
        empty = {name: pa.array([], types[name] if types else pa.null()) for name in own}
        return nest([pa.table(empty)], own)
    if types is None:
        return nest([read()], names)
    plain = {} if len(own) <= TOGETHER else _plain_matrices(lines, names, own)
    rest = [name for name in own if matrix_of(name) not in plain]
    slabs = (rest[k : k + TOGETHER] for k in range(0, len(rest), TOGETHER))
    return nest(map(read, slabs), own, plain)


def _plain_matrices(
    lines: bytes, names: Sequence[str], own: Sequence[str]
) -> "dict[str, NDArray[Any]]":
    """Entries ``(rows, entries)`` of matrices of many columns; none where they are not plain.

    They stand side by side in their order, and each is a number as our files have it. Whatever is
    not so is left to Arrow, which takes 30 times as long for rows of so many columns.
    """
    import numpy as np

    from birkhoff_cli.tables._flat import entries_of, matrix_of

    matrices: dict[str, NDArray[Any]] = {}
    for matrix in dict.fromkeys(filter(None, map(matrix_of, own))):
        entries = entries_of(matrix, own)
        first = names.index(entries[0]) if entries else 0
        if not entries or names[first : first + len(entries)] != entries:
            continue
        rows = []
        for line in filter(None, (line.rstrip(b"\r") for line in lines.split(b"\n"))):
            cells = line.split(b",")
            text = b",".join(cells[first : first + len(entries)])
            if len(cells) != len(names) or not NUMBERS.fullmatch(text):
                break
            rows.append(np.fromstring(text, sep=","))
        else:
            matrices[matrix] = np.stack(rows)
    return matrices


def _columns(
    label: Path, names: list[str], types: "Mapping[str, pa.DataType]"
) -> "dict[str, pa.DataType]":
    """Which columns to convert, and to what.

    Raises:
        BadInput: a column twice, or entries that are not those of one square matrix.
    """
    from birkhoff_cli.tables._columns import refuse_near, refuse_repeats
    from birkhoff_cli.tables._flat import entries_of, leaf, list_depth, matrix_of

    refuse_near(label, names)
    chosen: dict[str, pa.DataType] = {}
    for name, type_ in types.items():
        if not list_depth(type_):
            chosen |= {name: type_} if name in names else {}
        elif own := [n for n in names if matrix_of(n) == name]:
            if (entries := entries_of(name, own)) is None:
                raise BadInput(
                    f"{where(label)}: its {len(own)} columns {name}_i_j are not the entries of "
                    f"one square matrix, each once; write it again with -o"
                )
            chosen |= dict.fromkeys(entries, leaf(type_))
        elif name in names:
            raise BadInput(
                f"{where(label)}: its column '{name}' is one cell of each row; give every entry a "
                f"column, {name}_0_0, {name}_0_1 and on, or write parquet or ndjson"
            )
    refuse_repeats(label, [name for name in names if name in chosen])
    return chosen
