"""Matrices from a file or from standard input: what `birkhoff` writes, and numpy's arrays.

The kind is told by the first bytes, never by the name, and one kind has one reader. Everything is
read into memory and hashed first, so that what is interpreted is what the digest is of.
"""

import hashlib
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from analyses.core.errors import BadInput, Unsupported, UsageError
from analyses.core.memory import require_memory
from analyses.core.trace import MixingTrace
from birkhoff_cli.containers import escape, where
from birkhoff_cli.containers.kinds import ZIP, is_regular
from birkhoff_cli.containers.store import refusing

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

Reader = Callable[[Path, bytes], MixingTrace]


def recognises(path: Path) -> bool:
    """Whether `read` is for this path; a checkpoint, a directory or no file at all are not."""
    if path == STDIN:
        return True
    if not (path.is_file() and is_regular(path)):
        return False
    try:
        with path.open("rb") as file:
            return bool(kind(file.read(HEAD)))
    except OSError:
        return False


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
    """Read every matrix, in our orientation: row i says where output stream i comes from.

    Args:
        path: a regular file, or ``-`` for standard input.

    Raises:
        BadInput: no matrices of a known format; damaged, incomplete, not finite, not square.
        Unsupported: an array of objects or complex numbers; a checkpoint on standard input.
        TooLarge: more than fits in memory.
    """
    label = LABEL if path == STDIN else path
    data = _standard_input() if path == STDIN else _file(path)
    found = kind(data[:HEAD])
    if not found:
        raise _unrecognised(label, data)
    facts = {
        "format": found,
        "inputs": [
            {
                "name": "-" if path == STDIN else escape(path.name),
                "size": len(data),
                "sha256": hashlib.sha256(data).hexdigest(),
            }
        ],
    }
    with refusing(label):
        return _interpret(label, data, found, facts)


def _interpret(label: Path, data: bytes, found: str, facts: dict[str, Any]) -> MixingTrace:
    if found in ("npy", "npz"):
        from birkhoff_cli.matrices import arrays

        return arrays.trace(label, getattr(arrays, found)(label, data), facts)
    from birkhoff_cli.matrices import columns, rows

    return rows.trace(label, columns.READERS[found](label, data), facts)


def _file(path: Path) -> bytes:
    with refusing(path):
        require_memory(4 * path.stat().st_size, where(path))
        return path.read_bytes()


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


def _unrecognised(label: Path, data: bytes) -> BadInput | Unsupported:
    if not data:
        return BadInput(f"{where(label)}: is empty; did the command before the pipe fail?")
    if data.startswith(ZIP) or data[8:9] == b"{":
        return Unsupported(
            f"{where(label)}: looks like a checkpoint, which is read from a file only; "
            f"give its path"
        )
    return BadInput(f"{where(label)}: holds no matrices of a known format; expected {FORMATS}")
