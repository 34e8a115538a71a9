"""Maps with their gradients: written out where that pays, by torch for every other method.

A `Differentiable` takes parameters ``(batch, p)`` to matrices ``(batch, d, d)`` and to a pullback,
which takes the gradient in the matrices to that in the parameters, once, before the next call. A
new method needs nothing here: torch differentiates its map.

Source: go-mHC, arXiv:2604.02309, eq. 29 for the Cayley map; Schulz, Z. angew. Math. Mech. 13
(1933) 57-59 for the inverse that is carried along.
"""

from collections.abc import Callable
from functools import singledispatch
from typing import TypeAlias

import numpy as np

from birkhoff_cli.analyses.core.arrays import Array, aligned, batch_first, lanes
from birkhoff_cli.analyses.core.parameterization import Parameterization
from birkhoff_cli.analyses.core.threads import one_thread
from birkhoff_cli.analyses.geometry.permutations import vertices
from birkhoff_cli.analyses.geometry.sinkhorn import narrow
from birkhoff_cli.analyses.parameterizations.go_mhc import GoMHC
from birkhoff_cli.analyses.parameterizations.kromhc import KromHC
from birkhoff_cli.analyses.parameterizations.mhc import MHC
from birkhoff_cli.analyses.parameterizations.mhc_lite import MHCLite

Pullback: TypeAlias = Callable[[Array], Array]
Differentiable: TypeAlias = Callable[[Array], tuple[Array, Pullback]]


def differentiable(method: Parameterization) -> Differentiable:
    """The map of a method with its gradient."""
    if not method.parameters:
        return lambda theta: (method(theta), lambda _: np.zeros_like(theta))
    return _differentiable(method)


@singledispatch
def _differentiable(method: Parameterization) -> Differentiable:
    """What follows is registered for the methods whose gradient is written out."""
    return _by_torch(method)


def _by_torch(method: Parameterization) -> Differentiable:
    def evaluate(theta: Array) -> tuple[Array, Pullback]:
        import torch

        x = torch.from_numpy(theta).requires_grad_()
        with one_thread():
            h = method(x)

        def pullback(gradient: Array) -> Array:
            with one_thread():
                (found,) = torch.autograd.grad(h, x, torch.from_numpy(gradient))
            return found.numpy()

        return h.detach().numpy(), pullback

    return evaluate


@_differentiable.register
def _(method: MHCLite) -> Differentiable:
    columns = vertices(method.d).astype(float)
    rows = np.ascontiguousarray(np.vstack((columns, np.ones(method.parameters))).T)

    def evaluate(theta: Array) -> tuple[Array, Pullback]:
        weights = np.exp(theta - np.maximum.reduce(theta, axis=1, keepdims=True))
        mixed = weights @ rows
        scale = 1 / mixed[:, -1:]  # of the sum of the weights
        h = mixed[:, :-1] * scale
        weights *= scale

        def pullback(gradient: Array) -> Array:
            slope = gradient.reshape(len(theta), -1) @ columns
            slope -= np.vecdot(weights, slope)[:, None]
            slope *= weights
            return slope

        return h.reshape(-1, method.d, method.d), pullback

    return evaluate


@_differentiable.register
def _(method: KromHC) -> Differentiable:
    if {part.d for part in method.parts} != {2}:
        return _by_torch(method)
    count = len(method.parts)
    flips = np.arange(method.d)[:, None] ^ np.arange(method.d)  # row i of it: products of swaps
    rows = (flips.ravel() == np.arange(method.d)[:, None]).astype(float)
    columns = np.ascontiguousarray(rows.T)

    def evaluate(theta: Array) -> tuple[Array, Pullback]:
        gap = theta[:, 1::2] - theta[:, ::2]
        pairs = np.empty((count, len(theta), 2))  # weights of keeping and swapping
        pairs[..., 1] = (1 / (1 + np.exp(np.minimum(-gap, LARGEST_POWER)))).T
        np.subtract(1, pairs[..., 1], out=pairs[..., 0])
        products = [pairs[0]]
        for pair in pairs[1:]:
            products.append((products[-1][:, :, None] * pair[:, None]).reshape(len(theta), -1))

        def pullback(gradient: Array) -> Array:
            slope = gradient.reshape(len(theta), -1) @ columns
            found = np.empty_like(theta)
            for k in range(count - 1, -1, -1):
                wide = slope.reshape(len(theta), -1, 2)
                if k:
                    both = np.vecdot(wide.swapaxes(1, 2), products[k - 1][:, None])
                    slope = np.vecdot(wide, pairs[k][:, None])
                else:
                    both = wide[:, 0]
                change = (both[:, 0] - both[:, 1]) * pairs[k, :, 0] * pairs[k, :, 1]
                found[:, 2 * k], found[:, 2 * k + 1] = change, -change
            return found

        return (products[-1] @ rows).reshape(-1, method.d, method.d), pullback

    return evaluate


LARGEST_POWER = 700.0
"""Its exponential is finite."""


