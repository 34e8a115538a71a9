"""The best assignment of rows to columns, for many small matrices at once.

Every set of columns has its best assignment of the first rows, which is found from those of the
sets with one column less. Sets are in the order of their bit masks: those whose last column is m
lie together, and without m they are all the sets of the columns before it, in the same order.

Source: Held & Karp, J. SIAM 10 (1962) 196-210, for the recursion over sets; Crouse, IEEE Trans.
Aerosp. Electron. Syst. 52 (2016), for scipy's assignment.
"""

from functools import reduce
from math import comb
from typing import TypeAlias

import numpy as np

from birkhoff_cli.analyses.core.arrays import Array
from birkhoff_cli.analyses.geometry.frobenius import frobenius_norm
from birkhoff_cli.analyses.geometry.permutations import all_permutations

Permutation: TypeAlias = tuple[int, ...]

NEAREST = 0.9
"""Squared distance to I up to which no permutation is nearer: they are 2 or more from I."""

LOST = 2.0**-10
"""Share of |H - I|^2 + d below which a squared distance that is a difference has lost ten bits."""

CLOSE = 0.25
"""Squared distance up to which the nearest permutation has the largest entry of every row."""

LEAST = 1e-280
"""Squared distance from which on no digit is lost to underflow."""

ENUMERATED = 6
"""Largest d whose permutations are compared one by one where one has to be named."""

LARGEST = 8
"""Largest d for which all ``2^d`` sets of columns are gone through."""


def permutation_distance(h: Array) -> Array:
    """Frobenius distance to the nearest permutation matrix: lanes ``(d, d, n)`` to ``(n,)``."""
    distance: Array = vertex_distances(h, traces(h))[1]
    return distance


