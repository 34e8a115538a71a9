"""Tables that hold the matrices of one model at several training steps, one step at a time.

Every step is a trace of its own, and a command goes over all of them: so the table is opened once,
its rows are kept where they are few bytes, and where the rows of a step lie is found once.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple, TypeAlias

import numpy as np
import pyarrow as pa

from birkhoff_cli import deferred
from birkhoff_cli.content import Content
from birkhoff_cli.tables import _rows as rows
from birkhoff_cli.tables._columns import TYPES, from_row, gathered, in_memory
from birkhoff_cli.tables._format import Stored

ROWS = 1 << 16
"""Rows of the column of steps that are looked at together."""

KEPT = 64 << 20
"""Bytes of a table up to which its rows are kept in memory."""

Run: TypeAlias = tuple[int, int] | None
"""The first row of a step and how many there are; None where they do not lie together."""


class Several(NamedTuple):
    """A table of several steps.

    Attributes:
        table: all of it.
        runs: where the rows of every step are, by step, rising.
    """

    table: Stored
    runs: dict[int, Run]


def several(content: Content, read: Callable[[], Stored]) -> Several:
    """The table of a file, and the steps in it: for a command once.

    Args:
        content: of the file.
        read: reads the table.

    Raises:
        BadInput: as `read`, or a step is no whole number.
    """

    def find() -> Several:
        table = _kept(content, read())
        return Several(table, _runs(content.label, table))

    key = "several", content.label, content.state
    return deferred.once(key, find) if content.state else find()


def _kept(content: Content, table: Stored) -> Stored:
    """The same table, in memory if it is small."""
    if not 0 < table.size <= KEPT:
        return table
    names = [name for name in TYPES if name in table.schema.names]
    return in_memory(
        gathered(content, table.batches(names, ROWS), table.schema, names), table.names
    )


def _runs(label: Path, table: Stored) -> dict[int, Run]:
    runs: dict[int, Run] = {}
    before = 0
    for part in table.batches(["step"], ROWS):
        steps = np.asarray(rows.integers(label, part["step"], "step"))
        if not len(steps):
            continue
        if None in runs.values():  # in no order, as it seems: there may be as many runs as rows
            runs |= dict.fromkeys(np.unique(steps).tolist())
            continue
        edges = [0, *(np.flatnonzero(steps[1:] != steps[:-1]) + 1).tolist(), len(steps)]
        for start, stop in pairwise(edges):
            step, run = int(steps[start]), (before + start, stop - start)
            runs[step] = _joined(runs[step], run) if step in runs else run
        before += len(steps)
    return dict(sorted(runs.items()))


def _joined(run: Run, more: tuple[int, int]) -> Run:
    """Of the rows of both, if those of the second follow."""
    if run is None or sum(run) != more[0]:
        return None
    return run[0], run[1] + more[1]


def of_step(several: Several, step: int) -> Stored:
    """The rows of one step, without the column that says so."""
    table, run = several.table, several.runs[step]
    schema = table.schema.remove(table.schema.get_field_index("step"))
    if run is not None:
        return replace(table, schema=schema, rows=run[1], batches=_together(table, *run))
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
    return replace(table, schema=schema, rows=count, batches=batches)


def _together(table: Stored, start: int, length: int) -> Callable[..., Iterator[pa.RecordBatch]]:
    """Reads rows that lie together as if there were no others."""

    def batches(names: list[str], count: int, first: int = 0) -> Iterator[pa.RecordBatch]:
        left = length - first
        for batch in table.batches(names, count, start + first):
            yield batch.slice(0, left)
            if (left := left - len(batch)) <= 0:
                return

    return batches
