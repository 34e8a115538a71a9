"""Folds over numbered blocks: however the blocks are cut, the same rows and the same summary."""

import pickle
from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from birkhoff_cli.analyses.core.fold import (
    Chained,
    Fold,
    Grouped,
    Series,
    Statistics,
    fold_range,
    run_fold,
)


@dataclass
class Words:
    """Blocks that are letters."""

    word: str

    @property
    def blocks(self):
        return len(self.word)

    def read(self, numbers):
        return iter(self.word[numbers.start : numbers.stop])


class Seen:
    """Numbers and blocks in the order in which they were added."""

    def __init__(self):
        self.seen = []

    def merge(self, other):
        self.seen += other.seen


class State(Statistics):
    def __init__(self):
        self.seen = Seen()


class Spell(Fold):
    """A row for every block, and one for all of them."""

    def start(self):
        return State()

    def add(self, state, number, block):
        state.seen.seen.append((number, block))
        return {"row": [block]}

    def finish(self, state):
        return [{"row": [state.seen.seen]}], {"length": len(state.seen.seen)}


class Sentence(Series):
    def summarise(self, summaries):
        return {"lengths": [summary["length"] for summary in summaries]}


def cut(fold, source, cuts):
    """Rows and summary of ranges whose states travelled and were merged."""
    ends = sorted({0, *(min(c, source.blocks) for c in cuts), source.blocks})
    rows, states = [], []
    for first, last in zip(ends, ends[1:], strict=False):
        state = fold.start()
        rows += fold_range(fold, source, range(first, last), state)
        states.append(pickle.loads(pickle.dumps(state)))
    whole = states[0]
    for state in states[1:]:
        whole = fold.merge(whole, state)
    last_rows, summary = fold.finish(whole)
    return rows + list(last_rows), summary


CUTS = st.lists(st.integers(0, 40), max_size=5)


@given(CUTS)
def test_a_fold_may_be_cut_anywhere(cuts):
    source = Words("birkhoff polytope")
    result = run_fold(Spell(), source, (), {})
    assert (list(result.steps), result.summarise()) == cut(Spell(), source, cuts)
    assert result.fold[1] is source and result.total == 17


@given(CUTS, st.lists(st.text("ab", min_size=1, max_size=9), min_size=1, max_size=5))
def test_a_series_of_folds_may_be_cut_anywhere(cuts, words):
    sources = [Words(word) for word in words]
    fold, source = Sentence([Spell()] * len(words), sources), Chained(sources)
    result = run_fold(fold, source, (), {})
    rows = list(result.steps)
    assert (rows, result.summarise()) == cut(fold, source, cuts)
    assert result.summarise() == {"lengths": list(map(len, words))}
    assert [row["row"][0] for row in rows[source.blocks :]] == [
        list(enumerate(word)) for word in words
    ]


@given(st.integers(1, 20), st.integers(0, 20), st.integers(0, 20))
def test_groups_are_of_the_same_blocks_wherever_they_are_read_from(count, first, last):
    grouped = Grouped(Words("abcdefghijklm"), count)
    every = list(grouped.read(range(grouped.blocks)))
    assert "".join(map("".join, every)) == "abcdefghijklm"
    first, last = sorted(min(k, grouped.blocks) for k in (first, last))
    assert list(grouped.read(range(first, last))) == every[first:last]
