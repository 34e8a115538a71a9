"""Assertions that say by how much something does not hold."""

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import numpy as np

from birkhoff_cli.analyses.core.arrays import Array
from birkhoff_cli.analyses.core.entry_points import one_line

Member = TypeVar("Member")


def hold(condition: Any, sentence: str) -> None:
    """Raise AssertionError with a sentence unless a condition is true."""
    if not condition:
        raise AssertionError(sentence)


def near(actual: Any, expected: Any, bound: float, what: str) -> None:
    """Hold that two arrays differ by at most a bound, which is what rounding explains."""
    error = largest(np.asarray(actual, float) - np.asarray(expected, float))
    hold(error <= bound, f"{what}: they differ by {error:.3g}; rounding explains {bound:.1g}")


def largest(values: Array) -> float:
    """Largest modulus; 0 of no values, infinity if one is not a number."""
    error = float(np.abs(values).max(initial=0))
    return float("inf") if np.isnan(error) else error


def check(contracts: Iterable[Callable[[Member], None]], member: Member, name: str) -> None:
    """Run contracts on a member.

    Raises:
        AssertionError: the first that does not hold, or in which the member raises something.
    """
    for contract in contracts:
        label = f"{name}, {contract.__name__.replace('_', ' ')}"
        try:
            contract(member)
        except AssertionError as error:
            raise AssertionError(f"{label}: {error}") from None
        except Exception as error:
            raise AssertionError(f"{label}: raises {one_line(error)}") from error
