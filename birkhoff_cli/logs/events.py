"""Scalars of TensorBoard event files: framed records, each a protocol buffer with checksums.

A record is its length, a checksum of that, the data, and a checksum of these. An event has a step
(field 2) and a summary (5), whose values (1) have a tag (1) and a number: ``simple_value`` (2), or
a tensor (8) of one float or double. All else (graphs, histograms, images, text) is passed over.

Read by hand: the libraries that do it bring TensorBoard or TensorFlow with them, and take a file
that is cut for a shorter one.

Source: github.com/tensorflow/tensorboard, compat/proto/event.proto, summary.proto, tensor.proto;
TFRecord, github.com/tensorflow/tensorflow, core/lib/io/record_writer.h.
"""

from collections.abc import Iterator
from functools import cache
from struct import unpack_from
from typing import NamedTuple

from birkhoff_cli.analyses.core.errors import BadInput
from birkhoff_cli.containers import where
from birkhoff_cli.containers.store import DAMAGED
from birkhoff_cli.content import COPIES, Content

START = b"brain.Event:"
"""In the first record of every file."""

EVENT_FILE = "*.tfevents.*"
"""Names of these files, which say when they were begun and by whom."""

STEP, SUMMARY, VALUE = 2, 5, 1
TAG, NUMBER, TENSOR = 1, 2, 8
DTYPE, CONTENT, FLOATS, DOUBLES = 1, 4, 5, 6
FLOAT, DOUBLE = 1, 2
"""Values of `DTYPE`."""

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
"""Wire types of protocol buffers."""

HEAD, TAIL = 12, 4
"""Bytes before and behind the data of a record."""

POLYNOMIAL, MASK = 0x82F63B78, 0xA282EAD8
"""CRC-32C, and what TFRecord adds to it."""


class Scalar(NamedTuple):
    """A number that was logged at a step."""

    step: int
    tag: str
    value: float


def is_events(head: bytes) -> bool:
    """Whether a file that begins like this is an event file."""
    return START in head[:64]


def scalars(content: Content) -> list[Scalar]:
    """Every scalar in the order of the file.

    Raises:
        BadInput: a checksum does not fit, or the file ends inside a record.
    """
    events = []
    for record in _records(content):
        step, summaries = 0, []
        for field, value in _fields(record):
            if field == STEP and isinstance(value, int):
                step = value - (value >> 63 << 64)  # two's complement
            elif field == SUMMARY and isinstance(value, bytes):
                summaries.append(value)
        every = (v for s in summaries for f, v in _fields(s) if f == VALUE and type(v) is bytes)
        for tag, number in filter(None, map(_number, every)):
            events.append(Scalar(step, tag, number))
    return events


def _records(content: Content) -> Iterator[bytes]:
    """The data of every record, checked."""
    content.require_room(COPIES * content.size)
    with content.open() as file:
        while head := file.read(HEAD):
            length = int.from_bytes(head[:8], "little")
            if len(head) == HEAD and _checksum(head[:8]) != int.from_bytes(head[8:], "little"):
                raise BadInput(f"{where(content.label)}: a length fails its checksum; {DAMAGED}")
            record = file.read(length) if length <= content.size else b""
            end = file.read(TAIL)
            if len(head) < HEAD or len(record) < length or len(end) < TAIL:
                raise BadInput(
                    f"{where(content.label)}: ends inside a record; a run that still writes? give "
                    f"the file when the record is complete"
                )
            if _checksum(record) != int.from_bytes(end, "little"):
                raise BadInput(f"{where(content.label)}: a record fails its checksum; {DAMAGED}")
            yield record


def _number(value: bytes) -> tuple[str, float] | None:
    """Tag and number of a value; None if it holds no single number."""
    tag, number = "", None
    for field, part in _fields(value):
        if field == TAG and isinstance(part, bytes):
            tag = part.decode()
        elif field == NUMBER and isinstance(part, bytes):
            number = _of_bytes(part, FLOAT)
        elif field == TENSOR and isinstance(part, bytes):
            number = _of_tensor(part)
    return None if number is None else (tag, number)


def _of_tensor(tensor: bytes) -> float | None:
    """The only number of a tensor of floats or doubles."""
    dtype, content = 0, b""
    for field, part in _fields(tensor):
        if field == DTYPE and isinstance(part, int):
            dtype = part
        elif field in (CONTENT, FLOATS, DOUBLES) and isinstance(part, bytes):
            content += part
    return _of_bytes(content, dtype)


def _of_bytes(content: bytes, dtype: int) -> float | None:
    form, size = {FLOAT: ("<f", 4), DOUBLE: ("<d", 8)}.get(dtype, ("", -1))
    return float(unpack_from(form, content)[0]) if len(content) == size else None


def _fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Number and value of every field; numbers of fixed length as their bytes.

    Raises:
        ValueError: it ends inside a field, or is no protocol buffer.
    """
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        wire_type = key & 7
        if wire_type == VARINT:
            value, at = _varint(data, at)
            yield key >> 3, value
            continue
        if wire_type == BYTES:
            size, at = _varint(data, at)
        else:
            size = {FIXED32: 4, FIXED64: 8}[wire_type]
        if at + size > len(data):
            raise ValueError("ends inside a field")
        yield key >> 3, data[at : at + size]
        at += size


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """A number of 7 bits a byte, the lowest first, and where the next field begins."""
    value = 0
    for shift in range(0, 70, 7):
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
    raise ValueError("a number of more than 70 bits")


@cache
def _table() -> tuple[int, ...]:
    """The checksum of every byte."""
    table = []
    for byte in range(256):
        for _ in range(8):
            byte = byte >> 1 ^ (POLYNOMIAL if byte & 1 else 0)
        table.append(byte)
    return tuple(table)


def _checksum(data: bytes) -> int:
    """Masked CRC-32C."""
    table, crc = _table(), 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ table[(crc ^ byte) & 255]
    crc ^= 0xFFFFFFFF
    return ((crc >> 15 | crc << 17) + MASK) & 0xFFFFFFFF
