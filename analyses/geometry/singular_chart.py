"""Moves over squared entries of matrices whose singular values a polynomial has made."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

import numpy as np

from birkhoff_cli.analyses.core.arrays import Array, aligned, lanes
from birkhoff_cli.analyses.geometry.charts import Chart, split
from birkhoff_cli.analyses.geometry.lanes import matmul
from birkhoff_cli.analyses.geometry.orthogonal import haar
from birkhoff_cli.analyses.geometry.rotations import Rotations

Curve: TypeAlias = Callable[[Array], tuple[Array, Array]]
"""An odd function of one number, and its derivative."""

LEAST_START = 1e-4
"""Smallest singular value of a start, beside the largest."""


@dataclass(frozen=True)
class SingularValues(Chart):
    """``H = X * X`` entry by entry, ``X = U diag(f(sigma)) V^T``, sigma of norm 1 at most.

    Moves U and V on the orthogonal group, and sigma on the sphere: no part of the image is far
    away, and no matrix is raised to powers. The state is U and V row by row, then sigma, with a
    last number that fills its norm up to 1.

    Attributes:
        d: side.
        curve: f.
        steepness: of f at 0. A step of sigma is one of ``asinh(steepness sigma)``, in which f is
            nowhere steep.
    """

    d: int
    curve: Curve
    steepness: float
    longest = 0.5**0.5
    """Longest step, as of rotations."""

    @property
    def shape(self) -> tuple[int, ...]:
        """U and V row by row, then sigma."""
        return (2 * self.d**2 + self.d + 1,)

    @property
    def directions(self) -> int:
        """Two rotations, and sigma."""
        return self.d * (self.d - 1) + self.d + 1

    @cached_property
    def _rotations(self) -> Rotations:
        return Rotations(self.d, 1)

    def start(self, n: int, rng: np.random.Generator) -> Array:
        """Haar's measure twice; singular values of every size, and so of every rank."""
        turns = (lanes(haar(n, self.d, rng), 2).reshape(-1, n) for _ in range(2))
        sigma = np.exp(rng.uniform(np.log(LEAST_START), 0, (self.d + 1, n)))
        return np.concatenate([*turns, _unit(sigma)])

    def matrices(self, state: Array) -> Array:
        """Squares of the entries of X."""
        u, v, sigma = self._parts(state)
        x = matmul(u * self.curve(sigma[:-1])[0], v.swapaxes(0, 1))
        return np.multiply(x, x, out=x)

    def slopes(self, state: Array, gradient: Array) -> Array:
        """By ``N = U^T (2 X * gradient) V``: dX is U W D V^T, -U D W V^T or U dD V^T."""
        u, v, sigma = self._parts(state)
        values, steep = self.curve(sigma[:-1])
        x = matmul(u * values, v.swapaxes(0, 1))
        inner = matmul(matmul(u.swapaxes(0, 1), 2 * x * gradient), v)
        first, second = np.triu_indices(self.d, 1)
        right, left = inner * values, inner * values[:, None]
        turns = (
            right[first, second] - right[second, first],
            left[second, first] - left[first, second],
        )
        along = np.concatenate([np.einsum("iib->ib", inner) * steep, 0 * inner[:1, 0]])
        along -= sigma * (sigma * along).sum(0)  # sigma stays on the sphere
        scale = np.sqrt(sigma**2 + self.steepness**-2)
        return split(np.concatenate([*turns, along * scale]))

    def moved(self, state: Array, step: Array) -> Array:
        """U and V times rotations, and sigma on the sphere."""
        u, v, sigma = self._parts(state)
        half = self.d * (self.d - 1) // 2
        new = aligned(state.shape, float)
        for k, (q, turn) in enumerate(((u, step[:half]), (v, step[half : 2 * half]))):
            moved = self._rotations.moved(q, turn)
            new[k * self.d**2 : (k + 1) * self.d**2] = moved.reshape(self.d**2, -1)
        chart = np.arcsinh(self.steepness * sigma) + step[2 * half :]
        new[2 * self.d**2 :] = _unit(np.sinh(chart))
        return new

    def _parts(self, state: Array) -> tuple[Array, Array, Array]:
        square = self.d**2
        u, v = state[:square], state[square : 2 * square]
        shape = (self.d, self.d, state.shape[-1])
        return u.reshape(shape), v.reshape(shape), state[2 * square :]


def _unit(sigma: Array) -> Array:
    return sigma / np.sqrt((sigma * sigma).sum(0))
