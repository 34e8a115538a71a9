"""What kind of file a path is: by what it contains, never by its name."""

import re
import stat
from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from pathlib import Path

from birkhoff_cli.analyses.core import discover
from birkhoff_cli.analyses.core.errors import (
    BadInput,
    BirkhoffError,
    TooLarge,
    Unreadable,
    Unsupported,
)
from birkhoff_cli.containers import zips
from birkhoff_cli.containers.store import INCOMPLETE, Store, unreadable, where
from birkhoff_cli.read_errors import require_sound

PACKAGE = "birkhoff_cli.containers"
"""A file there with a ``MAGIC`` is one kind of file, which begins so, and has ``open_file``."""

TABLES = "birkhoff_cli.tables"
"""Files there are read as matrices and are no checkpoints; those with a ``MAGIC`` begin so."""

HEAD = 512
ZIP = b"PK\x03\x04"
MAX_HEADER = 100_000_000
"""The safetensors format's own limit on its header, in bytes."""

MAX_ENTRIES = 1000
"""Entries of a directory that are looked at to find the checkpoint."""

BESIDE = re.compile(
    r"(?:optimizer|scheduler|lr_scheduler|rng_state|random_states|training_args|scaler|sampler"
    r"|dl_state|custom_checkpoint|common|mmproj|imatrix)(?:[._-].*)?|.*_optim_states\..*"
)
"""Names of what trainers and converters write beside a model, and what is none."""

WEIGHTS = (".pt", ".pth", ".ckpt", ".safetensors", ".gguf")
"""Suffixes that say weights and nothing else."""

AGAIN, PULL = "download the file again", "run 'git lfs pull'"
NOT_IT = "give a .pt or .safetensors checkpoint"

ELSEWHERE = {
    ".onnx": "an ONNX file",
    ".pdparams": "a Paddle file",
    ".msgpack": "a Flax file",
}
"""Suffixes of other programs' files, asked when the content is of no known kind."""

FOREIGN = {
    b"version https://git-lfs": ("a git-lfs pointer, not the file itself", PULL),
    b"\x89HDF\r\n\x1a\n": ("an HDF5 file", "save the tensors as safetensors"),
    b"7z\xbc\xaf\x27\x1c": ("a 7z archive", "unpack it first"),
    b"\x1f\x8b": ("a gzip archive", "unpack it first"),
    b"\xfd7zXZ\x00": ("an xz archive", "unpack it first"),
    b"\x28\xb5\x2f\xfd": ("a zstd archive", "unpack it first"),
    b"PK\x05\x06": ("an empty zip archive", AGAIN),
    b"\x80": ("a pickle that torch.save did not write", "save the tensors as safetensors"),
}
"""First bytes of what people give by mistake: what it is, what to do."""

MATRICES = re.compile(rb"""\bmatri(?:x_[0-9]|x["']?\s*:|ces["']?\s*:)""")
"""A column, or a list, of matrices in a text."""

WRITTEN = (
    "tables have commas and a header such as sample,site,matrix_0_0 (csv), or in each line an "
    'object with a list "matrix" (ndjson)'
)
"""How the tables of text look that are read."""


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
        raise BadInput(f"{where(path)}: is a directory, not a regular file; name a file in it")
    if not is_regular(path):
        raise BadInput(
            f"{where(path)}: is a device, pipe or socket, not a regular file; name a file on disk"
        )


def kind(path: Path) -> str:
    """Name of the module that reads it; no other one is tried.

    Raises:
        BadInput: it is something else, and the message says what.
    """
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            head = file.read(HEAD)
    except OSError as error:
        raise unreadable(path, error) from error
    if _is_safetensors(path, head, size):
        return "safetensors"
    if name := _by_magic(PACKAGE, head):
        return name
    if path.suffix.lower() in ELSEWHERE:
        raise Unsupported(f"{where(path)}: {not_read(ELSEWHERE[path.suffix.lower()])}")
    what, todo = _foreign(head)
    raise BadInput(f"{where(path)}: is {what or 'of no known kind'}; {todo or NOT_IT}")


def _by_magic(package: str, head: bytes) -> str | None:
    """The member of a folder whose files begin like this; none is imported."""
    for name in discover.members(package):
        magic = discover.constant(package, name, "MAGIC")
        if magic and head.startswith(magic):
            return name
    return None


