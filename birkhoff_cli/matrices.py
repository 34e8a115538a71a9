"""Matrices from a file or from standard input: what `birkhoff` writes, and numpy's arrays.

The format is told by the first bytes, never by the name, and has one reader. Parquet, Arrow and npy
files are read block by block, so that a trace may be larger than memory; everything else is read
whole. The digest in ``meta`` is the sha256 of the whole file, which ``sha256sum`` confirms: one
reading of it before anything is interpreted (1.2 GB/s), or none of its own where it is put off
(`birkhoff_cli.deferred`). A pipe is kept on disk once it is large, and read as a file is.
"""

import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from birkhoff_cli import places, tables
from birkhoff_cli.analyses.core.errors import (
    BadInput,
    BirkhoffError,
    Unreadable,
    Unsupported,
    UsageError,
)
from birkhoff_cli.analyses.core.trace import MixingTrace
from birkhoff_cli.containers import escape, where
from birkhoff_cli.containers.kinds import ZIP, is_regular
from birkhoff_cli.containers.store import refusing
from birkhoff_cli.read_errors import require_sound
from birkhoff_cli.steps import split_step
from birkhoff_cli.tables import HEAD
from birkhoff_cli.text import either

if TYPE_CHECKING:
    from birkhoff_cli.analyses.core.array_trace import Axis
    from birkhoff_cli.content import Content
    from birkhoff_cli.tables._format import TableFormat

STDIN = Path("-")
LABEL = Path("standard input")
"""What messages call it."""


def list_steps(path: Path) -> tuple[int, ...]:
    """Training steps of the models whose matrices a table holds; none if it is of one model.

    What is wrong with a file is said by whoever reads it.
    """
    if path == STDIN or not recognises(path):
        return ()
    from birkhoff_cli.content import of_file

    try:
        with refusing(path):
            content = of_file(path)
            return _known_format(content, path).steps(content)
    except Unreadable:
        raise
    except BirkhoffError:
        return ()


def recognises(path: Path) -> bool:
    """Whether `read` is for this path; a checkpoint, a directory or no file at all are not."""
    if path == STDIN:
        return True
    path, _ = split_step(path)
    try:
        if not (path.is_file() and is_regular(path)):
            return False
        with path.open("rb") as file:
            head = file.read(HEAD)
    except OSError as error:
        require_sound(error, path)
        return False
    return _format(head, path) is not None


def is_monitor_log(path: Path) -> bool:
    """Whether a file, which is there, is the log of a monitor."""
    from birkhoff_cli.tables import _monitor

    with path.open("rb") as file:
        return _monitor.is_log(file.read(HEAD))


def _format(head: bytes, path: Path | None) -> "TableFormat | None":
    format = tables.recognise(head)
    return format if format is not None and format.may_hold_matrices(head, path) else None


def read(path: Path, axes: "Axis | None" = None) -> MixingTrace:
    """The matrices, in our orientation: row i says where output stream i comes from.

    Args:
        path: a regular file, with ``#step=N`` where it holds several, or ``-`` for standard input.
        axes: what an array (n, d, d) is, which is then said; None leaves it open.

    Raises:
        BadInput: no matrices of a known format; damaged, incomplete, not square. What is only
            found in a later block is raised by the iteration over the trace.
        Unsupported: an array of objects or complex numbers; a checkpoint on standard input.
        TooLarge: more than fits in memory, in a format or an order that has to be read whole.
    """
    from birkhoff_cli.analyses.core.array_trace import AXES, along
    from birkhoff_cli.content import of_file

    piped = path == STDIN
    path, step = split_step(path)
    with refusing(LABEL if piped else path):
        content = _standard_input() if piped else of_file(path)
        format = _known_format(content, None if piped else path)
        facts = {
            "name": "-" if piped else escape(places.label(path)),
            "size": content.size,
            "sha256": content.sha256,
        }
        known = {"format": format.name, "inputs": [facts]}
        if step is None:
            trace = format.trace(content, known)
        else:
            trace = format.trace_of_step(content, known, step)
        assumptions = [*format.assumptions(content), *trace.meta.get("assumptions", ())]
        assumed = {"assumptions": assumptions} if assumptions else {}
        trace = replace(trace, meta=trace.meta | assumed)
        return along(trace, axes) if axes and AXES in trace.meta else trace


def _known_format(content: "Content", path: Path | None) -> "TableFormat":
    head = content.head()
    if (format := _format(head, path)) is None:
        raise _unrecognised(content.label, head)
    return format


def _standard_input() -> "Content":
    """All of it, if its beginning is that of matrices; refused as soon as it can be none."""
    from birkhoff_cli.content import STEP, of_bytes
    from birkhoff_cli.spool import Spool

    if sys.stdin is None or sys.stdin.isatty():
        raise UsageError("- is standard input, and nothing is piped into it; give a file")
    part = sys.stdin.buffer.read(HEAD)
    format = _known_format(of_bytes(LABEL, part), None)
    incoming, spool = format.incoming(LABEL, part), Spool(LABEL)
    while part:
        incoming.take(part)
        spool.require(incoming.whole or 0)
        spool.write(part)
        part = sys.stdin.buffer.read(STEP)
    return spool.content()


def _unrecognised(label: Path, head: bytes) -> BadInput | Unsupported:
    if not head:
        return BadInput(f"{where(label)}: is empty; did the command before the pipe fail?")
    if head.startswith(ZIP) or head[8:9] == b"{":
        return Unsupported(
            f"{where(label)}: looks like a checkpoint, which is read from a file only; "
            f"give its path"
        )
    if (format := tables.recognise(head)) is not None:
        return BadInput(
            f"{where(label)}: is {format.name} without a column of matrices; give what "
            f"'birkhoff sample -o' writes, or a trace"
        )
    expected = either([f.name for f in tables.formats() if f.pipes or label != LABEL])
    return BadInput(f"{where(label)}: holds no matrices of a known format; expected {expected}")
