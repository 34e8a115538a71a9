"""Lyapunov factors of products over depth, with standard errors, over samples or over depth."""

from math import sqrt

import numpy as np

from birkhoff_cli.analyses.core.arrays import Array
from birkhoff_cli.analyses.core.fold import Statistics
from birkhoff_cli.analyses.core.quantities import quantity
from birkhoff_cli.analyses.core.result import Summary
from birkhoff_cli.analyses.geometry.growth import growth
from birkhoff_cli.analyses.statistics.moments import Moments

PARTS = 16
"""Pieces of the depth that give the error of a single stack."""

MIN_LENGTH = 2
"""Sites of a piece below which a single stack has no error."""

FACTORS = (
    quantity(
        "lyapunov_factors",
        "factors per layer of all axes of the product, by falling size: exponentials of its "
        "Lyapunov exponents; without the constant vector where rows or columns sum to 1",
        good="1 or less",
    ),
    quantity(
        "lyapunov_errors",
        "standard errors of these, over samples, or over pieces of the depth of a single one; "
        "null where it has too few layers",
    ),
)
"""What `Lyapunov` sums up."""


class Lyapunov(Statistics):
    """Stretches of the axes of stacks over the second half of their depth."""

    def __init__(self, samples: int, sites: int, d: int) -> None:
        """Room for so many stacks."""
        long = sites - sites // 2 >= PARTS * MIN_LENGTH
        parts = PARTS if samples == 1 and long else 1
        self.logs, self.general = Moments(d * parts), Moments(1)

    def add(self, number: int, block: list[Array], precision: float, d: int) -> None:
        """Add the stacks of a group of blocks, arrays ``(n, sites, d, d)``."""
        growths = [
            growth(stack, precision, self.logs.streams // d) for stack in block if len(stack)
        ]
        logs = np.concatenate([g.logs.reshape(self.logs.streams, -1) for g in growths], axis=1)
        general = np.concatenate([~g.constant for g in growths])
        self.logs.add(number, logs)
        self.general.add(number, general[None].astype(float))

    def summary(self, samples: int, d: int) -> Summary:
        """Factors and their errors; 0 without an error where a sample has lost an axis."""
        total = self.logs.total()
        mean = np.where(total.count == samples, total.mean, -np.inf).reshape(d, -1)
        exponents = mean.mean(1)
        spread = mean.std(1) if samples == 1 else self.logs.std
        pieces = mean.shape[1] if samples == 1 else samples
        errors = spread / sqrt(pieces - 1) if pieces > 1 else np.full(d, np.nan)
        first = 0 if self.general.mean[0] else 1
        order = first + np.argsort(-exponents[first:], kind="stable")
        factors = np.exp(exponents)
        with np.errstate(invalid="ignore"):
            errors = np.where(factors > 0, factors * errors, np.nan)
        return {
            "lyapunov_factors": [float(factors[k]) for k in order],
            "lyapunov_errors": [None if np.isnan(errors[k]) else float(errors[k]) for k in order],
        }
