"""What every analysis promises, over the examples that its file gives."""

from functools import cache

import pytest

from birkhoff_cli import members
from birkhoff_cli.analyses.core import discover
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
