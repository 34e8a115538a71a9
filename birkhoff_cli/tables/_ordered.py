"""A table whose rows are in order of sample, then site, becomes a trace that is read in blocks.

The columns that say where a matrix belongs are a small part of a file: they are read once, first,
and every sample is held to the first one. The matrices are read whenever somebody asks. A table in
another order is read whole and sorted.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from birkhoff_cli.analyses.core.array_trace import real
from birkhoff_cli.analyses.core.arrays import regrouped
from birkhoff_cli.analyses.core.errors import TooLarge
from birkhoff_cli.analyses.core.trace import MixingTrace
from birkhoff_cli.containers import where
from birkhoff_cli.containers.store import refusing
from birkhoff_cli.content import COPIES, Content
from birkhoff_cli.tables import _rows as rows
from birkhoff_cli.tables._columns import gathered, trace_columns
from birkhoff_cli.tables._doubts import Samples, doubted
from birkhoff_cli.tables._flat import list_sizes
from birkhoff_cli.tables._format import Stored

ROWS = 1 << 16
"""Rows of the small columns that are looked at together."""

FIRST_ROWS = 1 << 12
"""Rows that are looked at together for the first sample: few, of which the text is read sooner."""

NOWHERE = pa.table({"site": [0]})
"""The first sample of a table that says nothing but matrices."""


def trace(
    content: Content, table: Stored, facts: dict[str, Any], what: str = "order"
) -> MixingTrace:
    """The trace of columns ``matrix`` and, where there, ``sample, site, layer, branch``.

    Args:
        content: of the file.
        table: in it.
        facts: provenance for the trace's ``meta``.
        what: another word for every table of the file.

    Raises:
        BadInput: as `rows.trace`; what is wrong with a later matrix is found by the iteration.
        TooLarge: not in order, and too large to be sorted in memory.
    """
    label = content.label
    *columns, matrix = trace_columns(label, table)
    rows.refuse_empty(label, table.rows)
    if "step" in columns:
        columns.remove("step")
        rows.refuse_steps(label, table.batches(["step"], ROWS))
    first = _first_sample(label, table, columns) if columns else NOWHERE
    row, missing = None, None
    if columns:
        row, missing = content.once(what, lambda: _misplaced(label, table, columns, first))
    if row is not None:
        together = _whole(content, table, [*columns, matrix], row)
        whole, numbers = rows.trace(label, together, facts)
        missing = _missing(label, together)
        return replace(whole, meta=doubted(content, whole.meta, numbers, whole.sites, missing))
    sites = rows.sites(label, first, np.arange(len(first))[None])
    facts = doubted(content, facts, rows.numbers_of(label, first), sites, missing)
    head = _head(label, table, matrix, len(sites))
    return MixingTrace(
        d=head.shape[-1],
        samples=table.rows // len(sites),
        sites=sites,
        source=where(label),
        reader=_reader(label, table, len(sites), head.shape[-1]),
        dtype=head.dtype,
        meta=facts,
    )


def _reader(
    label: Path, table: Stored, sites: int, d: int
) -> Callable[[int, int], Iterator[NDArray[Any]]]:
    """From a number of samples and the first one to blocks ``(sample, site, d, d)`` of so many."""

    def read(block: int, first: int) -> Iterator[NDArray[Any]]:
        size = block * sites
        with refusing(label):
            columns = (batch["matrix"] for batch in table.batches(["matrix"], size, first * sites))
            parts = (rows.matrices(label, column, d) for column in columns)
            for part in regrouped(parts, size):
                yield real(part).reshape(-1, sites, d, d)

    return read


def _head(label: Path, table: Stored, matrix: str, count: int) -> NDArray[Any]:
    """Some matrices, of whose sizes and type all others are to be; none if the column says them."""
    type_ = table.schema.field(matrix).type
    is_known = len(list_sizes(type_)) == 2
    column = pa.array([], type_) if is_known else next(table.batches([matrix], count))[matrix]
    head: NDArray[Any] = real(rows.matrices(label, column))
    return head


def _first_sample(label: Path, table: Stored, columns: list[str]) -> pa.Table:
    """Where the matrices of the first sample belong."""
    batches = []
    for piece in _pieces(label, table, columns, FIRST_ROWS):
        batches.append(piece)
        first_rows = pa.Table.from_batches(batches)
        if (count := _length(label, first_rows)) < len(first_rows):
            break
    return first_rows.slice(0, count)


def _length(label: Path, table: pa.Table) -> int:
    """Rows of the first sample; without sites every row is one, without samples all are."""
    if "site" not in table.column_names:
        return 1
    if "sample" not in table.column_names:
        return len(table)
    sample = rows.integers(label, table["sample"], "sample")
    others = np.flatnonzero(sample != sample[0])
    return int(others[0]) if len(others) else len(table)


def _missing(label: Path, table: pa.Table) -> int | None:
    """The number of a sample that a table leaves out; None if it has all, or has no numbers."""
    samples = Samples()
    if "sample" in table.column_names:
        samples.add(np.unique(rows.integers(label, table["sample"], "sample")))
    return samples.missing


def _misplaced(
    label: Path, table: Stored, columns: list[str], first: pa.Table
) -> tuple[int | None, int | None]:
    """Roughly the first row that is not the next in order, and the number of a missing sample.

    None for a row if all of them are in order, for a sample if none is missing.

    Raises:
        BadInput: in order, but the last sample is not complete.
    """
    if "site" in columns and not _rises(rows.integers(label, first["site"], "site")):
        return 0, None
    count, start, last, samples = len(first), 0, None, Samples()
    alike = [name for name in columns if name != "sample"]
    longest = min(ROWS, table.rows) + count
    cycle = first
    while len(cycle) < longest:  # `take` would import pyarrow.compute, which costs 0.1 s
        cycle = pa.concat_tables([cycle, cycle]).combine_chunks()
    for piece in _pieces(label, table, columns):
        turn = start % count
        for name in alike:
            if not cycle[name].chunk(0).slice(turn, len(piece)).equals(piece[name]):
                return start, None
        if "sample" in columns:
            sample = rows.integers(label, piece["sample"], "sample")
            if not _in_turn(sample, last, turn, count):
                return start, None
            last = sample[-1:]
            samples.add(sample[-turn % count :: count])
        start += len(piece)
    if start % count:
        raise rows.incomplete(label, start, -(-start // count), count)
    return None, samples.missing


def _rises(values: NDArray[np.int64]) -> bool:
    return bool((values[1:] > values[:-1]).all())


def _in_turn(
    sample: NDArray[np.int64], last: NDArray[np.int64] | None, turn: int, count: int
) -> bool:
    """Whether the number of the sample rises where ``count`` rows are complete, and only there."""
    before = np.concatenate([sample[:1] if last is None else last, sample[:-1]])
    rises = np.zeros(len(sample), bool)
    rises[-turn % count :: count] = True
    if last is None:
        rises[0] = False
    return bool(((sample > before) == rises).all() and (sample >= before).all())


def _pieces(
    label: Path, table: Stored, names: list[str], most: int = ROWS
) -> Iterator[pa.RecordBatch]:
    """Batches of at most so many rows; words as words, however they are stored."""
    for batch in table.batches(names, most):
        for start in range(0, len(batch), most):
            piece = batch.slice(start, most)
            if "branch" in names:
                at = names.index("branch")
                piece = piece.set_column(at, "branch", rows.texts_of(label, piece["branch"]))
            yield piece


def _whole(content: Content, table: Stored, names: list[str], row: int) -> pa.Table:
    try:
        content.require_room(COPIES * table.size)
        return gathered(content, table.batches(names, ROWS), table.schema, names)
    except TooLarge as error:
        raise TooLarge(
            f"{where(content.label)}: is not in order of sample, then site, from about row "
            f"{row:,} on, and is too large to sort in memory; sort it on disk, in DuckDB: "
            f"copy (from 'trace.parquet' order by sample, site) to 'sorted.parquet'"
        ) from error
