"""Sinkhorn-Knopp: normalise rows and columns of positive matrices in turn, in lanes.

Source: Sinkhorn & Knopp, Pacific J. Math. 21 (1967) 343-348.
"""

import math
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Literal, NamedTuple

import numpy as np

from birkhoff_cli.analyses.core.arrays import Array, may_ask, namespace
from birkhoff_cli.analyses.core.parameterization import Parameterization
from birkhoff_cli.analyses.core.pullback import Pullback

Side = Literal["rows", "columns"]
Guard = Literal["log", "floor", "add"]
"""What keeps a sum from being 0: nothing, ``max(sum, eps)``, or ``sum + eps``."""


class Balancing(NamedTuple):
    """How a method balances ``exp(logits / tau)`` by Sinkhorn-Knopp.

    Attributes:
        tau: temperature.
        last: the side that is normalised last.
        variants: the same of every known code base, by name: maps of the same logits.
        effective: of logits ``(..., d * d)`` the settings that act on them: maps with equal ones
            give the same matrices up to rounding.
        quick: the map of numpy logits, up to rounding.
    """

    tau: float
    last: Side
    variants: Mapping[str, Parameterization]
    effective: Callable[[Array], Hashable]
    quick: Callable[[Array], Array]


Sweep = Callable[[Array, Sequence[int], Guard, float], Array]
"""`sweep`, or `sweep_by_factors`."""


def sweep(h: Array, axes: Sequence[int], guard: Guard = "log", eps: float = 0.0) -> Array:
    """Divide by the guarded sums over one axis after the other; overwrites a numpy ``h``.

    Args:
        h: lanes ``(d, d, ...)``, at least 0.
        axes: what to sum over in each step: 1 makes rows sum to 1, 0 columns.
        guard: see `Guard`; ``log`` says that the matrix is `narrow`.
        eps: size of the guard.
    """
    xp = namespace(h)
    for axis in axes:
        total = xp.sum(h, axis=axis, keepdims=True)
        if guard == "floor":
            total = xp.where(total > eps, total, eps)
        elif guard == "add":
            total = total + eps
        h = _rescale(h, 1 / total)
    return h


SUMS = ("ijb,ib->jb", "ijb,jb->ib")
"""Sums over columns and over rows of a matrix, with the factors of the other side."""

AT_ONCE = 16_000
"""4 x 4 matrices that are swept together, so that they stay in cache; fewer of larger ones."""

SMALLEST = 1e-60
"""Least entry whose row or column no factor is near the end of the number range for."""


def sweep_by_factors(
    h: Array, axes: Sequence[int], guard: Guard = "log", eps: float = 0.0
) -> Array:
    """As `sweep`, up to rounding, with half the work: a step changes the factors of one side only.

    The matrix is ``diag(u) h diag(v)`` all the way, so that each step takes a weighted sum.
    """
    a = h.reshape(*h.shape[:2], -1)
    if a.shape[2] < 2 or float(a.min()) < SMALLEST:  # of one lane einsum adds in another order
        return sweep(h, axes, guard, eps)
    n = a.shape[2]
    out = np.empty_like(a)
    starts = range(0, n - 1, max(2, AT_ONCE * 16 // len(a) ** 2))  # no part is a single lane
    for start, stop in zip(starts, [*starts[1:], n], strict=True):
        part = np.ascontiguousarray(a[..., start:stop])
        v, u = _factors(part, axes, guard, eps)
        np.multiply(part, v, out=part)
        np.multiply(part, u[:, None], out=out[..., start:stop])
    return out.reshape(h.shape)


def _factors(a: Array, axes: Sequence[int], guard: Guard, eps: float) -> list[Array]:
    """Of the columns and of the rows, after all steps."""
    sides = [np.ones(a.shape[1:]), np.ones(a.shape[1:])]
    total = np.empty(a.shape[1:])
    for axis in axes:
        np.einsum(SUMS[axis], a, sides[1 - axis], out=total)
        if guard == "log":
            np.divide(1, total, out=sides[axis])
            continue
        total *= sides[axis]
        if guard == "floor":
            np.maximum(total, eps, out=total)
        else:
            total += eps
        sides[axis] /= total
    return sides


def sweep_with_pullback(
    h: Array, axes: Sequence[int], guard: Guard, eps: float, softmax: bool = False
) -> tuple[Array, Pullback]:
    """As `sweep` of a numpy array, which it leaves as it is, with the gradient in ``h``.

    Args:
        h: lanes ``(d, d, batch)``, positive.
        axes: what to sum over in each step.
        guard: see `Guard`.
        eps: size of the guard.
        softmax: the first step has no guard, and eps is added to what it leaves.
    """
    steps: list[tuple[int, Array, Array]] = []
    for axis in axes:
        total = h.sum(axis, keepdims=True)
        plain = softmax and not steps
        guarded = _guarded(total, "log" if plain else guard, eps)
        kept = total >= guarded if guard == "floor" else 1.0  # no gradient goes through a floor
        h = h / guarded
        steps.append((axis, 1 / guarded, h * kept))
        if plain:
            h = h + eps

    def pullback(gradient: Array) -> Array:
        for axis, inverse, scaled in reversed(steps):
            gradient = (gradient - (gradient * scaled).sum(axis, keepdims=True)) * inverse
        return gradient

    return h, pullback


def _guarded(total: Array, guard: Guard, eps: float) -> Array:
    if guard == "floor":
        return np.maximum(total, eps)
    return total + eps if guard == "add" else total


def log_sweep(z: Array, axes: Sequence[int]) -> Array:
    """As `sweep` of ``exp(z)`` for logits of any range.

    The last step is a softmax: its sums are 1 to rounding however large the logits are.
    """
    xp = namespace(z)
    for axis in axes[:-1]:
        z = z - xp.max(z, axis=axis, keepdims=True)
        z = z - xp.log(xp.sum(xp.exp(z), axis=axis, keepdims=True))
    h = xp.exp(z - xp.max(z, axis=axes[-1], keepdims=True))
    return h / xp.sum(h, axis=axes[-1], keepdims=True)


def narrow(z: Array) -> bool:
    """Whether `sweep` of ``exp(z)``, z at most 0, stays within the normal numbers.

    With z in [-r, 0], two entries of a row or column of a rescaled matrix differ by a factor
    exp(2 r) at most, so that all on the way are above exp(-2 r) / d. The gradient squares
    the reciprocal of a sum of them. No, where a device may not be asked.
    """
    return may_ask(z) and bool(namespace(z).all(z >= least_narrow(z)))


def least_narrow(z: Array) -> float:
    """The least entry of lanes that are `narrow`."""
    smallest = float(namespace(z).finfo(z.dtype).smallest_normal)
    return math.log(smallest) / 4 + math.log(z.shape[0])


def _rescale(h: Array, factor: Array) -> Array:
    if isinstance(h, np.ndarray):
        h *= factor
        return h
    return h * factor  # in place would spoil torch's gradient
