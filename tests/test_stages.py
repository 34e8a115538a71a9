"""What may happen at each stage of a command: old or new, nothing else, a true code."""

import pytest

import forked
import happenings
import small_commands
import stages

FEW = 2
"""Stages of a command in the suite; `python tests/stages.py` goes through all of them."""

QUICK = {
    "checkpoint": ("MEMORY", "READ"),
    "sweep": (),
    "trace": ("EXCHANGE",),
    "part": ("CUT",),
}
"""Commands of the suite, and what happens to them beside signals."""

LACKS = [word for word in happenings.EVENTS if word not in happenings.SIGNALS]


@pytest.fixture(scope="module", autouse=True)
def _warm():
    forked.warm_up()


def check(name, count, lacks=(), places=0):
    """Hold that no stage of a command is wrong, of some that are spread over it."""
    faults = {}
    for word in lacks:
        if happenings.EVENTS[word].changes and not small_commands.command(name).reads:
            continue
        for number in stages.numbers(name, word, count, places):
            faults[number, word] = stages.stages(name).fault(number, word)
    for k, number in enumerate(stages.numbers(name, "TERM", count, places)):
        word = stages.SIGNALS[k % len(stages.SIGNALS)]
        faults[number, word] = stages.stages(name).fault(number, word)
    assert not {key: wrong for key, wrong in faults.items() if wrong}


@pytest.mark.parametrize("name", QUICK)
def test_an_event_at_a_few_stages(name):
    check(name, FEW, QUICK[name])


@pytest.mark.release
@pytest.mark.parametrize("name", small_commands.names())
def test_an_event_at_many_places(name):
    check(name, 100, LACKS, places=1)
