"""Arrow IPC, compressed by lz4: the file form in a file, the stream form into a pipe."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from birkhoff_cli.analyses.core.errors import BadInput
from birkhoff_cli.containers import where
from birkhoff_cli.containers.store import INCOMPLETE
from birkhoff_cli.content import Content, whole
from birkhoff_cli.tables._format import Footer, Stored, TableFormat

if TYPE_CHECKING:
    import pyarrow as pa

FILE = b"ARROW1\0\0"
STREAM = b"\xff\xff\xff\xff"
END_OF_STREAM = b"\xff\xff\xff\xff\0\0\0\0"


class Arrow(TableFormat):
    """A file is read a record batch at a time, a stream whole; every batch is validated."""

    suffixes = (".arrow", ".feather")
    keeps_metadata = True

    def recognises(self, head: bytes) -> bool:
        """By the magic bytes of a file, or the first message of a stream."""
        return head.startswith((FILE, STREAM))

    def read(
        self, label: Path, content: Content, types: "Mapping[str, pa.DataType] | None" = None
    ) -> Stored:
        """Of a file only the headers, and later the batches that are asked for."""
        del types
        with content() as file:
            stream = file.read(len(FILE)) != FILE
        return _read_stream(label, content) if stream else _read_file(label, content)

    def write(
        self,
        batches: "Iterable[pa.RecordBatch]",
        schema: "pa.Schema",
        sink: BinaryIO,
        footer: Footer,
    ) -> None:
        """A file if the sink can be sought in, else a stream."""
        import pyarrow as pa

        from birkhoff_cli.tables._groups import row_groups
        from birkhoff_cli.tables._sink import Sink

        del footer
        make = pa.ipc.new_file if sink.seekable() else pa.ipc.new_stream
        options = pa.ipc.IpcWriteOptions(compression="lz4")
        with make(Sink(sink), schema, options=options) as writer:
            for group in row_groups(batches, schema):
                writer.write_table(group)


def _read_file(label: Path, content: Content) -> Stored:
    import pyarrow as pa

    from birkhoff_cli.tables._columns import counted, validated

    with content() as file:
        reader = pa.ipc.open_file(file, options=_options())
        schema, rows = reader.schema, reader.count_rows()

    def batches(names: list[str], wanted: int) -> "Iterator[pa.RecordBatch]":
        del wanted
        with content() as file:
            fields = [schema.get_field_index(name) for name in names]
            reader = pa.ipc.open_file(file, options=_options(included_fields=fields))
            pieces = (reader.get_batch(k) for k in range(reader.num_record_batches))
            yield from counted(label, validated(pieces, names), rows)

    return Stored(schema, rows, 0, batches, tuple(schema.names))


def _read_stream(label: Path, content: Content) -> Stored:
    """Of a stream, which has to end as one: a writer that died leaves it open."""
    import pyarrow as pa

    from birkhoff_cli.tables._columns import gathered, in_memory, validated

    data = whole(label, content)
    if not data.endswith(END_OF_STREAM):
        raise BadInput(f"{where(label)}: the Arrow stream has no end; {INCOMPLETE}")
    reader = pa.ipc.open_stream(data, options=_options())
    every = list(range(len(reader.schema)))  # by number: a name may be there twice
    return in_memory(gathered(label, validated(reader, every), reader.schema, every))


def _options(**more: Any) -> "pa.ipc.IpcReadOptions":
    import pyarrow as pa

    return pa.ipc.IpcReadOptions(use_threads=False, **more)
