"""Largest and smallest values of named numbers."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from birkhoff_cli.analyses.core.arrays import Array
from birkhoff_cli.analyses.core.quantities import AT_LEAST_0, judged, quantity
from birkhoff_cli.analyses.core.states import data

ENTRY_MIN = quantity("entry_min", "smallest entry of any matrix", good="0 or more")
ROW_ERROR = quantity(
    "row_error_max", "largest |row sum - 1| of any matrix", range=AT_LEAST_0, good="near 0"
)
COLUMN_ERROR = quantity(
    "column_error_max", "largest |column sum - 1| of any matrix", range=AT_LEAST_0, good="near 0"
)
EXACT = judged(
    "exact, or inexact if a row or column sum is off 1 by more than rounding",
    "exact",
    "|sum - 1| that rounding explains",
)
SUM_ERRORS = (ROW_ERROR, COLUMN_ERROR)


@data()
class Extremes:
    """The largest values of some numbers and the smallest of others; NaN is not known.

    Attributes:
        largest: by name, minus infinity before the first value.
        smallest: by name, infinity before the first value.
    """

    def __init__(self, largest: tuple[str, ...] = (), smallest: tuple[str, ...] = ()) -> None:
        """Start without values, under these names."""
        self.largest = dict.fromkeys(largest, -np.inf)
        self.smallest = dict.fromkeys(smallest, np.inf)

    def add(self, number: int, values: Mapping[str, Array]) -> None:
        """Add values of a block, an array of any shape for every name."""
        del number  # the order of blocks does not matter
        for name, array in values.items():
            self._put(name, np.asarray(array))

    def _put(self, name: str, values: Array) -> None:
        if name in self.largest:  # fmax and fmin pass over NaN
            most = float(np.fmax.reduce(values, axis=None, initial=-np.inf))
            self.largest[name] = max(self.largest[name], most)
        if name in self.smallest:
            least = float(np.fmin.reduce(values, axis=None, initial=np.inf))
            self.smallest[name] = min(self.smallest[name], least)

    def merge(self, other: "Extremes") -> None:
        """Add the values of another."""
        for name, value in other.largest.items():
            self.largest[name] = max(self.largest[name], value)
        for name, value in other.smallest.items():
            self.smallest[name] = min(self.smallest[name], value)

    def columns(self) -> dict[str, float]:
        """Every extreme by name; NaN without values."""
        none = {name for name, value in self.largest.items() if value == -np.inf}
        none |= {name for name, value in self.smallest.items() if value == np.inf}
        every = self.largest | self.smallest
        return {name: np.nan if name in none else value for name, value in every.items()}

    def summary(self) -> dict[str, Any]:
        """Every extreme by name; None without values."""
        return {name: None if np.isnan(v) else v for name, v in self.columns().items()}


def judge_sums(errors: Mapping[str, float | None], d: int, eps: float) -> dict[str, Any]:
    """The verdict on the largest errors of sums of d entries in this precision."""
    known = [error for error in errors.values() if error is not None]
    rounding = ROUNDINGS * d * eps
    word = None if not known else "exact" if max(known) <= rounding else "inexact"
    return {"verdict": word, "threshold": rounding}


ROUNDINGS = 16
"""Times ``d eps``: a sum that is off by less is off by rounding."""


@data()
class SumErrors(Extremes):
    """``row_error_max`` and ``column_error_max``: the largest |sum - 1| of any matrix."""

    def __init__(self) -> None:
        """Start without matrices."""
        super().__init__(largest=("row_error_max", "column_error_max"))

    def add_matrices(self, number: int, h: Array) -> None:
        """Add matrices ``(..., d, d)``; sums are taken in float64."""
        exact = h.astype(np.float64, copy=False)
        rows, columns = (np.einsum(f"...ij->...{k}", exact) for k in "ij")  # 4 times np.sum's speed
        errors = {"row_error_max": np.abs(rows - 1), "column_error_max": np.abs(columns - 1)}
        self.add(number, errors)
