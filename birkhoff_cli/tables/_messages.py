"""How large the batches of Arrow data become, from the headers of their messages alone.

A compressed buffer begins with its size after decompression, which pyarrow allocates unasked.

Source: Apache Arrow, format/Message.fbs, format/File.fbs and the encapsulated message format.
"""

from collections.abc import Iterator
from struct import unpack_from
from typing import BinaryIO

CONTINUATION = b"\xff\xff\xff\xff"
MAGIC = b"ARROW1"

HEADER_TYPE, HEADER, BODY_LENGTH = 1, 2, 3
"""Fields of a message."""

DICTIONARY_BATCH, RECORD_BATCH = 2, 3
"""Types of its header."""

BUFFERS, COMPRESSION = 2, 3
"""Fields of a record batch."""

DATA = 1
"""Field of a dictionary batch: a record batch."""

DICTIONARIES, RECORD_BATCHES = 2, 3
"""Fields of a file's footer: lists of blocks."""

BLOCK_BYTES = 24
MAX_METADATA = 64 << 20
"""Bytes of a message's header, or of a footer."""


def stream_sizes(file: BinaryIO) -> Iterator[int]:
    """Bytes of every message after decompression, in the order of a stream.

    Raises:
        ValueError: something is no message; struct.error: one is damaged.
    """
    place = 0
    while message := _message(file, place):
        size, place = message
        yield size


def file_sizes(file: BinaryIO) -> Iterator[int]:
    """Bytes of every batch after decompression, as the footer of a file lists them.

    Raises:
        ValueError: something is no message; struct.error: one is damaged.
    """
    end = file.seek(-4 - len(MAGIC), 2)
    (length,) = unpack_from("<i", file.read(4))
    if not 0 < length <= min(end, MAX_METADATA):
        raise ValueError("length of a footer")
    file.seek(end - length)
    footer = file.read(length)
    table = _follow(footer, 0)
    for field in (DICTIONARIES, RECORD_BATCHES):
        for k in range(_count(footer, place := _field(footer, table, field))):
            (block,) = unpack_from("<q", footer, _follow(footer, place) + 4 + BLOCK_BYTES * k)
            if message := _message(file, block):
                yield message[0]


def _message(file: BinaryIO, place: int) -> tuple[int, int] | None:
    """Bytes of the buffers of a message, and where it ends; None at the end of all."""
    file.seek(place)
    start = file.read(8)
    if len(start) < 8 or start == CONTINUATION + bytes(4):
        return None
    if not start.startswith(CONTINUATION):  # as before version 0.15: the length comes first
        file.seek(place + 4)
        start = CONTINUATION + start
    (length,) = unpack_from("<i", start, 4)
    if not 0 <= length <= MAX_METADATA:
        raise ValueError("length of a header")
    header = file.read(length)
    body = file.tell()
    table = _follow(header, 0)
    type_, batch = header[_field(header, table, HEADER_TYPE)], _field(header, table, HEADER)
    if type_ == DICTIONARY_BATCH:
        batch = _field(header, _follow(header, batch), DATA)
    known = type_ in (DICTIONARY_BATCH, RECORD_BATCH)
    size = sum(_buffer_sizes(file, body, header, _follow(header, batch))) if known else 0
    place = _field(header, table, BODY_LENGTH)
    (length,) = unpack_from("<q", header, place) if place else (0,)
    return size, body + _positive(length)


def _buffer_sizes(file: BinaryIO, body: int, header: bytes, batch: int) -> Iterator[int]:
    compressed = _field(header, batch, COMPRESSION) != 0
    place = _field(header, batch, BUFFERS)
    for k in range(_count(header, place)):
        offset, length = unpack_from("<qq", header, _follow(header, place) + 4 + 16 * k)
        if compressed and length > 0:
            file.seek(body + _positive(offset))
            (size,) = unpack_from("<q", file.read(8))
            length = size if size >= 0 else length  # -1: this one is stored as it is
        yield _positive(length)


def _field(data: bytes, table: int, number: int) -> int:
    """Where a field of a flatbuffer's table is; 0 if it has its default."""
    (back,) = unpack_from("<i", data, table)
    (size,) = unpack_from("<H", data, table - back)
    place = 4 + 2 * number
    if place >= size:
        return 0
    (offset,) = unpack_from("<H", data, table - back + place)
    return table + int(offset) if offset else 0


def _follow(data: bytes, place: int) -> int:
    """Where a relative offset leads."""
    (offset,) = unpack_from("<I", data, place)
    return place + int(offset)


def _count(data: bytes, place: int) -> int:
    """Entries of the list at a field; none if the field is not there."""
    (count,) = unpack_from("<I", data, _follow(data, place)) if place else (0,)
    return int(count)


def _positive(length: int) -> int:
    if length < 0:
        raise ValueError("a negative length or offset")
    return int(length)