def opener(path: Path) -> "Callable[[Path], Store]":
    """What opens a file, by what it contains; raises what `kind` does."""
    open_file: Callable[[Path], Store] = discover.member(PACKAGE, kind(path)).open_file
    return open_file


def not_read(what: str) -> str:
    """The one sentence about programs whose files hold models and are not read here."""
    return f"is {what}, which is not read here; export the model as safetensors"


def _stat_mode(path: Path) -> int:
    try:
        return path.stat().st_mode
    except ValueError as error:
        raise BadInput(f"{where(path)}: is no file name; {NOT_IT}") from error
    except OSError as error:
        raise unreadable(path, error) from error


def is_regular(path: Path) -> bool:
    """Whether opening it can neither block nor never end; in /proc all files claim so."""
    kernel = any(path.resolve().is_relative_to(root) for root in ("/proc", "/sys"))
    return path.is_file() and not kernel


def _foreign(head: bytes) -> tuple[str, str]:
    if not head:
        return "an empty file", AGAIN
    for magic, sentence in FOREIGN.items():
        if head.startswith(magic):
            return sentence
    if table := _by_magic(TABLES, head):
        return f"of the format {table}, a table or an array", NOT_IT
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if text.startswith((b"<!doctype", b"<html", b"<head", b"<?xml")):
        return "an HTML page, perhaps of a login or an error", AGAIN
    if b'"weight_map"' in text or (text.startswith(b"{") and b'"total_size"' in text):
        return "an index of shards, not a checkpoint", "give its directory"
    if text.startswith(b"{") and b'"step"' in text:
        return "a log of a training run, no checkpoint", "birkhoff watch, curves and plot read logs"
    if MATRICES.search(text) and b"\0" not in text:
        return "text that names matrices, and no checkpoint", WRITTEN
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


def is_checkpoint(path: Path) -> bool:
    """Whether a directory's entry is one, by its name no part of a trainer's own state.

    Torch writes ``NAME/data.pkl`` first into its zips.
    """
    try:
        if BESIDE.fullmatch(path.name) or not is_regular(path):
            return False
        if kind(path) != "torch-zip":
            return True
        with path.open("rb") as file:
            head = file.read(HEAD)
    except (BirkhoffError, OSError, RuntimeError) as error:  # the last one for a loop of links
        _require_sound(error, path)
        return False
    return zips.first_name(head).endswith(b"/data.pkl")


def with_husks(entries: Sequence[Path], checkpoints: Iterable[Path]) -> list[Path]:
    """The checkpoints among entries, with those that are called like one and are none.

    Whoever reads such a file says what is wrong with it; without it a model or a step would be
    missing, and nothing would say so. It is called like one if it differs from one in numbers
    only, or by its suffix, where nothing but a name is there: a file that is empty or zeros, a
    pointer, an error page, a link to nothing.
    """
    own = {*checkpoints}
    kinds = {digitless(path.name) for path in own}

    def is_husk(path: Path) -> bool:
        if BESIDE.fullmatch(path.name):
            return False
        alike = digitless(path.name) in kinds
        return alike or (path.suffix.lower() in WEIGHTS and is_hollow(path))

    return [entry for entry in entries if entry in own or is_husk(entry)]


def digitless(name: str) -> str:
    """A name with 0 in place of every number."""
    return re.sub("[0-9]+", "0", name)


def is_hollow(path: Path) -> bool:
    """Whether nothing but a name is there."""
    try:
        if path.is_dir():
            return False
        if not is_regular(path):
            return True
        with path.open("rb") as file:
            head = file.read(HEAD)
    except (OSError, RuntimeError):  # the last one for a loop of links
        return True
    return not any(head) or _foreign(head)[1] in (AGAIN, PULL)


def _require_sound(error: Exception, path: Path) -> None:
    """Hold that the machine could look at a file: one that it cannot read may well be a part."""
    if isinstance(error, Unreadable | TooLarge):
        raise error
    if isinstance(error, OSError):
        require_sound(error, path)


def first_entries(folder: Path, limit: int) -> list[Path]:
    """Up to ``limit`` entries of a folder, sorted; which of more, the system decides.

    Raises:
        BadInput: it cannot be read.
    """
    try:
        return sorted(islice(folder.iterdir(), limit))
    except OSError as error:
        raise unreadable(folder, error) from error
