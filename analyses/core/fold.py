"""Analyses that stream: start, add a block, merge two states in order, finish.

The same fold runs block by block in one process, or over ranges of blocks whose states are merged
in order. Blocks are numbered over all samples of a source, so that the work may be cut anywhere
without changing a byte of what `Fold.finish` returns.
"""

from abc import ABC, abstractmethod
from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, chain, islice
from typing import Any, Generic, Protocol, TypeVar

from birkhoff_cli.analyses.core import states
from birkhoff_cli.analyses.core.arrays import Array
from birkhoff_cli.analyses.core.result import Result, Summary
from birkhoff_cli.analyses.core.table import Columns, Schema

State = TypeVar("State")
Block = TypeVar("Block")
Block_co = TypeVar("Block_co", covariant=True)


class Blocks(Protocol[Block_co]):
    """Numbered blocks of samples; each can be read alone."""

    @property
    def blocks(self) -> int:
        """How many there are."""

    def read(self, numbers: range) -> Iterator[Block_co]:
        """The blocks of consecutive numbers, in order."""


class Fold(ABC, Generic[State, Block]):
    """One pass over blocks.

    A state can be pickled, and holds nothing that depends on how the blocks were cut into ranges.
    It is made of numbers, text, arrays, lists, dictionaries and classes marked with `states.data`.
    """

    @abstractmethod
    def start(self) -> State:
        """The state before the first block of a range."""

    @abstractmethod
    def add(self, state: State, number: int, block: Block) -> Columns:
        """Add a block to the state; return the rows that it gives by itself, or none."""

    def merge(self, state: State, other: State) -> State:
        """The state after two ranges, ``other`` the later one; may change and return ``state``."""
        state.merge(other)  # type: ignore[attr-defined]
        return state

    def dump(self, state: State, arrays: list[Array]) -> Any:
        """The state as data, see `core.states`: for JSON, with arrays beside it.

        Raises:
            Unsupported: a part of it is no data.
        """
        return states.dump(state, arrays)

    def load(self, kept: Any, arrays: Sequence[Any]) -> State:
        """The state that `dump` was given, of the bytes of its arrays."""
        state: State = states.load(kept, arrays, self.start())
        return state

    @abstractmethod
    def finish(self, state: State) -> tuple[Iterable[Columns], Summary]:
        """The rows that need every block, and the headline numbers."""


class Statistics:
    """A state whose attributes are statistics, filled side by side."""

    def __init_subclass__(cls) -> None:
        """Its instances are kept as data."""
        states.data()(cls)

    def merge(self, other: "Statistics") -> None:
        """Merge every statistic with the other's of that name."""
        for name, statistic in vars(self).items():
            statistic.merge(vars(other)[name])


def fold_range(
    fold: Fold[State, Block], source: Blocks[Block], numbers: range, state: State
) -> Generator[Columns, None, None]:
    """Add a range of blocks to a state; yield the rows of each."""
    for number, block in zip(numbers, source.read(numbers), strict=True):
        yield fold.add(state, number, block)


def fold_all(fold: Fold[State, Block], source: Blocks[Block]) -> Generator[Columns, None, State]:
    """Add every block in this process; yield the rows of each, and return the state."""
    state = fold.start()
    yield from fold_range(fold, source, range(source.blocks), state)
    return state


def run_fold(
    fold: Fold[Any, Block], source: Blocks[Block], schema: Schema, meta: dict[str, Any]
) -> Result:
    """The result of a fold over every block: in this process, if `Result.walk` is not set."""
    summaries: list[Summary] = []

    def steps() -> Iterator[Columns]:
        state = yield from (result.walk or fold_all)(fold, source)
        rows, summary = fold.finish(state)
        summaries.append(summary)
        yield from rows

    result = Result(
        schema=schema,
        steps=steps(),
        summarise=lambda: summaries[0],
        total=source.blocks,
        meta=meta,
        fold=(fold, source),
    )
    return result


