"""Ranges of blocks shared out between this process and others, and merged in their order.

This process takes the ranges whose turn it is, and others when it would only wait: while workers
start it works. States travel once for every range, so the first ranges are long and the last ones
short, in which all end together. What is done and waits for its turn is held in memory here, so
ranges are handed out as long as that stays within a bound.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import BrokenExecutor, Executor, Future
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from birkhoff_cli import engines
from birkhoff_cli.analyses.core.fold import Blocks, Fold, fold_range
from birkhoff_cli.analyses.core.memory import available
from birkhoff_cli.analyses.core.table import Columns
from birkhoff_cli.pilot import Walk

Done = tuple[list[Columns], Any]
"""Rows and state of a range."""

AHEAD = 2
"""Ranges for every worker that are under way: none of them is to be idle."""

LAST = 32
"""Share of the work of each process that the last ranges have."""

MAX_BLOCKS = 16
"""In a range whose rows travel."""

MAX_DEPTH = 6
"""Of arrays in lists, dictionaries and objects of a state."""

MAX_WAITING = 1 << 30
"""Bytes of rows and states that wait for their turn, at most; also a quarter of the memory."""


@dataclass
class Shared:
    """A fold whose blocks are gone over by several processes.

    Attributes:
        fold: the fold.
        source: its blocks.
        open: opens the other processes.
        submit: hands a range to one of them.
        rows: whether rows are to come back.
        helps: whether this process works too.
        running: ranges under way or done, in their order.
        at: the block before which all are merged.
        state: of the blocks before ``at``.
        left: blocks that nobody has begun.
        every: how many there were.
        row_bytes: of the rows of a block, the most that was seen; None: nothing was.
        state_bytes: of a state, the same.
        room: bytes that may wait.
    """

    fold: Fold[Any, Any]
    source: Blocks[Any]
    open: Callable[[], AbstractContextManager[Executor]]
    submit: Callable[[Executor, int, int], "Future[Done]"]
    rows: bool
    helps: bool
    running: "deque[tuple[Future[Done], range]]" = field(default_factory=deque)
    at: int = 0
    state: Any = None
    left: range = range(0)
    every: int = 0
    row_bytes: int | None = None
    state_bytes: int = 0
    room: int = 0

    def walk(self, blocks: range, state: Any) -> Walk:
        """Rows of consecutive blocks in order, and the state after them.

        Args:
            blocks: their numbers.
            state: before the first of them.
        """
        self.at, self.state, self.left, self.every = blocks.start, state, blocks, len(blocks)
        self.row_bytes, self.room = None if self.rows else 0, min(MAX_WAITING, available() // 4)
        try:
            with self.open() as pool:
                yield from self._go(pool, engines.workers_of(pool))
        except BrokenExecutor:  # a process was killed: what is left is done here
            yield from self._here(range(self.at, blocks.stop))
        return self.state

    def _here(self, blocks: range) -> Iterator[Columns]:
        """Go over the blocks behind those that are merged."""
        for columns in fold_range(self.fold, self.source, blocks, self.state):
            if self.rows:
                self._weigh([columns], None)
            yield columns
        self._weigh([], self.state)
        self.at = blocks.stop

    def _go(self, pool: Executor, workers: int) -> Iterator[Columns]:
        while self.left or self.running:
            mine = self._next(workers) if self.helps and not self.running else None
            self._fill(pool, workers)
            if mine:
                yield from self._here(mine)
            elif self._is_worth_waiting(workers):
                task, blocks = self.running.popleft()
                columns, part = task.result()
                self._weigh(columns, part)
                yield from columns
                self.state, self.at = self.fold.merge(self.state, part), blocks.stop
            else:
                self._work_ahead(self._next(workers))

    def _next(self, workers: int) -> range:
        """Take the next range of what is left."""
        size = self._size(workers)
        mine, self.left = self.left[:size], self.left[size:]
        return mine

    def _size(self, workers: int) -> int:
        """Blocks of the next range: fewer towards the end, and as many as waiting has room for."""
        size = share_of(len(self.left), workers + self.helps, self.every)
        if self.rows:
            own = self.room // (2 * AHEAD * workers * max(1, self.row_bytes or self.room))
            size = min(size, MAX_BLOCKS, max(1, own))
        return size

    def _weigh(self, columns: list[Columns], state: Any) -> None:
        """Take note of how large rows and states are."""
        if columns:
            self.row_bytes = max([self.row_bytes or 0, *map(_bytes, columns)])
        self.state_bytes = max(self.state_bytes, _bytes(state))

    def _has_room(self, workers: int) -> bool:
        """Whether one more range can wait for its turn; what is under way may have to."""
        blocks = self._size(workers) + sum(len(blocks) for _, blocks in self.running)
        states = self.state_bytes * (1 + len(self.running))
        return not self.running or states + (self.row_bytes or 0) * blocks <= self.room

    def _fill(self, pool: Executor, workers: int) -> None:
        """Let some ranges for every worker be under way."""
        busy = sum(not task.done() for task, _ in self.running)
        while self.left and busy < AHEAD * workers and self._has_room(workers):
            mine = self._next(workers)
            self.running.append((self.submit(pool, mine.start, mine.stop), mine))
            busy += 1

    def _is_worth_waiting(self, workers: int) -> bool:
        """Whether the next range is there, or there is nothing else to do meanwhile."""
        can_work = self.helps and self.left and self._has_room(workers)
        return self.running[0][0].done() or not can_work

    def _work_ahead(self, mine: range) -> None:
        """Go over a range whose turn will come."""
        task = Future[Done]()
        try:
            task.set_result(work(self.fold, self.source, mine, self.rows))
        except Exception as error:  # an error of an earlier block comes first, as in one process
            task.set_exception(error)
        self.running.append((task, mine))


def work(fold: Fold[Any, Any], source: Blocks[Any], blocks: range, rows: bool) -> Done:
    """Rows and state of a range of blocks; without ``rows`` the rows are left empty."""
    state = fold.start()
    steps = fold_range(fold, source, blocks, state)
    return [columns if rows else {} for columns in steps], state


def share_of(blocks: int, processes: int, every: int) -> int:
    """How many of the blocks that are left the next range has, so that ranges become shorter.

    Reading begins where the file's row groups do, so a range of few blocks of many is read for
    nothing in part.
    """
    return min(blocks, max(1, blocks // (2 * processes), every // (LAST * processes)))


def _bytes(value: Any, depth: int = MAX_DEPTH) -> int:
    """About how much memory the arrays in rows or in a state take."""
    if isinstance(value, np.ndarray):
        return value.nbytes
    parts: Iterable[Any] = value if isinstance(value, list | tuple) else ()
    if isinstance(value, dict):
        parts = value.values()
    elif hasattr(value, "__dict__"):
        parts = vars(value).values()
    return sum(_bytes(part, depth - 1) for part in parts) if depth else 0
