"""One JSON object per row and line; a number that JSON cannot hold becomes null."""

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from birkhoff_cli.analyses.core.errors import BadInput
from birkhoff_cli.analyses.core.trace import MixingTrace
from birkhoff_cli.containers import where
from birkhoff_cli.content import Content
from birkhoff_cli.tables import _monitor
from birkhoff_cli.tables._format import COMPLETE, Footer, Stored, TableFormat
from birkhoff_cli.text import finite

if TYPE_CHECKING:
    import pyarrow as pa

BEGINS = rb'\{[ \t]*"[^"\n]*"[ \t]*:'
"""An object that begins in the first line."""

MATRIX = re.compile(rb'\{[^\n]*?"\s*matrix\s*"\s*:\s*\[', re.IGNORECASE)
MAX_BLOCK = (1 << 31) - 1
"""Bytes that pyarrow parses at a time, at most."""


class Ndjson(TableFormat):
    """Text that is read whole; types are guessed where nobody knows them."""

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
        import pyarrow as pa
        import pyarrow.json

        from birkhoff_cli.tables._columns import in_memory, refuse_repeats

        label, data = content.label, content.whole()
        names = _keys(data)
        schema = None if types is None else {n: types[n] for n in names if n in types}
        refuse_repeats(label, [n for n in names if schema is not None and n in schema])
        _refuse_late(label, data, [n for n in types or () if n not in names])
        table = pa.json.read_json(
            pa.BufferReader(data),
            read_options=pa.json.ReadOptions(
                use_threads=False, block_size=min(len(data) + 1, MAX_BLOCK)
            ),
            parse_options=pa.json.ParseOptions(
                explicit_schema=None if schema is None else pa.schema(list(schema.items())),
                unexpected_field_behavior="infer" if schema is None else "ignore",
            ),
        )
        return in_memory(table, names)

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


def _refuse_late(label: Path, data: bytes, absent: list[str]) -> None:
    """Hold that no later row has one of the columns that the first row does not have.

    Raises:
        BadInput: one has: it would be left out in silence.
    """
    rest = data.find(b"\n")
    for name in absent:
        key = f'"{name}"'.encode()
        if data.find(key, rest) >= 0 and re.search(key + rb"\s*:", data[rest:]):
            raise BadInput(
                f"{where(label)}: has a column '{name}' in a later row and not in the first; "
                f"write the table again"
            )


def _keys(data: bytes) -> list[str]:
    """Keys of the first row, a repeated one as often as it is there."""
    keys: list[list[str]] = []

    def note(pairs: list[tuple[str, object]]) -> None:
        keys.append([key for key, _ in pairs])

    json.loads(data.partition(b"\n")[0], object_pairs_hook=note)
    return keys[-1]  # the outermost object ends last
