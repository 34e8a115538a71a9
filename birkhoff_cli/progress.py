"""What a command is doing, on one line of standard error, where that is a terminal.

The line appears once a command has taken `DELAY`, so that short ones never import what draws it,
and is gone before anything else is printed. Work that will take minutes says so once, with an
option that makes it shorter.
"""

import contextlib
import sys
from collections.abc import Callable, Iterator, Sequence
from threading import Lock, Timer
from time import monotonic
from typing import Any, TypeVar

Step = TypeVar("Step")

DELAY = 0.5
"""Seconds that a command may take before the line appears."""

LONG = 60.0
"""Seconds of work that are worth a sentence."""

PILOT = 1.0
"""Seconds of work from which the rest is estimated, at least."""


class Line:
    """The line of one command."""

    def __init__(
        self, name: str, stream: Any, clock: Callable[[], float] = monotonic, delay: float = DELAY
    ) -> None:
        """Begin to wait.

        Args:
            name: of the command.
            stream: a terminal.
            clock: seconds from anywhere.
            delay: seconds until the line appears.
        """
        self.name, self.stream, self.clock = name, stream, clock
        self.text, self.done, self.total = "starting", 0, 0
        self.lock, self.display, self.ended = Lock(), None, False
        self.task: Any = None
        self.timer = Timer(delay, self.appear)
        self.timer.daemon = True
        self.timer.start()

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
            said = {"description": f"{self.name}: {text}", "left": f"{done / 1e6:,.1f} MB"}
            self.display.update(self.task, completed=done, total=total, **said)

    def track(self, steps: Iterator[Step], total: int, shorter: str = "") -> Iterator[Step]:
        """The same steps; after the first ones, how long all will take.

        Args:
            steps: of the work.
            total: about how many they are.
            shorter: what makes the work shorter, said if it takes minutes.
        """
        self.stage("working")
        begun, is_shown = self.clock(), False
        for done, step in enumerate(steps, 1):
            taken = self.clock() - begun
            left = taken / done * (total - done)
            known = taken >= PILOT and left > 0
            self.done, self.total = done, total if total > 1 else 0
            self._update(f"{duration(left)} left" if known else "")
            if known and not is_shown and left > LONG and done < total / 2:
                is_shown = True
                self.say(f"birkhoff: about {duration(taken + left)} at this size{shorter}")
            yield step

    def _update(self, left: str) -> None:
        if self.display is not None:
            total = self.total or None
            fields = {"description": self._description, "left": left}
            self.display.update(self.task, completed=self.done, total=total, **fields)

    def say(self, sentence: str) -> None:
        """Print a line that stays, above this one."""
        with contextlib.suppress(OSError):
            if self.display is not None:
                self.display.console.print(sentence, markup=False)
            else:
                print(sentence, file=self.stream)

    def end(self) -> None:
        """Take the line away; nothing is shown from now on."""
        self.timer.cancel()
        with self.lock, contextlib.suppress(OSError):
            self.ended = True
            if self.display is not None:
                self.display.stop()
                self.display = None


_lines: list[Line] = []
"""That of the command which runs in this process, if a terminal shows it."""


def begin(name: str, words: Sequence[str]) -> None:
    """Begin the line of a command, unless nobody would see it.

    Args:
        name: of the command.
        words: what was typed after it.
    """
    end()
    silent = {"-q", "--quiet", "-h", "--help"} & {*words}
    if not silent and _is_terminal(sys.stderr) and not _writes_there(words):
        _lines.append(Line(name, sys.stderr))


def _writes_there(words: Sequence[str]) -> bool:
    """Whether the table goes to the terminal, which the line would share with it."""
    pairs = zip(words, [*words[1:], ""], strict=False)
    written = any(word in ("-o", "--output") and value == "-" for word, value in pairs)
    joined = {"-o-", "--output=-"} & {*words}
    return bool(written or joined) and _is_terminal(sys.stdout)


def _is_terminal(stream: Any) -> bool:
    return stream is not None and stream.isatty()


def stage(text: str, part: bool = False) -> None:
    """Say what begins now; a part of counted work leaves the count as it is."""
    for line in _lines:
        line.stage(text, part)


def track(steps: Iterator[Step], total: int, shorter: str = "") -> Iterator[Step]:
    """The same steps, counted on the line."""
    return _lines[0].track(steps, total, shorter) if _lines else steps


def count(done: int, total: int, text: str) -> None:
    """Say how many bytes have come."""
    for line in _lines:
        line.count(done, total, text)


def end() -> None:
    """Take the line away, if there is one."""
    while _lines:
        _lines.pop().end()


def duration(seconds: float) -> str:
    """``40 s``, ``3 min``, ``2 h``, ``5 days``: one unit, rounded."""
    for size, unit in ((86_400, "days"), (3600, "h"), (60, "min")):
        if seconds >= 1.5 * size:
            return f"{seconds / size:,.0f} {unit}"
    return f"{max(seconds, 1):.0f} s"


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
