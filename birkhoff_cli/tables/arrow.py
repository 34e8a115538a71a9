"""Arrow IPC, compressed by lz4: the file form in a file, the stream form into a pipe.

What is known only after the last row, and the digest of everything, are the metadata of an empty
batch at the end.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, BinaryIO

from birkhoff_cli import digest
from birkhoff_cli.analyses.core.errors import BadInput
from birkhoff_cli.containers import where
from birkhoff_cli.containers.store import DAMAGED, INCOMPLETE
from birkhoff_cli.content import COPIES, Content
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

    def assumptions(self, content: Content) -> tuple[str, ...]:
        """Whether its digest says that it is as it was written."""
        return content.digest.assumptions

    def read(self, content: Content, types: "Mapping[str, pa.DataType] | None" = None) -> Stored:
        """Of a file only the headers, and later the batches that are asked for."""
        del types
        content.check_digest()
        read = _read_file if content.head().startswith(FILE) else _read_stream
        return read(content)

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
        from birkhoff_cli.tables._sink import DigestSink

        make = pa.ipc.new_file if sink.seekable() else pa.ipc.new_stream
        options = pa.ipc.IpcWriteOptions(compression="lz4")
        out = DigestSink(sink)
        with make(out, schema, options=options) as writer:
            for group in row_groups(batches, schema):
                writer.write_table(group)
            out.hold()
            last = {"birkhoff.complete": "true", digest.KEY: digest.BLANK}
            nothing = [pa.array([], field.type) for field in schema]
            end = pa.RecordBatch.from_arrays(nothing, schema=schema)
            writer.write_batch(end, custom_metadata={**footer(), **last})
        out.release()


def _read_file(content: Content) -> Stored:
    import pyarrow as pa

    from birkhoff_cli.tables._columns import counted, validated
    from birkhoff_cli.tables._messages import file_sizes

    with content.open() as file:
        sizes = list(file_sizes(file))
        file.seek(0)
        reader = pa.ipc.open_file(file, options=_options())
        schema, rows = reader.schema, reader.count_rows()
        notes = schema.metadata or {}
        if content.digest.own != "none" and sizes:
            _, last = reader.get_batch_with_custom_metadata(reader.num_record_batches - 1)
            notes = notes | dict(last or {})

    def batches(names: list[str], wanted: int) -> "Iterator[pa.RecordBatch]":
        del wanted
        for size in sizes:
            content.require_growth(size)
            content.require_room(size)
        with content.open() as file:
            fields = [schema.get_field_index(name) for name in names]
            reader = pa.ipc.open_file(file, options=_options(included_fields=fields))
            pieces = (reader.get_batch(k) for k in range(reader.num_record_batches))
            yield from counted(content.label, validated(pieces, names), rows)

    every = tuple(schema.names)
    return Stored(schema.with_metadata(notes), rows, sum(sizes), batches, every)


def _read_stream(content: Content) -> Stored:
    """Of a stream, which has to end as one: a writer that died leaves it open."""
    import pyarrow as pa

    from birkhoff_cli.tables._columns import gathered, in_memory, validated
    from birkhoff_cli.tables._messages import stream_sizes

    data = content.whole()
    if not data.endswith(END_OF_STREAM):
        raise BadInput(f"{where(content.label)}: the Arrow stream has no end; {INCOMPLETE}")
    with content.open() as file:
        size = sum(stream_sizes(file))
    content.require_growth(size)
    content.require_room(COPIES * size)
    source = pa.BufferReader(data)
    reader = pa.ipc.open_stream(source, options=_options())
    schema, notes = reader.schema, dict(reader.schema.metadata or {})
    every = list(range(len(schema)))  # by number: a name may be there twice
    batches = validated(_noting(reader, notes), every)
    table = gathered(content, batches, schema, every)
    if source.tell() != len(data):
        raise BadInput(f"{where(content.label)}: goes on behind its end; {DAMAGED}")
    return in_memory(table.replace_schema_metadata(notes))


def _noting(reader: Any, notes: dict[bytes, bytes]) -> "Iterator[pa.RecordBatch]":
    """All batches of a stream; ``notes`` gets what the last one says."""
    last: Any = None
    while True:
        try:
            batch, last = reader.read_next_batch_with_custom_metadata()
        except StopIteration:
            notes |= dict(last or {})
            return
        yield batch


def _options(**more: Any) -> "pa.ipc.IpcReadOptions":
    import pyarrow as pa

    # no threads: they would go on reading the file after an error
    return pa.ipc.IpcReadOptions(use_threads=False, **more)
