"""Record batches become bytes: Parquet, Arrow, CSV or newline-delimited JSON."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from math import prod
from typing import Any, BinaryIO, Protocol

import numpy as np
import pyarrow as pa

from birkhoff_cli.text import finite

Footer = Callable[[], Mapping[str, str]]
"""What is known only after the last batch; Parquet keeps it, the other formats cannot."""

GROUP_BYTES = 32 << 20
"""Size of a row group: large enough to compress well, small enough to stream."""


class Writer(Protocol):
    """Takes every batch and writes all of it."""

    def __call__(
        self, batches: Iterable[pa.RecordBatch], schema: pa.Schema, sink: BinaryIO, footer: Footer
    ) -> None:
        """Write; ``sink`` need not be seekable."""


class _Sink:
    """A file as pyarrow wants one: it counts what was written, so that a pipe will do."""

    closed = False

    def __init__(self, file: BinaryIO) -> None:
        self.file, self.position = file, 0

    def write(self, data: Any) -> int:
        self.file.write(data)
        self.position += len(memoryview(data).cast("B"))
        return len(memoryview(data).cast("B"))

    def tell(self) -> int:
        return self.position

    def flush(self) -> None:
        self.file.flush()

    def close(self) -> None:
        """The file belongs to whoever opened it."""


def parquet(
    batches: Iterable[pa.RecordBatch], schema: pa.Schema, sink: BinaryIO, footer: Footer
) -> None:
    """Parquet with page checksums: a flipped bit is refused by readers that verify."""
    import pyarrow.parquet as pq

    with pq.ParquetWriter(
        _Sink(sink), schema, compression="zstd", write_page_checksum=True, **_encoding(schema)
    ) as writer:
        for group in _groups(batches, schema):
            writer.write_table(group)
        writer.add_key_value_metadata({**footer(), "birkhoff.complete": "true"})


def arrow(
    batches: Iterable[pa.RecordBatch], schema: pa.Schema, sink: BinaryIO, footer: Footer
) -> None:
    """Arrow IPC with lz4: the file form in a file, the stream form into a pipe."""
    del footer
    options = pa.ipc.IpcWriteOptions(compression="lz4")
    make = pa.ipc.new_file if sink.seekable() else pa.ipc.new_stream
    with make(_Sink(sink), schema, options=options) as writer:
        for group in _groups(batches, schema):
            writer.write_table(group)


def csv(
    batches: Iterable[pa.RecordBatch], schema: pa.Schema, sink: BinaryIO, footer: Footer
) -> None:
    """CSV with a header; a list becomes one column per entry, ``matrix_0_0`` and on."""
    import pyarrow.csv

    del footer
    flat = _flatten(pa.Table.from_batches([], schema)).schema
    with pyarrow.csv.CSVWriter(_Sink(sink), flat) as writer:
        for group in _groups(batches, schema):
            writer.write_table(_flatten(group))


def ndjson(
    batches: Iterable[pa.RecordBatch], schema: pa.Schema, sink: BinaryIO, footer: Footer
) -> None:
    """One JSON object per row; a number that JSON cannot hold becomes null."""
    del schema, footer
    for batch in batches:
        for row in batch.to_pylist():
            sink.write(json.dumps(finite(row), ensure_ascii=False).encode() + b"\n")


WRITERS: dict[str, Writer] = {"parquet": parquet, "arrow": arrow, "csv": csv, "ndjson": ndjson}
SUFFIXES = {
    ".parquet": "parquet",
    ".pq": "parquet",
    ".arrow": "arrow",
    ".feather": "arrow",
    ".csv": "csv",
    ".ndjson": "ndjson",
    ".jsonl": "ndjson",
}


def _groups(batches: Iterable[pa.RecordBatch], schema: pa.Schema) -> Iterator[pa.Table]:
    """Small batches gathered into row groups."""
    held: list[pa.RecordBatch] = []
    size = 0
    for batch in batches:
        held.append(batch)
        size += batch.nbytes
        if size >= GROUP_BYTES:
            yield pa.Table.from_batches(held, schema).combine_chunks()
            held, size = [], 0
    if held:
        yield pa.Table.from_batches(held, schema).combine_chunks()


def _encoding(schema: pa.Schema) -> dict[str, list[str]]:
    """Which columns have a dictionary and statistics: not the entries of matrices.

    They hardly ever repeat, and nobody asks for their minimum. With their bytes split into streams
    they take 10 % less and are read 25 % faster.
    """
    leaves = [_leaf(field.name, field.type) for field in schema]
    entries = [path for path, kind in leaves if "." in path and pa.types.is_floating(kind)]
    others = [path for path, _ in leaves if path not in entries]
    return {
        "use_dictionary": others,
        "use_byte_stream_split": entries,
        "write_statistics": others,
    }


def _leaf(path: str, kind: pa.DataType) -> tuple[str, pa.DataType]:
    """Parquet's name for the numbers of a column, and their type."""
    if pa.types.is_fixed_size_list(kind):
        return _leaf(f"{path}.list.element", kind.value_type)
    return path, kind


def _flatten(table: pa.Table) -> pa.Table:
    for name in table.column_names:
        if sizes := _sizes(table.schema.field(name).type):
            table = _spread(table, name, sizes)
    return table


def _sizes(kind: pa.DataType) -> tuple[int, ...]:
    """Lengths of nested fixed-size lists, the outermost first."""
    if not pa.types.is_fixed_size_list(kind):
        return ()
    return (kind.list_size, *_sizes(kind.value_type))


def _spread(table: pa.Table, name: str, sizes: tuple[int, ...]) -> pa.Table:
    cells = table[name].combine_chunks()
    for _ in sizes:
        cells = cells.flatten()
    at = table.column_names.index(name)
    table = table.remove_column(at)
    for k, index in enumerate(np.ndindex(sizes)):
        word = "_".join((name, *map(str, index)))
        table = table.add_column(at + k, word, cells[k :: prod(sizes)] if len(cells) else cells)
    return table
