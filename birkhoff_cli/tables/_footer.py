"""How large the columns of a Parquet file become, from its footer alone.

The footer counts the values of every column chunk. Sizes that it states are those of encoded pages:
a column of one value a billion times has a few bytes. pyarrow is not asked, because it ends the
process over damaged statistics.

Source: Apache Parquet, parquet.thrift; Thrift's compact protocol.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import BinaryIO

TRUE, FALSE, BYTE, I16, I32, I64, DOUBLE, BINARY, LIST, SET, MAP, STRUCT = range(1, 13)
"""Types of the compact protocol."""

ROW_GROUPS = 4
"""Field of the file's metadata."""

COLUMNS, GROUP_ROWS = 1, 3
"""Fields of a row group."""

CHUNK_METADATA = 3
"""Field of a column chunk."""

PHYSICAL_TYPE, PATH, VALUES, STATED_SIZE = 1, 3, 5, 6
"""Fields of a column chunk's metadata."""

WIDTHS = {0: 1, 1: 4, 2: 8, 3: 12, 4: 4, 5: 8}
"""Bytes of a value by physical type; those of texts and byte arrays are as the footer states."""

MAX_FOOTER = 256 << 20
MAX_DEPTH = 16


@dataclass
class Group:
    """A row group: its rows, and bytes of every column, by name, after decoding."""

    rows: int = 0
    sizes: dict[str, int] = field(default_factory=dict)


def row_groups(file: BinaryIO) -> list[Group]:
    """All row groups of an open file.

    Raises:
        ValueError: the footer is damaged.
    """
    end = file.seek(-8, 2)
    length = int.from_bytes(file.read(4), "little")
    if not 0 < length <= min(end, MAX_FOOTER):
        raise ValueError("length of the footer")
    file.seek(end - length)
    reader = Reader(file.read(length))
    groups: list[Group] = []
    for number, type_ in reader.fields():
        if (number, type_) == (ROW_GROUPS, LIST):
            groups = [_group(reader) for _ in reader.items(STRUCT)]
        else:
            reader.skip(type_)
    return groups


def _group(reader: "Reader") -> Group:
    group = Group()
    for number, type_ in reader.fields():
        if (number, type_) == (COLUMNS, LIST):
            for _ in reader.items(STRUCT):
                name, size = _column(reader)
                group.sizes[name] = group.sizes.get(name, 0) + size
        elif (number, type_) == (GROUP_ROWS, I64):
            group.rows = reader.integer()
        else:
            reader.skip(type_)
    return group


def _column(reader: "Reader") -> tuple[str, int]:
    name, size = "", 0
    for number, type_ in reader.fields():
        if (number, type_) == (CHUNK_METADATA, STRUCT):
            name, size = _chunk(reader)
        else:
            reader.skip(type_)
    return name, size


def _chunk(reader: "Reader") -> tuple[str, int]:
    """Name of the column that a chunk is of, and its bytes."""
    numbers, name = dict.fromkeys((PHYSICAL_TYPE, VALUES, STATED_SIZE), 0), ""
    for number, type_ in reader.fields():
        if number in numbers and type_ in (I32, I64):
            numbers[number] = reader.integer()
        elif (number, type_) == (PATH, LIST):
            name, *_ = [reader.binary().decode() for _ in reader.items(BINARY)]
        else:
            reader.skip(type_)
    width = WIDTHS.get(numbers[PHYSICAL_TYPE])
    size = numbers[STATED_SIZE] if width is None else width * numbers[VALUES]
    if size < 0:
        raise ValueError("a negative size")
    return name, size


class Reader:
    """Values of the compact protocol, one after another."""

    def __init__(self, data: bytes) -> None:
        self.data, self.position = data, 0

    def fields(self) -> Iterator[tuple[int, int]]:
        """Number and type of every field of a struct; its value is to be read or skipped."""
        number = 0
        while head := self._byte():
            step, type_ = divmod(head, 16)
            number = number + step if step else self.integer()
            yield number, type_

    def items(self, type_: int) -> Iterator[int]:
        """As many times as a list has items, which have to be of this type."""
        count, stored_type = self._list_head()
        if count and stored_type != type_:
            raise ValueError("type of a list")
        return iter(range(count))

    def integer(self) -> int:
        """A signed number."""
        value = self._varint()
        return (value >> 1) ^ -(value & 1)

    def binary(self) -> bytes:
        """Bytes behind their length."""
        return self._take(self._varint())

    def skip(self, type_: int, depth: int = 0) -> None:
        """Pass over a value."""
        if depth > MAX_DEPTH:
            raise ValueError("depth")
        if type_ in (BYTE, I16, I32, I64):
            self._take(1) if type_ == BYTE else self._varint()
        elif type_ == DOUBLE:
            self._take(8)
        elif type_ == BINARY:
            self.binary()
        elif type_ in (LIST, SET):
            count, item = self._list_head()
            for _ in range(count):
                # a truth is a byte in a list, and in the type of a field elsewhere
                self.skip(BYTE if item in (TRUE, FALSE) else item, depth + 1)
        elif type_ == STRUCT:
            for _, inner in self.fields():
                self.skip(inner, depth + 1)
        elif type_ not in (TRUE, FALSE):
            raise ValueError("type of a value")

    def _list_head(self) -> tuple[int, int]:
        count, type_ = divmod(self._byte(), 16)
        count = self._varint() if count == 15 else count
        if count > len(self.data) - self.position:
            raise ValueError("length of a list")
        return count, type_

    def _byte(self) -> int:
        return self._take(1)[0]

    def _varint(self) -> int:
        value = 0
        for shift in range(0, 70, 7):
            byte = self._byte()
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
        raise ValueError("a number")

    def _take(self, count: int) -> bytes:
        part = self.data[self.position : self.position + count]
        if len(part) < count:
            raise ValueError("the end")
        self.position += count
        return part
