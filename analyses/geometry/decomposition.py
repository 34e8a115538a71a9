"""Doubly stochastic matrices as mixtures of few permutations.

Every step takes the permutation whose smallest entry is largest, with that entry as weight. The
entry becomes zero, so the rest lies on a smaller face of the polytope, and at most (d-1)^2 + 1
steps are needed. The fewest permutations are NP-hard to find; this choice is close in practice.

Source: Marcus & Ree, Q. J. Math. 10 (1959) 296-302, for the bound; Dufosse & Ucar, Linear Algebra
Appl. 497 (2016) 108-115, for hardness and the bottleneck choice.
"""

from typing import Any

import numpy as np

from birkhoff_cli.analyses.core.arrays import Array
from birkhoff_cli.analyses.core.shapes import Shaped
from birkhoff_cli.analyses.geometry.permutations import all_permutations

TABLED = 5
"""Largest d for which all d! permutations are compared at once, for all matrices together."""

EPS = np.finfo(float).eps


def terms_bound(d: int) -> int:
    """Permutations that are always enough."""
    return (d - 1) ** 2 + 1


def decompose(x: Shaped[Array, "n d d"]) -> tuple[Shaped[Array, "n k"], Shaped[Array, "n k d"]]:
    """Weights and permutations of doubly stochastic ``(n, d, d)`` matrices.

    Args:
        x: row and column sums 1 to rounding, entries at least 0.

    Returns:
        ``(n, k)`` weights that sum to 1 and do not rise, 0 behind a matrix's last term, and
        ``(n, k, d)`` permutations, for the largest number k of terms that one of them needs.

    Source: Birkhoff, Univ. Nac. Tucuman Rev. A 5 (1946) 147-151; Marcus & Ree, Q. J. Math. 10
        (1959) 296-302, for the bound on k.
    """
    n, d = x.shape[:2]
    dust = 4 * d * EPS  # what subtracting leaves where exact arithmetic leaves 0
    rest = np.where(x > dust, x, 0)
    weights, perms = [], []
    for _ in range(terms_bound(d)):
        perm = _bottleneck(rest)
        entries = np.take_along_axis(rest, perm[..., None], axis=-1)
        weight = entries.min((-2, -1))
        if not weight.any():
            break
        entries -= weight[:, None, None]
        np.put_along_axis(rest, perm[..., None], np.where(entries > dust, entries, 0), axis=-1)
        weights.append(weight)
        perms.append(perm)
    weights_of, perms_of = np.stack(weights, axis=1), np.stack(perms, axis=1)
    return weights_of / weights_of.sum(1, keepdims=True), perms_of


def rebuild(weights: Shaped[Array, "n k"], perms: Shaped[Array, "n k d"]) -> Shaped[Array, "n d d"]:
    """The matrices that are mixed of permutations.

    Args:
        weights: ``(n, k)``, of each permutation.
        perms: ``(n, k, d)``: ``P[i, perms[i]] = 1``.

    Returns:
        ``(n, d, d)``; of what `decompose` returns its matrices again, to rounding.
    """
    n, k, d = perms.shape
    x = np.zeros((n, d, d))
    rows = np.arange(d)
    for term in range(k):
        x[np.arange(n)[:, None], rows, perms[:, term]] += weights[:, term, None]
    return x


def _bottleneck(x: Array) -> Array:
    """Permutations ``(n, d)`` that maximise the smallest entry on them."""
    d = x.shape[-1]
    if d > TABLED:
        return np.array([_bottleneck_of_one(matrix) for matrix in x])
    perms = all_permutations(d)
    smallest = x[:, 0, perms[:, 0]]
    for i in range(1, d):
        smallest = np.minimum(smallest, x[:, i, perms[:, i]])
    best: Array = perms[smallest.argmax(-1)]
    return best


def _bottleneck_of_one(x: Array) -> Array:
    """Halve the list of entries for the largest that some permutation stays at or above.

    Among the permutations that do, the one of largest sum.
    """
    bound = min(x.max(0).min(), x.max(1).min())
    values = np.unique(x[x <= bound])
    low, high = 0, len(values) - 1  # the smallest entry holds for every permutation
    while low < high:
        middle = (low + high + 1) // 2
        if _covers(x >= values[middle]):
            low = middle
        else:
            high = middle - 1
    return _assign(np.where(x >= values[low], x, -float(len(x))))


def _covers(allowed: Array) -> bool:
    """Whether some permutation stays on ``allowed``."""
    return bool(allowed[np.arange(len(allowed)), _assign(allowed)].all())


def _assign(score: Array) -> Any:
    from scipy.optimize import linear_sum_assignment

    return linear_sum_assignment(score, maximize=True)[1]
