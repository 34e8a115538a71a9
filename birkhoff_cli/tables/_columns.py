"""The columns of a trace: their names and types, checked before they are used."""

import difflib
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path

import numpy as np
import pyarrow as pa

from birkhoff_cli.analyses.core.errors import BadInput
from birkhoff_cli.containers import escape, where
from birkhoff_cli.containers.store import DAMAGED
from birkhoff_cli.content import COPIES, Content
from birkhoff_cli.tables._flat import leaf, list_depth, matrix_of
from birkhoff_cli.tables._format import Stored

NUMBERS = {"step": pa.int64(), "sample": pa.int64(), "site": pa.int32(), "layer": pa.int32()}
TYPES = {**NUMBERS, "branch": pa.string(), "matrix": pa.list_(pa.list_(pa.float64()))}
"""Columns of a trace in their order, and their types in formats that keep none."""

LIKENESS = 0.81
"""Share of letters from which a name is taken for a misspelt one: smaple, layers, not sample_id."""

ENTRY_LIKE = re.compile(r"matrix[\W_]*\d+(?:[\W_]+\d+)*[\W_]*")
MAX_OTHERS = 200
"""Columns that are compared, at most: a table of many columns is not a misspelt trace."""

MAX_PLAIN = 20_000
"""Rows and words up to which Python is quicker than the import of pyarrow.compute, 0.1 s."""

Batches = Iterator[pa.RecordBatch]
Columns = list[str] | list[int]
"""By name or by number."""


def in_memory(table: pa.Table, names: Sequence[str] = ()) -> Stored:
    """A table that was read whole; ``names`` are those in the file, if it has others."""

    def batches(names: list[str], rows: int, first: int = 0) -> Batches:
        del rows
        yield from table.slice(first).select(names).to_batches()

    every = tuple(names or table.column_names)
    return Stored(table.schema, len(table), table.nbytes, batches, every)


def trace_columns(label: Path, table: Stored) -> list[str]:
    """Names of the columns of a trace that a table has, in the order of `TYPES`.

    Raises:
        BadInput: it has no matrices, a column twice or of the wrong type, or a column that is
            called almost like one of a trace.
    """
    names = [n for n in TYPES if n in table.schema.names]
    refuse_near(label, table.names)
    if "matrix" not in names:
        columns = ", ".join(escape(n, 30) for n in table.names[:6]) or "none"
        raise BadInput(
            f"{where(label)}: has no column 'matrix' (its columns: {columns}); "
            f"give what 'birkhoff sample -o' writes, or a trace"
        )
    refuse_repeats(label, [name for name in table.schema.names if name in names])
    for name in names:
        type_ = table.schema.field(name).type
        if not _fits(name, type_):
            raise BadInput(
                f"{where(label)}: its column '{name}' is of type {escape(type_, 60)}; expected "
                f"{'d x d lists of floats' if name == 'matrix' else TYPES[name]}"
            )
    return names


def refuse_repeats(label: Path, names: Sequence[str]) -> None:
    """Hold that no column is there twice."""
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise BadInput(f"{where(label)}: has the column '{escape(name, 30)}' twice; {DAMAGED}")
        seen.add(name)


def refuse_near(label: Path, names: Sequence[str]) -> None:
    """Refuse a column called almost like one of a trace: it would be left out in silence.

    Raises:
        BadInput: naming the column, and the one that it looks like.
    """
    others = (name for name in names if name not in TYPES and matrix_of(name) not in TYPES)
    for name in islice(others, MAX_OTHERS):
        if near := near_to(name, names):
            raise BadInput(
                f"{where(label)}: its column '{escape(name, 30)}' is none of a trace and looks "
                f"like '{near}'; rename it, or leave it out"
            )


def near_to(name: str, present: Sequence[str] = ()) -> str:
    """The column of a trace that a name looks like; empty if it is like none.

    Args:
        name: of another column.
        present: names that are there, and so are not meant by a name that is only similar.
    """
    plain = re.sub(r"[\s_-]+", "_", name.strip()).casefold()
    if ENTRY_LIKE.fullmatch(plain):
        return "matrix_0_0"
    absent = [column for column in TYPES if column not in present]
    near = [plain] if plain in TYPES else difflib.get_close_matches(plain, absent, 1, LIKENESS)
    return near[0] if near else ""


def _fits(name: str, type_: pa.DataType) -> bool:
    t = pa.types
    if name in NUMBERS:
        return bool(t.is_integer(type_))
    if name == "branch":
        word = type_.value_type if t.is_dictionary(type_) else type_
        return bool(t.is_string(word) or t.is_large_string(word) or t.is_string_view(word))
    entry = leaf(type_)
    return list_depth(type_) == 2 and bool(t.is_floating(entry) or t.is_integer(entry))


def decode(column: pa.DictionaryArray, type_: pa.DataType) -> pa.Array:
    """Words as text, however they are stored; few of them without pyarrow.compute."""
    nulls = column.null_count or column.dictionary.null_count
    if nulls or max(len(column), len(column.dictionary)) > MAX_PLAIN:
        return column.cast(type_)
    texts = np.array([*column.dictionary.to_pylist(), ""], object)
    return pa.array(texts[np.asarray(column.indices)], type_)


def count_bytes(column: pa.DictionaryArray, enough: int) -> int:
    """How many `decode` makes of a column, or a bound on it that is at most ``enough``."""
    texts, indices = column.dictionary, column.indices
    if texts.nbytes * len(column) <= enough:
        return int(texts.nbytes * len(column))
    if texts.null_count or max(len(column), len(texts)) > MAX_PLAIN:
        import pyarrow.compute as pc

        lengths = pc.binary_length(texts).take(indices)
        return pc.sum(lengths.cast(pa.int64())).as_py() or 0
    lengths = np.array([*(len(word.encode()) for word in texts.to_pylist()), 0])
    known = indices.drop_null() if indices.null_count else indices
    return int(lengths[np.asarray(known)].sum())


def counted(label: Path, batches: Iterable[pa.RecordBatch], rows: int) -> Batches:
    """All of them; a page's checksum says nothing of the footer that counts the rows."""
    count = 0
    for batch in batches:
        count += len(batch)
        if len(batch) and count <= rows:
            yield batch
    if count != rows:
        raise BadInput(f"{where(label)}: holds {count} rows and says {rows}; {DAMAGED}")


def from_row(batches: Iterable[pa.RecordBatch], row: int) -> Batches:
    """The same batches without the rows before one."""
    for batch in batches:
        if row < len(batch):
            yield batch.slice(row)
        row = max(row - len(batch), 0)


def validated(batches: Iterable[pa.RecordBatch], columns: Columns) -> Batches:
    """Every batch fully validated: offsets that point outside would crash whoever follows them."""
    for batch in batches:
        chosen = batch.select(columns)
        chosen.validate(full=True)
        yield chosen


def gathered(content: Content, batches: Batches, schema: pa.Schema, columns: Columns) -> pa.Table:
    """All batches as one table, refused while it grows beyond what fits in memory."""
    parts, size = [], 0
    for batch in batches:
        size += batch.nbytes
        content.require_room(COPIES * size)
        content.require_growth(size)
        parts.append(batch)
    kept = pa.schema([schema.field(column) for column in columns], schema.metadata)
    return pa.Table.from_batches(parts, kept)
