"""How Sinkhorn-Knopp converges: what it has left after a number of sweeps, and how many it needs.

Source: Birkhoff, Trans. AMS 85 (1957) 219-227, and Franklin & Lorenz, Linear Algebra Appl. 114/115
(1989) 717-735: a sweep shrinks the distance to the limit, in Hilbert's metric, at least by
``tanh(diameter / 4)^2``.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from birkhoff_cli.analyses.core.arrays import Array
from birkhoff_cli.analyses.geometry.sinkhorn import least_narrow, sweep

RENEW = 100
"""Sweeps after which matrices that are done are let go."""


def spread(z: Array) -> Array:
    """``log(largest / smallest)`` entry of ``exp(z)``: lanes ``(d, d, n)`` to ``(n,)``."""
    return z.max((0, 1)) - z.min((0, 1))


def diameter(z: Array) -> Array:
    """Largest ``log(a_ij a_kl / (a_il a_kj))`` of ``a = exp(z)``, Hilbert's projective diameter.

    Scaling rows and columns does not change it: logits and what Sinkhorn makes of them share it.
    Infinite where an entry is 0: lanes ``(d, d, n)`` to ``(n,)``.
    """
    found = np.zeros(z.shape[2:])
    for i in range(1, len(z)):
        with np.errstate(invalid="ignore"):  # zeros in both rows
            apart = z[i] - z[:i]
        np.maximum(found, (apart.max(1) - apart.min(1)).max(0), out=found)
    return np.where((z.min((0, 1)) == -np.inf) & (len(z) > 1), np.inf, found)


def residual(h: Array) -> Array:
    """Largest ``|sum - 1|`` of a row or column: lanes ``(d, d, n)`` to ``(n,)``."""
    return np.maximum(np.abs(h.sum(0) - 1).max(0), np.abs(h.sum(1) - 1).max(0))


def sweeps(z: Array, axes: Sequence[int]) -> Iterator[Array]:
    """``exp(z)`` after 1, 2, 3, ... sweeps; every one may overwrite the one before.

    Args:
        z: lanes ``(d, d, n)``, no row or column of minus infinity only.
        axes: what a sweep sums over, in turn: 1 makes rows sum to 1, 0 columns.
    """
    shifted = z - z.max(axis=axes[0], keepdims=True)
    narrow = shifted.min((0, 1)) >= least_narrow(shifted)  # each matrix by itself
    if narrow.all():
        yield from _narrow_sweeps(shifted, axes)
    if not narrow.any():
        yield from _wide_sweeps(shifted, axes)
    h = np.empty_like(shifted)
    parts = (_narrow_sweeps(shifted[..., narrow], axes), _wide_sweeps(shifted[..., ~narrow], axes))
    for h[..., narrow], h[..., ~narrow] in zip(*parts, strict=True):
        yield h


def _narrow_sweeps(shifted: Array, axes: Sequence[int]) -> Iterator[Array]:
    h = np.exp(shifted)
    while True:
        yield sweep(h, axes)


def _wide_sweeps(shifted: Array, axes: Sequence[int]) -> Iterator[Array]:
    while True:
        for axis in axes:
            shifted -= shifted.max(axis=axis, keepdims=True)
            shifted -= np.log(np.exp(shifted).sum(axis=axis, keepdims=True))
        yield np.exp(shifted)


def convergence(
    z: Array, axes: Sequence[int], at: Sequence[int], tolerances: Sequence[float], most: int
) -> tuple[Array, Array]:
    """Residuals after some numbers of sweeps, and the sweeps that tolerances need.

    Args:
        z: lanes ``(d, d, n)``.
        axes: see `sweeps`.
        at: numbers of sweeps, increasing.
        tolerances: of the residual.
        most: sweeps after which a matrix is given up.

    Returns:
        ``(len(at), n)``, and ``(len(tolerances), n)``: infinite where ``most`` were not enough.
    """
    after = np.empty((len(at), z.shape[2]))
    needed = np.full((len(tolerances), z.shape[2]), np.inf)
    todo, state = np.arange(z.shape[2]), sweeps(z, axes)
    for k in range(1, most + 1):
        h = next(state)
        error = residual(h)
        for row, tolerance in zip(needed, tolerances, strict=True):
            reached = todo[error <= tolerance]
            row[reached] = np.minimum(row[reached], k)
        if k in at:
            after[at.index(k)] = error
        if k >= at[-1] and (k - at[-1]) % RENEW == 0:
            left = error > min(tolerances)
            todo = todo[left]
            if not todo.size:
                break
            with np.errstate(divide="ignore"):
                state = sweeps(np.log(h[:, :, left]), axes)
    return after, needed
