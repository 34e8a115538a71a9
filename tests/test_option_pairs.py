"""Every pair of options works, or is refused in one line: some here, all before a release."""

import random

import pytest

import forked
import option_pairs
from birkhoff_cli import members

FEW = 12


@pytest.fixture(scope="module", autouse=True)
def _warm():
    forked.warm_up()


def check(cases):
    faults = {case: option_pairs.fault(case) for case in cases}
    assert not {case: wrong for case, wrong in faults.items() if wrong}


def test_some_pairs_of_options():
    quick = [c for c in option_pairs.every_case() if c.command not in ("report", "train")]
    check(random.Random(0).sample(quick, FEW))


@pytest.mark.release
@pytest.mark.parametrize("command", members.names())
def test_every_pair_of_options(command):
    check(option_pairs.cases(command))