def vertex_distances(h: Array, trace: Array) -> Array:
    """Frobenius distances to I and to the nearest permutation matrix, of any size.

    Where squares of a distance underflow, the permutation is that of the largest entries; where
    they overflow, all permutations are as far.

    Args:
        h: lanes ``(d, d, n)`` float64.
        trace: theirs, see `traces`.

    Returns:
        ``(2, n)``.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        distances = squared_distances(h, trace)
        identity, permutation = distances
        odd = _odd(identity, permutation)
        np.sqrt(distances, out=distances)
    if odd.size:
        part, unit = taken(h, odd), np.eye(len(h))[:, :, None]
        identity[odd] = frobenius_norm(part - unit, (0, 1))
        permutation[odd] = frobenius_norm(part - _vertices(part), (0, 1))
        np.minimum(identity, permutation, out=permutation)
    return distances


def _odd(identity: Array, permutation: Array) -> Array:
    """The lanes whose squared distances under- or overflow."""
    if permutation.min(initial=1) > LEAST and identity.max(initial=1) < np.inf:
        return np.zeros(0, np.intp)
    return np.flatnonzero(~((permutation > LEAST) & (identity < np.inf)))


def _vertices(h: Array) -> Array:
    """1 at the largest entry of every row, 0 elsewhere: lanes of the same shape."""
    largest: Array = h == h.max(1, keepdims=True)
    return largest


def squared_distances(h: Array, trace: Array) -> Array:
    """Squared Frobenius distances to I and to the nearest permutation matrix.

    ``|H - P|^2 = |H - I|^2 - 2 (sum_i h[i, p[i]] - trace H)``, which cancels where H is near to a
    P other than I: there it is a sum of squares too.

    Args:
        h: lanes ``(d, d, n)`` float64.
        trace: theirs, see `traces`.

    Returns:
        ``(2, n)``.
    """
    d, n = h.shape[1:]
    distances = np.empty((2, n))
    identity, permutation = distances
    squares = np.square(h).reshape(d * d, n)
    np.square(diagonals(h) - 1, out=squares[:: d + 1])
    squares.sum(0, out=identity)  # not by einsum, whose order of additions depends on n
    permutation[:] = identity
    far = np.flatnonzero(~(identity <= NEAREST))
    if 2 * far.size > n:
        permutation -= 2 * _gain(h, trace)  # exactly 0 where I is the nearest
    elif far.size:
        permutation[far] -= 2 * _gain(taken(h, far), trace[far])
    few = np.minimum(LOST * (identity + d), CLOSE)
    lost = np.flatnonzero(permutation < np.minimum(few, identity))
    if lost.size:
        part = taken(h, lost)
        permutation[lost] = np.square(part - _vertices(part)).sum((0, 1))
    return distances


def taken(h: Array, lanes: Array) -> Array:
    """Some lanes."""
    d = len(h)
    return h.reshape(d * d, -1).take(lanes, axis=1).reshape(d, d, -1)


def traces(h: Array) -> Array:
    """Traces of lanes, added up as `_best_assignment` does it: ``(n,)``."""
    diagonal, half = diagonals(h), len(h) // 2
    trace = reduce(np.add, diagonal[half:])
    return trace + reduce(np.add, diagonal[:half]) if half else trace


def diagonals(h: Array) -> Array:
    """A view ``(d, n)`` of lanes."""
    d = len(h)
    return h.reshape(d * d, -1)[:: d + 1]


def _gain(h: Array, trace: Array) -> Array:
    """By how much the largest sum over a permutation is above the trace, ``(n,)``."""
    if len(h) > LARGEST:
        return np.maximum(-_one_by_one(-np.moveaxis(h, -1, 0)) - trace, 0)
    gain: Array = _best_assignment(h, np.maximum) - trace
    return gain


def heaviest_permutations(h: Array) -> list[Permutation | None]:
    """The permutation nearest to each matrix: the largest ``sum_i h[i, p[i]]``.

    Of several that are equally near up to 1e-9 it is the first in lexicographic order, as far as
    all of them are tried.

    Args:
        h: ``(n, d, d)`` float64.

    Returns:
        One for each; None where an entry is not finite.
    """
    d = h.shape[-1]
    if d <= ENUMERATED:
        perms = all_permutations(d)
        entries = h[:, np.arange(d), perms]  # (n, d!, d)
        best = np.round(entries.sum(-1), 9).argmax(-1)
        heaviest = perms[best]
    else:
        from scipy.optimize import linear_sum_assignment

        clean = np.where(np.isfinite(h), h, 0.0)
        heaviest = np.array([linear_sum_assignment(each, maximize=True)[1] for each in clean])
    known = np.isfinite(h).all((-1, -2))
    return [tuple(p) if k else None for p, k in zip(heaviest.tolist(), known.tolist(), strict=True)]


def least_assignment(cost: Array) -> Array:
    """``min over permutations p of sum_i cost[i, p[i]]``: lanes ``(d, d, n)`` to ``(n,)``."""
    if len(cost) > LARGEST:
        return _one_by_one(np.moveaxis(cost, -1, 0))
    return _best_assignment(cost, np.minimum)


def _best_assignment(cost: Array, better: np.ufunc) -> Array:
    """The best sum over a permutation: of half of the rows, and of the others on what is left."""
    d, n = cost.shape[1:]
    half = d // 2
    if d % 2:
        both = [_best_of_sets(rows[:, None], better)[0] for rows in (cost[:half], cost[half:])]
    else:
        both = _best_of_sets(cost.reshape(2, half, d, n).swapaxes(0, 1), better)
    upper, lower = both
    sums: Array = better.reduce(lower + upper[::-1], axis=0)  # masks of the columns left fall
    return sums


def _best_of_sets(rows: Array, better: np.ufunc) -> Array:
    """The best assignment of rows ``(k, groups, d, n)`` to every set of k columns.

    Returns:
        ``(groups, C(d, k), n)``, sets in the order of their bit masks.
    """
    if not len(rows):
        return np.zeros((*rows.shape[1:2], 1, rows.shape[-1]))
    best, *others = rows
    for size, row in enumerate(others, start=2):
        best = _with_another(best, row, size, better)
    return best


def _with_another(best: Array, row: Array, size: int, better: np.ufunc) -> Array:
    """The best of every set of ``size`` columns, once another row has one of them.

    Args:
        best: of every set of one column less.
        row: what each column gives it, ``(groups, columns, n)``.
        size: of the sets.
        better: ``np.minimum`` or ``np.maximum``.
    """
    if size == 1:
        return best + row
    groups, columns, n = row.shape
    out = np.empty((groups, comb(columns, size), n))
    for last in range(size - 1, columns):
        own = out[:, comb(last, size) : comb(last + 1, size)]
        without, end = comb(last, size - 1), comb(last + 1, size - 1)
        np.add(best[:, :without], row[:, last : last + 1], out=own)
        rest = _with_another(best[:, without:end], row[:, :last], size - 1, better)
        better(own, rest, out=own)
    return out


def _one_by_one(cost: Array) -> Array:
    from scipy.optimize import linear_sum_assignment

    least = np.full(len(cost), np.inf)  # scipy refuses what holds an infinite entry only
    for k in np.flatnonzero(np.isfinite(cost).all((1, 2))):
        least[k] = cost[k][linear_sum_assignment(cost[k])].sum()
    return least
