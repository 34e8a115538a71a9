"""Inputs with odd values are read, or refused in one line: a few here, many before a release."""

import pytest

import forked
import odd_inputs

FEW = 5
"""Commands with odd inputs in the suite; `python tests/odd_inputs.py` tries as many as wanted."""

LARGE = ("degeneration of an array", 300066)
"""Entries of 1e308, whose distances nobody knows: a warning, and a bug of ours."""

TWO_LINES = (
    ("decompose", 5109),
    ("distance", 5183),
    ("verify", 20102),
    ("heatmap of an array", 100227),
)
"""Commands and seeds where NumPy warned on standard error of a sum or a product."""


@pytest.fixture(scope="module", autouse=True)
def _warm():
    forked.warm_up()


def check(runs):
    faults = {(name, seed): odd_inputs.outcome(name, seed)[1] for name, seed in runs}
    assert not {run: wrong for run, wrong in faults.items() if wrong}


def test_some_odd_inputs():
    names = odd_inputs.names()
    check([LARGE, *TWO_LINES, *((names[7 * k % len(names)], k) for k in range(FEW))])


@pytest.mark.release
def test_many_odd_inputs():
    names = odd_inputs.names()
    check((names[k % len(names)], k) for k in range(1000))
