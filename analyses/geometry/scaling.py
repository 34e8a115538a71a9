"""How Sinkhorn-Knopp converges: what it has left after a number of sweeps, and how many it needs.

A sweep of ``a = exp(z)`` is kept as its two scalings, ``diag(u) a diag(v)``: the factors of one
side are the reciprocals of the sums that the other leaves, and by how much a factor changes in the
next sweep is how far a sum was from 1.

Source: Birkhoff, Trans. AMS 85 (1957) 219-227, and Franklin & Lorenz, Linear Algebra Appl. 114/115
(1989) 717-735: a sweep shrinks the distance to the limit, in Hilbert's metric, at least by
``tanh(diameter / 4)^2``.
"""

from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np

from birkhoff_cli.analyses.core.arrays import Array
from birkhoff_cli.analyses.geometry.lanes import select
from birkhoff_cli.analyses.geometry.sinkhorn import least_narrow

CONVERGED = 16 * float(np.finfo(float).eps)
"""Residual that is rounding: more sweeps leave no less."""

SWEEPS_AT_ONCE = (5, 32)
"""Least and most sweeps between two looks at what has converged."""

State: TypeAlias = tuple[Array, ...]
"""What sweeps go on from, lanes last: a matrix and the scaling of its columns, or its logarithm."""

Sweeps: TypeAlias = Callable[[State, int], tuple[Array, State]]
"""So many sweeps on: the residual after each ``(count, n)``, and the state after them."""


def spread(z: Array) -> Array:
    """``log(largest / smallest)`` entry of ``exp(z)``: lanes ``(d, d, n)`` to ``(n,)``."""
    return z.max((0, 1)) - z.min((0, 1))


def diameter(z: Array) -> Array:
    """Largest ``log(a_ij a_kl / (a_il a_kj))`` of ``a = exp(z)``, Hilbert's projective diameter.

    Scaling rows and columns does not change it: logits and what Sinkhorn makes of them share it.
    Infinite where an entry is 0: lanes ``(d, d, n)`` to ``(n,)``.
    """
    largest = np.zeros(z.shape[2:])
    for i in range(1, len(z)):
        with np.errstate(invalid="ignore"):  # zeros in both rows
            apart = z[i] - z[:i]
        np.maximum(largest, (apart.max(1) - apart.min(1)).max(0), out=largest)
    return np.where((z.min((0, 1)) == -np.inf) & (len(z) > 1), np.inf, largest)


def residual(h: Array) -> Array:
    """Largest ``|sum - 1|`` of a row or column: lanes ``(d, d, n)`` to ``(n,)``."""
    return np.maximum(np.abs(h.sum(0) - 1).max(0), np.abs(h.sum(1) - 1).max(0))


def convergence(
    z: Array, axes: Sequence[int], at: Sequence[int], tolerances: Sequence[float], most: int
) -> tuple[Array, Array]:
    """Residuals after some numbers of sweeps, and the sweeps that tolerances need.

    Args:
        z: lanes ``(d, d, n)``, no row or column of minus infinity only.
        axes: what a sweep sums over, in turn: 1 makes rows sum to 1, 0 columns.
        at: numbers of sweeps, increasing.
        tolerances: of the residual, above rounding.
        most: sweeps after which a matrix is given up.

    Returns:
        ``(len(at), n)``, and ``(len(tolerances), n)``: infinite where ``most`` were not enough.
        A residual of rounding is recorded as it was when it was first seen.
    """
    turned = z if axes[0] == 0 else z.swapaxes(0, 1)
    shifted = turned - turned.max(axis=0, keepdims=True)
    after = np.empty((len(at), z.shape[2]))
    needed = np.full((len(tolerances), z.shape[2]), np.inf)
    narrow = shifted.min((0, 1)) >= least_narrow(shifted)  # each matrix by itself
    for chosen, start, sweeps in (
        (narrow, _start_scalings, _scale),
        (~narrow, _start_logarithms, _scale_logarithms),
    ):
        if (lanes := np.flatnonzero(chosen)).size:
            states = _follow(sweeps, start(select(shifted, lanes)), at, tolerances, most)
            after[:, lanes], needed[:, lanes] = states
    return after, needed


def _follow(
    sweeps: Sweeps, state: State, at: Sequence[int], tolerances: Sequence[float], most: int
) -> tuple[Array, Array]:
    """Sweep, and let go what has converged; after the last of ``at`` what every tolerance has."""
    n = state[0].shape[-1]
    after, needed = np.empty((len(at), n)), np.full((len(tolerances), n), np.inf)
    todo, done = np.arange(n), 0
    while todo.size and done < most:
        least, largest = SWEEPS_AT_ONCE
        count = min(max(least, done // 4), largest, most - done)
        errors, state = sweeps(state, count)
        for row, tolerance in zip(needed, tolerances, strict=True):
            reached = errors <= tolerance
            first = np.where(reached.any(0), done + 1 + reached.argmax(0), np.inf)
            row[todo] = np.minimum(row[todo], first)
        for row, k in zip(after, at, strict=True):
            if done < k:  # of later ones it is what there is until now
                row[todo] = errors[min(k - done, count) - 1]
        done += count
        enough = CONVERGED if done < at[-1] else max(CONVERGED, min(tolerances))
        left = np.flatnonzero(errors[-1] > enough)
        todo, state = todo[left], tuple(select(part, left) for part in state)
    return after, needed


def _start_scalings(shifted: Array) -> State:
    """The matrix, and the first scaling of its columns."""
    a = np.exp(shifted)
    return a, 1 / a.sum(0)


def _scale(state: State, count: int) -> tuple[Array, State]:
    """Sweeps of entries in the number range, by the scalings of columns.

    A scaling is within ``exp(3 r)`` of 1 for logits in a range r: none ends at 0 or infinity.
    """
    a, v = state
    if lonely := a.shape[2] == 1:  # of a single lane einsum adds in another order
        a, v = (np.repeat(part, 2, axis=-1) for part in state)
    columns = np.empty((count + 1, *v.shape))
    columns[0] = v
    for k in range(count):
        rows = 1 / np.einsum("ijb,jb->ib", a, columns[k])
        np.divide(1, np.einsum("ijb,ib->jb", a, rows), out=columns[k + 1])
    errors = columns[:-1] / columns[1:]
    errors -= 1
    errors, last = np.abs(errors, out=errors).max(1), columns[-1]
    return (errors[:, :1], (state[0], last[:, :1])) if lonely else (errors, (a, last))


def _start_logarithms(shifted: Array) -> State:
    """The logarithms of the matrix."""
    return (shifted,)


def _scale_logarithms(state: State, count: int) -> tuple[Array, State]:
    """Sweeps of logarithms of any range."""
    (z,) = state
    errors = np.empty((count, z.shape[2]))
    for k in range(count):
        for axis in (0, 1):
            z = z - z.max(axis, keepdims=True)
            z -= np.log(np.exp(z).sum(axis, keepdims=True))
        errors[k] = np.abs(np.exp(z).sum(0) - 1).max(0)
    return errors, (z,)
