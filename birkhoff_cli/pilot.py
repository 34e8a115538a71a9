"""Whether the blocks of a fold are worth several processes: the first ones are timed here.

Starting a process takes about half a second of work, three where torch is loaded. So the first
blocks are gone over in this process, and what is left goes to others only if it takes much longer,
and if it is computing that takes the time and not the writing of rows, which one process does.
"""

import sys
from collections.abc import Callable, Generator
from time import perf_counter
from typing import Any

from birkhoff_cli.analyses.core.fold import Blocks, Fold, fold_range
from birkhoff_cli.analyses.core.table import Columns

Walk = Generator[Columns, None, Any]
Share = Callable[[Fold[Any, Any], Blocks[Any], range, Any], Walk]
"""From a fold, its source, the blocks that are left and the state before them to the last state."""

LONG, LONG_WITH_TORCH = 2.0, 15.0
"""Seconds of work from which on it is shared out."""

PILOT = 0.3
"""Seconds of work from which the rest is estimated, at least."""

COMPUTING = 2.0
"""Times that the work on blocks is to take longer than what is done with their rows."""


class Pace:
    """How long blocks take, and how long what is done with their rows."""

    def __init__(self, blocks: int, clock: Callable[[], float] = perf_counter) -> None:
        """Start the clock before the first of so many blocks."""
        self.blocks, self.clock = blocks, clock
        self.done, self.first, self.worked, self.handed_on = 0, 0.0, 0.0, 0.0
        self.last = clock()

    def begin(self) -> None:
        """The first block begins now."""
        self._lap()

    def _lap(self) -> float:
        before, self.last = self.last, self.clock()
        return self.last - before

    def block(self) -> None:
        """A block is done."""
        self.worked += self._lap()
        self.done += 1
        if self.done == 1:
            self.first = self.worked

    def rows(self) -> None:
        """Its rows are written, or whatever is done with them."""
        self.handed_on += self._lap()

    @property
    def left(self) -> float:
        """Seconds that the other blocks will take; the first one, which imports, hardly counts."""
        if self.done < 2:
            return 0.0
        return (self.worked - self.first) / (self.done - 1) * (self.blocks - self.done)

    @property
    def is_writing(self) -> bool:
        """Whether it is the rows that take the time, which one process writes."""
        return self.worked < COMPUTING * self.handed_on

    @property
    def is_long(self) -> bool:
        """Whether other processes shorten it."""
        if self.worked < PILOT or self.is_writing:
            return False
        return self.left > (LONG_WITH_TORCH if "torch" in sys.modules else LONG)


def walk(fold: Fold[Any, Any], source: Blocks[Any], share: Share, pace: Pace | None = None) -> Walk:
    """Every block, the later ones by ``share`` if they take long by a pace that is kept here."""
    state, pace = fold.start(), pace or Pace(source.blocks)
    pace.begin()
    steps = fold_range(fold, source, range(source.blocks), state)
    for columns in steps:
        pace.block()
        yield columns
        pace.rows()
        if pace.is_long:
            steps.close()
            left = range(pace.done, source.blocks)
            return (yield from share(fold, source, left, state))
    return state
