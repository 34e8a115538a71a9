"""What torch.save writes since 1.6: a zip of one pickle and of raw storages.

Read without torch: the pickle by `Descriptor`, and only those storages that are asked for.
"""

import hashlib
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from analyses.core.errors import BadInput, Unsupported
from birkhoff_cli.containers.descriptors import Descriptor, View
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

MAX_PICKLE = 32 << 20
"""Bytes of ``data.pkl``; what fits into `MAX_STEPS` is a quarter of it."""

MAX_DIRECTORY = 8 << 20
"""Bytes of the zip's own list of entries, some 70 per storage."""

CHUNK = 1 << 20
LOCAL, END = b"PK\x03\x04", b"PK\x05\x06"
END_SIZE, END64_SIZE, LOCAL_SIZE = 22, 98, 30

FLAGS_ALLOWED = 0x0808
"""Sizes after the data, and names in UTF-8; every other flag means encryption or patches."""


class TorchZip(Store):
    """An archive whose pickle has been read; storages are read on demand."""

    archive: zipfile.ZipFile
    records: dict[str, zipfile.ZipInfo]
    views: dict[str, View]
    order: str = "<"

    def _values(self, name: str) -> NDArray[Any]:
        view = self.views[name]
        item = BITS[view.info.dtype] // 8
        start, count = view.offset * item, view.extent * item
        # Only the view's own stretch of the record is kept, but all of it is checked.
        held = bytearray()
        for position, chunk in self._chunks(f"data/{view.storage.key}"):
            held += chunk[max(0, start - position) : max(0, start + count - position)]
        flat = decode(bytes(held), view.info.dtype, self.order)
        steps = tuple(stride * flat.itemsize for stride in view.strides)
        return np.lib.stride_tricks.as_strided(flat, view.info.shape, steps).copy()

    def record(self, name: str) -> bytes:
        """A whole record, checked against its CRC."""
        return b"".join(chunk for _, chunk in self._chunks(name))

    def _chunks(self, name: str) -> Iterator[tuple[int, bytes]]:
        sha256, position = hashlib.sha256(), 0
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


def open_torch_zip(path: Path) -> TorchZip:
    """Check the archive, read its pickle, and list the tensors of the model.

    Raises:
        BadInput: damaged, incomplete, hostile, or no checkpoint of torch.
        Unsupported: TorchScript.
    """
    file = path.open("rb")
    try:
        with refusing(path):
            return _open(path, file)
    except BaseException:
        file.close()
        raise


def _open(path: Path, file: BinaryIO) -> TorchZip:
    size = file.seek(0, 2)
    _check_end(path, file, size)
    store = TorchZip(path, file, size)
    store.archive = zipfile.ZipFile(file)
    store.records = _records(path, store.archive)
    if "constants.pkl" in store.records:
        raise Unsupported(
            f"{where(path)}: is a TorchScript program; save the state_dict of the model instead"
        )
    store.order = _order(store)
    if store.records["data.pkl"].file_size > MAX_PICKLE:
        raise BadInput(
            f"{where(path)}: its data.pkl is larger than {MAX_PICKLE >> 20} MB, more than any "
            f"model needs; save the state_dict tensors alone, as safetensors"
        )
    root = Descriptor(store.record("data.pkl"), path).load()
    store.views, store.config = split(root, View)
    store.tensors = {name: view.info for name, view in store.views.items()}
    _check_storages(store)
    return store


def _order(store: TorchZip) -> str:
    """Byte order of the storages; files of torch before 2.1 do not say, and are little-endian."""
    record = store.records.get("byteorder")
    if record is None:
        return "<"
    word = store.record("byteorder") if record.file_size <= len("little") else b""
    if word not in (b"little", b"big"):
        raise BadInput(f"{where(store.path)}: has the byte order of no machine; {DAMAGED}")
    return "<" if word == b"little" else ">"


def _check_end(path: Path, file: BinaryIO, size: int) -> None:
    """Hold that the file ends with its list of entries, and that the list is not huge."""
    file.seek(max(0, size - END_SIZE))
    end = file.read(END_SIZE)
    if len(end) < END_SIZE or not end.startswith(END) or end[-2:] != b"\0\0":
        raise BadInput(f"{where(path)}: does not end as a zip archive does; {INCOMPLETE}")
    length = int.from_bytes(end[12:16], "little")
    if length == 0xFFFFFFFF:
        file.seek(max(0, size - END64_SIZE))
        length = int.from_bytes(file.read(END64_SIZE)[40:48], "little")
    if length > MAX_DIRECTORY:
        raise BadInput(f"{where(path)}: its list of entries has {length} bytes; {DAMAGED}")


def _records(path: Path, archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    """Entries by their name inside the archive's one folder, each checked."""
    entries = archive.infolist()
    folder = entries[0].filename.partition("/")[0] + "/"
    records = {e.filename.removeprefix(folder): e for e in entries}
    if "data.pkl" not in records:
        names = ", ".join(escape(e.filename, 30) for e in entries[:3])
        raise BadInput(
            f"{where(path)}: is a zip archive that torch.save did not write ({names}); "
            f"give a .pt or .safetensors checkpoint"
        )
    if len(records) < len(entries) or not all(e.filename.startswith(folder) for e in entries):
        raise BadInput(f"{where(path)}: has a record twice or out of place; {DAMAGED}")
    for entry in entries:
        if fault := _fault(entry):
            name = escape(entry.filename, 40)
            raise BadInput(
                f"{where(path)}: its record '{name}' is {fault}, as torch.save never does; "
                f"save the checkpoint again with torch.save"
            )
    _check_places(path, archive, entries)
    return records


def _fault(entry: zipfile.ZipInfo) -> str:
    if entry.flag_bits & ~FLAGS_ALLOWED:
        return "encrypted or patched"
    if entry.compress_type != zipfile.ZIP_STORED:
        return "compressed"
    if entry.compress_size != entry.file_size:
        return "of two sizes"
    return "" if entry.filename == entry.orig_filename else "named with a NUL"


def _check_places(path: Path, archive: zipfile.ZipFile, entries: list[zipfile.ZipInfo]) -> None:
    """Hold that the records lie one behind the other, under their own names, from byte 0 on."""
    placed = sorted(entries, key=lambda e: e.header_offset)
    starts = [e.header_offset for e in placed] + [archive.start_dir]
    ends = [_end_of_record(archive, entry) for entry in placed]
    if starts[0] != 0 or any(a > b for a, b in zip(ends, starts[1:], strict=True)):
        raise BadInput(f"{where(path)}: its records overlap or are not in their place; {DAMAGED}")


def _end_of_record(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> int:
    """First byte behind the record; beyond every file if another record is there."""
    file = archive.fp
    assert file is not None
    file.seek(entry.header_offset)
    head = file.read(LOCAL_SIZE)
    name, extra = (int.from_bytes(head[i : i + 2], "little") for i in (26, 28))
    encoded = entry.filename.encode("utf-8" if entry.flag_bits & 0x800 else "cp437")
    if not head.startswith(LOCAL) or file.read(name) != encoded:
        return 1 << 64
    return entry.header_offset + LOCAL_SIZE + name + extra + entry.file_size


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
