"""What the headers of Arrow messages say: rows, bytes after decompression, and metadata.

A compressed buffer begins with its size after decompression, which pyarrow allocates unasked. Only
headers and these sizes are read.

Source: Apache Arrow, format/Message.fbs and the encapsulated message format.
"""

from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from struct import pack_into, unpack_from
from typing import BinaryIO, NamedTuple, TypeAlias

from birkhoff_cli.analyses.core.errors import TooLarge
from birkhoff_cli.containers import where

CONTINUATION = b"\xff\xff\xff\xff"

END_OF_STREAM = CONTINUATION + bytes(4)

HEADER_TYPE, HEADER, BODY_LENGTH, METADATA = 1, 2, 3, 4
"""Fields of a message."""

DICTIONARY_BATCH, RECORD_BATCH = 2, 3
"""Types of its header."""

ROWS, BUFFERS, COMPRESSION = 0, 2, 3
"""Fields of a record batch."""

DATA = 1
"""Field of a dictionary batch: a record batch."""

KEY, VALUE = 0, 1
"""Fields of an entry of metadata."""

MAX_HEADER = 64 << 20
MAX_FOOTER = 256 << 20
MAX_MESSAGES = 1 << 20
"""Batches of a table: each takes some hundred bytes of memory before one is read."""

BUFFER_BYTES = 16
"""Of the entry of a buffer, its offset and its length."""

ALIGNMENT = 8
"""Messages and buffers begin at multiples of so many bytes."""

Span: TypeAlias = tuple[int, int]
"""Offset and length."""


class Message(NamedTuple):
    """A batch of rows; the schema and the words of a dictionary have none.

    Attributes:
        end: where the next message begins.
        rows: how many.
        size: bytes of all buffers after decompression.
        metadata: of this message.
    """

    end: int
    rows: int
    size: int
    metadata: dict[bytes, bytes]


def messages(file: BinaryIO, start: int) -> Iterator[Message]:
    """Every message of a stream, in its order.

    Args:
        file: an open file.
        start: where the stream begins in it.

    Raises:
        ValueError: something is no message; struct.error or IndexError: one is damaged.
    """
    while next_message := message(file, start):
        yield next_message
        start = next_message.end


def message(file: BinaryIO, start: int) -> Message | None:
    """The message that begins at ``start``; None at the end of all."""
    if (parts := _header(file, start)) is None:
        return None
    header, body = parts
    table = follow(header, 0)
    type_ = header[field(header, table, HEADER_TYPE)]
    batch = follow(header, field(header, table, HEADER))
    rows = _long(header, batch, ROWS) if type_ == RECORD_BATCH else 0
    if type_ == DICTIONARY_BATCH:
        batch = follow(header, field(header, batch, DATA))
    known = type_ in (RECORD_BATCH, DICTIONARY_BATCH)
    size = sum(_buffer_sizes(file, body, header, batch)) if known else 0
    end = body + _long(header, table, BODY_LENGTH)
    return Message(end, rows, size, dict(_metadata(header, table)))


def require_few(path: Path, every: Iterable[Message]) -> Iterator[Message]:
    """The same messages, as long as a list of them can be kept.

    Raises:
        TooLarge: there are too many.
    """
    for count, each in enumerate(every, 1):
        if count > MAX_MESSAGES:
            raise too_many(path)
        yield each


def too_many(path: Path) -> TooLarge:
    """The sentence about a table in many small batches."""
    return TooLarge(
        f"{where(path)}: is cut into more than {MAX_MESSAGES:,} batches; write it again in larger "
        f"ones"
    )


def frame(data: bytes | bytearray) -> tuple[int, int] | None:
    """Bytes of a message's header with the length before it, and of its body.

    Args:
        data: what has come of it. No bytes of both is the end of all; None: more has to come.

    Raises:
        ValueError: it is no message; struct.error or IndexError: it is damaged.
    """
    before = 8 if data.startswith(CONTINUATION) else 4
    if len(data) < 8:
        return None
    (length,) = unpack_from("<i", data, before - 4)
    if length == 0:
        return 0, 0
    if not 0 < length <= MAX_HEADER:
        raise ValueError("length of a header")
    if len(data) < before + length:
        return None
    header = bytes(data[before : before + length])
    return before + length, _long(header, follow(header, 0), BODY_LENGTH)