@dataclass(frozen=True)
class Grouped(Generic[Block]):
    """Blocks of a source, a fixed number of them together as one block."""

    source: Blocks[Block]
    count: int

    @property
    def blocks(self) -> int:
        """How many groups there are."""
        return -(-self.source.blocks // self.count)

    def read(self, numbers: range) -> Iterator[list[Block]]:
        """Lists of blocks."""
        stop = min(numbers.stop * self.count, self.source.blocks)
        blocks = self.source.read(range(numbers.start * self.count, stop))
        return (list(islice(blocks, self.count)) for _ in numbers)


@dataclass(frozen=True)
class Chained(Generic[Block]):
    """The blocks of several sources, one source after another."""

    parts: Sequence[Blocks[Block]]

    @property
    def blocks(self) -> int:
        """How many all sources have."""
        return sum(part.blocks for part in self.parts)

    def read(self, numbers: range) -> Iterator[tuple[int, int, Block]]:
        """Index of the source, number of the block in it, and the block."""
        ends = accumulate(part.blocks for part in self.parts)
        for index, (part, end) in enumerate(zip(self.parts, ends, strict=True)):
            first = end - part.blocks
            own = range(max(numbers.start, first) - first, min(numbers.stop, end) - first)
            if own:
                for number, block in zip(own, part.read(own), strict=True):
                    yield index, number, block


Finished = tuple[list[Columns], Summary]
Part = tuple[int, Any]
"""Blocks added so far, and the state; `Finished` in its place once the last block was added."""


class Series(Fold[dict[int, Part], tuple[int, int, Any]]):
    """Several sources one after another (`Chained`), each with a fold of its own.

    A source that is complete is finished at once, so that only one state is held at a time.
    """

    def __init__(self, folds: Sequence[Fold[Any, Any]], sources: Sequence[Blocks[Any]]) -> None:
        """Pair every fold with the source that it goes over."""
        self.folds, self.blocks = folds, [source.blocks for source in sources]

    def start(self) -> dict[int, Part]:
        """No source begun."""
        return {}

    def add(self, state: dict[int, Part], number: int, block: tuple[int, int, Any]) -> Columns:
        """Add a block to the state of its source."""
        del number  # that in its own source counts
        index, own, values = block
        count, part = state.get(index) or (0, self.folds[index].start())
        columns = self.folds[index].add(part, own, values)
        state[index] = self._completed(index, count + 1, part)
        return columns

    def _completed(self, index: int, count: int, part: Any) -> Part:
        if count < self.blocks[index]:
            return count, part
        rows, summary = self.folds[index].finish(part)
        return count, (list(rows), summary)

    def merge(self, state: dict[int, Part], other: dict[int, Part]) -> dict[int, Part]:
        """Merge the states of a source that was cut; take the others as they are."""
        for index, (count, part) in other.items():
            if index in state:
                before, earlier = state[index]
                merged = self.folds[index].merge(earlier, part)
                state[index] = self._completed(index, before + count, merged)
            else:
                state[index] = count, part
        return state

    def dump(self, state: dict[int, Part], arrays: list[Array]) -> Any:
        """Index, blocks and state of every source; rows and summary of one that is complete."""
        return [
            [index, count, self._keeper(index, count).dump(part, arrays)]
            for index, (count, part) in state.items()
        ]

    def load(self, kept: Any, arrays: Sequence[Any]) -> dict[int, Part]:
        """What `dump` was given."""
        return {
            index: (count, self._keeper(index, count).load(part, arrays))
            for index, count, part in kept
        }

    def _keeper(self, index: int, count: int) -> Any:
        """What dumps and loads the state of a source, or its rows and summary."""
        return states if count == self.blocks[index] else self.folds[index]

    def finish(self, state: dict[int, Part]) -> tuple[Iterable[Columns], Summary]:
        """The rows of every source in order, and `summarise` of their summaries."""
        finished: list[Finished] = [state[index][1] for index in range(len(self.folds))]
        rows = chain.from_iterable(columns for columns, _ in finished)
        return rows, self.summarise([summary for _, summary in finished])

    def summarise(self, summaries: list[Summary]) -> Summary:
        """The headline numbers of all sources; subclasses say which."""
        return {"parts": summaries}
