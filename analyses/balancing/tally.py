"""Distributions over samples of the numbers measured at every site, and of the composite."""

from typing import Any, NamedTuple

import numpy as np

from birkhoff_cli.analyses.core.arrays import Array
from birkhoff_cli.analyses.core.states import data
from birkhoff_cli.analyses.statistics.distributions import Distributions

MAX_EXACT_BYTES = 2**27
"""Bytes of numbers up to which their percentiles are exact."""


MAX_TOGETHER = 1 << 17
"""Numbers that are added together, so that they are not copied far."""


@data()
class Key(NamedTuple):
    """What a number is."""

    part: str
    name: str | None
    sweeps: int | None
    metric: str


Numbers = dict[Key, dict[str, Any]]
"""Statistics by what they are of."""

Values = dict[Key, Array]
"""Numbers of some samples by what they are, ``(n, sites)``; of the composite ``(n, 1)``.

They are kept by site: quickest as transposes of ``(sites, n)``.
"""


@data()
class Tally:
    """Distributions over samples of numbers of several sites, named by the first that come."""

    def __init__(self, samples: int) -> None:
        """Start without numbers: the first that come say how many."""
        self.samples = samples
        self.keys: list[Key] = []
        self.distributions = Distributions(0, samples, "")

    def add(self, number: int, values: Values) -> None:
        """The same numbers of more samples."""
        every = [numbers.T for numbers in values.values()]
        if not self.keys:
            self.keys, rows = list(values), sum(map(len, every))
            what = f"{rows:,} numbers of {self.samples:,} samples"
            self.distributions = Distributions(rows, self.samples, what, MAX_EXACT_BYTES)
        step, first = max(1, MAX_TOGETHER // every[0].size), 0
        for k in range(0, len(every), step):
            some = np.concatenate(every[k : k + step])
            self.distributions.add(number, some, first)
            first += len(some)

    def merge(self, other: "Tally") -> None:
        """Add the numbers of another."""
        if self.keys and other.keys:
            self.distributions.merge(other.distributions)
        elif other.keys:
            self.keys, self.distributions = other.keys, other.distributions

    def statistics(self) -> dict[Key, dict[str, Any]]:
        """Every statistic ``(sites,)``."""
        columns = self.distributions.columns()
        shaped = {name: values.reshape(len(self.keys), -1) for name, values in columns.items()}
        return {
            key: {name: values[k] for name, values in shaped.items()}
            for k, key in enumerate(self.keys)
        }
