"""Ways to move a matrix within the image of a map: over rotations, or over parameters.

A chart has a state for a batch of matrices. ``matrices(state)`` are lanes ``(d, d, batch)``;
``move(state, gradient, r)`` takes the shortest step that, to first order, makes the complex number
r vanish whose derivative in H is ``gradient``: a Gauss-Newton step of two real equations, so one
2 x 2 system a matrix, whatever the number of parameters.
"""

from dataclasses import dataclass
from functools import reduce
from operator import iadd
from typing import Protocol

import numpy as np

from birkhoff_cli.analyses.core.arrays import Array, aligned, batch_first, lanes
from birkhoff_cli.analyses.core.parameterization import Parameterization
from birkhoff_cli.analyses.geometry.lanes import matmul
from birkhoff_cli.analyses.geometry.orthogonal import block_norms, haar, leading_inverse


class Chart(Protocol):
    """What `birkhoff_cli.analyses.geometry.reach` needs of a way to move."""

    def start(self, n: int, rng: np.random.Generator) -> Array:
        """Random states, the batch axis last."""

    def matrices(self, state: Array) -> Array:
        """Lanes ``(d, d, batch)``."""

    def move(self, state: Array, gradient: Array, r: Array) -> Array:
        """The state after one step of bounded length."""


@dataclass(frozen=True)
class Rotations:
    """Block norms of orthogonal matrices; the state is Q, lanes ``(d s, d s, batch)``.

    Moves on the rotation group itself, not in the parameters of Cayley's map: the derivative
    along Q exp(W) needs no solve, and no part of the group is far away.
    """

    d: int
    s: int
    longest = 1.0
    """Longest step, in radians."""

    def start(self, n: int, rng: np.random.Generator) -> Array:
        """Haar's measure."""
        return np.ascontiguousarray(lanes(haar(n, self.d * self.s, rng), 2))

    def matrices(self, state: Array) -> Array:
        """Squared block norms over s."""
        return lanes(block_norms(batch_first(state, 2), self.s), 2)

    def move(self, state: Array, gradient: Array, r: Array) -> Array:
        """Q times Cayley's map of the shortest rotation W."""
        n, s = self.d * self.s, self.s
        pairs = [(a, b) for a in range(self.d) for b in range(a + 1, self.d)]
        re, im = self._derivatives(state, gradient, pairs)
        step = _shortest(re, im, r, self.longest / np.sqrt(2))
        step *= -0.5
        minus = np.zeros((n, n, state.shape[2]))  # I - W/2
        for (a, b), block in zip(pairs, step, strict=True):
            minus[a * s : (a + 1) * s, b * s : (b + 1) * s] = block
            minus[b * s : (b + 1) * s, a * s : (a + 1) * s] = -block.swapaxes(0, 1)
        diagonal = np.einsum("ii...->i...", minus)
        diagonal += 1
        turn = lanes(leading_inverse(batch_first(minus, 2), n), 2)
        turn *= 2
        diagonal = np.einsum("ii...->i...", turn)
        diagonal -= 1
        return matmul(state, turn)

    def _derivatives(
        self, q: Array, gradient: Array, pairs: list[tuple[int, int]]
    ) -> tuple[Array, Array]:
        """dr/dW above the diagonal, real and imaginary part, ``(pairs, s, s, batch)``.

        Rotations within a block of columns change no block norm.
        """
        d, s, batch = self.d, self.s, q.shape[2]
        columns = q.reshape(d * s, d, s, batch)
        product = aligned((d * s, s, s, batch), float)
        inner = aligned((len(pairs), d, s, s, batch), float)
        for k, (a, b) in enumerate(pairs):
            np.multiply(columns[:, a, :, None], columns[:, b, None], out=product)
            inner[k] = reduce(iadd, (product[row::s] for row in range(s)))
        first, second = ([pair[side] for pair in pairs] for side in (0, 1))
        parts = np.stack([gradient.real, gradient.imag]) * (2 / s)
        weight = (parts[:, :, second] - parts[:, :, first]).swapaxes(1, 2)[..., None, None, :]
        total = inner[:, 0] * weight[:, :, 0]
        term = aligned(total.shape, float)
        for i in range(1, d):
            total += np.multiply(inner[:, i], weight[:, :, i], out=term)
        return total[0], total[1]


@dataclass(frozen=True)
class Parameters:
    """Any parameterization; the state is theta, lanes ``(p, batch)``; torch finds the gradient."""

    map: Parameterization
    longest = 4.0
    """Longest step, in units of the parameters: a logit must go far to reach a vertex."""

    def start(self, n: int, rng: np.random.Generator) -> Array:
        """Gaussian parameters, of a spread that is itself random: some near the vertices."""
        spread = np.exp(rng.uniform(-1, 2, n))
        return self.map.theta(n, rng, "gaussian").T * spread

    def matrices(self, state: Array) -> Array:
        """The map itself."""
        return lanes(self.map(state.T), 2)

    def move(self, state: Array, gradient: Array, r: Array) -> Array:
        """Parameters plus the shortest step."""
        import torch

        theta = torch.from_numpy(np.ascontiguousarray(state.T)).requires_grad_()
        h = self.map(theta)
        weights = torch.from_numpy(np.ascontiguousarray(batch_first(gradient, 2)))
        rows = [
            torch.autograd.grad(h, theta, weight, retain_graph=True)[0].numpy().T
            for weight in (weights.real.contiguous(), weights.imag.contiguous())
        ]
        return state + _shortest(rows[0], rows[1], r, self.longest)


def chart_of(method: Parameterization) -> Chart:
    """The method's own way to move, or the one that every map has."""
    own: Chart | None = method.chart()
    return own or Parameters(method)


def _shortest(re: Array, im: Array, r: Array, longest: float) -> Array:
    """The shortest solution of re . x = -Re r, im . x = -Im r, or as much of it as is allowed.

    Args:
        re: rows ``(..., batch)``.
        im: the other rows, same shape.
        r: ``(batch,)`` complex.
        longest: largest norm of x.
    """
    rows = (re.reshape(-1, len(r)), im.reshape(-1, len(r)))
    a, b, c = (_dot(rows[i], rows[j]) for i, j in ((0, 0), (0, 1), (1, 1)))
    damping = 1e-9 * (a + c) + np.finfo(float).tiny
    a += damping
    c += damping
    determinant = a * c - b * b
    movable = determinant > 0  # a map without parameters has nowhere to go
    x, y = (
        np.divide(numerator, determinant, out=np.zeros(len(r)), where=movable)
        for numerator in (b * r.imag - c * r.real, b * r.real - a * r.imag)
    )
    step = re * x
    step += im * y
    flat = step.reshape(-1, len(r))
    norm = np.sqrt(_dot(flat, flat))
    step *= longest / np.maximum(norm, longest)
    return step


def _dot(x: Array, y: Array) -> Array:
    """Sums of products down the columns: one pass, where numpy's sum over a short axis is slow."""
    return np.einsum("kb,kb->b", x, y)
