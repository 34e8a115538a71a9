"""What a monitor measured of a run as it trained: numbers by step and site."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from birkhoff_cli.analyses.core.arrays import Array


class Step(NamedTuple):
    """One step.

    Attributes:
        step: its number.
        d: number of streams.
        numbers: of all sites together.
        sites: the numbers of every site by its name.
        composite: of the product over all sites.
    """

    step: int
    d: int
    numbers: Mapping[str, Any]
    sites: Mapping[str, Mapping[str, Any]]
    composite: Mapping[str, Any]


class Measured(NamedTuple):
    """All steps in order."""

    steps: tuple[Step, ...]

    def column(self, name: str) -> Array:
        """``(steps, sites)`` of one number, NaN where it is null."""
        return np.array([[number(site.get(name)) for site in s.sites.values()] for s in self.steps])


def number(value: Any) -> float:
    """A number of a log; NaN of what is none."""
    return float(value) if isinstance(value, int | float) else float("nan")
