"""What a command is doing: on one line of a terminal, and how long it will take, anywhere.

The line appears once a command has taken `DELAY`, so that short ones never import what draws it,
and is gone before anything else is printed. Work that will take minutes says so, in a pipe too,
with an option that makes it shorter: once a few steps of it are done, or when the first step does
not end.
"""

import contextlib
import sys
from collections.abc import Callable, Iterator, Sequence
from threading import Lock, Timer
from time import monotonic
from typing import Any, TypeVar

from birkhoff_cli.pace import LONG, Pace, duration, one

Step = TypeVar("Step")

DELAY = 0.5
"""Seconds that a command may take before the line appears."""

PATIENCE = 5.0
"""Seconds that the first step may take before something is said of it; then twice as many."""


class Line:
    """The line of one command."""

    def __init__(
        self,
        name: str,
        stream: Any,
        clock: Callable[[], float] | None = None,
        delay: float | None = DELAY,
    ) -> None:
        """Begin to wait.

        Args:
            name: of the command.
            stream: where it is, and sentences that stay.
            clock: seconds from anywhere.
            delay: seconds until the line appears; None where it never does.
        """
        self.name, self.stream, self.clock = name, stream, clock or monotonic
        self.text, self.done, self.total = "starting", 0, 0
        self.lock, self.display, self.ended = Lock(), None, False
        self.task: Any = None
        self.timers: list[Timer] = []
        if delay is not None:
            self._later(delay, self.appear)

    def _later(self, seconds: float, function: Callable[..., None], *arguments: Any) -> None:
        timer = Timer(seconds, function, arguments)
        timer.daemon = True
        self.timers.append(timer)
        timer.start()

    def appear(self) -> None:
        """Show the line, unless the command has ended."""
        from rich.console import Console
        from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

        with self.lock:
            if self.ended or self.display is not None:
                return
            console = Console(file=self.stream, highlight=False)
            texts = (TextColumn("{task.description}", markup=False), BarColumn(20))
            columns = (SpinnerColumn(), *texts, TextColumn("{task.fields[left]}"))
            display: Any = Progress(*columns, TimeElapsedColumn(), console=console, transient=True)
            self.task = display.add_task(self._description, total=self.total or None, left="")
            display.start()
            self.display = display

    @property
    def _description(self) -> str:
        return f"{self.name}: {self.text}"

    def stage(self, text: str, part: bool = False) -> None:
        """Say what begins now; a part of counted work leaves the count as it is."""
        self.text = text
        if part:
            self._update("")
            return
        self.done, self.total = 0, 0
        with self.lock:
            if self.display is not None:  # a task keeps its total, and stops its clock when done
                self.display.remove_task(self.task)
                self.task = self.display.add_task(self._description, total=None, left="")

    def count(self, done: int, total: int, text: str) -> None:
        """Show how many bytes have come, while more are on their way."""
        if done < total:
            self.text = text
        if self.display is not None and (done < total or self.done):
            fields = {"description": f"{self.name}: {text}", "left": f"{done / 1e6:,.1f} MB"}
            self.display.update(self.task, completed=done, total=total, **fields)

    def track(
        self,
        steps: Iterator[Step],
        total: int,
        shorter: str = "",
        workers: Callable[[], int] = one,
        alone: bool = False,
    ) -> Iterator[Step]:
        """The same steps; after the first ones, how long all will take.

        Args:
            steps: of the work.
            total: about how many they are.
            shorter: what makes the work shorter, said if it takes minutes.
            workers: asks how many of them are worked on at a time.
            alone: whether the first that are seen are those of one worker.
        """
        self.stage("working")
        pace = Pace(total, shorter, self.clock)
        pace.workers, pace.alone = workers, alone
        self._later(PATIENCE, self.wait, pace, PATIENCE)
        for done, step in enumerate(steps, 1):
            pace.step(done)
            self.done, self.total = done, total if total > 1 else 0
            self._update(f"{duration(left)} left" if self.display and (left := pace.left) else "")
            self.say(pace.estimate())
            yield step
        pace.announcement = LONG  # nothing is waited for any more

    def wait(self, pace: Pace, seconds: float) -> None:
        """Say how long the work may take if its first steps have not ended, now or later."""
        with self.lock:
            if self.ended or pace.done > 1 or pace.announcement:
                return
            self.say(pace.bound())
            self._later(seconds, self.wait, pace, 2 * seconds)

    def _update(self, left: str) -> None:
        if self.display is not None:
            total = self.total or None
            fields = {"description": self._description, "left": left}
            self.display.update(self.task, completed=self.done, total=total, **fields)

    def say(self, sentence: str) -> None:
        """Print a line that stays, above this one; nothing for no sentence."""
        if not sentence:
            return
        with contextlib.suppress(OSError):
            if self.display is not None:
                self.display.console.print(sentence, markup=False)
            else:
                print(sentence, file=self.stream, flush=True)

    def end(self) -> None:
        """Take the line away; nothing is shown from now on."""
        with self.lock, contextlib.suppress(OSError):
            self.ended = True
            for timer in self.timers:
                timer.cancel()
            if self.display is not None:
                self.display.stop()
                self.display = None


_lines: list[Line] = []
"""That of the command which runs in this process."""


def begin(name: str, arguments: Sequence[str]) -> None:
    """Begin the line of a command, which a terminal shows; -q has none.

    Args:
        name: of the command.
        arguments: what was typed after it.
    """
    end()
    silent = {"-q", "--quiet", "-h", "--help"} & {*arguments}
    if not silent and sys.stderr is not None and not _writes_there(arguments):
        delay = DELAY if _is_terminal(sys.stderr) else None
        _lines.append(Line(name, sys.stderr, delay=delay))


def _writes_there(arguments: Sequence[str]) -> bool:
    """Whether the table goes to the terminal, which the line would share with it."""
    pairs = zip(arguments, [*arguments[1:], ""], strict=False)
    written = any(word in ("-o", "--output") and value == "-" for word, value in pairs)
    joined = {"-o-", "--output=-"} & {*arguments}
    return bool(written or joined) and _is_terminal(sys.stdout)


def _is_terminal(stream: Any) -> bool:
    return stream is not None and stream.isatty()


def stage(text: str, part: bool = False) -> None:
    """Say what begins now; a part of counted work leaves the count as it is."""
    for line in _lines:
        line.stage(text, part)


def track(
    steps: Iterator[Step],
    total: int,
    shorter: str = "",
    workers: Callable[[], int] = one,
    alone: bool = False,
) -> Iterator[Step]:
    """The same steps, counted on the line."""
    return _lines[0].track(steps, total, shorter, workers, alone) if _lines else steps


def count(done: int, total: int, text: str) -> None:
    """Say how many bytes have come."""
    for line in _lines:
        line.count(done, total, text)


def end() -> None:
    """Take the line away, if there is one."""
    while _lines:
        _lines.pop().end()


SHORTER = ("epochs", "directions", "updates", "sequences", "targets", "samples", "points")
"""Options that make work shorter, the first that has an effect."""


def way_out(values: Callable[[str], Any], names: set[str]) -> str:
    """What makes a command shorter.

    Args:
        values: of its options.
        names: of those that have an effect.
    """
    for name in SHORTER:
        if name in names:
            value = values(name)
            now = "" if value is None else f" than {value:,}"
            return f"; fewer --{name}{now} take less, Ctrl-C stops it"
    return "; Ctrl-C stops it"
