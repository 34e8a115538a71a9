"""What a container holds, as data: named tensors that are read one by one, and the rest."""

import hashlib
import os
import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from math import prod
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from birkhoff_cli import extras, places
from birkhoff_cli.analyses.core.errors import (
    BadInput,
    BirkhoffError,
    Unsupported,
)
from birkhoff_cli.analyses.core.shortage import is_short_of_memory
from birkhoff_cli.read_errors import require_sound
from birkhoff_cli.text import escape as printable

DTYPES = (
    *("float64", "float32", "float16", "bfloat16"),
    *("int64", "int32", "int16", "int8", "bool", "uint64", "uint32", "uint16", "uint8"),
    *("complex128", "complex64", "complex32"),
    *("float8_e4m3fn", "float8_e5m2", "float8_e4m3fnuz", "float8_e5m2fnuz", "float8_e8m0fnu"),
    *("float6_e2m3", "float6_e3m2", "float4_e2m1", "q8_0"),
)
"""Every dtype that a container can declare."""

BITS = {name: int((re.findall("[0-9]+", name) or ["8"])[0]) for name in DTYPES}
"""Bits of one element, which is the first number in a dtype's name; ``bool`` takes a byte."""

CODES = {
    **{"float64": "f8", "float32": "f4", "float16": "f2", "bfloat16": "u2"},
    **{"int64": "i8", "int32": "i4", "int16": "i2", "int8": "i1", "bool": "?"},
    **{"uint64": "u8", "uint32": "u4", "uint16": "u2", "uint8": "u1"},
    **{"complex128": "c16", "complex64": "c8", "q8_0": "i1"},
}
"""NumPy codes of the dtypes whose values can be read; of ``bfloat16``, that of its bits; the scaled
blocks of ``q8_0`` are widened by hand."""

FP8 = ("float8_e4m3fn", "float8_e5m2", "float8_e4m3fnuz", "float8_e5m2fnuz", "float8_e8m0fnu")
"""Dtypes of 8-bit floats, which are of use with their scales only."""

MAX_NAME = 1024
"""Characters of a tensor's name."""

SMALL, TOGETHER = 64 << 10, 8
"""Bytes of a tensor that is read with all others of its size, and how many larger ones at once."""

INCOMPLETE = "incomplete download or interrupted copy? fetch it again"
DAMAGED = "the file is damaged; copy or download it again"


def escape(text: object, limit: int = 80) -> str:
    """Text from a file for one line of a terminal: printable, and of bounded length."""
    line = str(text)
    shown = printable(line[:limit])
    return shown if len(shown) <= limit and len(line) <= limit else shown[: limit - 3] + "..."


def where(path: Path) -> str:
    """A path as a message begins with it: whole, but printable."""
    return printable(path)


def unreadable(path: Path, error: OSError) -> BadInput:
    """The sentence about a path that the system does not open.

    Raises:
        MemoryError: for want of memory.
        TooLarge: more files are open than may be.
        Unreadable: a disk fails.
    """
    require_sound(error, path)
    if isinstance(error, FileNotFoundError):
        if not places.is_remote(path) and os.path.islink(path):  # noqa: PTH114, a name may be odd
            return BadInput(
                f"{where(path)}: is a link to what is not there; fetch that, or remove it"
            )
        part = path.with_name(f"{path.stem}.part.arrow")
        if part.is_file():
            return BadInput(f"{where(path)}: its recording has not ended; give {where(part)}")
        from birkhoff_cli import mistakes  # only here: it looks at options, methods and folders

        return BadInput(f"{where(path)}: no such file; {printable(mistakes.missing_file(path))}")
    return BadInput(f"{where(path)}: cannot be opened ({error.strerror}); check the path")


@contextmanager
def refusing(path: Path) -> Iterator[None]:
    """Turn whatever interpreting a damaged file raises into one sentence.

    The one place that catches everything: the bytes of a pickle are a program, and a damaged
    program fails in any way at all, by design of the format.
    """
    try:
        yield
    except (BirkhoffError, MemoryError, ImportError, SystemError):
        raise  # a lack of memory or of a library says nothing of the file
    except Exception as error:
        if lack := extras.of_import(error):
            raise lack from error
        if is_short_of_memory(error):
            raise MemoryError from error
        raise _refusal(path, error) from error


def _refusal(path: Path, error: Exception) -> BadInput:
    """The sentence about a file whose reading ended so."""
    if isinstance(error, OSError):
        require_sound(error, path)
        reason = escape(error.strerror or "read error")
        return BadInput(f"{where(path)}: cannot be read ({reason}); {INCOMPLETE}")
    if type(error).__name__ == "ArrowNotImplementedError":  # pyarrow is not imported for it
        return BadInput(
            f"{where(path)}: holds what pyarrow does not read ({escape(error)}); write it with "
            f"plain types, or copy a damaged file again"
        )
    return BadInput(f"{where(path)}: cannot be understood ({type(error).__name__}); {DAMAGED}")


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """Shape and dtype of a tensor that has not been read."""

    shape: tuple[int, ...]
    dtype: str

    @property
    def size(self) -> int:
        """Number of elements."""
        return prod(self.shape)

    @property
    def nbytes(self) -> int:
        """Bytes of the elements, without gaps."""
        return self.size * BITS[self.dtype] // 8


