"""Arrays as numpy saves them: the header is read as data, and no pickle is ever opened.

Source: the .npy format, numpy.lib.format.
"""

import warnings
import zipfile
from collections.abc import Iterator
from math import prod
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from numpy.lib import format as npy_format
from numpy.typing import NDArray

from birkhoff_cli.analyses.core.arrays import Array
from birkhoff_cli.analyses.core.errors import BadInput, Unsupported
from birkhoff_cli.analyses.core.memory import require_memory
from birkhoff_cli.analyses.core.trace import MixingTrace, Site, in_memory
from birkhoff_cli.containers import escape, where
from birkhoff_cli.containers.store import DAMAGED, INCOMPLETE, refusing
from birkhoff_cli.matrices.content import Content, size

NAMES = ("matrix", "matrices", "H")
"""Names under which an archive of several arrays may hold its mixing matrices."""

HEADERS = {
    (1, 0): npy_format.read_array_header_1_0,
    (2, 0): npy_format.read_array_header_2_0,
}
ASSUMED = (
    "rows are outputs, x_out[i] = sum_j H[i, j] x_in[j]: an array does not say; transpose it if not"
)


def npy(label: Path, content: Content, facts: dict[str, Any]) -> MixingTrace:
    """A ``.npy`` file, read block by block if its last axes are together."""
    with content() as file:
        found = _header(label, file, size(file))
        if found.fortran:
            return in_order(label, _values(label, file, found), facts)
        start = file.tell()
    samples, *inner = _stacked(found.shape)

    def read(block: int) -> Iterator[Array]:
        with refusing(label), content() as file:
            file.seek(start)
            for k in range(0, samples, block):
                shape = (min(block, samples - k), *inner)
                data = _exactly(file, prod(shape) * found.dtype.itemsize)
                yield real(np.frombuffer(data, found.dtype)).reshape(shape)

    return MixingTrace(
        d=inner[-1],
        samples=samples,
        sites=_sites(inner[0]),
        source=where(label),
        read=read,
        dtype=real(np.empty(0, found.dtype)).dtype,
        meta=_assuming(facts),
    )


def npz(label: Path, content: Content, facts: dict[str, Any]) -> MixingTrace:
    """The one array of a ``.npz`` archive, or the one of several that has one of `NAMES`."""
    with content() as whole, zipfile.ZipFile(whole) as archive:
        entries = {e.filename.removesuffix(".npy"): e for e in archive.infolist()}
        if len(entries) < len(archive.infolist()):
            raise BadInput(f"{where(label)}: holds an array twice; {DAMAGED}")
        fitting = list(entries) if len(entries) == 1 else [n for n in NAMES if n in entries]
        if len(fitting) != 1:
            held = ", ".join(escape(name, 30) for name in list(entries)[:5])
            raise BadInput(
                f"{where(label)}: holds {len(entries)} arrays ({held}), not one named "
                f"{' or '.join(NAMES)}; save one array with numpy.save"
            )
        entry = entries[fitting[0]]
        with archive.open(entry) as file:
            found = _values(label, file, _header(label, file, entry.file_size))
            file.read()  # to the end, where the checksum is compared
    return in_order(label, found, facts)


class Header(NamedTuple):
    """What a ``.npy`` file says of its array."""

    shape: tuple[int, ...]
    fortran: bool
    dtype: np.dtype[Any]


def _header(label: Path, file: Any, size: int) -> Header:
    """A header that describes exactly the bytes behind it, and matrices of real numbers."""
    found = _parsed(label, file)
    if found.dtype.hasobject or found.dtype.kind not in "fiu":
        raise Unsupported(
            f"{where(label)}: has dtype {escape(found.dtype, 40)}; "
            f"only real numbers, integer or floating, can be mixing matrices"
        )
    _check_shape(label, found.shape)
    said, held = prod(found.shape) * found.dtype.itemsize, size - file.tell()
    if said != held:
        raise BadInput(
            f"{where(label)}: shape {found.shape} of {found.dtype} takes {said:,} bytes "
            f"and {held:,} are there; {INCOMPLETE}"
        )
    return found


def _parsed(label: Path, file: BinaryIO) -> Header:
    version = npy_format.read_magic(file)
    if version not in HEADERS:
        raise Unsupported(
            f"{where(label)}: is a .npy file of version {version[0]}.{version[1]}, "
            f"which holds records; save a plain array"
        )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of headers that Python 2 wrote
        return Header(*HEADERS[version](file))


def _values(label: Path, file: Any, header: Header) -> NDArray[Any]:
    """All numbers behind a header."""
    length = prod(header.shape) * header.dtype.itemsize
    require_memory(4 * length, where(label))
    flat = np.frombuffer(_exactly(file, length), header.dtype)
    return flat.reshape(header.shape, order="F" if header.fortran else "C")


def _exactly(file: BinaryIO, size: int) -> bytes:
    data = file.read(size)
    if len(data) != size:
        raise EOFError
    return data


def _check_shape(label: Path, shape: tuple[int, ...]) -> None:
    if not 2 <= len(shape) <= 4 or shape[-1] != shape[-2] or min(shape) < 1:
        raise BadInput(
            f"{where(label)}: has shape {escape(shape)}; expected square matrices, and at least "
            f"one: (d, d), (samples, d, d) or (samples, sites, d, d)"
        )


def in_order(label: Path, array: NDArray[Any], facts: dict[str, Any]) -> MixingTrace:
    """The trace of an array of square matrices, whatever its axes are."""
    stacked = real(array).reshape(_stacked(array.shape))
    return in_memory(stacked, _sites(stacked.shape[1]), where(label), meta=_assuming(facts))


def _stacked(shape: tuple[int, ...]) -> tuple[int, int, int, int]:
    """One sample, samples of one site, or samples of sites: ``(sample, site, d, d)``."""
    samples, sites, *_ = (*shape[:-2], 1, 1)
    return samples, sites, shape[-2], shape[-1]


def _sites(count: int) -> tuple[Site, ...]:
    return tuple(Site(k, "file", f"site {k}") for k in range(count))


def _assuming(facts: dict[str, Any]) -> dict[str, Any]:
    return facts | {"assumptions": [ASSUMED]}


def real(array: NDArray[Any]) -> NDArray[Any]:
    """Native float32 as it is, everything else as float64."""
    return array.astype(np.float32 if array.dtype.str[1:] == "f4" else np.float64, copy=False)