@_differentiable.register
def _(method: MHC) -> Differentiable:
    s, by_torch = method.settings, _by_torch(method)
    first, last = (0, 1) if s.last == "rows" else (1, 0)
    softmax = s.guard == "add"  # V4 begins with one, and adds eps to it

    def evaluate(theta: Array) -> tuple[Array, Pullback]:
        z = np.ascontiguousarray(lanes(theta, 1)).reshape(method.d, method.d, -1) / s.tau
        z -= z.max(axis=first, keepdims=True)
        if not s.iters or not narrow(z):
            return by_torch(theta)
        h = powers = np.exp(z)
        done: list[tuple[int, Array, Array]] = []
        for axis in (first, last) * s.iters:
            total = h.sum(axis, keepdims=True)
            plain = softmax and not done
            guarded = _guard(total, "log" if plain else s.guard, s.eps)
            kept = total >= guarded if s.guard == "floor" else 1.0
            h = h / guarded
            done.append((axis, 1 / guarded, h * kept))
            if plain:
                h = h + s.eps

        def pullback(gradient: Array) -> Array:
            slope = lanes(gradient, 2)
            for axis, inverse, scaled in reversed(done):
                slope = (slope - (slope * scaled).sum(axis, keepdims=True)) * inverse
            slope = slope * powers / s.tau
            return batch_first(slope.reshape(method.parameters, -1), 1)

        return batch_first(h, 2), pullback

    return evaluate


def _guard(total: Array, guard: str, eps: float) -> Array:
    if guard == "floor":
        return np.maximum(total, eps)
    return total + eps if guard == "add" else total


@_differentiable.register
def _(method: GoMHC) -> Differentiable:
    return _WarmCayley(method) if method.field == "real" else _by_torch(method)


class _WarmCayley:
    """Real go-mHC; the inverse of I + A is corrected from one call to the next.

    With ``M = ((I + A) / 2)^-1`` and ``Q = M - I`` the gradient in A is ``-M^T G M^T / 2`` for the
    gradient G in Q, so that nothing is solved anywhere. Matrices are rows of ``(batch, n^2)``
    where arithmetic is by entry.
    """

    ENOUGH = 1e-8
    """Mean square of an entry of the residual; the correction squares the residual once more."""

    FAR = 1e-2
    """Mean square of an entry of the residual from which on the inverse is computed anew."""

    inverse: Array
    minus: Array
    residual: Array
    work: Array
    q: Array
    slope: Array

    def __init__(self, method: GoMHC) -> None:
        d, s = method.d, method.s
        self.d, self.n = d, d * s
        row, col = np.tril_indices(self.n, -1)
        place = np.zeros((self.n, self.n), int)
        sign = np.zeros((self.n, self.n))
        place[row, col] = place[col, row] = np.arange(len(row))
        sign[row, col], sign[col, row] = -0.5, 0.5
        self.place, self.sign = place.ravel(), sign.ravel()
        self.lower, self.upper = row * self.n + col, col * self.n + row
        blocks = np.kron(np.eye(d), np.ones((s, 1)))
        self.gather = np.kron(blocks, blocks) / s
        self.spread = np.ascontiguousarray(-self.gather.T)
        self._resize(0)

    def _resize(self, batch: int) -> None:
        """Memory that every call uses again."""
        names = ("inverse", "minus", "residual", "work", "q", "slope")
        for name in names:
            setattr(self, name, aligned((batch, self.n, self.n), float))
        self.found, self.lower_found = (aligned((batch, len(self.lower)), float) for _ in range(2))

    def __call__(self, theta: Array) -> tuple[Array, Pullback]:
        self._correct(theta)
        batch = len(theta)
        m, q, slope = self.inverse, self.q, self.slope
        np.copyto(q, m)
        diagonal = self._diagonal(q)
        diagonal -= 1
        squares = np.multiply(q, q, out=self.work).reshape(batch, -1)
        h = (squares @ self.gather).reshape(-1, self.d, self.d)

        def pullback(gradient: Array) -> Array:
            np.matmul(gradient.reshape(batch, -1), self.spread, out=slope.reshape(batch, -1))
            np.multiply(slope, q, out=slope)
            np.matmul(slope.swapaxes(1, 2), m, out=self.work)
            full = np.matmul(m, self.work, out=slope).reshape(batch, -1)
            found, lower = self.found, self.lower_found
            np.take(full, self.upper, axis=1, out=found, mode="clip")  # full is transposed
            np.take(full, self.lower, axis=1, out=lower, mode="clip")
            found -= lower
            return found

        return h, pullback

    def _diagonal(self, matrices: Array) -> Array:
        return matrices.reshape(len(matrices), -1)[:, :: self.n + 1]

    def _correct(self, theta: Array) -> None:
        """The inverse by Newton-Schulz from the last one, or by LAPACK's if that is far."""
        if fresh := len(self.inverse) != len(theta):
            self._resize(len(theta))
        minus, residual = self.minus, self.residual
        flat = minus.reshape(len(theta), -1)
        np.take(theta, self.place, axis=1, out=flat, mode="clip")
        flat *= self.sign
        self._diagonal(minus)[:] = -0.5
        square = 0.0 if not fresh else np.inf
        while square < self.FAR:
            np.matmul(minus, self.inverse, out=residual)
            diagonal = self._diagonal(residual)
            diagonal += 1
            square = np.vdot(residual, residual) / residual.size
            self.inverse += np.matmul(self.inverse, residual, out=self.work)
            if square < self.ENOUGH:
                return
        self.inverse[:] = np.linalg.inv(-minus)
