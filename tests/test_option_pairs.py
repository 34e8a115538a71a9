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


@pytest.mark.parametrize(
    "words, code, said",
    [
        ("gradients --method go-mhc --d 1000000000000000000", 6, "would need"),
        ("gradients --method go-mhc --d 3 --s 1000000000000000000", 6, "would need"),
        ("gradients --method go-mhc --d 3 -n 1e12 --points 3", 6, "1,000,000,000,005 points"),
        ("sinkhorn --method mhc --d 1000000000000000000 -n 4", 6, "would need"),
        ("depth-drift --method mhc --d 3 -n 4 --layers 1e18", 2, "1,048,576 at most"),
        ("depth-drift --method identity --d 3000 -n 1 --layers 10000", 6, "of d = 3000 would"),
    ],
)
def test_options_beyond_any_memory_are_refused_before_it_is_taken(words, code, said, tmp_path):
    """They ended in a bug of ours, or filled memory until the system ended them."""
    ended = forked.call([*words.split(), "-o", "t.csv"], tmp_path)
    assert (ended.code, ended.err.count("\n")) == (code, 1), ended
    assert said in ended.err


def test_a_size_that_fits_nowhere_is_said_in_its_row_of_the_costs(tmp_path):
    words = ["complexity", "--method", "go-mhc", "--d", "2,3", "--s", "1e18", "--json"]
    ended = forked.call(words, tmp_path)
    assert ended.code == 0 and "would need" in ended.out
