"""One JSON object per row and line; a number that JSON cannot hold becomes null."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from birkhoff_cli.analyses.core.trace import MixingTrace
from birkhoff_cli.content import Content
from birkhoff_cli.tables import _monitor
from birkhoff_cli.tables._format import COMPLETE, Footer, Stored, TableFormat
from birkhoff_cli.text import finite

if TYPE_CHECKING:
    import pyarrow as pa

BEGINS = rb'\{[ \t]*"[^"\n]*"[ \t]*:'
"""An object that begins in the first line."""

MATRIX = re.compile(rb'\{[^\n]*?"\s*matrix\s*"\s*:\s*\[', re.IGNORECASE)
BLOCK = 16 << 20
"""Bytes that are parsed at a time."""


class Ndjson(TableFormat):
    """Text in blocks of lines; types are guessed where nobody knows them."""

    suffixes = (".ndjson", ".jsonl")
    binary = False

    def recognises(self, head: bytes) -> bool:
        """By an object that begins in the first line."""
        return re.match(BEGINS, head) is not None

    def may_hold_matrices(self, head: bytes, path: Path | None) -> bool:
        """Whether the first row has a list called like a matrix, or is of a monitor's log."""
        del path
        return _monitor.is_log(head) or MATRIX.match(head) is not None

    def assumptions(self, content: Content) -> tuple[str, ...]:
        """That no row is missing; a monitor's log goes on as long as the run."""
        if _monitor.is_log(content.head()):
            return ()
        return (COMPLETE,)

    def has_steps(self, content: Content) -> bool:
        """By the first row, as far as it is at the beginning."""
        if _monitor.is_log(content.head()):
            return False  # they are steps of one run, read at once
        return b'"step":' in content.head().partition(b"\n")[0].replace(b" ", b"")

    def trace(self, content: Content, facts: dict[str, Any]) -> MixingTrace:
        """The matrices, or what a monitor measured in their place."""
        if _monitor.is_log(content.head()):
            return _monitor.trace(content, facts)
        return super().trace(content, facts)

    def read(self, content: Content, types: "Mapping[str, pa.DataType] | None" = None) -> Stored:
        """A column that the first row does not have is not there."""
        from birkhoff_cli.tables._columns import refuse_repeats
        from birkhoff_cli.tables._keys import Keys
        from birkhoff_cli.tables._text import blocks, stored

        label = content.label
        names = _first_keys(content)
        schema = None if types is None else {n: types[n] for n in names if n in types}
        refuse_repeats(label, [n for n in names if schema is not None and n in schema])
        keys = None if types is None else Keys(label, names, types)

        def rows() -> Iterator[bytes]:
            for block in blocks(content, BLOCK if keys else max(content.size, 1)):
                if keys is not None:
                    keys.check(block)
                yield block

        def parse(lines: bytes, needed: Sequence[str]) -> "pa.Table":
            own = schema if schema is None or not needed else {n: schema[n] for n in needed}
            return _parse(lines, own)

        return stored(content, rows(), 0, parse, names)

    def write(
        self,
        batches: "Iterable[pa.RecordBatch]",
        schema: "pa.Schema",
        sink: BinaryIO,
        footer: Footer,
    ) -> None:
        """Every row as it comes."""
        del schema, footer
        for batch in batches:
            for row in batch.to_pylist():
                sink.write(json.dumps(finite(row), ensure_ascii=False).encode() + b"\n")


def _parse(lines: bytes, schema: "Mapping[str, pa.DataType] | None") -> "pa.Table":
    """Columns of some rows; all of them, of types as their values look, without a schema."""
    import pyarrow as pa
    import pyarrow.json

    from birkhoff_cli.tables._text import options

    if schema is not None and not lines.strip():
        return pa.schema(list(schema.items())).empty_table()
    return pa.json.read_json(
        pa.BufferReader(lines),
        read_options=pa.json.ReadOptions(**options(lines)),
        parse_options=pa.json.ParseOptions(
            explicit_schema=None if schema is None else pa.schema(list(schema.items())),
            unexpected_field_behavior="infer" if schema is None else "ignore",
        ),
    )


def _first_keys(content: Content) -> list[str]:
    """Keys of the first row, a repeated one as often as it is there."""
    from birkhoff_cli.tables._keys import keys_of
    from birkhoff_cli.tables._text import MAX_LINE

    with content.open() as file:
        return keys_of(file.readline(MAX_LINE))
