"""How large the columns of a Parquet file become, from its footer alone.

The footer counts the values of every column chunk. Sizes that it states are those of encoded pages:
a column of one value a billion times has a few bytes. pyarrow is not asked, because it ends the
process over damaged statistics.

Source: Apache Parquet, parquet.thrift; Thrift's compact protocol.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import BinaryIO

from birkhoff_cli.tables._unlisted import gaps

TRUE, FALSE, BYTE, I16, I32, I64, DOUBLE, BINARY, LIST, SET, MAP, STRUCT = range(1, 13)
"""Types of the compact protocol."""

ROW_GROUPS = 4
"""Field of the file's metadata."""

COLUMNS, GROUP_ROWS = 1, 3
"""Fields of a row group."""

CHUNK_METADATA = 3
INDICES = ((4, 5), (6, 7))
"""Fields of a column chunk; of an index of its pages where it is, and its bytes."""

PHYSICAL_TYPE, PATH, VALUES, STATED_SIZE, STORED_SIZE = 1, 3, 5, 6, 7
PAGES, DICTIONARY, FILTER, FILTER_SIZE = 9, 11, 14, 15
"""Fields of a column chunk's metadata; the last four say where its pages and its filter are."""

WIDTHS = {0: 1, 1: 4, 2: 8, 3: 12, 4: 4, 5: 8}
"""Bytes of a value by physical type; those of texts and byte arrays are as the footer states."""

FIRST = 4
"""Where the first page is: behind the magic bytes."""

MAX_METADATA = 1 << 20
"""Bytes of what a writer says of a column chunk, which may hold the largest and smallest value."""

MAX_FILTER_HEADER = 64
MAX_FOOTER = 256 << 20
MAX_DEPTH = 16


@dataclass
class Group:
    """A row group.

    Attributes:
        rows: how many.
        sizes: bytes of every column, by name, after decoding.
        chunks: where the pages of every column are: beginning and end.
        indices: the same of indices of pages.
        filters: where filters begin, and their bytes, which older writers do not say.
    """

    rows: int = 0
    sizes: dict[str, int] = field(default_factory=dict)
    chunks: list[tuple[int, int]] = field(default_factory=list)
    indices: list[tuple[int, int]] = field(default_factory=list)
    filters: list[tuple[int, int | None]] = field(default_factory=list)


def row_groups(file: BinaryIO) -> list[Group]:
    """All row groups of an open file.

    Raises:
        ValueError: the footer is damaged.
    """
    start, length = footer_place(file)
    file.seek(start)
    reader = Reader(file.read(length))
    groups: list[Group] = []
    for number, type_ in reader.fields():
        if (number, type_) == (ROW_GROUPS, LIST):
            groups = [_group(reader) for _ in reader.items(STRUCT)]
        else:
            reader.skip(type_)
    return groups


def footer_place(file: BinaryIO) -> tuple[int, int]:
    """Where the footer begins, and its bytes.

    Raises:
        ValueError: that cannot be.
    """
    end = file.seek(-8, 2)
    length = int.from_bytes(file.read(4), "little")
    if not 0 < length <= min(end, MAX_FOOTER):
        raise ValueError("length of the footer")
    return end - length, length


def left_out(file: BinaryIO, groups: Sequence[Group]) -> Iterator[tuple[int, int]]:
    """What the footer does not explain of the bytes before it: beginning and end, each.

    Raises:
        ValueError: two columns have the same pages.
    """
    chunks = [chunk for group in groups for chunk in group.chunks if chunk[0] < chunk[1]]
    if len({start for start, _ in chunks}) < len(chunks):
        raise ValueError("pages that are there twice")
    aside = [span for group in groups for span in group.indices]
    for start, size in (each for group in groups for each in group.filters):
        aside.append((start, start + (_filter_size(file, start) if size is None else size)))
    ends = {end for _, end in chunks}
    for start, stop in gaps([*chunks, *aside], FIRST, footer_place(file)[0]):
        if start not in ends or not _is_metadata(file, start, stop):
            yield start, stop


def _filter_size(file: BinaryIO, start: int) -> int:
    """Bytes of a filter with its header, whose first field says how many follow it."""
    file.seek(start)
    reader, size = Reader(file.read(MAX_FILTER_HEADER)), 0
    for number, type_ in reader.fields():
        if (number, type_) == (1, I32):
            size = reader.integer()
        else:
            reader.skip(type_)
    return reader.position + size


def _is_metadata(file: BinaryIO, start: int, stop: int) -> bool:
    """Whether it is what the footer says of a column chunk, which some writers repeat behind it."""
    if stop - start > MAX_METADATA:
        return False
    file.seek(start)
    reader, group = Reader(file.read(stop - start)), Group()
    try:
        _chunk(reader, group)
    except ValueError:
        return False
    return reader.position == stop - start and list(group.sizes) != [""]


def _group(reader: "Reader") -> Group:
    group = Group()
    for number, type_ in reader.fields():
        if (number, type_) == (COLUMNS, LIST):
            for _ in reader.items(STRUCT):
                _column(reader, group)
        elif (number, type_) == (GROUP_ROWS, I64):
            group.rows = reader.integer()
        else:
            reader.skip(type_)
    return group


def _column(reader: "Reader", group: Group) -> None:
    """Note a column chunk in its group."""
    places: dict[int, int] = {}
    for number, type_ in reader.fields():
        if (number, type_) == (CHUNK_METADATA, STRUCT):
            _chunk(reader, group)
        elif type_ in (I32, I64):
            places[number] = reader.integer()
        else:
            reader.skip(type_)
    for place, size in INDICES:
        if place in places:
            group.indices.append((places[place], places[place] + places.get(size, 0)))


def _chunk(reader: "Reader", group: Group) -> None:
    """Note the column that a chunk is of, its bytes, and where its pages and its filter are."""
    numbers, name = dict.fromkeys((PHYSICAL_TYPE, VALUES, STATED_SIZE, STORED_SIZE), 0), ""
    for number, type_ in reader.fields():
        if type_ in (I32, I64):
            numbers[number] = reader.integer()
        elif (number, type_) == (PATH, LIST):
            name, *_ = [reader.binary().decode() for _ in reader.items(BINARY)]
        else:
            reader.skip(type_)
    width = WIDTHS.get(numbers[PHYSICAL_TYPE])
    size = numbers[STATED_SIZE] if width is None else width * numbers[VALUES]
    if size < 0:
        raise ValueError("a negative size")
    group.sizes[name] = group.sizes.get(name, 0) + size
    places = [numbers[n] for n in (PAGES, DICTIONARY) if numbers.get(n)]
    start = min(places, default=0)  # a column without rows may have none
    group.chunks.append((start, start + numbers[STORED_SIZE]))
    if FILTER in numbers:
        group.filters.append((numbers[FILTER], numbers.get(FILTER_SIZE)))


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
