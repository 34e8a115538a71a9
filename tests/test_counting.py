"""Counts of several short rows at once: those of each row alone."""

import pickle

import numpy as np
import pytest

from birkhoff_cli.analyses.statistics import counting
from birkhoff_cli.analyses.statistics.buckets import Counts, buckets, range_of
from birkhoff_cli.analyses.statistics.counting import count_rows
from birkhoff_cli.analyses.statistics.percentiles import Percentiles


def rows_of(kind, rng):
    values = 10.0 ** rng.uniform(-3, -2, (40, 600))
    near_one = 1 + rng.integers(-3, 4, values.shape) * 2.0**-52
    return {
        "alike": values,
        "with zeros": np.where(rng.random(values.shape) < 0.3, 0, values),
        "some with zeros": np.where(rng.random((40, 1)) < 0.5, np.sign(values - 0.005), 1) * values,
        "zeros, and some roundings": rng.integers(0, 3, values.shape) * 2.0**-53 * (values > 0.005),
        "zeros alone": 0 * values,
        "some of zeros alone": values * (rng.random((40, 1)) < 0.5) * (values > 0.002),
        "near one": near_one,
        "on both sides of a half": 0.5 + values - 0.005,
        "on both sides of zero": values - 0.005,
        "of every size": 10.0 ** rng.uniform(-300, 300, values.shape),
        "of their own size": values * 10.0 ** rng.integers(-300, 300, (40, 1)),
    }[kind]


KINDS = (
    *("alike", "with zeros", "some with zeros", "zeros, and some roundings", "zeros alone"),
    *("some of zeros alone", "near one", "on both sides of a half", "on both sides of zero"),
    *("of every size", "of their own size"),
)


@pytest.mark.parametrize("kind", KINDS)
def test_rows_that_are_counted_together_have_the_counts_of_each_alone(kind, rng):
    together, alone = ([Counts() for _ in range(40)] for _ in range(2))
    for _ in range(3):
        values = rows_of(kind, rng)
        ends = np.stack([values.min(1), values.max(1)])
        count_rows(together, values, ends, buckets(ends))
        for one, row in zip(alone, values, strict=True):
            one.add(row, range_of(row))
    for one, other in zip(together, alone, strict=True):
        assert one.zeros == other.zeros
        for mine, its in ((one.below, other.below), (one.above, other.above)):
            assert mine.first == its.first and mine.counts.tolist() == its.counts.tolist()


@pytest.mark.parametrize("kind", KINDS[:8])
def test_rows_of_one_kind_are_counted_without_a_call_for_each(kind, rng, monkeypatch):
    values = rows_of(kind, rng)
    ends, calls = np.stack([values.min(1), values.max(1)]), []
    monkeypatch.setattr(counting, "buckets", lambda *x: calls.append(x) or buckets(*x))
    count_rows([Counts() for _ in values], values, ends, buckets(ends))
    assert 1 <= len(calls) < 40 if "some" in kind else len(calls) == 2


def test_counts_have_32_bits_only_where_no_stream_is_longer():
    short, long = (Percentiles(1, length, "numbers")._counts[0] for length in (2**31 - 1, 2**31))
    for counts in (short, long):
        counts.above.add(7, np.array([2**31 - 2]))
        counts.above.add(7, np.array([1]))
        assert counts.total == 2**31 - 1
    long.above.add(7, np.array([1]))
    assert long.total == 2**31
    assert 2 * short.above.counts.nbytes == long.above.counts.nbytes
    again = pickle.loads(pickle.dumps(short))
    assert again.above.counts.dtype == short.above.counts.dtype and again.total == short.total
