"""What torch.save writes since 1.6: a zip of one pickle and of raw storages.

Read without torch: the pickle by `Descriptor`, and only those storages that are asked for.
"""

import hashlib
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias

import numpy as np
from numpy.typing import NDArray

from birkhoff_cli import places
from birkhoff_cli.analyses.core.errors import BadInput, Unsupported
from birkhoff_cli.containers import zips
from birkhoff_cli.containers.descriptors import Descriptor
from birkhoff_cli.containers.names import View, require_stored
from birkhoff_cli.containers.plain import split
from birkhoff_cli.containers.store import (
    BITS,
    DAMAGED,
    INCOMPLETE,
    Store,
    decode,
    escape,
    refusing,
    where,
)

MAGIC = b"PK\x03\x04"
MAX_PICKLE = 32 << 20
"""Bytes of ``data.pkl``; what fits into `MAX_STEPS` is a quarter of it."""

CHUNK = 1 << 20
TAIL = 256 << 10
"""Bytes at the end of a remote archive that are read together: its list of entries."""

Listing: TypeAlias = Callable[[Any], tuple[dict[str, View], Mapping[str, Any]]]
"""From the object of a pickle to its tensors by name, and the rest."""


class TorchZip(Store):
    """An archive whose pickle has been read; storages are read on demand."""

    container = "torch"

    archive: zipfile.ZipFile
    records: dict[str, zipfile.ZipInfo]
    stretches: dict[str, tuple[int, int]]
    views: dict[str, View]
    order: str = "<"

    def spans(self, name: str) -> Iterable[tuple[Path, int, int]]:
        """The record of its storage, which is checked whole."""
        record = self.records.get(f"data/{self.views[name].storage.key}")
        return [] if record is None else [(self.path, *self.stretches[record.filename])]

    def _values(self, name: str) -> NDArray[Any]:
        view = self.views[name]
        require_stored(self.path, name, view.info, view.storage.size)
        item = BITS[view.info.dtype] // 8
        start, count = view.offset * item, view.extent * item
        # Only the view's own stretch of the record is kept, but all of it is checked.
        stretch = bytearray()
        for position, chunk in self._chunks(f"data/{view.storage.key}"):
            stretch += chunk[max(0, start - position) : max(0, start + count - position)]
        flat = decode(stretch, view.info.dtype, self.order)
        steps = tuple(stride * flat.itemsize for stride in view.strides)
        values = np.lib.stride_tricks.as_strided(flat, view.info.shape, steps)
        if view.is_negative:
            return np.asarray(-values)
        return values if values.flags.c_contiguous else values.copy()

    def record(self, name: str) -> bytes:
        """A whole record, checked against its CRC."""
        return b"".join(chunk for _, chunk in self._chunks(name))

    def _chunks(self, name: str) -> Iterator[tuple[int, bytes]]:
        sha256, position = hashlib.sha256(), 0
        zips.check_places(self.path, self.archive, self.stretches, [self.records[name]])
        with self.archive.open(self.records[name]) as record:
            while chunk := record.read(CHUNK):
                yield position, chunk
                sha256.update(chunk)
                position += len(chunk)
        if position != self.records[name].file_size:
            raise BadInput(f"{where(self.path)}: ends inside record '{name}'; {INCOMPLETE}")
        self._note(name, sha256.digest(), position)

    def close(self) -> None:
        """Close the archive and the file."""
        self.archive.close()
        super().close()


def open_file(path: Path) -> TorchZip:
    """Check the archive, read its pickle, and list the tensors of the model.

    Raises:
        BadInput: damaged, incomplete, hostile, or no checkpoint of torch.
        Unsupported: TorchScript.
    """
    return open_listing(path, lambda root: split(path, root, View))


def open_listing(path: Path, listing: Listing) -> TorchZip:
    """Check the archive, read its pickle, and list tensors of what the pickle describes.

    Args:
        path: the archive.
        listing: from the pickle's object to tensors by name, and whatever else is kept.

    Raises:
        BadInput: damaged, incomplete or hostile.
        Unsupported: TorchScript.
    """
    file = path.open("rb")
    try:
        with refusing(path):
            return list_tensors(path, file, listing)
    except BaseException:
        file.close()
        raise


def list_tensors(path: Path, file: BinaryIO, listing: Listing) -> TorchZip:
    """As `open_listing`, of a file that is open."""
    store = open_archive(path, file)
    root = Descriptor(pickle_of(store), path).load()
    store.views, store.config = listing(root)
    store.tensors = {name: view.info for name, view in store.views.items()}
    _check_storages(store)
    return store


def open_archive(path: Path, file: BinaryIO) -> TorchZip:
    """The archive in ``file``, whose pickle has not been read yet.

    Raises:
        BadInput: damaged, incomplete or hostile.
        Unsupported: TorchScript.
    """
    size = file.seek(0, 2)
    if far := places.is_far(file):
        places.fetch([(path, size - TAIL, size)])
    zips.check_end(path, file, size)
    store = TorchZip(path, file, size)
    store.archive = zipfile.ZipFile(file)
    if any(name.endswith("/constants.pkl") for name in store.archive.namelist()):
        raise Unsupported(
            f"{where(path)}: is a TorchScript program; save the state_dict of the model instead"
        )
    store.records = zips.records(path, store.archive)
    store.stretches = zips.stretches(path, store.archive)
    if zips.forget_absent_checksums(store.records.values()):
        store.notes.append("the file is as it was saved: it was saved without checksums")
    if far:  # a record's place is checked when it is read: each is a request
        needed = [store.records[n] for n in ("data.pkl", "byteorder") if n in store.records]
        places.fetch((path, *store.stretches[entry.filename]) for entry in needed)
    else:
        zips.check_places(path, store.archive, store.stretches, store.records.values())
    store.order = _order(store)
    return store


def pickle_of(store: TorchZip) -> bytes:
    """The bytes of ``data.pkl``.

    Raises:
        BadInput: they are more than any model needs.
    """
    if store.records["data.pkl"].file_size > MAX_PICKLE:
        raise BadInput(
            f"{where(store.path)}: its data.pkl is larger than {MAX_PICKLE >> 20} MB, more than "
            f"any model needs; save the state_dict tensors alone, as safetensors"
        )
    return store.record("data.pkl")


def _order(store: TorchZip) -> str:
    """Byte order of the storages; files of torch before 2.1 do not say, and are little-endian."""
    record = store.records.get("byteorder")
    if record is None:
        return "<"
    word = store.record("byteorder") if record.file_size <= len("little") else b""
    if word not in (b"little", b"big"):
        raise BadInput(f"{where(store.path)}: has the byte order of no machine; {DAMAGED}")
    return "<" if word == b"little" else ">"


def _check_storages(store: TorchZip) -> None:
    """Hold that every tensor's record is there and has the size that the pickle says."""
    for name, view in store.views.items():
        storage = view.storage
        record = store.records.get(f"data/{storage.key}")
        if record is None:
            raise BadInput(
                f"{where(store.path)}: tensor '{escape(name)}' has no record; {INCOMPLETE}"
            )
        expected = storage.size * BITS[storage.dtype] // 8
        if record.file_size != expected:
            raise BadInput(
                f"{where(store.path)}: tensor '{escape(name)}' needs {expected} bytes, "
                f"its record has {record.file_size}; {DAMAGED}"
            )
