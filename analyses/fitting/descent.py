"""Descending: parameters of a batch of targets, moved together step by step."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from birkhoff_cli.analyses.core.arrays import Array
from birkhoff_cli.analyses.core.parameterization import (
    MAX_SCALE,
    Parameterization,
    require,
    require_scale,
)
from birkhoff_cli.analyses.fitting.objective import Objective
from birkhoff_cli.analyses.fitting.optimizers import OPTIMIZERS

PER_DECADE = 40


@dataclass(frozen=True)
class Plan:
    """How every method descends; the optimizer's own learning rate if none is given."""

    epochs: int
    optimizer: str
    learning_rate: float | None
    start: str
    spread: float | None

    def __post_init__(self) -> None:
        """Refuse numbers that no descent has."""
        require(1 <= self.epochs <= 100_000_000, f"--epochs {self.epochs}", "1 to 100,000,000")
        fits = 0 < self.rate <= MAX_SCALE
        require(fits, f"--learning-rate {self.rate:g}", f"above 0, {MAX_SCALE:g} at most")
        require_scale(self.spread, "--spread")

    @property
    def rate(self) -> float:
        """The learning rate."""
        own = OPTIMIZERS[self.optimizer][1]
        return own if self.learning_rate is None else self.learning_rate

    @property
    def kept(self) -> Array:
        """Epochs whose losses become rows: the first, the last, evenly in their logarithm."""
        decades = np.log10(self.epochs)
        grid = np.logspace(0, decades, int(PER_DECADE * decades) + 1)
        return np.unique(np.round([0, *grid, self.epochs]).astype(np.int64))


def descend(
    method: Parameterization, objective: Objective, theta: Array, read: Array | None, plan: Plan
) -> Iterator[tuple[Array, Array]]:
    """Matrices ``(batch, d, d)`` and losses ``(batch,)``, at the start and after every step.

    Args:
        method: the map.
        objective: of as many targets.
        theta: first parameters ``(batch, p)``.
        read: first read-out ``(batch, d)`` if that is learned too.
        plan: how.
    """
    p = method.parameters
    x = np.ascontiguousarray(theta if read is None else np.concatenate((theta, read), axis=1))
    theta, read = x[:, :p], None if read is None else x[:, p:]
    apply, step = method.differentiable(), OPTIMIZERS[plan.optimizer][0](x, plan.rate)
    for _ in range(plan.epochs):
        h, pullback = apply(theta)
        loss = objective(h, read)
        yield h, loss.loss
        slope = pullback(loss.matrices)
        if read is not None and loss.read is not None:
            slope = np.concatenate((slope, loss.read), axis=1)
        step(slope)
    h = method(theta)  # what was learned, as exact as the map itself
    yield h, objective(h, read).loss
