"""The least cost of a permutation, for many small matrices at once.

Source: Held & Karp, J. SIAM 10 (1962) 196-210, for the recursion over sets; Crouse, IEEE Trans.
Aerosp. Electron. Syst. 52 (2016), for scipy's assignment.
"""

from functools import cache
from itertools import combinations, permutations
from typing import TypeAlias

import numpy as np

from birkhoff_cli.analyses.core.arrays import Array
from birkhoff_cli.analyses.geometry.frobenius import frobenius_norm
from birkhoff_cli.analyses.geometry.permutations import all_permutations

Permutation: TypeAlias = tuple[int, ...]

TRIED = 4
"""Largest d for which all permutations are tried, in one product of matrices."""

PIECE = 2**18 // (24 * 2 * 4**2)
"""Matrices in a product: OpenBLAS takes one thread up to 2^18 multiplications, and more threads
than one use twice the CPU time on products as small as these."""

NARROW = (1e-140, 1e140)
"""Distances whose squares have all their digits."""

ENUMERATED = 6
"""Largest d whose permutations are compared one by one where one has to be named."""

LARGEST = 8
"""Largest d for which all ``2^d`` sets of columns are gone through: 1,024 vector steps for 8."""


def permutation_distance(h: Array) -> Array:
    """Frobenius distance to the nearest permutation matrix: lanes ``(d, d, n)`` to ``(n,)``."""
    return vertex_distances(h)[1]


def vertex_distances(h: Array) -> tuple[Array, Array]:
    """Frobenius distances to I and to the nearest permutation matrix, of any size.

    Where squares of a distance underflow, the permutation is that of the largest entries; where
    they overflow, all permutations are as far.

    Args:
        h: lanes ``(d, d, n)`` float64.

    Returns:
        Two of ``(n,)``.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        identity, permutation = np.sqrt(squared_distances(h))
    odd = np.flatnonzero(~((permutation > NARROW[0]) & (identity < NARROW[1])))
    if odd.size:
        part, unit = h[:, :, odd], np.eye(len(h))
        vertex = unit[:, part.argmax(1)].swapaxes(0, 1)
        identity[odd] = frobenius_norm(part - unit[:, :, None], (0, 1))
        permutation[odd] = np.minimum(identity[odd], frobenius_norm(part - vertex, (0, 1)))
    return identity, permutation


def squared_distances(h: Array) -> tuple[Array, Array]:
    """Squared Frobenius distances to I and to the nearest permutation matrix.

    Sums of squares alone: a difference would lose the distance of what is near.

    Args:
        h: lanes ``(d, d, n)`` float64.

    Returns:
        Two of ``(n,)``.
    """
    d, n = h.shape[1:]
    if d > TRIED:
        cost = row_costs(h)
        return cost[np.arange(d), np.arange(d)].sum(0), least_assignment(cost)
    squares = np.empty((2, d * d, n))
    flat = h.reshape(d * d, n)
    np.square(flat, out=squares[0])
    np.subtract(flat, 1, out=squares[1])
    np.square(squares[1], out=squares[1])
    squares = squares.reshape(-1, n)
    distances = np.empty((len(_vertices(d)), n))
    for k in range(0, n, PIECE):
        piece = slice(k, k + PIECE)
        np.matmul(_vertices(d), squares[:, piece], out=distances[:, piece])
    return distances[0], distances.min(0)


@cache
def _vertices(d: int) -> Array:
    """``(d!, 2 d^2)``, I first: 1 - P and P, the weights of h^2 and (h - 1)^2 in |H - P|^2."""
    vertices = np.eye(d)[list(permutations(range(d)))].reshape(-1, d * d)
    return np.concatenate([1 - vertices, vertices], axis=1)


def row_costs(h: Array) -> Array:
    """Squared distance of row i to the unit vector j: lanes ``(d, d, n)`` float64, and back.

    Along a permutation they sum to the squared Frobenius distance to its matrix; the diagonal, to
    that to the identity.
    """
    cost = _others(np.square(h))
    missing = h - 1
    cost += np.square(missing, out=missing)
    return cost


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
    d = len(cost)
    if d > LARGEST:
        return _one_by_one(np.moveaxis(cost, -1, 0))
    least = {frozenset((j,)): cost[0, j] for j in range(d)}
    for row in range(1, d):
        sets = (frozenset(s) for s in combinations(range(d), row + 1))
        least = {s: _least([least[s - {j}] + cost[row, j] for j in s]) for s in sets}
    return least[frozenset(range(d))]


def _least(ways: list[Array]) -> Array:
    least, *others = ways
    for other in others:
        np.minimum(least, other, out=least)
    return least


def _one_by_one(cost: Array) -> Array:
    from scipy.optimize import linear_sum_assignment

    least = np.full(len(cost), np.inf)  # scipy refuses what holds an infinite entry only
    for k in np.flatnonzero(np.isfinite(cost).all((1, 2))):
        least[k] = cost[k][linear_sum_assignment(cost[k])].sum()
    return least


def _others(squares: Array) -> Array:
    """Sums of each row without one entry; a difference would lose what is near 0.

    What lies before the entry and what lies after it: two running sums.
    """
    d = len(squares)
    out = np.empty_like(squares)
    out[:, d - 1] = 0
    for j in range(d - 2, -1, -1):
        np.add(out[:, j + 1], squares[:, j + 1], out=out[:, j])
    before = np.zeros_like(squares[:, 0])
    for j in range(1, d):
        before += squares[:, j - 1]
        out[:, j] += before
    return out
