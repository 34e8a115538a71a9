"""Arrow IPC, compressed by lz4: the file form in a file, the stream form into a pipe.

What is known only after the last row, and the digest of everything, are the metadata of an empty
batch at the end.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path
from struct import error as struct_error
from typing import TYPE_CHECKING, BinaryIO, TypeAlias

from birkhoff_cli import digest
from birkhoff_cli.analyses.core.errors import BadInput
from birkhoff_cli.containers import where
from birkhoff_cli.containers.store import DAMAGED, INCOMPLETE
from birkhoff_cli.content import Content
from birkhoff_cli.tables._format import Footer, Stored, TableFormat
from birkhoff_cli.tables._incoming import Incoming

if TYPE_CHECKING:
    import pyarrow as pa

    from birkhoff_cli.tables._messages import Message

MAGIC = b"ARROW1\0\0"
STREAM = b"\xff\xff\xff\xff"
BEGINS = rb"ARROW1\0\0|\xff\xff\xff\xff"
PART = ".part.arrow"
"""How a recording that has not ended is called."""

UNFINISHED = (
    "the recording did not end, and holds no digest; its last complete pass is the last that is "
    "read"
)

_Rest: TypeAlias = "tuple[Iterable[pa.RecordBatch], int]"
"""Batches from the one that holds some row on, and the rows before that batch."""

END_OF_FILE = b"ARROW1"
END_OF_STREAM = b"\xff\xff\xff\xff\0\0\0\0"


class Arrow(TableFormat):
    """Read a record batch at a time; every one is validated."""

    suffixes = (".arrow", ".feather")
    keeps_metadata = True

    def recognises(self, head: bytes) -> bool:
        """By the magic bytes of a file, or the first message of a stream."""
        return head.startswith((MAGIC, STREAM))

    def assumptions(self, content: Content) -> tuple[str, ...]:
        """Whether its digest says that it is as it was written; of a part, that it has no end."""
        if _is_part(content):
            return (UNFINISHED,)
        return (*content.assumptions, *_check_listed(content))

    def incoming(self, label: Path, head: bytes) -> Incoming:
        """Of messages, each with its size before it, up to the end of all."""
        from birkhoff_cli.tables._arrow_pipe import Messages

        return Messages(label, len(MAGIC) if head.startswith(MAGIC) else 0)

    def has_steps(self, content: Content) -> bool:
        """By the schema."""
        import pyarrow as pa

        whole = content.head().startswith(MAGIC)
        with content.open() as file:
            opened = pa.ipc.open_file(file) if whole else pa.ipc.open_stream(file)
            return "step" in opened.schema.names

    def read(self, content: Content, types: "Mapping[str, pa.DataType] | None" = None) -> Stored:
        """At first only headers; later the columns that are asked for, batch by batch."""
        del types
        if _is_part(content):
            return _read_part(content)
        content.check_digest()
        read = _read_file if content.head().startswith(MAGIC) else _read_stream
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
    from birkhoff_cli.tables._blocks import Blocks

    _check_end(content, "file", END_OF_FILE)
    _check_listed(content)
    blocks = Blocks(content)

    def read(file: BinaryIO, options: "pa.ipc.IpcReadOptions", row: int) -> _Rest:
        number, before = blocks.number_of(row)
        return blocks.batches(file, options, number), before

    return _stored(content, blocks.schema, blocks.messages, read)


def _check_listed(content: Content) -> tuple[str, ...]:
    """Hold that the footer lists the whole file, where no digest says that it is as it was.

    Raises:
        BadInput: another file is in it.
    """
    if not content.assumptions or not content.head().startswith(MAGIC):
        return ()
    return content.once("what is listed", lambda: _compare_listed(content))


def _compare_listed(content: Content) -> tuple[str, ...]:
    from birkhoff_cli.tables import _unlisted
    from birkhoff_cli.tables._blocks import Blocks

    left_out = Blocks(content).left_out(content)
    with content.open() as file:
        return _unlisted.check(content, file, left_out, END_OF_FILE)


def _read_stream(content: Content) -> Stored:
    import pyarrow as pa

    from birkhoff_cli.tables._messages import messages, require_few

    _check_end(content, "stream", END_OF_STREAM)
    with content.open() as file:
        headers = list(require_few(content.label, messages(file, 0)))
        file.seek(0)
        schema = pa.ipc.open_stream(file).schema
    if headers[-1].end + len(END_OF_STREAM) != content.size:
        raise BadInput(f"{where(content.label)}: goes on behind its end; {DAMAGED}")

    def read(file: BinaryIO, options: "pa.ipc.IpcReadOptions", row: int) -> _Rest:
        del row  # a stream says nowhere where its batches are
        return pa.ipc.open_stream(file, options=options), 0

    return _stored(content, schema, headers, read)


def _is_part(content: Content) -> bool:
    """Whether it is what `birkhoff_cli.record` wrote so far: a stream that may have no end."""
    return content.label.name.endswith(PART) and content.head().startswith(STREAM)


def _read_part(content: Content) -> Stored:
    """Every batch that is complete: whoever wrote it may have been killed, or may go on."""
    import pyarrow as pa

    from birkhoff_cli.tables._messages import messages, require_few

    headers: list[Message] = []
    with content.open() as file:
        with suppress(ValueError, IndexError, struct_error):  # the last header is cut
            for header in require_few(content.label, messages(file, 0)):
                if header.end > content.size:
                    break
                headers.append(header)
        file.seek(0)
        schema = pa.ipc.open_stream(file).schema
    count = sum(1 for header in headers if header.rows)

    def read(file: BinaryIO, options: "pa.ipc.IpcReadOptions", row: int) -> _Rest:
        del row
        return islice(iter(pa.ipc.open_stream(file, options=options)), count), 0

    return _stored(content, schema, headers, read)


def _check_end(content: Content, what: str, end: bytes) -> None:
    """Hold that it has an end: a writer that died leaves it open."""
    with content.open() as file:
        file.seek(-min(content.size, len(end)), 2)
        if file.read() != end:
            raise BadInput(f"{where(content.label)}: the Arrow {what} has no end; {INCOMPLETE}")


def _stored(
    content: Content,
    schema: "pa.Schema",
    headers: "Sequence[Message]",
    read: "Callable[[BinaryIO, pa.ipc.IpcReadOptions, int], _Rest]",
) -> Stored:
    import pyarrow as pa

    from birkhoff_cli.tables._columns import counted, from_row, validated

    rows, size = sum(h.rows for h in headers), sum(h.size for h in headers)
    notes = (schema.metadata or {}) | (headers[-1].metadata if headers else {})

    def batches(names: list[str], batch_rows: int, first: int = 0) -> "Iterator[pa.RecordBatch]":
        del batch_rows
        for header in headers:
            content.require_growth(header.size)
            content.require_room(header.size)
        fields = [schema.get_field_index(name) for name in names]
        options = pa.ipc.IpcReadOptions(use_threads=False, included_fields=fields)
        with content.open() as file:
            rest, before = read(file, options, first)
            whole = counted(content.label, validated(rest, names), rows - before)
            yield from from_row(whole, first - before)

    return Stored(schema.with_metadata(notes), rows, size, batches, tuple(schema.names))
