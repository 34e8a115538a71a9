"""Matrices from a file or from standard input: what `birkhoff` writes, and numpy's arrays.

The kind is told by the first bytes, never by the name, and one kind has one reader. Parquet, Arrow
and npy files are read block by block, so that a trace may be larger than memory; everything else is
read whole. The digest in ``meta`` is the sha256 of the whole file, which costs one reading of it
before anything is interpreted (1.2 GB/s), and which ``sha256sum`` confirms.
"""

import hashlib
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

from birkhoff_cli.analyses.core.errors import BadInput, Unsupported, UsageError
from birkhoff_cli.analyses.core.memory import require_memory
from birkhoff_cli.analyses.core.trace import MixingTrace
from birkhoff_cli.containers import escape, where
from birkhoff_cli.containers.kinds import ZIP, is_regular
from birkhoff_cli.containers.store import refusing
from birkhoff_cli.matrices.content import Content, of_bytes, of_file, size

STDIN = Path("-")
LABEL = Path("standard input")
"""What messages call it."""

HEAD = 4096
STEP = 1 << 20

MAGIC = {
    b"\x93NUMPY": "npy",
    b"PAR1": "parquet",
    b"ARROW1\0\0": "arrow",
    b"\xff\xff\xff\xff": "arrow-stream",
}
CSV_HEAD = re.compile(rb'(?:\xef\xbb\xbf)?(?:"?[A-Za-z_]\w*"?,)*"?matrix_0_0"?(?:,|\r?\n)')
NDJSON_HEAD = re.compile(rb'\{[^\n]*?"matrix"\s*:\s*\[')

FORMATS = "npy, npz, parquet, arrow, csv or ndjson"


def recognises(path: Path) -> bool:
    """Whether `read` is for this path; a checkpoint, a directory or no file at all are not."""
    if path == STDIN:
        return True
    try:
        if not (path.is_file() and is_regular(path)):
            return False
        with path.open("rb") as file:
            head = file.read(HEAD)
    except OSError:
        return False
    return bool(kind(head)) or (head[8:9] == b"{" and _tensor(path) is not None)


def _tensor(path: Path) -> str | None:
    from birkhoff_cli.matrices import tensors

    return tensors.name_in(path)


def kind(head: bytes) -> str:
    """Name of the format that begins like this; empty if there is none."""
    for magic, name in MAGIC.items():
        if head.startswith(magic):
            return name
    if head.startswith(ZIP):
        length = int.from_bytes(head[26:28], "little")
        return "npz" if head[30 : 30 + length].endswith(b".npy") else ""
    if CSV_HEAD.match(head):
        return "csv"
    return "ndjson" if NDJSON_HEAD.match(head) else ""


def read(path: Path) -> MixingTrace:
    """The matrices, in our orientation: row i says where output stream i comes from.

    Args:
        path: a regular file, or ``-`` for standard input.

    Raises:
        BadInput: no matrices of a known format; damaged, incomplete, not square. What is only
            found in a later block is raised by the iteration over the trace.
        Unsupported: an array of objects or complex numbers; a checkpoint on standard input.
        TooLarge: more than fits in memory, in a format or an order that has to be read whole.
    """
    if path != STDIN and (name := _tensor(path)):
        from birkhoff_cli.matrices import tensors

        return tensors.read(path, name)
    label = LABEL if path == STDIN else path
    content = of_bytes(_standard_input()) if path == STDIN else _of_file(path)
    with refusing(label):
        with content() as file:
            head = file.read(HEAD)
            if not (found := kind(head)):
                raise _unrecognised(label, head)
            digest = _digest(file)
        name = "-" if path == STDIN else escape(path.name)
        facts = {"format": found, "inputs": [{"name": name, **digest}]}
        return _interpret(label, content, found, facts)


def _of_file(path: Path) -> Content:
    with refusing(path):
        return of_file(path)


def _digest(file: BinaryIO) -> dict[str, Any]:
    length, total = size(file), hashlib.sha256()
    while part := file.read(STEP):
        total.update(part)
    return {"size": length, "sha256": total.hexdigest()}


def _interpret(label: Path, content: Content, found: str, facts: dict[str, Any]) -> MixingTrace:
    if found in ("npy", "npz"):
        from birkhoff_cli.matrices import arrays

        read: Callable[[Path, Content, dict[str, Any]], MixingTrace] = getattr(arrays, found)
        return read(label, content, facts)
    from birkhoff_cli.matrices import columns, ordered, provenance, rows

    table = columns.READERS[found](label, content)
    interpret = ordered.trace if isinstance(table, columns.Stored) else rows.trace
    return provenance.kept(interpret(label, table, facts), table.schema)


def _standard_input() -> bytes:
    """All of it; refused while it grows beyond what fits."""
    if sys.stdin is None or sys.stdin.isatty():
        raise UsageError("- is standard input, and nothing is piped into it; give a file")
    parts, size = [], 0
    with refusing(LABEL):
        while part := sys.stdin.buffer.read(STEP):
            parts.append(part)
            size += len(part)
            require_memory(4 * size, str(LABEL))
    return b"".join(parts)


def _unrecognised(label: Path, head: bytes) -> BadInput | Unsupported:
    if not head:
        return BadInput(f"{where(label)}: is empty; did the command before the pipe fail?")
    if head.startswith(ZIP) or head[8:9] == b"{":
        return Unsupported(
            f"{where(label)}: looks like a checkpoint, which is read from a file only; "
            f"give its path"
        )
    return BadInput(f"{where(label)}: holds no matrices of a known format; expected {FORMATS}")
