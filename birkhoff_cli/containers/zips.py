"""Zip archives as torch.save writes them: stored, plain, one record behind the other."""

import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import BinaryIO

from birkhoff_cli.analyses.core.errors import BadInput
from birkhoff_cli.containers.store import DAMAGED, INCOMPLETE, escape, where

MAX_DIRECTORY = 8 << 20
"""Bytes of the archive's own list of entries, some 70 per storage."""

LOCAL, END = b"PK\x03\x04", b"PK\x05\x06"
END_SIZE, END64_SIZE, LOCAL_SIZE = 22, 98, 30

MAX_DESCRIPTION = 24
"""Bytes of a checksum and sizes behind a record, where they were not known before it."""

FLAGS_ALLOWED = 0x0808
"""Sizes after the data, and names in UTF-8; every other flag means encryption or patches."""


def first_name(head: bytes) -> bytes:
    """Name of the first entry of an archive that begins with ``head``; empty if it is none."""
    length = int.from_bytes(head[26:28], "little")
    return head[LOCAL_SIZE : LOCAL_SIZE + length] if head.startswith(LOCAL) else b""


def check_end(path: Path, file: BinaryIO, size: int) -> None:
    """Hold that the file ends with its list of entries, and that the list is not huge.

    Raises:
        BadInput: it does not; most often the copy was interrupted.
    """
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


def records(path: Path, archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    """Entries by their name inside the archive's one folder, each checked.

    Raises:
        BadInput: not of torch.save, or with something in it that torch.save does not write.
    """
    entries = archive.infolist()
    folder = entries[0].filename.partition("/")[0] + "/"
    records_by_name = {e.filename.removeprefix(folder): e for e in entries}
    if "data.pkl" not in records_by_name:
        names = ", ".join(escape(e.filename, 30) for e in entries[:3])
        raise BadInput(
            f"{where(path)}: is a zip archive that torch.save did not write ({names}); "
            f"give a .pt or .safetensors checkpoint"
        )
    if len(records_by_name) < len(entries) or not all(
        e.filename.startswith(folder) for e in entries
    ):
        raise BadInput(f"{where(path)}: has a record twice or out of place; {DAMAGED}")
    for entry in entries:
        if fault := _fault(entry):
            name = escape(entry.filename, 40)
            raise BadInput(
                f"{where(path)}: its record '{name}' is {fault}, as torch.save never does; "
                f"save the checkpoint again with torch.save"
            )
    return records_by_name


def _fault(entry: zipfile.ZipInfo) -> str:
    if entry.flag_bits & ~FLAGS_ALLOWED:
        return "encrypted or patched"
    if entry.compress_type != zipfile.ZIP_STORED:
        return "compressed"
    if entry.compress_size != entry.file_size:
        return "of two sizes"
    return "" if entry.filename == entry.orig_filename else "named with a NUL"


def forget_absent_checksums(entries: Iterable[zipfile.ZipInfo]) -> bool:
    """Compare nothing with the checksums of an archive that was written without any, which is told.

    After ``torch.serialization.set_crc32_options(False)`` each is 0, that of ``data.pkl`` too.
    """
    entries = list(entries)
    if any(entry.CRC for entry in entries):
        return False
    for entry in entries:
        del entry.CRC  # zipfile compares one that is there
    return True


def stretches(path: Path, archive: zipfile.ZipFile) -> dict[str, tuple[int, int]]:
    """Where each record may lie: from its own place to that of the next, by its whole name.

    Raises:
        BadInput: the archive's list has the records on one another, or leaves its beginning out.
    """
    placed = sorted(archive.infolist(), key=lambda e: e.header_offset)
    starts = [e.header_offset for e in placed] + [archive.start_dir]
    for entry, start, stop in zip(placed, starts, starts[1:], strict=False):
        if starts[0] != 0 or start + LOCAL_SIZE + entry.compress_size > stop:
            raise BadInput(_out_of_place(path))
    spans = zip(starts, starts[1:], strict=False)
    return {entry.filename: span for entry, span in zip(placed, spans, strict=True)}


def check_records(path: Path, archive: zipfile.ZipFile) -> None:
    """Hold that the list has every record of an archive that lies on this machine.

    Raises:
        BadInput: a name is there twice, records lie on one another, or between them there is
            what no list has.
    """
    if len(names := archive.namelist()) > len({*names}):
        raise BadInput(f"{where(path)}: has a record twice; {DAMAGED}")
    check_places(path, archive, stretches(path, archive), archive.infolist())


def check_places(
    path: Path,
    archive: zipfile.ZipFile,
    spans: Mapping[str, tuple[int, int]],
    entries: Iterable[zipfile.ZipInfo],
) -> None:
    """Hold that records lie in their places, under their own names, one behind the other.

    Raises:
        BadInput: one does not.
    """
    for entry in entries:
        behind = spans[entry.filename][1] - _end_of_record(archive, entry)
        if behind < 0:
            raise BadInput(_out_of_place(path))
        if behind > MAX_DESCRIPTION:
            raise BadInput(
                f"{where(path)}: has {behind:,} bytes behind the record "
                f"'{escape(entry.filename, 40)}' that its list leaves out; {DAMAGED}"
            )


def _out_of_place(path: Path) -> str:
    return f"{where(path)}: its records overlap or are not in their place; {DAMAGED}"


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
    return entry.header_offset + LOCAL_SIZE + name + extra + entry.compress_size
