"""Where the numbers of a monitor go: a file with a JSON object for each step, or a function."""

import contextlib
import json
import os
import re
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, TypeAlias

from birkhoff_cli import files, tables
from birkhoff_cli.analyses.core.errors import CannotWrite, UsageError
from birkhoff_cli.recording.ranks import of_this_rank
from birkhoff_cli.recording.warning import warn

Sink: TypeAlias = Callable[[dict[str, Any], int], object]
"""Takes the numbers of a step, and the step."""

Target: TypeAlias = str | Path | Sink

URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")

LOG = "ndjson"


def opened(to: Target | Sequence[Target] | None, attached: ExitStack) -> Iterator[Sink]:
    """What takes the numbers; files are closed with ``attached``.

    Raises:
        UsageError: no path and no function, or a path with the suffix of another format.
        CannotWrite: a URL, or a file that cannot be opened.
    """
    targets: Any = [] if to is None else to if isinstance(to, list | tuple) else [to]
    for target in targets:
        if callable(target):
            yield target
        elif isinstance(target, str | os.PathLike):
            _refuse(str(target))
            file = LogFile(Path(target))
            attached.callback(file.close)
            yield file
        else:
            raise UsageError(
                f"to = {type(target).__name__}: give a path, a function of the numbers and the "
                f"step, or a list of these; of a SummaryWriter recording.sinks.tensorboard(writer)"
            )


def _refuse(path: str) -> None:
    if URL.match(path):
        raise CannotWrite(f"{path}: is a URL, which is read and not written; give a file name")
    suffix = Path(path).suffix.lower()
    if any(suffix in f.suffixes for f in tables.writable() if f.name != LOG):
        better = Path(path).with_suffix(f".{LOG}")
        raise UsageError(f"{path}: a monitor writes a JSON object per line; call it {better}")


FLAGS = os.O_RDWR | os.O_CREAT | os.O_APPEND | files.BINARY
"""Appended, so that two who write one file write no line over another."""

BEGINNING = b'{"step":'
"""Of every line."""


class LogFile:
    """A line for each step, on disk when the call returns; it goes on where one is there."""

    def __init__(self, path: str | Path) -> None:
        """Open the file; of a line that was cut the rest goes.

        Raises:
            CannotWrite: it cannot be opened.
        """
        self.path = of_this_rank(Path(path))
        self._absolute = self.path.absolute()  # the training may go to another directory
        with files.writing(str(self.path)):
            self._open()

    def _open(self) -> None:
        self._absolute.parent.mkdir(parents=True, exist_ok=True)
        self._handle = os.open(self._absolute, FLAGS, 0o666)
        self._is_file = stat.S_ISREG(os.fstat(self._handle).st_mode)  # or a pipe, or a device
        if self._is_file:
            _end_line(self._handle)

    def __call__(self, numbers: dict[str, Any], step: int) -> None:
        """Write the line of a step, whole or not at all.

        Raises:
            OSError: it cannot be written.
        """
        data = json.dumps(numbers, separators=(",", ":"), allow_nan=False).encode() + b"\n"
        if not self._is_file:
            _write(self._handle, data)
            return
        if self._is_away():
            self.close()
            self._open()
            warn(f"birkhoff: {self.path} was taken away; a new file begins with step {step}")
        size = os.fstat(self._handle).st_size
        try:
            _write(self._handle, data)
            os.fsync(self._handle)
        except OSError:
            with contextlib.suppress(OSError):
                os.ftruncate(self._handle, size)
            raise

    def _is_away(self) -> bool:
        """Whether the path no longer names the file."""
        try:
            return not os.path.samestat(self._absolute.stat(), os.fstat(self._handle))
        except FileNotFoundError:
            return True

    def close(self) -> None:
        """Nothing more comes."""
        with contextlib.suppress(OSError):
            os.close(self._handle)


def _write(handle: int, data: bytes) -> None:
    while data:
        data = data[os.write(handle, data) :]


def _end_line(handle: int) -> None:
    """Take away a line of ours that was cut; end one that is somebody else's."""
    size = os.fstat(handle).st_size
    end = _end_of_lines(handle, size)
    os.lseek(handle, end, os.SEEK_SET)
    head = os.read(handle, len(BEGINNING))
    if BEGINNING.startswith(head):
        os.ftruncate(handle, end)
    else:
        _write(handle, b"\n")


def _end_of_lines(handle: int, size: int) -> int:
    """Bytes up to the end of the last complete line."""
    end = size
    while end:
        start = max(0, end - (1 << 16))
        os.lseek(handle, start, os.SEEK_SET)
        at = os.read(handle, end - start).rfind(b"\n")
        if at >= 0:
            return start + at + 1
        end = start
    return 0


def tensorboard(writer: Any) -> Sink:
    """What gives the numbers of a step to a ``SummaryWriter``, each under the name it has."""

    def write(numbers: dict[str, Any], step: int) -> None:
        for name, value in scalars(numbers):
            writer.add_scalar(name, value, step)

    return write


def scalars(numbers: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    """The numbers of a step that are there, each by one name: ``layers.0.attn/row_max_p50``."""
    for name, value in numbers.items():
        if isinstance(value, Mapping):
            yield from ((f"{name}/{own}", v) for own, v in scalars(value))
        elif isinstance(value, int | float) and not isinstance(value, bool) and name != "step":
            yield name, value
