"""What every analysis promises, over the examples that its file gives."""

from functools import cache
from typing import get_args

import numpy as np
import pytest

from birkhoff_cli import members
from birkhoff_cli.analyses import regions
from birkhoff_cli.analyses.core import discover
from birkhoff_cli.analyses.spectrum import Way
from birkhoff_cli.testing.analyses import CONTRACTS
from birkhoff_cli.testing.runs import Analysis


@cache
def analysis(name):
    """One for all contracts, which share its runs."""
    return Analysis(members.module_of(name), name)


@pytest.mark.parametrize("contract", CONTRACTS, ids=lambda c: c.__name__)
@pytest.mark.parametrize("name", discover.house("birkhoff_cli.analyses"))
def test_it_keeps(name, contract):
    contract(analysis(name))


def test_every_probe_is_in_an_example():
    """What is held of examples is held of every probe."""
    probes = {word for run in analysis("spectrum").runs for word in run.arguments}
    assert {*get_args(Way)} - {"sample"} <= probes and any(
        "--probe" not in run.arguments for run in analysis("spectrum").runs
    )


@pytest.mark.parametrize("probe", get_args(Way))
@pytest.mark.parametrize("method", ["go-mhc:s=1", "kromhc:d=4", "hc"])
def test_a_probe_counts_what_lies_outside(probe, method):
    """The share of its rows beyond the region is the one that it sums up; none of exact methods."""
    words = ("--method", method, "--probe", probe)
    run = analysis("spectrum").run(words if "d=" in method else (*words, "--d", "3"))
    region = regions.load(run.summary["region"])(4 if "d=" in method else 3)
    re, im = (run.table[name].to_numpy() for name in ("re", "im"))
    outside = (region.excess(re, im) > run.summary["outside_tolerance"]).mean()
    assert run.summary["outside_fraction"] == pytest.approx(outside, abs=1e-12)
    assert np.isfinite([re, im]).all() and len(re)
