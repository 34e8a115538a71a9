"""Matrices drawn in the plane of a 3-cycle: exactly circulant 3 x 3 matrices that a method reaches.

By a way of the method's own, or by parameters that are alike where that makes a circulant matrix.
The densities are those of these draws, not of the method's matrices given that they lie in the
plane: that event has probability 0.

Source: docs/mathematics.md 4.3, 4.4.
"""

from dataclasses import replace

import numpy as np

from birkhoff_cli.analyses.core.arrays import Array
from birkhoff_cli.analyses.core.ensemble import Circulants, Sampler
from birkhoff_cli.analyses.core.parameterization import Parameterization
from birkhoff_cli.analyses.core.source import Draws


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


def _parameters(method: Parameterization, draws: Draws, how: str, tied: Array) -> Sampler:
    evaluate = draws.evaluator()

    def draw(n: int, rng: np.random.Generator) -> Array:
        theta = method.theta(n, rng, how, draws.scale)[:, tied]
        return evaluate(method, theta) if evaluate else method(theta)

    return draw