def _header(file: BinaryIO, start: int) -> tuple[bytes, int] | None:
    """The header of the next message, and where its body begins; None at the end of all."""
    file.seek(start)
    prefix = file.read(8)
    if len(prefix) < 8 or prefix == END_OF_STREAM:
        return None
    if not prefix.startswith(CONTINUATION):  # as before version 0.15: the length comes first
        file.seek(start + 4)
        prefix = CONTINUATION + prefix
    (length,) = unpack_from("<i", prefix, 4)
    if not 0 < length <= MAX_HEADER:
        raise ValueError("length of a header")
    return file.read(length), file.tell()


def buffers(message: bytes) -> list[Span]:
    """Where the buffers of a batch of rows are in its body: offset and length of each.

    Args:
        message: all that is before the body.
    """
    header, positions = _buffer_entries(message)
    spans = [unpack_from("<qq", header, position) for position in positions]
    return [(_positive(offset), _positive(length)) for offset, length in spans]


def compact(message: bytes, kept: Collection[int]) -> tuple[bytes, int, list[int]]:
    """A message whose body has some of its buffers only, and the others are empty.

    Args:
        message: all that is before the body.
        kept: numbers of the buffers that stay.

    Returns:
        It, the bytes of its body, and where the buffers that stay begin there.
    """
    header, positions = _buffer_entries(message)
    start, size, begins = len(message) - len(header), 0, []
    changed = bytearray(message)
    for number, position in enumerate(positions):
        _, length = unpack_from("<qq", header, position)
        if number in kept:
            begins.append(size)
            pack_into("<q", changed, start + position, size)
            size += length + -length % ALIGNMENT
        else:
            pack_into("<qq", changed, start + position, 0, 0)
    if not (body_length := field(header, follow(header, 0), BODY_LENGTH)):
        raise ValueError("a body of no length")
    pack_into("<q", changed, start + body_length, size)
    return bytes(changed), size, begins


def _buffer_entries(message: bytes) -> tuple[bytes, list[int]]:
    """The header of a batch of rows, and where it says where each buffer is."""
    header = message[8 if message.startswith(CONTINUATION) else 4 :]
    batch = follow(header, field(header, follow(header, 0), HEADER))
    return header, list(entries(header, batch, BUFFERS, BUFFER_BYTES))


def _buffer_sizes(file: BinaryIO, body: int, header: bytes, batch: int) -> Iterator[int]:
    compressed = field(header, batch, COMPRESSION) != 0
    for entry in entries(header, batch, BUFFERS, BUFFER_BYTES):
        offset, length = unpack_from("<qq", header, entry)
        if compressed and length > 0:
            file.seek(body + _positive(offset))
            (size,) = unpack_from("<q", file.read(8))
            length = size if size >= 0 else length  # -1: this one is stored as it is
        yield _positive(length)


def _metadata(header: bytes, table: int) -> Iterator[tuple[bytes, bytes]]:
    for position in entries(header, table, METADATA, 4):
        entry = follow(header, position)
        yield _text(header, entry, KEY), _text(header, entry, VALUE)


def field(header: bytes, table: int, number: int) -> int:
    """Where a field of a flatbuffer's table is; 0 if it has its default."""
    (back,) = unpack_from("<i", header, table)
    (size,) = unpack_from("<H", header, table - back)
    position = 4 + 2 * number
    if position >= size:
        return 0
    (offset,) = unpack_from("<H", header, table - back + position)
    return table + int(offset) if offset else 0


def follow(header: bytes, position: int) -> int:
    """Where a relative offset leads."""
    (offset,) = unpack_from("<I", header, position)
    return position + int(offset)


def entries(header: bytes, table: int, number: int, width: int) -> Iterator[int]:
    """Where the entries of a list are, each of so many bytes."""
    if position := field(header, table, number):
        start = follow(header, position)
        (count,) = unpack_from("<I", header, start)
        yield from range(start + 4, start + 4 + width * count, width)


def _text(header: bytes, table: int, number: int) -> bytes:
    start = follow(header, field(header, table, number))
    (length,) = unpack_from("<I", header, start)
    return header[start + 4 : start + 4 + length]


def _long(header: bytes, table: int, number: int) -> int:
    position = field(header, table, number)
    (value,) = unpack_from("<q", header, position) if position else (0,)
    return _positive(value)


def _positive(value: int) -> int:
    if value < 0:
        raise ValueError("a negative length or offset")
    return int(value)
