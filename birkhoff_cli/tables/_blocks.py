"""The batches of an Arrow file, one by one, each as a small file in memory.

pyarrow reads files in threads of its own, which may go on after an error with a file object of ours
that is closed; what it reads in memory is safe. A small file is the original's dictionaries and one
batch, and the original's footer with their new places. Where few columns are asked for, their
buffers are put together, and the header says where they are now.

Source: Apache Arrow, format/File.fbs.
"""

from collections.abc import Iterator, Sequence
from itertools import accumulate
from struct import Struct, unpack_from
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

import pyarrow as pa

from birkhoff_cli.tables._messages import (
    ALIGNMENT,
    END_OF_STREAM,
    MAX_FOOTER,
    Message,
    Span,
    buffers,
    compact,
    entries,
    follow,
    frame,
    message,
)
from birkhoff_cli.tables._unlisted import gaps

if TYPE_CHECKING:
    from birkhoff_cli.content import Content

START, END = b"ARROW1\0\0", b"ARROW1"
DICTIONARIES, BATCHES = 2, 3
"""Fields of the footer: lists of blocks."""

BLOCK = Struct("<qi4xq")
"""Offset of a message, bytes of its header with the length before it, bytes of its body."""


class _Part(NamedTuple):
    """A message of a small file.

    Attributes:
        message: all that is before its body.
        body: bytes of the body.
        spans: what to read into the body: where it is in the original, where it goes, and bytes.
    """

    message: bytes
    body: int
    spans: list[tuple[int, int, int]]


