"""Matrices drawn in the plane of a 3-cycle: exactly circulant 3 x 3 matrices that a method reaches.

By a way of the method's own, or by parameters that are alike where that makes a circulant matrix.
The densities are those of these draws, not of the method's matrices given that they lie in the
plane: that event has probability 0.

Source: docs/mathematics.md 4.3, 4.4.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from birkhoff_cli.analyses.core.arrays import LANES, Array
from birkhoff_cli.analyses.core.ensemble import Circulants, Sampler
from birkhoff_cli.analyses.core.parameterization import Parameterization
from birkhoff_cli.analyses.core.random_numbers import CIRCULANTS, block_generator
from birkhoff_cli.analyses.core.source import Drawn, Draws


def on_slice(method: Parameterization, draws: Draws) -> Circulants | None:
    """A sampler of the slice; None where there is none.

    For d > 3 that of d = 3, if the two slices are alike.
    """
    method = method.simplified()
    if method.d > 3:
        if not method.is_local:
            return None
        method = replace(method, d=3)
    how = draws.draw or method.default_draw
    own = method.circulants(how)
    tied = None if own or how in method.samplers() else method.tied_parameters()
    if tied is None:
        return own
    return Circulants(f"{how} parameters, alike on orbits", _parameters(method, draws, how, tied))


@dataclass(frozen=True)
class InSlice:
    """Blocks of matrices ``(n, 1, 3, 3)`` in the plane, as many as are drawn beside them."""

    source: Drawn
    sampler: Circulants

    @property
    def blocks(self) -> int:
        """Number of blocks."""
        return -(-self.source.samples // LANES)

    def read(self, numbers: range) -> Iterator[Array]:
        """Blocks in the dtype of the draws."""
        for number in numbers:
            n = min(LANES, self.source.samples - number * LANES)
            rng = block_generator(self.source.seed, number, CIRCULANTS)
            yield self.sampler.draw(n, rng).astype(self.source.dtype, copy=False)[:, None]


def _parameters(method: Parameterization, draws: Draws, how: str, tied: Array) -> Sampler:
    evaluate = draws.evaluator()

    def draw(n: int, rng: np.random.Generator) -> Array:
        theta = method.theta(n, rng, how, draws.scale)[:, tied]
        return evaluate(method, theta) if evaluate else method(theta)

    return draw
