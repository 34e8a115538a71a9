"""The batches of an Arrow file, one by one, each as a small file in memory.

pyarrow reads files in threads of its own, which may go on after an error with a file object of ours
that is closed; what it reads in memory is safe. A small file is the original's dictionaries and one
batch, and the original's footer with their new places.

Source: Apache Arrow, format/File.fbs.
"""

from collections.abc import Iterator, Sequence
from itertools import accumulate
from struct import Struct, unpack_from
from typing import TYPE_CHECKING, BinaryIO

import pyarrow as pa

from birkhoff_cli.tables._messages import Message, buffers, entries, follow, message

if TYPE_CHECKING:
    from birkhoff_cli.content import Content

START, END = b"ARROW1\0\0", b"ARROW1"
DICTIONARIES, BATCHES = 2, 3
"""Fields of the footer: lists of blocks."""

BLOCK = Struct("<qi4xq")
"""Offset of a message, bytes of its header with the length before it, bytes of its body."""

MAX_FOOTER = 256 << 20


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
        self.schema = _open([START], self._footer, pa.ipc.IpcReadOptions()).schema

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
            footer, start = bytearray(self._footer), len(START)
            parts: list[bytes | bytearray] = [START]
            chosen = (*self._offsets[DICTIONARIES], position)
            for source, target in zip(chosen, self._targets(), strict=True):
                offset, header, body = BLOCK.unpack_from(self._footer, source)
                fields = options.included_fields if source == position else ()
                part = self._read(file, (offset, header, body), fields)
                BLOCK.pack_into(footer, target, start, header, body)
                length = sum(map(len, part))
                padding = -length % 8
                parts += [*part, bytes(padding)]  # added up they would be copied once more
                start += length + padding
            reader = _open(parts, bytes(footer), options)
            parts.clear()  # the reader has its own
            yield reader.get_batch(0)

    def _read(
        self, file: BinaryIO, block: tuple[int, int, int], fields: Sequence[int]
    ) -> tuple[bytes, bytes | bytearray]:
        """A message and its body: zeros in place of what only other columns need, if that is much.

        Args:
            file: the original.
            block: offset of the message, bytes of it and of its body.
            fields: numbers of the columns that will be read; none: all of them.
        """
        offset, header, body = block
        file.seek(offset)
        message = file.read(header)
        spans = self._spans(message, fields) if fields else []
        size = sum(stop - start for start, stop in spans)
        if not spans or 2 * size > body or max(stop for _, stop in spans) > body:
            return message, file.read(body)
        if offset + header + body > self._size:
            raise ValueError("length of a body")
        data = bytearray(body)
        for start, stop in spans:
            file.seek(offset + header + start)
            part = file.read(stop - start)
            data[start : start + len(part)] = part
        return message, data

    def _spans(self, message: bytes, fields: Sequence[int]) -> list[tuple[int, int]]:
        """Where the buffers of some columns are in a body; nothing where that is not known."""
        counts = [_count_buffers(field.type) for field in self.schema]
        every = buffers(message)
        if None in counts or sum(filter(None, counts)) != len(every):
            return []
        firsts = [0, *accumulate(count or 0 for count in counts)]
        own = [every[k] for n in fields for k in range(firsts[n], firsts[n + 1])]
        return [(offset, offset + length) for offset, length in own]

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


def _open(
    parts: list[bytes | bytearray], footer: bytes, options: "pa.ipc.IpcReadOptions"
) -> "pa.ipc.RecordBatchFileReader":
    data = b"".join([*parts, footer, len(footer).to_bytes(4, "little"), END])
    return pa.ipc.open_file(pa.BufferReader(data), options=options)


def _read_footer(file: BinaryIO) -> bytes:
    end = file.seek(-4 - len(END), 2)
    (length,) = unpack_from("<i", file.read(4))
    if not 0 < length <= min(end, MAX_FOOTER):
        raise ValueError("length of a footer")
    file.seek(end - length)
    return file.read(length)
