"""How near a parameterization comes to given matrices.

A method that can compute the nearest point of its image does. Else the distance is a minimum over
parameters with local minima: the best of many descents is a point of the image, and so an upper
bound.
"""

import numpy as np

from birkhoff_cli.analyses.core.arrays import Array
from birkhoff_cli.analyses.core.memory import magnitude, require_memory
from birkhoff_cli.analyses.core.parameterization import Parameterization
from birkhoff_cli.analyses.core.threads import one_thread
from birkhoff_cli.analyses.geometry.descent import MEMORY, minimise

POOL = 2048
"""Random points of the image, of which the nearest ones are half of the starts."""

POOL_NUMBERS = 8_000_000
TOLERANCE = 1e-20
"""Squared distance at which a matrix counts as reached."""

STEPS = 300
SPREADS = (("init", 0.3), ("gaussian", 1.0), ("gaussian", 3.0), ("uniform", 1.0))


class Image:
    """The image of a method, with points of it to start from.

    Args:
        method: the map.
        starts: descents for each matrix: half from the nearest points of the pool, half from any.
        rng: the only source of randomness.
    """

    def __init__(self, method: Parameterization, starts: int, rng: np.random.Generator) -> None:
        self.method, self.starts, self.rng = method, starts, rng
        size = max(len(SPREADS), min(POOL, POOL_NUMBERS // max(1, method.parameters)))
        require_memory(
            8 * method.parameters * (2 * size + 4 * MEMORY * starts),
            f"{starts} descents in {magnitude(method.parameters)} parameters",
        )
        each = -(-size // len(SPREADS))
        self.pool = np.concatenate([method.theta(each, rng, *spread) for spread in SPREADS])
        self.points = method(self.pool)

    @property
    def step(self) -> int:
        """Matrices to ask about at a time."""
        one = self.starts * self.method.parameters * 2 * MEMORY + int(self.points.size)
        return max(1, min(64, 20_000_000 // one))

    def distance(self, h: Array) -> Array:
        """Upper bounds on the Frobenius distances of ``(n, d, d)`` to the image, ``(n,)``."""
        return self.nearest(h)[0]

    def nearest(self, h: Array) -> tuple[Array, Array]:
        """The distances, and the points of the image ``(n, d, d)`` that have them."""
        known = self.method.nearest(h) if self.method.parameters else None
        if known is None:
            return self._search(h)
        distances, points = np.sqrt(np.square(known - h).sum((-2, -1))), known
        unknown = np.isnan(distances)
        if unknown.any():
            distances[unknown], points[unknown] = self._search(h[unknown])
        return distances, points

    def _search(self, h: Array) -> tuple[Array, Array]:
        """The same by descents; by trying the only matrix, where there are no parameters."""
        squares = np.square(self.points - h[:, None]).sum((-2, -1))
        if not self.method.parameters:
            return np.sqrt(squares.min(1)), self.points[squares.argmin(1)]
        nearest = squares.argsort(axis=1)[:, : (self.starts + 1) // 2]
        any_of = self.rng.integers(len(self.pool), size=(len(h), self.starts // 2))
        best, theta = self._descend(h, np.concatenate((nearest, any_of), axis=1))
        return np.sqrt(best), self.method(theta)

    def _descend(self, h: Array, chosen: Array) -> tuple[Array, Array]:
        import torch

        targets = torch.as_tensor(h)

        def squares(theta: Array, owner: Array) -> tuple[Array, Array]:
            theta = theta.detach().requires_grad_()
            values = (self.method(theta) - targets[owner]).square().sum((-2, -1))
            (gradient,) = torch.autograd.grad(values.sum(), theta)
            return values.detach(), gradient

        start = torch.as_tensor(np.ascontiguousarray(self.pool[chosen.ravel()]))
        owner = torch.arange(len(h)).repeat_interleave(self.starts)
        with one_thread():
            best, points = minimise(squares, start, owner, len(h), TOLERANCE, STEPS)
        return best.numpy(), points.numpy()
