"""Matrices from a file or from standard input: what `birkhoff` writes, and numpy's arrays.

The format is told by the first bytes, never by the name, and has one reader. Parquet, Arrow and npy
files are read block by block, so that a trace may be larger than memory; everything else is read
whole. The digest in ``meta`` is the sha256 of the whole file, which costs one reading of it before
anything is interpreted (1.2 GB/s), and which ``sha256sum`` confirms.
"""

import sys
from pathlib import Path

from birkhoff_cli import tables
from birkhoff_cli.analyses.core.errors import BadInput, Unsupported, UsageError
from birkhoff_cli.analyses.core.memory import require_memory
from birkhoff_cli.analyses.core.trace import MixingTrace
from birkhoff_cli.containers import escape, where
from birkhoff_cli.containers.kinds import ZIP, is_regular
from birkhoff_cli.containers.store import refusing
from birkhoff_cli.content import HEAD, STEP, Content, digest, of_bytes, of_file
from birkhoff_cli.text import either

STDIN = Path("-")
LABEL = Path("standard input")
"""What messages call it."""


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
    return _format(head, path) is not None


def _format(head: bytes, path: Path | None) -> tables.TableFormat | None:
    format = tables.recognise(head)
    return format if format is not None and format.may_hold_matrices(head, path) else None


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
    piped = path == STDIN
    label = LABEL if piped else path
    content = of_bytes(_standard_input()) if piped else _of_file(path)
    with refusing(label):
        with content() as file:
            head = file.read(HEAD)
            if (format := _format(head, None if piped else path)) is None:
                raise _unrecognised(label, head)
            facts = {"name": "-" if piped else escape(path.name), **digest(file)}
        return format.trace(label, content, {"format": format.name, "inputs": [facts]})


def _of_file(path: Path) -> Content:
    with refusing(path):
        return of_file(path)


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
    expected = either([f.name for f in tables.formats() if f.pipes or label != LABEL])
    return BadInput(f"{where(label)}: holds no matrices of a known format; expected {expected}")