@dataclass
class Store(ABC):
    """An open container.

    Attributes:
        container: what kind of file it is.
        path: the file, or the directory of a sharded checkpoint.
        file: the open file; `close` closes it.
        size: bytes on disk.
        tensors: what can be read, by name, in the order of the file.
        config: whatever else the file holds, as plain dicts, lists, text and numbers.
        notes: sentences about what was chosen, and what lies beside and was not read.
    """

    container: ClassVar[str]
    path: Path
    file: BinaryIO
    size: int
    tensors: Mapping[str, TensorInfo] = field(default_factory=dict)
    config: Mapping[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    _read: dict[str, tuple[bytes, int]] = field(default_factory=dict)
    _expected: dict[str, int] = field(default_factory=dict)

    @abstractmethod
    def _values(self, name: str) -> NDArray[Any]: ...

    def read(self, name: str) -> NDArray[Any]:
        """One tensor, in native byte order; bfloat16, which numpy lacks, as float32.

        Raises:
            Unsupported: its dtype has no numpy counterpart.
            BadInput: its bytes are damaged or missing.
        """
        dtype = self.tensors[name].dtype
        if dtype not in CODES:
            raise Unsupported(
                f"{where(self.path)}: tensor '{escape(name)}' has dtype {dtype}; "
                f"convert it to float32"
            )
        self._gather(name)
        with refusing(self.path):
            return self._values(name)

    def read_unscaled(self, name: str) -> NDArray[Any]:
        """A tensor of 8-bit floats as float32, without the scales that belong to it.

        Raises:
            BadInput: its bytes are damaged or missing.
        """
        self._gather(name)
        with refusing(self.path):
            return self._values(name)

    def spans(self, name: str) -> Iterable[tuple[Path, int, int]]:
        """Where the bytes of a tensor are: of which file, from where to where.

        Only of use if they are far away; a kind of file that does not say it is read as it goes.
        """
        del name
        return ()

    def expect(self, names: Iterable[str]) -> None:
        """Say which tensors are likely to be read, in order: remote ones then travel together."""
        if places.is_remote(self.path):
            known = (name for name in names if name in self.tensors)
            self._expected = {name: self.tensors[name].nbytes for name in known}

    def _gather(self, name: str) -> None:
        """Read a tensor that is far away together with those that are likely to be read next."""
        if name not in self._expected:
            return
        several = next_to(name, self._expected)
        self._expected = {n: size for n, size in self._expected.items() if n not in several}
        places.fetch(span for n in several for span in self.spans(n))

    def digest(self) -> dict[str, Any]:
        """Name, size and sha256 of the bytes that were read so far.

        The hash is taken over ``name NUL sha256(bytes)`` of every part of the file that was read,
        parts in the order of their names. Parts are zip records (``data.pkl``, ``data/7``), the
        safetensors ``header`` and its ``tensor NAME``, or, where it is read whole, the ``file``.
        """
        total = hashlib.sha256()
        for name, (part, _) in sorted(self._read.items()):
            total.update(name.encode("utf-8", "surrogatepass") + b"\0" + part)
        name = escape(places.label(self.path))
        return {"name": name, "size": self.size, "sha256": total.hexdigest()}

    @property
    def bytes_read(self) -> int:
        """How many bytes were read so far; what was read twice counts once."""
        return sum(count for _, count in self._read.values())

    def _note(self, part: str, sha256: bytes, count: int) -> None:
        self._read.setdefault(part, (sha256, count))

    def close(self) -> None:
        """Close the file; reading is over."""
        self.file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def next_to(name: str, expected: Mapping[str, int]) -> set[str]:
    """Which tensors to read together with one: all small ones, or a few large ones of its kind.

    Two are of one kind if their names differ in numbers only.

    Args:
        name: of the one.
        expected: bytes of each that may be read, by name, in order.
    """
    if expected[name] <= SMALL:
        return {n for n, size in expected.items() if size <= SMALL}
    pattern, names = _pattern(name), list(expected)
    alike = (
        n for n in names[names.index(name) :] if _pattern(n) == pattern and expected[n] > SMALL
    )
    return {name, *islice(alike, TOGETHER)}


def _pattern(name: str) -> str:
    return re.sub("[0-9]+", "0", name)


def decode(data: bytes | bytearray, dtype: str, order: str = "<") -> NDArray[Any]:
    """Elements as a flat array in native byte order, which can be written to."""
    if dtype in FP8:
        import ml_dtypes

        return np.frombuffer(data, getattr(ml_dtypes, dtype)).astype(np.float32)
    raw = np.frombuffer(data, order + CODES[dtype])
    if dtype == "bfloat16":
        import ml_dtypes

        narrow = raw.astype(np.uint16).view(ml_dtypes.bfloat16)
        return np.asarray(narrow, dtype=np.float32)
    return raw.astype(raw.dtype.newbyteorder("="), copy=isinstance(data, bytes))
