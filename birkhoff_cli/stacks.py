"""Square arrays as people save them: bare tensors, lists, dictionaries, archives of several.

``FILE#name`` chooses one of several; what a file holds is told by its first bytes.
"""

import zipfile
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from functools import partial
from math import isqrt
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.lib import format as npy_format
from numpy.typing import NDArray

from birkhoff_cli import places
from birkhoff_cli.analyses.core.array_trace import real
from birkhoff_cli.analyses.core.errors import BadInput, Unsupported
from birkhoff_cli.analyses.core.memory import require_memory
from birkhoff_cli.analyses.core.stack import Stack
from birkhoff_cli.containers import Store, escape, open_store, where
from birkhoff_cli.containers.kinds import ZIP, check_regular
from birkhoff_cli.containers.store import BITS, DAMAGED, refusing
from birkhoff_cli.content import Content, of_file
from birkhoff_cli.tables import _arrays

MAX_LISTED = 6
"""Names in a message."""


class Entry(NamedTuple):
    """An array that has not been read.

    Attributes:
        shape: its shape.
        dtype: its dtype.
        size: bytes that it takes.
        read: gives its values.
    """

    shape: tuple[int, ...]
    dtype: str
    size: int
    read: Callable[[], NDArray[Any]]


def split_entry(path: Path) -> tuple[Path, str | None]:
    """The file and the name behind ``#``; a file of exactly that name is one file."""
    head, mark, entry = str(path).rpartition("#")
    return (path, None) if not mark or places.is_there(path) else (places.path_of(head), entry)


def read(path: Path) -> Stack:
    """The square arrays of a file as one stack ``(count, d, d)``.

    Args:
        path: a ``.npy``, ``.npz``, ``.pt`` or ``.safetensors`` file, with ``#name`` where it holds
            several. Arrays ``(..., d, d)``, and ``(count, d * d)`` row by row.

    Raises:
        BadInput: no such file or entry, several arrays and none chosen, none that is square.
        Unsupported: numbers that are not real.
        TooLarge: more than fits in memory.
    """
    file, name = split_entry(path)
    check_regular(file)
    with ExitStack() as stack, refusing(file):
        content = of_file(file)
        entries = _entries(content, stack)
        entry = _choose(file, entries, name)
        if entry.dtype not in BITS or entry.dtype.startswith(("complex", "bool")):
            raise Unsupported(
                f"{where(file)}: has dtype {escape(entry.dtype, 40)}; save it as float32"
            )
        require_memory(6 * entry.size, where(file))
        values = real(entry.read()) if entry.dtype != "float64" else entry.read()
        sha256 = content.digest.sha256
        facts = {"name": escape(places.label(file)), "size": content.size, "sha256": sha256}
    square = values.reshape(_square(entry.shape) or ())
    meta: dict[str, Any] = {"inputs": [facts]}
    if square.shape[-2:] != entry.shape[-2:]:
        d = square.shape[-1]
        layout = f"rows of {d * d} numbers are matrices of {d} x {d}, row by row"
        meta["assumptions"] = [f"{where(file)}: {layout}"]
    label = where(file) + (f"#{escape(name)}" if name else "")
    return Stack(np.ascontiguousarray(square), label, entry.dtype, meta)


def _entries(content: Content, stack: ExitStack) -> Mapping[str, Entry]:
    """Every array of a file by name; a single one has an empty name."""
    file, head = content.label, content.head()
    if head.startswith(npy_format.MAGIC_PREFIX):
        return {"": _npy(content)}
    if _arrays.is_archive(head):
        return _npz(content, stack.enter_context(_arrays.opened_archive(content)))
    if head.startswith(ZIP):
        from birkhoff_cli.containers.torch_values import open_values

        return _of_store(stack.enter_context(open_values(file)))
    return _of_store(stack.enter_context(open_store(file)))


def _npy(content: Content) -> Entry:
    with content.open() as opened:
        header = _arrays.parse_header(content.label, opened)
        _arrays.check_size(content.label, header, content.size - opened.tell())
        return _described(header, lambda: _values_of(content))


def _values_of(content: Content) -> NDArray[Any]:
    with content.open() as opened:
        header = _arrays.parse_header(content.label, opened)
        return _arrays.read_values(content, opened, header)


def _npz(content: Content, archive: zipfile.ZipFile) -> Mapping[str, Entry]:
    entries: dict[str, Entry] = {}
    file = content.label
    for info in archive.infolist():
        name = info.filename.removesuffix(".npy")
        if name in entries:
            raise BadInput(f"{where(file)}: holds an array twice; {DAMAGED}")
        with archive.open(info) as opened:
            header = _arrays.parse_header(file, opened)
            _arrays.check_size(file, header, info.file_size - opened.tell())
        entries[name] = _described(header, partial(_member, content, archive, info))
    return entries


def _member(content: Content, archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> NDArray[Any]:
    with archive.open(info) as opened:
        header = _arrays.parse_header(content.label, opened)
        values = _arrays.read_values(content, opened, header)
        opened.read()  # to the end, where the checksum is compared
        return values


def _described(header: _arrays.Header, read: Callable[[], NDArray[Any]]) -> Entry:
    size = int(np.prod(header.shape, dtype=object)) * header.dtype.itemsize
    return Entry(header.shape, header.dtype.name, size, read)


def _of_store(store: Store) -> Mapping[str, Entry]:
    return {
        name: Entry(info.shape, info.dtype, info.nbytes, partial(store.read, name))
        for name, info in store.tensors.items()
    }


def _choose(file: Path, entries: Mapping[str, Entry], name: str | None) -> Entry:
    """The entry of that name, or the only one that holds square arrays."""
    square = {key: entry for key, entry in entries.items() if _square(entry.shape)}
    if name is not None:
        if name in square:
            return square[name]
        reason = (
            f"'{escape(name)}' is not square" if name in entries else f"has no '{escape(name)}'"
        )
        raise BadInput(f"{where(file)}: {reason}; it holds {_list(entries)}")
    if len(square) == 1:
        return next(iter(square.values()))
    if not square:
        raise BadInput(
            f"{where(file)}: holds no array of square matrices, (..., d, d) or (count, d * d); "
            f"it holds {_list(entries)}"
        )
    first = escape(next(iter(square)))
    raise BadInput(f"{where(file)}: holds {_list(square)}; choose one, as in {where(file)}#{first}")


def _list(entries: Mapping[str, Entry]) -> str:
    shown = [
        f"{escape(name) or 'an array'} {'x'.join(map(str, entry.shape)) or 'scalar'}"
        for name, entry in list(entries.items())[:MAX_LISTED]
    ]
    more = [f"and {len(entries) - MAX_LISTED} more"] if len(entries) > MAX_LISTED else []
    return ", ".join([*shown, *more]) or "nothing"


def _square(shape: tuple[int, ...]) -> tuple[int, int, int] | None:
    """The shape as one stack; None if it is none of square arrays."""
    if len(shape) < 2 or min(shape) < 1:
        return None
    if shape[-1] == shape[-2]:
        return -1, shape[-1], shape[-1]
    side = isqrt(shape[-1])
    if len(shape) == 2 and side > 1 and side * side == shape[-1]:
        return shape[0], side, side
    return None
