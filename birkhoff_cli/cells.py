"""The file of a finished cell of a sweep: its table, its rows and its headline numbers."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from birkhoff_cli import provenance, tables
from birkhoff_cli.analyses.core import metadata
from birkhoff_cli.analyses.core.errors import BadInput
from birkhoff_cli.containers import where

if TYPE_CHECKING:
    import pyarrow as pa


def read(path: Path) -> "pa.Table":
    """The table of a cell, which says itself that it is the one of this name.

    Raises:
        BadInput: another table, or one that was changed.
    """
    table, assumptions = tables.read(path)
    if assumptions or metadata.load(table.schema.metadata).get(provenance.CELL) != path.stem:
        raise BadInput(
            f"{where(path)}: is not the cell that the sweep wrote there; remove it, and run the "
            f"sweep again"
        )
    return table


def rows(table: "pa.Table", values: Mapping[str, Any]) -> Iterator[Any]:
    """A cell's rows as record batches, what was varied in front."""
    import pyarrow as pa

    for batch in table.combine_chunks().to_batches():
        front = [pa.array([value] * len(batch)) for value in values.values()]
        names = [*values, *batch.schema.names]
        yield pa.RecordBatch.from_arrays([*front, *batch.columns], names=names)


def numbers(summary: Mapping[str, Any]) -> dict[str, Any]:
    """Headline numbers of a cell in one row; of rows for several methods, each with its place."""
    flat: dict[str, Any] = {}
    for key, value in summary.items():
        if isinstance(value, list) and all(isinstance(row, Mapping) for row in value):
            for k, row in enumerate(value):
                flat |= {f"{key}_{k}_{name}": entry for name, entry in row.items()}
        else:
            flat[key] = value
    return flat
