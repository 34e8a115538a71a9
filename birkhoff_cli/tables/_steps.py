"""Tables that hold the matrices of one model at several training steps, one step at a time."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa

from birkhoff_cli.tables import _rows as rows
from birkhoff_cli.tables._columns import from_row
from birkhoff_cli.tables._format import Stored

ROWS = 1 << 16
"""Rows of the column of steps that are looked at together."""


def steps(label: Path, table: Stored) -> tuple[int, ...]:
    """Every training step once, rising."""
    parts = table.batches(["step"], ROWS)
    known = {int(step) for part in parts for step in np.unique(_numbers(label, part["step"]))}
    return tuple(sorted(known))


def _numbers(label: Path, column: pa.Array) -> np.ndarray:
    return np.asarray(rows.integers(label, column, "step"))


def of_step(table: Stored, step: int) -> Stored:
    """The rows of one step, without the column that says so."""
    import pyarrow.compute as pc  # 0.1 s, and tables of one model need none of it

    def own(names: list[str], count: int) -> Iterator[pa.RecordBatch]:
        for batch in table.batches([*names, "step"], count):
            rows = batch.filter(pc.equal(batch["step"], step))
            if len(rows):
                yield rows.select(names)

    def batches(names: list[str], count: int, first: int = 0) -> Iterator[pa.RecordBatch]:
        return from_row(own(names, count), first)

    every = table.batches(["step"], ROWS)
    count = sum(pc.sum(pc.equal(part["step"], step)).as_py() or 0 for part in every)
    schema = table.schema.remove(table.schema.get_field_index("step"))
    return replace(table, schema=schema, rows=count, batches=batches)
