"""The first rows of a table as text, kept while all of them go by."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from birkhoff_cli.text import word

if TYPE_CHECKING:
    import pyarrow as pa

MAX_ROWS = 40
"""Rows that are shown."""

MAX_SIDE = 16
"""Side up to which a matrix is written out, and length of a vector."""


class Preview:
    """The first `MAX_ROWS` rows.

    Attributes:
        headings: names of the columns.
        cells: a list of texts for every row.
        more: rows that are not shown.
    """

    def __init__(self) -> None:
        """Start without rows."""
        self.headings: list[str] = []
        self.cells: list[list[str]] = []
        self.more = 0

    def watch(self, batches: "Iterator[pa.RecordBatch]") -> "Iterator[pa.RecordBatch]":
        """The same batches, whose first rows are kept."""
        for batch in batches:
            self.headings = batch.schema.names
            first = batch.slice(0, MAX_ROWS - len(self.cells))
            self.cells += [[_cell(value) for value in row.values()] for row in first.to_pylist()]
            self.more += len(batch) - len(first)
            yield batch


def _cell(value: Any) -> str:
    """A value; a matrix as a line for each of its rows."""
    if not isinstance(value, list):
        return word(value)
    if len(value) > MAX_SIDE:
        return f"{len(value)} values"
    if value and isinstance(value[0], list):
        return "\n".join(_vector(row) for row in value)
    return _vector(value)


def _vector(values: list[Any]) -> str:
    return " ".join(f"{value:.3g}" if isinstance(value, float) else str(value) for value in values)
