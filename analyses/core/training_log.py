"""What a training run wrote down as it went: losses, gradient norms, learning rates by step."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from birkhoff_cli.analyses.core.arrays import Array

LOSS, HELD_OUT_LOSS = "loss", "held_out_loss"
GRADIENT_NORM, LEARNING_RATE = "gradient_norm", "learning_rate"
NUMBERS = (LOSS, HELD_OUT_LOSS, GRADIENT_NORM, LEARNING_RATE)
"""What a log can hold by step."""

LAYERS = "layer_gradient_norms"
"""The column of a log with a list of gradient norms, one of every layer."""


@dataclass(frozen=True)
class TrainingLog:
    """A run by its steps, each of which is there once, in order.

    Attributes:
        name: of the run.
        step: ``(n,)`` int64.
        values: of every name in `NUMBERS` ``(n,)`` float64, where ``logged`` says so.
        logged: of every name in `NUMBERS` ``(n,)`` bool: whether the step has that number, be it
            finite or not.
        layers: gradient norms ``(n, layers)``, NaN where a step has none, infinite where one is not
            finite; None if no step has any.
        meta: provenance for file metadata: inputs, assumptions.
    """

    name: str
    step: Array
    values: Mapping[str, Array]
    logged: Mapping[str, Array]
    layers: Array | None = None
    meta: Mapping[str, Any] = field(default_factory=dict)

    def finite(self, name: str) -> Array:
        """``(n,)`` whether a step has this number and it is finite."""
        return self.logged[name] & np.isfinite(self.values[name])

    @property
    def odd(self) -> Array:
        """``(n,)`` whether a number of a step is there and is NaN or infinite."""
        not_finite = [self.logged[name] & ~np.isfinite(self.values[name]) for name in NUMBERS]
        if self.layers is not None:
            not_finite.append(np.isinf(self.layers).any(1))
        return np.logical_or.reduce(not_finite)

    def column(self, name: str) -> Array:
        """``(n,)`` finite numbers, NaN where there is none."""
        return np.where(self.finite(name), self.values[name], np.nan)
