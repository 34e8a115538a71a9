"""The columns of a trace from a Parquet, Arrow, CSV or ndjson table; no others are read.

Parquet and Arrow files stay where they are and give batches of the columns that are asked for.
Nothing is used before it is checked: Parquet pages against their checksums, Arrow buffers by full
validation, every column's type before its values.

Source: RELIABILITY, section 3; MixingTrace's columns as in DESIGN, `Where matrices come from`.
"""

import csv as text
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from math import isqrt
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.json
import pyarrow.parquet

from birkhoff_cli.analyses.core.errors import BadInput
from birkhoff_cli.analyses.core.memory import require_memory
from birkhoff_cli.containers import escape, where
from birkhoff_cli.containers.store import DAMAGED, INCOMPLETE
from birkhoff_cli.matrices.content import Content, whole

NUMBERS = {"step": pa.int64(), "sample": pa.int64(), "site": pa.int32(), "layer": pa.int32()}
PLACES = {**NUMBERS, "branch": pa.string()}
COLUMNS = (*PLACES, "matrix")

END_OF_STREAM = b"\xff\xff\xff\xff\0\0\0\0"
MAX_BLOCK = (1 << 31) - 1
BUFFER = 1 << 20
CELL = re.compile(r"matrix_(0|[1-9][0-9]{0,3})_(0|[1-9][0-9]{0,3})", re.ASCII)

Batches = Iterator[pa.RecordBatch]


@dataclass(frozen=True)
class Stored:
    """A table that is read from its file whenever somebody asks for columns of it.

    Attributes:
        schema: of all its columns.
        rows: how many it says it has.
        size: bytes after decompression, as it says; 0 if it does not.
        batches: from names of columns to batches of them in order, of a number of rows that the
            reader may round to what the file holds together.
    """

    schema: pa.Schema
    rows: int
    size: int
    batches: Callable[[list[str], int], Batches]


def parquet(label: Path, content: Content) -> Stored:
    """A Parquet file, a page at a time; pages that carry a checksum are held to it."""
    with content() as file:
        table = _open_parquet(file)
        schema, footer = table.schema_arrow, table.metadata

    def batches(names: list[str], rows: int) -> Batches:
        with content() as file:
            held = _open_parquet(file, footer).iter_batches(rows, columns=names, use_threads=False)
            yield from _counted(label, held, footer.num_rows)

    return Stored(schema, footer.num_rows, _claimed(footer), batches)


def _open_parquet(
    file: BinaryIO, footer: pa.parquet.FileMetaData | None = None
) -> pa.parquet.ParquetFile:
    """Column chunks pass through a buffer: memory does not grow with a row group."""
    return pa.parquet.ParquetFile(
        file,
        metadata=footer,
        page_checksum_verification=True,
        pre_buffer=False,
        buffer_size=BUFFER,
    )


def _claimed(metadata: pa.parquet.FileMetaData) -> int:
    """Bytes after decompression, as the footer says.

    By row groups: asked about a column whose statistics are damaged, pyarrow ends the process.
    """
    return sum(metadata.row_group(k).total_byte_size for k in range(metadata.num_row_groups))


def arrow(label: Path, content: Content) -> Stored:
    """An Arrow file, a record batch at a time; of the others only the headers are read."""

    def batches(names: list[str], rows: int) -> Batches:
        del rows
        with content() as file:
            fields = [schema.get_field_index(name) for name in names]
            options = pa.ipc.IpcReadOptions(included_fields=fields, use_threads=False)
            reader = pa.ipc.open_file(file, options=options)
            held = (reader.get_batch(k) for k in range(reader.num_record_batches))
            yield from _counted(label, validated(held, names), count)

    with content() as file:
        reader = pa.ipc.open_file(file)
        schema, count = reader.schema, reader.count_rows()
    return Stored(schema, count, 0, batches)


def _counted(label: Path, batches: Iterable[pa.RecordBatch], said: int) -> Batches:
    """All of them; a page's checksum says nothing of the footer that counts the rows."""
    count = 0
    for batch in batches:
        count += len(batch)
        if len(batch) and count <= said:
            yield batch
    if count != said:
        raise BadInput(f"{where(label)}: holds {count} rows and says {said}; {DAMAGED}")


def validated(batches: Iterable[pa.RecordBatch], names: list[str]) -> Batches:
    """Every batch fully validated: offsets that point outside would crash whoever follows them."""
    for batch in batches:
        chosen = batch.select(names)
        chosen.validate(full=True)
        yield chosen


def gathered(label: Path, batches: Batches, schema: pa.Schema, names: list[str]) -> pa.Table:
    """All batches as one table, refused while it grows beyond what fits in memory."""
    held, size = [], 0
    for batch in batches:
        size += batch.nbytes
        require_memory(4 * size, where(label))
        held.append(batch)
    kept = pa.schema([schema.field(name) for name in names], schema.metadata)
    return pa.Table.from_batches(held, kept)


