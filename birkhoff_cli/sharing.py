"""Ranges of blocks shared out between this process and others, and merged in their order.

This process takes the ranges whose turn it is, and others when it would only wait: while workers
start it works. States travel once for every range, so the first ranges are long and the last ones
short, in which all end together.
"""

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import BrokenExecutor, Executor, Future
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

from birkhoff_cli import engines
from birkhoff_cli.analyses.core.fold import Blocks, Fold, fold_range
from birkhoff_cli.analyses.core.table import Columns
from birkhoff_cli.pilot import Walk

Done = tuple[list[Columns], Any]
"""Rows and state of a range."""

AHEAD = 2
"""Ranges for every worker that are under way, or wait: none of them is to be idle."""

MAX_BLOCKS = 16
"""In a range whose rows travel."""


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
        state: of the blocks before ``at``.
    """

    fold: Fold[Any, Any]
    source: Blocks[Any]
    open: Callable[[], AbstractContextManager[Executor]]
    submit: Callable[[Executor, int, int], "Future[Done]"]
    rows: bool
    helps: bool
    left: deque[range] = field(default_factory=deque)
    running: "deque[tuple[Future[Done], int]]" = field(default_factory=deque)
    at: int = 0
    state: Any = None

    def walk(self, blocks: range, state: Any) -> Walk:
        """Rows of consecutive blocks in order, and the state after them.

        Args:
            blocks: their numbers.
            state: before the first of them.
        """
        self.at, self.state = blocks.start, state
        try:
            with self.open() as pool:
                workers = engines.workers_of(pool)
                most = MAX_BLOCKS if self.rows else len(blocks)
                self.left.extend(cut(blocks, workers + self.helps, most))
                yield from self._go(pool, workers)
        except BrokenExecutor:  # a process was killed: what is left is done here
            yield from self._here(range(self.at, blocks.stop))
        return self.state

    def _here(self, blocks: range) -> Iterator[Columns]:
        """Go over the blocks behind those that are merged."""
        yield from fold_range(self.fold, self.source, blocks, self.state)
        self.at = blocks.stop

    def _go(self, pool: Executor, workers: int) -> Iterator[Columns]:
        while self.left or self.running:
            mine = self.left.popleft() if self.helps and self.left and not self.running else None
            self._fill(pool, AHEAD * workers)
            if mine is not None:
                yield from self._here(mine)
            elif self._is_worth_waiting(workers):
                task, last = self.running.popleft()
                columns, part = task.result()
                yield from columns
                self.state, self.at = self.fold.merge(self.state, part), last
            else:
                self._work_ahead()

    def _fill(self, pool: Executor, most: int) -> None:
        """Let so many ranges be under way."""
        busy = sum(not task.done() for task, _ in self.running)
        while self.left and busy < most and len(self.running) < 2 * most:
            mine = self.left.popleft()
            self.running.append((self.submit(pool, mine.start, mine.stop), mine.stop))
            busy += 1

    def _is_worth_waiting(self, workers: int) -> bool:
        """Whether the next range is there, or there is nothing else to do meanwhile."""
        full = len(self.running) >= 2 * AHEAD * workers  # rows of ranges wait in memory
        return self.running[0][0].done() or full or not (self.helps and self.left)

    def _work_ahead(self) -> None:
        """Go over a range whose turn will come."""
        mine, task = self.left.popleft(), Future[Done]()
        try:
            task.set_result(work(self.fold, self.source, mine, self.rows))
        except Exception as error:  # an error of an earlier block comes first, as in one process
            task.set_exception(error)
        self.running.append((task, mine.stop))


def work(fold: Fold[Any, Any], source: Blocks[Any], blocks: range, rows: bool) -> Done:
    """Rows and state of a range of blocks; without ``rows`` the rows are left empty."""
    state = fold.start()
    steps = fold_range(fold, source, blocks, state)
    return [columns if rows else {} for columns in steps], state


def cut(blocks: range, workers: int, most: int) -> Iterator[range]:
    """Consecutive ranges that become shorter, of at most so many blocks each."""
    start = blocks.start
    while start < blocks.stop:
        size = min(max(1, (blocks.stop - start) // (2 * workers)), most)
        yield range(start, start + size)
        start += size
