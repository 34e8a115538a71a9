"""Where the numbers of a monitor go: a file with a JSON object for each step, or a function."""

import contextlib
import json
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeAlias

from birkhoff_cli import files
from birkhoff_cli.recording.ranks import of_this_rank

Sink: TypeAlias = Callable[[dict[str, Any], int], object]
"""Takes the numbers of a step, and the step."""


class LogFile:
    """A line for each step, on disk when the call returns; it goes on where one is there."""

    def __init__(self, path: str | Path) -> None:
        """Open the file; of a line that was cut the rest goes.

        Raises:
            CannotWrite: it cannot be opened.
        """
        self.path = of_this_rank(Path(path))
        with files.writing(str(self.path)):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._handle = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o666)
            size = os.fstat(self._handle).st_size
            os.ftruncate(self._handle, _end_of_lines(self._handle, size))
            os.lseek(self._handle, 0, os.SEEK_END)

    def __call__(self, numbers: dict[str, Any], step: int) -> None:
        """Write the line of a step."""
        del step
        data = json.dumps(numbers, separators=(",", ":"), allow_nan=False).encode() + b"\n"
        while data:
            data = data[os.write(self._handle, data) :]
        os.fsync(self._handle)

    def close(self) -> None:
        """Nothing more comes."""
        with contextlib.suppress(OSError):
            os.close(self._handle)


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