def arrow_stream(label: Path, content: Content) -> pa.Table:
    """An Arrow stream, which has to end as one: a writer that died leaves it open."""
    data = whole(label, content)
    if not data.endswith(END_OF_STREAM):
        raise BadInput(f"{where(label)}: the Arrow stream has no end; {INCOMPLETE}")
    reader = pa.ipc.open_stream(data)
    names = wanted(label, reader.schema)
    return gathered(label, validated(reader, names), reader.schema, names)


def csv(label: Path, content: Content) -> pa.Table:
    """CSV with a header; ``matrix_i_j`` are the entries."""
    data = whole(label, content)
    if not data.endswith(b"\n"):
        raise BadInput(f"{where(label)}: ends inside a line; {INCOMPLETE}")
    names = next(text.reader([data.split(b"\n", 1)[0].decode("utf-8-sig")]))
    cells = [name for name in names if CELL.fullmatch(name)]
    d = isqrt(len(cells))
    ordered = [f"matrix_{i}_{j}" for i in range(d) for j in range(d)]
    if sorted(cells) != sorted(ordered):
        raise BadInput(
            f"{where(label)}: its {len(cells)} columns matrix_i_j are not the entries of one "
            f"square matrix, each once; write it again with -o"
        )
    types = dict.fromkeys(ordered, pa.float64()) | PLACES
    table = pa.csv.read_csv(
        pa.BufferReader(data),
        read_options=pa.csv.ReadOptions(block_size=min(len(data) + 1, MAX_BLOCK)),
        convert_options=pa.csv.ConvertOptions(
            column_types=types, include_columns=[*(n for n in PLACES if n in names), *ordered]
        ),
    )
    return _matrices(table, ordered, d)


def ndjson(label: Path, content: Content) -> pa.Table:
    """One JSON object per line."""
    data = whole(label, content)
    matrix = pa.list_(pa.list_(pa.float64()))
    schema = pa.schema([*PLACES.items(), ("matrix", matrix)])
    table = pa.json.read_json(
        pa.BufferReader(data),
        read_options=pa.json.ReadOptions(block_size=min(len(data) + 1, MAX_BLOCK)),
        parse_options=pa.json.ParseOptions(
            explicit_schema=schema, unexpected_field_behavior="ignore"
        ),
    )
    found = [n for n in schema.names if table[n].null_count < len(table)]
    return table.select(wanted(label, pa.schema([schema.field(n) for n in found])))


READERS: Mapping[str, Callable[[Path, Content], Stored | pa.Table]] = {
    "parquet": parquet,
    "arrow": arrow,
    "arrow-stream": arrow_stream,
    "csv": csv,
    "ndjson": ndjson,
}


def wanted(label: Path, schema: pa.Schema) -> list[str]:
    """Names of the columns of a trace that a table has, their types checked.

    Raises:
        BadInput: it has no matrices, a column twice, or one of the wrong type.
    """
    names = [n for n in COLUMNS if n in schema.names]
    if "matrix" not in names:
        held = ", ".join(escape(n, 30) for n in schema.names[:6]) or "none"
        raise BadInput(
            f"{where(label)}: has no column 'matrix' (its columns: {held}); "
            f"give what 'birkhoff sample -o' writes, or a trace"
        )
    for name in names:
        if schema.names.count(name) > 1:
            raise BadInput(f"{where(label)}: has the column '{name}' twice; {DAMAGED}")
        kind = schema.field(name).type
        if not _fits(name, kind):
            raise BadInput(
                f"{where(label)}: its column '{name}' is of type {escape(kind, 60)}; expected "
                f"{'d x d lists of floats' if name == 'matrix' else PLACES[name]}"
            )
    return names


def _fits(name: str, kind: pa.DataType) -> bool:
    t = pa.types
    if name in NUMBERS:
        return bool(t.is_integer(kind))
    if name == "branch":
        inner = kind.value_type if t.is_dictionary(kind) else kind
        return bool(t.is_string(inner) or t.is_large_string(inner) or t.is_string_view(inner))
    for _ in "ij":
        if not (t.is_list(kind) or t.is_large_list(kind) or t.is_fixed_size_list(kind)):
            return False
        kind = kind.value_type
    return bool(t.is_floating(kind) or t.is_integer(kind))


def _matrices(table: pa.Table, cells: list[str], d: int) -> pa.Table:
    """Columns of entries as one column of matrices; an empty cell is NaN."""
    entries = np.stack([table[name].to_numpy() for name in cells], axis=1)
    rows = pa.FixedSizeListArray.from_arrays(pa.array(entries.ravel()), d)
    return table.drop_columns(cells).append_column(
        "matrix", pa.FixedSizeListArray.from_arrays(rows, d)
    )
