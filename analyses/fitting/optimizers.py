"""Adam and gradient descent for a batch of parameters, in place and without new memory.

Source: Kingma & Ba, arXiv:1412.6980, algorithm 1.
"""

from collections.abc import Callable
from math import sqrt

import numpy as np

from birkhoff_cli.analyses.core.arrays import Array, aligned

BETA_1, BETA_2, EPS = 0.9, 0.999, 1e-8

Step = Callable[[Array], None]
"""Take one step against a gradient of the shape of the parameters; it may be overwritten."""


def adam(x: Array, rate: float) -> Step:
    """Adam with the published constants.

    The moments are kept without the factors ``1 - beta``, which go into the step's length.

    Args:
        x: parameters, which every step changes.
        rate: learning rate.
    """
    m, v, scratch = (aligned(x.shape, x.dtype) for _ in range(3))
    m[:] = v[:] = 0
    count = 0

    def step(gradient: Array) -> None:
        nonlocal m, v, scratch, count
        count += 1
        m *= BETA_1
        m += gradient
        v *= BETA_2
        v += np.multiply(gradient, gradient, out=gradient)
        spread = sqrt((1 - BETA_2**count) / (1 - BETA_2))
        np.sqrt(v, out=scratch)
        scratch += EPS * spread
        np.divide(m, scratch, out=scratch)
        scratch *= rate * spread * (1 - BETA_1) / (1 - BETA_1**count)
        np.subtract(x, scratch, out=x)

    return step


def sgd(x: Array, rate: float) -> Step:
    """Plain gradient descent."""

    def step(gradient: Array) -> None:
        gradient *= rate
        np.subtract(x, gradient, out=x)

    return step


OPTIMIZERS: dict[str, tuple[Callable[[Array, float], Step], float]] = {
    "adam": (adam, 0.01),
    "sgd": (sgd, 0.1),
}
"""Each with the learning rate of go-mHC, figure 6 and appendix A.3."""
