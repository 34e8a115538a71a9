"""A signal before and after what a command does to files: old or new, nothing else, a true code."""

import pytest

import forked
import stages

FEW = 2
"""Stages of a command in the suite; `python tests/stages.py` goes through all of them."""

SLOW = ("report", "train", "workers", "plot", "merge")
"""Commands that take seconds each time: before a release only."""


@pytest.fixture(scope="module", autouse=True)
def _warm():
    forked.warm_up()


def check(name, count, lacks=()):
    """Hold that no stage of a command is wrong, of some that are spread over it."""
    faults = {}
    for word in lacks:
        for number in stages.numbers(name, word, count):
            faults[number, word] = stages.stages(name).fault(number, word)
    for k, number in enumerate(stages.numbers(name, "TERM", count)):
        word = stages.SIGNALS[k % len(stages.SIGNALS)]
        faults[number, word] = stages.stages(name).fault(number, word)
    assert not {key: wrong for key, wrong in faults.items() if wrong}


@pytest.mark.parametrize("name", [name for name in stages.COMMANDS if name not in SLOW])
def test_a_signal_at_a_few_stages(name):
    check(name, FEW, stages.LACKS if name == "checkpoint" else ())


@pytest.mark.release
@pytest.mark.parametrize("name", stages.COMMANDS)
def test_an_event_at_many_stages(name):
    check(name, 400, stages.LACKS)
