"""What kind of file a path is: by what it contains, never by its name."""

import os
import re
import stat
from itertools import islice
from pathlib import Path

from birkhoff_cli.analyses.core.errors import BadInput, BirkhoffError, Unsupported
from birkhoff_cli.containers.store import INCOMPLETE, escape, where

HEAD = 512
ZIP = b"PK\x03\x04"
LEGACY = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19."
"""The pickled number with which torch.save began its files before 1.6."""

MAX_HEADER = 100_000_000
"""The safetensors format's own limit on its header, in bytes."""

MAX_ENTRIES = 1000
"""Entries of a directory that are looked at to find the checkpoint."""

AGAIN = "download the file again"
NOT_IT = "give a .pt or .safetensors checkpoint"

FOREIGN = {
    b"version https://git-lfs": ("a git-lfs pointer, not the file itself", "run 'git lfs pull'"),
    b"GGUF": ("a GGUF file", "give the checkpoint it was converted from"),
    b"\x89HDF\r\n\x1a\n": ("an HDF5 file", "save the tensors as safetensors"),
    b"7z\xbc\xaf\x27\x1c": ("a 7z archive", "unpack it first"),
    b"\x1f\x8b": ("a gzip archive", "unpack it first"),
    b"\xfd7zXZ\x00": ("an xz archive", "unpack it first"),
    b"\x28\xb5\x2f\xfd": ("a zstd archive", "unpack it first"),
    b"PK\x05\x06": ("an empty zip archive", AGAIN),
    b"\x93NUMPY": ("a numpy array", NOT_IT),
    b"PAR1": ("a Parquet file", NOT_IT),
    b"ARROW1": ("an Arrow file", NOT_IT),
    b"\x80": ("a pickle that torch.save did not write", "save the tensors as safetensors"),
}
"""First bytes of what people give by mistake: what it is, what to do."""


def checkpoint_file(path: Path) -> Path:
    """The file to open: ``path``, or the one checkpoint in the directory ``path``.

    Raises:
        BadInput: missing, not readable, or neither a regular file nor a directory.
    """
    if is_folder(path):
        return _only_checkpoint(path)
    check_regular(path)
    return path


def latest_of(folder: Path) -> Path:
    """The iteration that Megatron's note in a directory names; ``folder`` if there is no note.

    Raises:
        BadInput: the note cannot be read, or is none.
    """
    note = folder / "latest_checkpointed_iteration.txt"
    if not os.path.lexists(note):
        return folder
    check_regular(note)
    word = _head(note).strip()
    if word != b"release" and not re.fullmatch(rb"[0-9]{1,12}", word):
        raise BadInput(f"{where(note)}: is not the number of an iteration; name its directory")
    return folder / ("release" if word == b"release" else f"iter_{int(word):07}")


def snapshot_of(folder: Path) -> Path:
    """The revision that ``refs/main`` names in a model's directory of Hugging Face's cache.

    Any other directory is returned as it is. Without ``refs/main`` there must be one revision.

    Raises:
        BadInput: the note is none, or what it names is not there.
    """
    home, note = folder / "snapshots", folder / "refs" / "main"
    if not home.is_dir() or not os.path.lexists(folder / "refs"):
        return folder
    if os.path.lexists(note):
        check_regular(note)
        word = _head(note).strip()
        name = word.decode("ascii") if re.fullmatch(rb"[0-9a-f]{6,64}", word) else ""
    else:
        found = [entry.name for entry in _entries(home, 2)]
        name = found[0] if len(found) == 1 else ""
    if not name:
        raise BadInput(f"{where(note)}: does not name a revision; name a directory of snapshots/")
    if not (home / name).is_dir() or (home / name).resolve().parent != home.resolve():
        raise BadInput(
            f"{where(home / name)}: is no directory there, though refs/main names it; download "
            f"the model again"
        )
    return home / name


def is_folder(path: Path) -> bool:
    """Whether it is a directory.

    Raises:
        BadInput: it is missing or cannot be reached.
    """
    return stat.S_ISDIR(_stat_mode(path))


def check_regular(path: Path) -> None:
    """Hold that it can be opened without waiting for anything.

    Raises:
        BadInput: missing, or a directory, a device, a pipe or a socket.
    """
    if is_folder(path):
        raise BadInput(f"{where(path)}: is a directory, not a regular file; {NOT_IT}")
    if not is_regular(path):
        raise BadInput(f"{where(path)}: is a device, pipe or socket, not a regular file; {NOT_IT}")


