"""What stands before the tensors of a GGUF file: keys with values, and descriptions of tensors.

Source: the GGUF specification of ggml, version 3.
"""

import hashlib
import struct
from math import prod
from pathlib import Path
from typing import Any, BinaryIO

from birkhoff_cli.analyses.core.errors import BadInput, Unsupported
from birkhoff_cli.containers.store import DAMAGED, INCOMPLETE, TensorInfo, escape, where

VERSIONS = (2, 3)
MAX_HEADER = 128 << 20
"""Bytes before the tensors: a vocabulary of some million words."""

MAX_KEYS, MAX_TENSORS, MAX_TEXTS = 100_000, 200_000, 4_000_000
"""Texts are those of one array: each costs 200 ns, however short it is."""

MAX_NAME, MAX_AXES, MAX_NUMBER = 1024, 4, 1 << 48
CHUNK = 1 << 20
MAX_ALIGNMENT = 1 << 20
MAX_TEXT = 10_000
"""Bytes of a text that are kept; no name may have more."""

SCALARS = {0: "B", 1: "b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 6: "<f", 7: "?"}
SCALARS |= {10: "<Q", 11: "<q", 12: "<d"}
TEXT, ARRAY = 8, 9
"""Codes of the types of values."""

DTYPES = {0: "float32", 1: "float16", 30: "bfloat16", 28: "float64"}
DTYPES |= {24: "int8", 25: "int16", 26: "int32", 27: "int64", 8: "q8_0"}
"""Types of tensors that can be read, by code."""

QUANTISED = {2: "q4_0", 3: "q4_1", 6: "q5_0", 7: "q5_1", 9: "q8_1", 10: "q2_k", 11: "q3_k"}
QUANTISED |= {12: "q4_k", 13: "q5_k", 14: "q6_k", 15: "q8_k", 16: "iq2_xxs", 17: "iq2_xs"}
QUANTISED |= {18: "iq3_xxs", 19: "iq1_s", 20: "iq4_nl", 21: "iq3_s", 22: "iq2_s", 23: "iq4_xs"}
QUANTISED |= {29: "iq1_m", 34: "tq1_0", 35: "tq2_0", 39: "mxfp4"}
"""Types that have a name and are not read here."""

BLOCKS = {"q4_0": (32, 18), "q4_1": (32, 20), "q5_0": (32, 22), "q5_1": (32, 24), "q8_1": (32, 36)}
BLOCKS |= {"q2_k": (256, 84), "q3_k": (256, 110), "q4_k": (256, 144), "q5_k": (256, 176)}
BLOCKS |= {"q6_k": (256, 210), "q8_k": (256, 292), "iq4_nl": (32, 18), "iq4_xs": (256, 136)}
BLOCKS |= {"iq2_xxs": (256, 66), "iq2_xs": (256, 74), "iq2_s": (256, 82), "iq3_xxs": (256, 98)}
BLOCKS |= {"iq3_s": (256, 110), "iq1_s": (256, 50), "iq1_m": (256, 56), "tq1_0": (256, 54)}
BLOCKS |= {"tq2_0": (256, 66), "mxfp4": (32, 17)}
"""Numbers and bytes of a block of these types, of which only the room they take is known here.

Source: ggml, ggml-common.h.
"""

Q8_BLOCK, Q8_BYTES = 32, 34
"""Numbers that share a scale in q8_0, and the bytes that they take: a float16 and 32 of int8."""


class Part:
    """One file: its keys, and where its tensors are."""

    def __init__(self, path: Path, file: BinaryIO) -> None:
        self.path, self.file = path, file
        self.size = file.seek(0, 2)
        self.keys: dict[str, Any] = {}
        self.tensors: dict[str, TensorInfo] = {}
        self.offsets: dict[str, int] = {}
        self.header = 0

    def header_sha256(self) -> bytes:
        """The sha256 of everything before the tensors."""
        total, left = hashlib.sha256(), self.header
        self.file.seek(0)
        while left and (data := self.file.read(min(CHUNK, left))):
            total.update(data)
            left -= len(data)
        return total.digest()

    def read_tensor(self, name: str, count: int) -> bytes:
        """The bytes of one tensor."""
        self.file.seek(self.offsets[name])
        data = self.file.read(count)
        if len(data) < count:
            raise BadInput(f"{where(self.path)}: ends inside '{escape(name)}'; {INCOMPLETE}")
        return data


def describe(part: Part, magic: bytes) -> None:
    """Read everything before the tensors' bytes into a part, and check it.

    Args:
        part: just opened.
        magic: what every GGUF file begins with.

    Raises:
        BadInput: damaged or hostile.
        Unsupported: an older version, or big-endian numbers.
    """
    cursor = Cursor(part)
    if cursor.take(len(magic)) != magic:
        raise BadInput(f"{where(part.path)}: is no GGUF file; {DAMAGED}")
    _check_version(part, cursor)
    tensors, keys = cursor.scalar("<Q"), cursor.scalar("<Q")
    if keys > MAX_KEYS or tensors > MAX_TENSORS:
        raise BadInput(
            f"{where(part.path)}: says that it has {keys:,} keys and {tensors:,} tensors; {DAMAGED}"
        )
    for _ in range(keys):
        name, value = cursor.text(), cursor.value(cursor.scalar("<I"))
        if name in part.keys:
            raise BadInput(f"{where(part.path)}: key '{escape(name)}' is there twice; {DAMAGED}")
        part.keys[name] = value
    tensors_read = [_tensor(part, cursor) for _ in range(tensors)]
    alignment = part.keys.get("general.alignment", 32)
    if type(alignment) is not int or not 0 < alignment <= MAX_ALIGNMENT or alignment % 8:
        raise BadInput(f"{where(part.path)}: has the alignment {escape(alignment, 20)}; {DAMAGED}")
    start = -(-cursor.position // alignment) * alignment
    for name, info, offset in tensors_read:
        if name in part.tensors:
            raise BadInput(f"{where(part.path)}: '{escape(name)}' is there twice; {DAMAGED}")
        if offset % alignment or start + offset + bytes_of(info) > part.size:
            raise BadInput(
                f"{where(part.path)}: '{escape(name)}' lies outside the file; {INCOMPLETE}"
            )
        part.tensors[name], part.offsets[name] = info, start + offset
    part.header = cursor.position
    _check_spans(part, start, alignment)


def _check_spans(part: Part, start: int, alignment: int) -> None:
    """Hold that tensors lie side by side, and that the file ends behind the last.

    Args:
        part: described.
        start: where the first tensor may begin.
        alignment: bytes to a multiple of which each is filled up.

    Raises:
        BadInput: two lie on one another, or there are bytes that belong to none.
    """
    ends_known = True
    for offset, name in sorted((offset, name) for name, offset in part.offsets.items()):
        if offset < start:
            raise BadInput(f"{where(part.path)}: '{escape(name)}' lies on another; {DAMAGED}")
        if offset - start >= alignment and ends_known:
            raise BadInput(f"{where(part.path)}: has bytes before '{escape(name)}'; {DAMAGED}")
        size = bytes_of(part.tensors[name])
        ends_known = bool(size) or not part.tensors[name].size  # of a type that is known
        start = offset + size
    if part.size - start >= alignment and ends_known:
        raise BadInput(f"{where(part.path)}: goes on behind its last tensor; {DAMAGED}")


def _check_version(part: Part, cursor: "Cursor") -> None:
    version = cursor.scalar("<I")
    if version in VERSIONS:
        return
    what = "big-endian" if version and not version & 0xFFFF else f"of version {version}"
    raise Unsupported(f"{where(part.path)}: is a GGUF file {what}; convert it again")


def _tensor(part: Part, cursor: "Cursor") -> tuple[str, TensorInfo, int]:
    """Name, shape and dtype, and offset of one tensor."""
    name = cursor.text()
    axes = cursor.scalar("<I")
    if len(name) > MAX_NAME or axes > MAX_AXES:
        raise BadInput(f"{where(part.path)}: '{escape(name)}' has {axes} axes; {DAMAGED}")
    shape = tuple(cursor.scalar("<Q") for _ in range(axes))[::-1]
    if max(shape, default=0) >= MAX_NUMBER or prod(shape) >= MAX_NUMBER:
        raise BadInput(f"{where(part.path)}: '{escape(name)}' has no shape that can be; {DAMAGED}")
    code, offset = cursor.scalar("<I"), cursor.scalar("<Q")
    dtype = DTYPES.get(code) or QUANTISED.get(code) or f"ggml-{code}"
    if dtype == "q8_0" and (not shape or shape[-1] % Q8_BLOCK):
        raise BadInput(f"{where(part.path)}: '{escape(name)}' has no whole blocks; {DAMAGED}")
    return name, TensorInfo(shape, dtype), offset


def bytes_of(info: TensorInfo) -> int:
    """Bytes of a tensor; 0 of a type that is not known."""
    if info.dtype == "q8_0":
        return info.size // Q8_BLOCK * Q8_BYTES
    if info.dtype in BLOCKS:
        numbers, size = BLOCKS[info.dtype]
        return -(-info.size // numbers) * size
    return info.nbytes if info.dtype in DTYPES.values() else 0


class Cursor:
    """Reads a header from its beginning; a length is checked before anything is read for it."""

    def __init__(self, part: Part) -> None:
        self.part, self.position = part, 0
        self.limit = min(part.size, MAX_HEADER)
        part.file.seek(0)

    def take(self, count: int) -> bytes:
        """So many bytes."""
        if self.position + count > self.limit:
            raise BadInput(f"{where(self.part.path)}: ends inside its header; {INCOMPLETE}")
        self.position += count
        return self.part.file.read(count)

    def skip(self, count: int) -> None:
        """Pass over so many bytes."""
        if self.position + count > self.limit:
            raise BadInput(f"{where(self.part.path)}: ends inside its header; {INCOMPLETE}")
        self.position += count
        self.part.file.seek(self.position)

    def scalar(self, code: str) -> Any:
        """One number."""
        return struct.unpack(code, self.take(struct.calcsize(code)))[0]

    def text(self) -> str:
        """A name behind its length; undecodable bytes are kept as escapes."""
        if (size := self.scalar("<Q")) > MAX_TEXT:
            raise BadInput(f"{where(self.part.path)}: has a name of {size:,} bytes; {DAMAGED}")
        return self.take(size).decode("utf-8", "backslashreplace")

    def beginning(self) -> str:
        """The beginning of a text, which is passed over whole."""
        size = self.scalar("<Q")
        kept = self.take(min(size, MAX_TEXT)).decode("utf-8", "backslashreplace")
        self.skip(size - min(size, MAX_TEXT))
        return kept

    def value(self, value_type: int) -> Any:
        """A value of a key; an array is passed over and given as None."""
        if value_type in SCALARS:
            return self.scalar(SCALARS[value_type])
        if value_type == TEXT:
            return self.beginning()
        if value_type == ARRAY:
            self.pass_array(self.scalar("<I"), self.scalar("<Q"))
            return None
        raise BadInput(
            f"{where(self.part.path)}: has a value of unknown type {value_type}; {DAMAGED}"
        )

    def pass_array(self, value_type: int, count: int) -> None:
        """Pass over an array of numbers or of texts."""
        if value_type in SCALARS:
            self.skip(count * struct.calcsize(SCALARS[value_type]))
            return
        if value_type != TEXT or count > MAX_TEXTS or count * 8 > self.limit - self.position:
            raise BadInput(f"{where(self.part.path)}: has an array that cannot be; {DAMAGED}")
        self._pass_texts(count)

    def _pass_texts(self, count: int) -> None:
        """A vocabulary: hundreds of thousands of short texts, so no call more than needed."""
        read, position, limit = self.part.file.read, self.position, self.limit
        for _ in range(count):
            size = int.from_bytes(read(8), "little")
            position += 8 + size
            if position > limit:
                raise BadInput(f"{where(self.part.path)}: ends inside its header; {INCOMPLETE}")
            read(size)
        self.position = position
