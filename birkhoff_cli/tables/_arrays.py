"""Arrays of square matrices: what is in them, and how they become a trace.

The header of a ``.npy`` file is read as data, and no pickle is ever opened.

Source: the .npy format, numpy.lib.format.
"""

import warnings
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from math import prod
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
from numpy.lib import format as npy_format
from numpy.typing import NDArray

from birkhoff_cli.analyses.core.array_trace import array_sites, assuming, four_axes, real
from birkhoff_cli.analyses.core.errors import BadInput, Unsupported
from birkhoff_cli.analyses.core.trace import MixingTrace, in_memory
from birkhoff_cli.containers import escape, where, zips
from birkhoff_cli.containers.store import DAMAGED, INCOMPLETE
from birkhoff_cli.content import COPIES, Content

NAMES = ("matrix", "matrices", "H")
"""Names under which an archive of several arrays may hold its mixing matrices."""

HEADERS = {
    (1, 0): npy_format.read_array_header_1_0,
    (2, 0): npy_format.read_array_header_2_0,
}


def only_name(names: Sequence[str]) -> str | None:
    """The only one, or the one of several that is among `NAMES`; None if there is no such one."""
    chosen = list(names) if len(names) == 1 else [name for name in NAMES if name in names]
    return chosen[0] if len(chosen) == 1 else None


def is_archive(head: bytes) -> bool:
    """Whether a file that begins like this is a zip archive of arrays."""
    return zips.first_name(head).endswith(b".npy")


@contextmanager
def opened_archive(content: Content) -> Iterator[zipfile.ZipFile]:
    """A zip archive that is the whole file: of two in one file the second would be read alone.

    Raises:
        BadInput: something stands before or behind it.
    """
    with content.open() as file:
        zips.check_end(content.label, file, content.size)
        with zipfile.ZipFile(file) as archive:
            if min((entry.header_offset for entry in archive.infolist()), default=0):
                raise BadInput(
                    f"{where(content.label)}: has something before its archive; {DAMAGED}"
                )
            zips.check_records(content.label, archive)
            yield archive


class Header(NamedTuple):
    """What a ``.npy`` file says of its array."""

    shape: tuple[int, ...]
    fortran: bool
    dtype: np.dtype[Any]


def read_header(label: Path, file: IO[bytes], size: int) -> Header:
    """A header that describes exactly the bytes behind it, and matrices of real numbers.

    Args:
        label: what messages call the file.
        file: at its beginning; it is left behind the header.
        size: bytes of the whole file.

    Raises:
        BadInput: not square matrices, or not as many bytes as they take.
        Unsupported: objects, text, booleans or complex numbers.
    """
    header = parse_header(label, file)
    if header.dtype.hasobject or header.dtype.kind not in "fiu":
        raise Unsupported(
            f"{where(label)}: has dtype {escape(header.dtype, 40)}; "
            f"only real numbers, integer or floating, can be mixing matrices"
        )
    _check_shape(label, header.shape)
    check_size(label, header, size - file.tell())
    return header


def check_size(label: Path, header: Header, size: int) -> None:
    """Hold that as many bytes are behind a header as its array takes; of objects nobody knows it.

    Raises:
        BadInput: fewer or more.
    """
    expected = prod(header.shape) * header.dtype.itemsize
    if expected != size and not header.dtype.hasobject:
        raise BadInput(
            f"{where(label)}: shape {header.shape} of {header.dtype} takes {expected:,} bytes "
            f"and {size:,} are there; {INCOMPLETE}"
        )


def parse_header(label: Path, file: IO[bytes]) -> Header:
    """What a file says of its array, of any shape and dtype.

    Raises:
        BadInput: its shape is not of whole numbers.
        Unsupported: it holds records.
    """
    version = npy_format.read_magic(file)
    if version not in HEADERS:
        raise Unsupported(
            f"{where(label)}: is a .npy file of version {version[0]}.{version[1]}, "
            f"which holds records; save a plain array"
        )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of headers that Python 2 wrote
        header = Header(*HEADERS[version](file))
    if any(type(length) is not int for length in header.shape):  # True is a number to numpy
        raise BadInput(f"{where(label)}: has shape {escape(header.shape)}; {DAMAGED}")
    return header


def _check_shape(label: Path, shape: tuple[int, ...]) -> None:
    if not 2 <= len(shape) <= 4 or shape[-1] != shape[-2] or min(shape) < 1:
        raise BadInput(
            f"{where(label)}: has shape {escape(shape)}; expected square matrices, and at least "
            f"one: (d, d), (samples, d, d) or (samples, sites, d, d)"
        )


def read_values(content: Content, file: IO[bytes], header: Header) -> NDArray[Any]:
    """All numbers behind a header.

    Raises:
        TooLarge: they do not fit in memory.
    """
    length = prod(header.shape) * header.dtype.itemsize
    content.require_room(COPIES * length)
    content.require_growth(length)
    flat = np.frombuffer(read_exactly(file, length), header.dtype)
    return flat.reshape(header.shape, order="F" if header.fortran else "C")


def read_exactly(file: IO[bytes], size: int) -> bytes:
    """So many bytes, or EOFError."""
    data = file.read(size)
    if len(data) != size:
        raise EOFError
    return data


def array_trace(
    label: Path, array: NDArray[Any], facts: dict[str, Any], name: str = "", arrays: int = 1
) -> MixingTrace:
    """The trace of an array of square matrices, whatever its axes are.

    Args:
        label: its file.
        array: the values.
        facts: provenance.
        name: of the array.
        arrays: how many the file holds; that one of several was chosen is said.
    """
    values = real(array).reshape(four_axes(array.shape))
    sites = array_sites(values.shape[1], "file", where(label))
    meta = assuming(facts, array.shape)
    if arrays > 1:
        chosen = f"the array {escape(name, 40)} is meant, one of {arrays} in the file, by its name"
        meta["assumptions"] = [*meta["assumptions"], chosen]
    return in_memory(values, sites, where(label), meta=meta)
