"""CSV with a header; lists of one length become a column per entry, ``matrix_0_0`` and on.

A list of any length is one cell, its values with spaces between: ``1 0 2 3``.
"""

import csv
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from birkhoff_cli.analyses.core.errors import BadInput, UsageError
from birkhoff_cli.containers import where
from birkhoff_cli.containers.store import INCOMPLETE
from birkhoff_cli.content import Content
from birkhoff_cli.tables._format import COMPLETE, Footer, Stored, TableFormat

if TYPE_CHECKING:
    import pyarrow as pa

BEGINS = rb'(?:\xef\xbb\xbf)?\s*"?[A-Za-z_][\w .-]*"?\s*[,\r\n]'
BOM = b"\xef\xbb\xbf"
NAME = re.compile(rb'\s*("?)[A-Za-z_][\w .-]*\1\s*')
MATRIX = re.compile(rb'\s*"?\s*matrix', re.IGNORECASE)
MAX_BLOCK = (1 << 31) - 1
"""Bytes that pyarrow parses at a time, at most."""


class Csv(TableFormat):
    """Text that is read whole; types are guessed where nobody knows them."""

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
        import pyarrow as pa
        import pyarrow.csv

        from birkhoff_cli.tables._columns import in_memory
        from birkhoff_cli.tables._flat import nest

        label, data = content.label, content.whole()
        if not data.endswith(b"\n"):
            raise BadInput(f"{where(label)}: ends inside a line; {INCOMPLETE}")
        line, _, _ = data.removeprefix(BOM).partition(b"\n")
        names = next(csv.reader([line.decode("utf-8")]))
        options = {} if types is None else _columns(label, names, types)
        table = pa.csv.read_csv(
            pa.BufferReader(data),
            read_options=pa.csv.ReadOptions(
                use_threads=False, block_size=min(len(data) + 1, MAX_BLOCK)
            ),
            convert_options=pa.csv.ConvertOptions(**options),
        )
        return in_memory(nest(table), names)

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


def _columns(
    label: Path, names: list[str], types: "Mapping[str, pa.DataType]"
) -> dict[str, object]:
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
    refuse_repeats(label, [name for name in names if name in chosen])
    return {"column_types": chosen, "include_columns": list(chosen)}
