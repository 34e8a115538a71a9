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

Step = TypeVar("Step")

DELAY = 0.5
"""Seconds that a command may take before the line appears."""

LONG = 60.0
"""Seconds of work that are worth a sentence."""

PILOT = 1.0
"""Seconds of work from which the rest is estimated, at least."""

FAR = 3
"""How many times longer than what was said the work may be, before it is said anew."""

PATIENCE = 10.0
"""Seconds that the first step may take before something is said of it; then twice as many."""


class Pace:
    """How far the work is, and what that says of the rest.

    The first step also imports and reads what all of them need: the others are what counts.

    Attributes:
        total: about how many steps there are.
        shorter: what makes the work shorter.
        workers: how many steps are worked on at a time.
        done: steps so far.
        told: seconds that were said last; 0 before anything was.
    """

    def __init__(self, total: int, shorter: str, workers: int, clock: Callable[[], float]) -> None:
        """Begin now."""
        self.total, self.shorter, self.workers, self.clock = total, shorter, workers, clock
        self.begun, self.done, self.told = clock(), 0, 0.0
        self.first = self.last = self.begun
        self.before = 0

    def step(self, done: int) -> None:
        """So many steps are done; those that end with the first one, of other workers, are one."""
        self.last = self.clock()
        if self.done == 0:
            self.first = self.last
        if self.last - self.first < PILOT / 10:
            self.before = done
        self.done = done

    @property
    def left(self) -> float | None:
        """Seconds that the steps which are left will take; None while that is not known."""
        if self.last - self.first < PILOT:
            return None
        rate = (self.last - self.first) / (self.done - self.before)
        return rate * max(0, self.total - self.done)

    def estimate(self) -> str:
        """A sentence if minutes are left, the work is not half done, and none was near enough."""
        left = self.left
        if left is None or left <= LONG or self.done > self.total / 2:
            return ""
        whole = self.last - self.begun + left
        if self.told and whole < FAR * self.told:
            return ""
        self.told = whole
        return f"birkhoff: about {duration(whole)} at this size{self.shorter}"

    def bound(self) -> str:
        """A sentence if one of the first two steps does not end, and all will take minutes."""
        rounds = max(1, -(-self.total // self.workers))
        whole = (self.clock() - self.begun) / (self.done + 1) * rounds
        if whole <= LONG:
            return ""
        self.told = whole
        alike = f" if all {self.total:,} steps are alike" if rounds > 1 else ""
        return f"birkhoff: {duration(whole)} or more at this size{alike}{self.shorter}"


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
            said = {"description": f"{self.name}: {text}", "left": f"{done / 1e6:,.1f} MB"}
            self.display.update(self.task, completed=done, total=total, **said)

    def track(
        self, steps: Iterator[Step], total: int, shorter: str = "", workers: int = 1
    ) -> Iterator[Step]:
        """The same steps; after the first ones, how long all will take.

        Args:
            steps: of the work.
            total: about how many they are.
            shorter: what makes the work shorter, said if it takes minutes.
            workers: how many of them are worked on at a time.
        """
        self.stage("working")
        pace = Pace(total, shorter, workers, self.clock)
        self._later(PATIENCE, self.wait, pace, PATIENCE)
        for done, step in enumerate(steps, 1):
            pace.step(done)
            self.done, self.total = done, total if total > 1 else 0
            self._update(f"{duration(left)} left" if self.display and (left := pace.left) else "")
            self.say(pace.estimate())
            yield step
        pace.told = LONG  # nothing is waited for any more

    def wait(self, pace: Pace, seconds: float) -> None:
        """Say how long the work may take if its first steps have not ended, now or later."""
        with self.lock:
            if self.ended or pace.done > 1 or pace.told:
                return
            self.say(pace.bound())
            self._later(seconds, self.wait, pace, 2 * seconds)

    def _update(self, left: str) -> None:
        if self.display is not None:
            total = self.total or None
            said = {"description": self._description, "left": left}
            self.display.update(self.task, completed=self.done, total=total, **said)

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


def begin(name: str, words: Sequence[str]) -> None:
    """Begin the line of a command, which a terminal shows; -q has none.

    Args:
        name: of the command.
        words: what was typed after it.
    """
    end()
    silent = {"-q", "--quiet", "-h", "--help"} & {*words}
    if not silent and sys.stderr is not None and not _writes_there(words):
        delay = DELAY if _is_terminal(sys.stderr) else None
        _lines.append(Line(name, sys.stderr, delay=delay))


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


def track(steps: Iterator[Step], total: int, shorter: str = "", workers: int = 1) -> Iterator[Step]:
    """The same steps, counted on the line."""
    return _lines[0].track(steps, total, shorter, workers) if _lines else steps


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
