"""How long work takes, from the steps that are done, and the sentence that says so."""

from collections.abc import Callable

LONG = 60.0
"""Seconds of work that are worth a sentence."""

PILOT = 1.0
"""Seconds of work from which the rest is estimated, at least."""

MAX_DELAY = 3
"""How many times longer than what was said the work may be, before it is said anew."""


def one() -> int:
    """Of one worker."""
    return 1


class Pace:
    """How far the work is, and what that says of the rest.

    The first step also imports and reads what all of them need: the others are what counts.

    Attributes:
        total: about how many steps there are.
        shorter: what makes the work shorter.
        workers: asks how many steps are worked on at a time.
        alone: whether the steps that are seen first are those of one worker.
        done: steps so far.
        announcement: seconds that were said last; 0 before anything was.
    """

    def __init__(self, total: int, shorter: str, clock: Callable[[], float]) -> None:
        """Begin now."""
        self.total, self.shorter, self.clock = total, shorter, clock
        self.workers: Callable[[], int] = one
        self.alone = False
        self.begun, self.done, self.announcement = clock(), 0, 0.0
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
        if self.alone and not self.announcement:
            left /= self.workers()
        whole = self.last - self.begun + left
        if left <= LONG or self.announcement and whole < MAX_DELAY * self.announcement:
            return ""
        self.announcement = whole
        return f"birkhoff: about {duration(whole)} at this size{self.shorter}"

    def bound(self) -> str:
        """A sentence if one of the first two steps does not end, and all will take minutes."""
        rounds = max(1, -(-self.total // self.workers()))
        whole = (self.clock() - self.begun) / (self.done + 1) * rounds
        if whole <= LONG:
            return ""
        self.announcement = whole
        alike = f" if all {self.total:,} steps are alike" if rounds > 1 else ""
        return f"birkhoff: {duration(whole)} or more at this size{alike}{self.shorter}"


def duration(seconds: float) -> str:
    """``40 s``, ``3 min``, ``2 h``, ``5 days``: one unit, rounded."""
    for size, unit in ((86_400, "days"), (3600, "h"), (60, "min")):
        if seconds >= 1.5 * size:
            return f"{seconds / size:,.0f} {unit}"
    return f"{max(seconds, 1):.0f} s"