class Blocks:
    """What the footer of an Arrow file lists.

    Attributes:
        schema: of the file.
        messages: headers of the dictionaries, then of the batches.
    """

    def __init__(self, content: "Content") -> None:
        """Read the footer and the headers.

        Raises:
            ValueError, struct.error or IndexError: something is damaged.
        """
        self._size = content.size
        with content.open() as file:
            self._footer = _read_footer(file)
            table = follow(self._footer, 0)
            self._offsets = {
                number: list(entries(self._footer, table, number, BLOCK.size))
                for number in (DICTIONARIES, BATCHES)
            }
            self.messages = [self._message(file, p) for ps in self._offsets.values() for p in ps]
        self.schema = pa.ipc.open_file(pa.BufferReader(START + _end(self._footer))).schema

    def left_out(self, content: "Content") -> list[tuple[int, int]]:
        """What the footer does not list of the bytes before it: beginning and end, each.

        Before the first block is the schema, and behind the last one the end of the messages.
        """
        blocks = (BLOCK.unpack_from(self._footer, p) for ps in self._offsets.values() for p in ps)
        spans = [(offset, offset + header + body) for offset, header, body in blocks]
        with content.open() as file:
            stop = file.seek(-4 - len(END), 2) - len(self._footer)
        first = min((start for start, _ in spans), default=stop)
        every = gaps(spans, first, stop)
        return [(a + len(END_OF_STREAM) if b == stop else a, b) for a, b in every]

    def number_of(self, row: int) -> tuple[int, int]:
        """The number of the batch that holds a row, and the rows before that batch."""
        before, every = 0, self.messages[len(self._offsets[DICTIONARIES]) :]
        for number, each in enumerate(every):
            if row < before + each.rows:
                return number, before
            before += each.rows
        return len(every), before

    def batches(
        self, file: BinaryIO, options: "pa.ipc.IpcReadOptions", first: int = 0
    ) -> Iterator[pa.RecordBatch]:
        """Every batch from a number on, with the columns that the options include."""
        for position in self._offsets[BATCHES][first:]:
            data = self._small_file(file, position, options.included_fields)
            reader = pa.ipc.open_file(pa.BufferReader(data), options=options)
            del data  # the reader has its own
            yield reader.get_batch(0)

    def _small_file(self, file: BinaryIO, position: int, fields: Sequence[int]) -> pa.Buffer:
        """The dictionaries and one batch as a file.

        Args:
            file: the original.
            position: of the batch in the footer.
            fields: numbers of the columns that will be read; none: all of them.
        """
        footer, start = bytearray(self._footer), len(START)
        parts: list[tuple[int, _Part]] = []
        for source, target in zip(
            (*self._offsets[DICTIONARIES], position), self._targets(), strict=True
        ):
            part = self._part(file, source, fields if source == position else ())
            BLOCK.pack_into(footer, target, start, len(part.message), part.body)
            parts.append((start, part))
            start += len(part.message) + part.body
            start += -start % ALIGNMENT
        end = _end(bytes(footer))
        data = pa.allocate_buffer(start + len(end))  # Arrow keeps freed memory for the next one
        view = memoryview(data).cast("B")
        view[: len(START)], view[start:] = START, end
        for first, part in parts:
            body = first + len(part.message)
            view[first:body] = part.message
            for source, begin, length in part.spans:
                self._fill(file, source, view[body + begin : body + begin + length])
        return data

    def _part(self, file: BinaryIO, source: int, fields: Sequence[int]) -> "_Part":
        """A message as it will be; only the buffers of some columns, if that saves much."""
        offset, header, body = BLOCK.unpack_from(self._footer, source)
        start = offset + header
        if start + body > self._size:  # else as much memory as a damaged file asks for
            raise ValueError("length of a body")
        file.seek(offset)
        message = file.read(header)
        if frame(message) != (header, body):  # Arrow allocates what the message says
            raise ValueError("a message of another size than the footer lists")
        kept = self._kept(message, fields) if fields else {}
        if not kept or 2 * sum(length for _, length in kept.values()) >= body:
            return _Part(message, body, [(start, 0, body)])
        if max(map(sum, kept.values())) > body:
            raise ValueError("place of a buffer")
        message, size, begins = compact(message, kept)
        spans = zip(kept.values(), begins, strict=True)
        return _Part(message, size, [(start + first, to, n) for (first, n), to in spans])

    def _kept(self, message: bytes, fields: Sequence[int]) -> dict[int, Span]:
        """The buffers of some columns by their numbers; none where these are not known."""
        counts = [_count_buffers(field.type) for field in self.schema]
        every = buffers(message)
        if None in counts or sum(filter(None, counts)) != len(every):
            return {}
        firsts = [0, *accumulate(count or 0 for count in counts)]
        return {k: every[k] for n in sorted(fields) for k in range(firsts[n], firsts[n + 1])}

    def _fill(self, file: BinaryIO, source: int, target: memoryview) -> None:
        """Read as many bytes as there is room for."""
        file.seek(source)
        if file.readinto(target) != len(target):  # type: ignore[attr-defined]
            raise ValueError("length of a body")

    def _targets(self) -> tuple[int, ...]:
        """Where the small file's blocks are listed: all dictionaries, and the first batch."""
        return (*self._offsets[DICTIONARIES], self._offsets[BATCHES][0])

    def _message(self, file: BinaryIO, start: int) -> Message:
        offset, header, body = BLOCK.unpack_from(self._footer, start)
        next_message = message(file, offset) if min(offset, header, body) >= 0 else None
        if next_message is None:
            raise ValueError("a block without a message")
        return next_message


def _count_buffers(type_: pa.DataType) -> int | None:
    """Buffers of a column in a batch; None for types that no table of ours has.

    Source: Apache Arrow, Columnar.rst, "Buffer listing for each layout".
    """
    t = pa.types
    if t.is_fixed_size_list(type_):
        inner = _count_buffers(type_.value_type)
        return None if inner is None else 1 + inner
    if t.is_string(type_) or t.is_large_string(type_):
        return 3
    plain = t.is_integer(type_) or t.is_floating(type_) or t.is_dictionary(type_)
    return 2 if plain else None


def _end(footer: bytes) -> bytes:
    """All that is behind the last message."""
    return footer + len(footer).to_bytes(4, "little") + END


def _read_footer(file: BinaryIO) -> bytes:
    end = file.seek(-4 - len(END), 2)
    (length,) = unpack_from("<i", file.read(4))
    if not 0 < length <= min(end, MAX_FOOTER):
        raise ValueError("length of a footer")
    file.seek(end - length)
    return file.read(length)