def kind(path: Path) -> str:
    """``torch``, ``legacy torch`` or ``safetensors``; nothing else can be opened.

    Raises:
        BadInput: it is something else, and the message says what.
    """
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            head = file.read(HEAD)
    except OSError as error:
        raise _unreadable(path, error) from error
    if head.startswith(ZIP):
        return "torch"
    if head.startswith(LEGACY):
        return "legacy torch"
    if _is_safetensors(path, head, size):
        return "safetensors"
    what, todo = _foreign(head)
    raise BadInput(f"{where(path)}: is {what or 'of no known kind'}; {todo or NOT_IT}")


def _stat_mode(path: Path) -> int:
    try:
        return path.stat().st_mode
    except ValueError as error:
        raise BadInput(f"{where(path)}: is no file name; {NOT_IT}") from error
    except OSError as error:
        raise _unreadable(path, error) from error


def is_regular(path: Path) -> bool:
    """Whether opening it can neither block nor never end; in /proc all files claim so."""
    kernel = any(path.resolve().is_relative_to(root) for root in ("/proc", "/sys"))
    return path.is_file() and not kernel


def _head(path: Path) -> bytes:
    """The first bytes of a file."""
    try:
        with path.open("rb") as file:
            return file.read(HEAD)
    except OSError as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: OSError) -> BadInput:
    if isinstance(error, FileNotFoundError):
        return BadInput(f"{where(path)}: no such file; check the path")
    return BadInput(f"{where(path)}: cannot be opened ({error.strerror}); check the path")


def _foreign(head: bytes) -> tuple[str, str]:
    if not head:
        return "an empty file", AGAIN
    for magic, sentence in FOREIGN.items():
        if head.startswith(magic):
            return sentence
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if text.startswith((b"<!doctype", b"<html", b"<head", b"<?xml")):
        return "an HTML page, perhaps of a login or an error", AGAIN
    if b'"weight_map"' in text or (text.startswith(b"{") and b'"total_size"' in text):
        return "an index of shards, not a checkpoint", "give its directory"
    if text.startswith((b"{", b"[")):
        return "JSON text, perhaps an error message from a server", AGAIN
    return "", ""


def _is_safetensors(path: Path, head: bytes, size: int) -> bool:
    """Whether it is one; one that is cut short is refused here.

    Asked before the first bytes are compared with those of other files: here they are a length,
    and can be any.
    """
    length = int.from_bytes(head[:8], "little")
    if head[8:9] != b"{" or not 2 <= length <= MAX_HEADER:
        return False
    if length + 8 > size:
        raise BadInput(f"{where(path)}: ends inside its header; {INCOMPLETE}")
    return True


def _entries(folder: Path, limit: int) -> list[Path]:
    """Entries of a directory, sorted; not more of them than are asked for."""
    try:
        return sorted(islice(folder.iterdir(), limit))
    except OSError as error:
        raise _unreadable(folder, error) from error


def _only_checkpoint(folder: Path) -> Path:
    entries = _entries(folder, MAX_ENTRIES + 1)
    if len(entries) > MAX_ENTRIES:
        raise BadInput(
            f"{where(folder)}: holds more than {MAX_ENTRIES} entries; name the checkpoint"
        )
    for entry in entries:
        if entry.name.endswith(".index.json"):
            raise Unsupported(
                f"{where(folder)}: is a checkpoint in several files ('{escape(entry.name)}'); "
                f"this version reads model.safetensors.index.json alone of such, so save it so"
            )
    found = [entry for entry in entries if is_checkpoint(entry)]
    if len(found) == 1:
        return found[0]
    names = ", ".join(escape(e.name, 40) for e in (found or entries)[:3])
    held = f"{len(found)} checkpoints" if found else f"{len(entries)} entries, none a checkpoint"
    raise BadInput(f"{where(folder)}: holds {held} ({names or 'empty'}); name one file")


def is_checkpoint(path: Path) -> bool:
    """Whether a directory's entry is one; torch writes ``NAME/data.pkl`` first into its zips."""
    try:
        if not is_regular(path):
            return False
        if kind(path) != "torch":
            return True
        with path.open("rb") as file:
            head = file.read(HEAD)
    except (BirkhoffError, OSError, RuntimeError):  # the last one for a loop of links
        return False
    length = int.from_bytes(head[26:28], "little")
    return head[30 : 30 + length].endswith(b"/data.pkl")
