"""How Sinkhorn-Knopp converges: what it has left after a number of sweeps, and how many it needs.

A sweep of ``a = exp(z)`` is kept as its two scalings, ``diag(u) a diag(v)``: the factors of one
side are the reciprocals of the sums that the other leaves, and by how much a factor changes in the
next sweep is how far a sum was from 1.

Source: Birkhoff, Trans. AMS 85 (1957) 219-227, and Franklin & Lorenz, Linear Algebra Appl. 114/115
(1989) 717-735: a sweep shrinks the distance to the limit, in Hilbert's metric, at least by
``tanh(diameter / 4)^2``.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from birkhoff_cli.analyses.core.arrays import Array
from birkhoff_cli.analyses.geometry.lanes import select
from birkhoff_cli.analyses.geometry.sinkhorn import least_narrow

CONVERGED = 1e-12
"""Residual from which on nothing else is left than a geometric fall to `ROUNDING`."""

ROUNDING = float(np.finfo(float).eps) / 2
"""Residual that more sweeps leave."""

AT_ONCE = 40_000
"""Matrices that are swept together at first, so that those of side 4 stay in cache."""

MOST_LEFT = 0.75
"""Share of the matrices in hand that may be left to sweep before they are gathered."""

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
        Residuals below `CONVERGED` are continued as they fell, and right to that.
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


@dataclass
class _Record:
    """What is recorded of all matrices while they are swept."""

    at: Sequence[int]
    tolerances: Sequence[float]
    most: int
    after: Array
    needed: Array


def _follow(
    sweeps: Sweeps, state: State, at: Sequence[int], tolerances: Sequence[float], most: int
) -> tuple[Array, Array]:
    """Sweep, and let go what has converged; after the last of ``at`` what every tolerance has.

    At first so many matrices that they stay in cache, then together those that are left.
    """
    n = state[0].shape[-1]
    needed = np.full((len(tolerances), n), np.inf)
    record = _Record(at, tolerances, most, np.empty((len(at), n)), needed)
    left = []
    for start in range(0, n, AT_ONCE):
        lanes = np.arange(start, min(n, start + AT_ONCE))
        part = tuple(np.ascontiguousarray(x[..., start : start + AT_ONCE]) for x in state)
        left.append(_sweep_on(sweeps, part, lanes, record, 0, min(at[-1], most)))
    lanes, done = np.concatenate([todo for todo, _, _ in left]), left[0][2]
    if lanes.size:
        state = tuple(np.concatenate(x, -1) for x in zip(*(s for _, s, _ in left), strict=True))
        _sweep_on(sweeps, state, lanes, record, done, most)
    return record.after, record.needed


def _sweep_on(
    sweeps: Sweeps, state: State, todo: Array, record: _Record, done: int, most: int
) -> tuple[Array, State, int]:
    """Sweep until all has converged, or ``most`` sweeps or a few more are done.

    What is let go may be swept on beside the others, which changes nothing that was recorded.

    Args:
        sweeps: how.
        state: what sweeps go on from.
        todo: the numbers of its matrices, rising.
        record: of all matrices.
        done: sweeps that are done.
        most: sweeps to be done.

    Returns:
        What is left: numbers, state, and sweeps done.
    """
    here = todo  # what the state holds, of which the rest has converged
    while todo.size and done < most:
        least, largest = SWEEPS_AT_ONCE
        count = min(max(least, done // 4), largest, record.most - done)
        errors, state = sweeps(state, count)
        for row, tolerance in zip(record.needed, record.tolerances, strict=True):
            _record_first(row, here, errors, tolerance, done)
        lanes = slice(None) if len(todo) == len(here) else np.searchsorted(here, todo)
        later = [(row, k) for row, k in zip(record.after, record.at, strict=True) if k > done]
        for row, k in later:
            if k <= done + count:
                row[todo] = errors[k - done - 1, lanes]
        done += count
        enough = CONVERGED if done < record.at[-1] else max(CONVERGED, min(record.tolerances))
        stays = errors[-1, lanes] > enough
        if not stays.all():
            gone, last = todo[~stays], errors[-2:, lanes][:, ~stays]
            for row, k in later:
                if k > done:
                    row[gone] = _continued(last, k - done)
            todo = todo[stays]
        if len(todo) < MOST_LEFT * len(here):
            left = np.searchsorted(here, todo)
            here, state = todo, tuple(select(part, left) for part in state)
    left = np.searchsorted(here, todo)
    return todo, tuple(select(part, left) for part in state), done


def _record_first(row: Array, lanes: Array, errors: Array, tolerance: float, done: int) -> None:
    """The first sweep after ``done`` that reached a tolerance, where none has before."""
    left = np.isinf(row[lanes])
    if left.any():
        reached = errors <= tolerance
        new = np.flatnonzero(reached.any(0) & left)
        row[lanes[new]] = done + 1 + reached[:, new].argmax(0)


def _continued(last: Array, count: int) -> Array:
    """Residuals so many sweeps later: they fall as they did last, down to rounding."""
    before, now = last[0], last[-1]
    ratio = np.minimum(np.divide(now, before, out=np.zeros_like(now), where=before > 0), 1)
    return np.maximum(now * ratio**count, np.minimum(now, ROUNDING))


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
    errors, sums, v = np.empty((count, v.shape[1])), np.empty_like(v), v.copy()
    for error in errors:
        np.einsum("ijb,jb->ib", a, v, out=sums)
        rows = np.divide(1, sums, out=sums)
        columns = np.einsum("ijb,ib->jb", a, rows)
        v *= columns
        v -= 1
        np.abs(v, out=v).max(0, out=error)
        np.divide(1, columns, out=v)
    return (errors[:, :1], (state[0], v[:, :1])) if lonely else (errors, (a, v))


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
