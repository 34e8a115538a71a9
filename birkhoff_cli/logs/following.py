"""A monitor's log on a terminal as it grows, whatever becomes of the file."""

import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from birkhoff_cli import matrices, places, process
from birkhoff_cli.analyses.core.measured import Step
from birkhoff_cli.analyses.core.result import Summary
from birkhoff_cli.tables import _monitor
from birkhoff_cli.text import escape

if TYPE_CHECKING:
    from rich.console import RenderableType

SECONDS = 1.0
"""Between two looks at the file."""

SIGINT = 130
"""Exit code of a command that Ctrl-C stops."""

Alarms = list[dict[str, Any]]


class Tail:
    """What a log holds so far; only what is new is read.

    Attributes:
        last: the last step; None before the first.
        alarms: of all steps.
        skipped: what is to be said of lines that hold no step; empty if all do.
    """

    def __init__(self, path: Path, alarms_of: Callable[[Sequence[Step]], Alarms]) -> None:
        """Nothing is read yet."""
        self._path, self._alarms_of = path, alarms_of
        self._begin(0)

    def _begin(self, file: int) -> None:
        self._file, self._offset, self._rest = file, 0, b""
        self._steps: list[int] = []
        self._lines, self._left_out, self.skipped = 0, 0, ""
        self.last: Step | None = None
        self.alarms: Alarms = []

    @property
    def measured(self) -> int:
        """How many steps there are."""
        return len(self._steps)

    def grown(self) -> bool:
        """Read on; whether there was something new. A file that is away for now has nothing.

        Another file of the same name, or one that is shorter than before, is read from its start.
        """
        try:
            with self._path.open("rb") as file:
                at = file.seek(0, 2)
                inode = self._path.stat().st_ino
                if inode != self._file or at < self._offset:
                    self._begin(inode)
                file.seek(self._offset)
                new = file.read()
        except OSError:
            return False
        self._offset += len(new)
        *complete, self._rest = (self._rest + new).split(b"\n")
        for line in complete:
            self._take(line)
        return bool(complete)

    def _take(self, line: bytes) -> None:
        """Keep a step; one that goes back, as of a run taken up again, replaces what follows."""
        self._lines += 1
        try:
            step = _monitor.step_of(line)
        except _monitor.NO_STEP:
            self._skip()
            return
        while self._steps and self._steps[-1] >= step.step:
            self._steps.pop()
        self._steps.append(step.step)
        kept = [row for row in self.alarms if row["alarm_step"] < step.step]
        self.last, self.alarms = step, kept + self._alarms_of([step])

    def _skip(self) -> None:
        """Say what was left out: whoever writes the log goes on, and so does this."""
        self._left_out += 1
        if self._left_out == 1:
            line = _monitor.not_a_step(self._lines)
            self.skipped = f"{escape(self._path.name)}: {line}, and is left out"
        elif self._left_out == 2:
            self.skipped += ", and so are others"


def show(
    path: Path,
    alarms_of: Callable[[Sequence[Step]], Alarms],
    summarise: Callable[[Step, int, Alarms], Summary],
    lines: Callable[[Step, Summary, int], Iterator[str]],
) -> None:
    """Until Ctrl-C; nothing where there is no log of a monitor, which whoever reads it says.

    A log elsewhere is read once, and would seem to stand still.
    """
    from rich.console import Console
    from rich.live import Live

    if places.is_remote(path) or not path.is_file():
        return
    if path.stat().st_size and not matrices.is_monitor_log(path):
        return
    tail, console, size = Tail(path, alarms_of), Console(highlight=False), None
    with Live(console=console, auto_refresh=False, transient=True) as live:
        try:
            while True:
                if tail.grown() or console.size != size:
                    size = console.size
                    live.update(_shown(tail, summarise, lines, size.width), refresh=True)
                time.sleep(SECONDS)
        except KeyboardInterrupt:
            return
        except process.Stopped as stopped:
            if stopped.exit_code != SIGINT:
                raise


def _shown(
    tail: Tail,
    summarise: Callable[[Step, int, Alarms], Summary],
    lines: Callable[[Step, Summary, int], Iterator[str]],
    width: int,
) -> "RenderableType":
    """The first line, which may wrap, and curves, which may not."""
    from rich.console import Group
    from rich.text import Text

    notes = [Text(tail.skipped)] if tail.skipped else []
    if tail.last is None:
        return Group(Text("No step has been measured yet."), *notes)
    summary = summarise(tail.last, tail.measured, tail.alarms)
    first, *rest = lines(tail.last, summary, width)
    curves = (Text(line, no_wrap=True, overflow="ellipsis") for line in rest)
    return Group(Text(first), *curves, *notes)
