"""Random points of the Birkhoff polytope of doubly stochastic matrices.

`uniform` is exact up to d = 4. The polytope is compressed (Stanley, Ann. Discrete Math. 6
(1980) 333-342): every pulling triangulation is unimodular, so its simplices have one volume, and
a uniform point is a uniform point of a uniformly chosen simplex. There are 3 of them for d = 3
and 352 for d = 4. From d = 5 on (4,718,075) it is hit-and-run.
"""

from functools import cache
from math import ceil
from typing import Any

import numpy as np

from birkhoff_cli.analyses.core.arrays import Array, batch_first
from birkhoff_cli.analyses.core.shapes import Shaped
from birkhoff_cli.analyses.geometry.permutations import all_permutations, mixture, table, vertices
from birkhoff_cli.analyses.geometry.sinkhorn import sweep

EXACT = 4
"""Largest d with an exact uniform sampler."""

CHAINS = 250
"""Hit-and-run chains advanced together; their states interleave in the result."""

BURN_IN, THINNING = 20, 5
"""Hit-and-run steps, times d, before the first kept point and from one to the next.

Measured, d = 5, 8, 16: an entry's variance is within 1 % of its limit after 5 d steps, and its
correlation with itself below 0.02 after 5 d steps.
"""


def uniform(n: int, d: int, rng: np.random.Generator) -> Shaped[Array, "n d d"]:
    """Uniform on the Birkhoff polytope.

    Args:
        n: how many.
        d: side; exact up to `EXACT`, hit-and-run from the barycenter beyond.
        rng: the only source of randomness.

    Returns:
        ``(n, d, d)`` float64.

    Source: docs/mathematics.md 7; for hit-and-run Smith, Operations Research 32 (1984)
        1296-1308, with the
        exchanges of Diaconis & Gangolli, Discrete Probability and Algorithms (1995) 15-41.
    """
    if d > EXACT:
        return _hit_and_run(n, d, rng)
    simplices = triangulation(d)
    corners = simplices[rng.integers(len(simplices), size=n)].T
    weights = np.zeros((vertices(d).shape[1], n))
    weights[corners, np.arange(n)] = rng.standard_exponential(corners.shape)
    return batch_first(mixture(weights, vertices(d)), 2)


def dirichlet(n: int, perms: Any, rng: np.random.Generator) -> Shaped[Array, "n d d"]:
    """Permutation matrices mixed with Dirichlet(1, ..., 1) weights, ``(n, d, d)``.

    Args:
        n: how many.
        perms: ``(k, d)`` permutations, or a d for all of them.
        rng: the only source of randomness.
    """
    columns = vertices(perms) if np.ndim(perms) == 0 else table(perms)
    weights = rng.standard_exponential((columns.shape[1], n))
    return batch_first(mixture(weights, columns), 2)


def sinkhorn_uniform(n: int, d: int, rng: np.random.Generator) -> Shaped[Array, "n d d"]:
    """Independent U(0, 1) entries, columns and rows normalised until both hold to rounding.

    Returns:
        ``(n, d, d)`` float64.

    Source: go-mHC, arXiv:2604.02309, A.4, number 1.
    """
    h = np.empty((d, d, n))
    left = np.arange(n)
    part = 1 - rng.random((d, d, n))  # on (0, 1]: an entry 0 would stay
    while left.size:
        part = sweep(part, (0, 1) * 10)
        off = np.abs(part.sum(0) - 1).max(0) > 4 * d * np.finfo(float).eps
        h[..., left[~off]] = part.compress(~off, axis=2)
        left, part = left[off], part.compress(off, axis=2)
    return batch_first(h, 2)


@cache
def triangulation(d: int) -> Any:
    """Unimodular simplices of the polytope: ``(count, (d-1)^2 + 1)`` permutation numbers.

    Pulling the first permutation of a face: its simplices are those of the facets that do not
    hold it, joined to it. A facet of the polytope is ``x_ij = 0``; one of a face is a maximal
    intersection with these.
    """
    perms = all_permutations(d)
    facets = [
        frozenset(np.flatnonzero(perms[:, i] != j).tolist()) for i in range(d) for j in range(d)
    ]

    @cache
    def pull(face: frozenset[int]) -> tuple[tuple[int, ...], ...]:
        if len(face) == 1:
            return (tuple(face),)
        parts = {face & facet for facet in facets} - {face}
        apex = min(face)
        return tuple(
            (apex, *simplex)
            for part in sorted(parts, key=sorted)
            if apex not in part and not any(part < other for other in parts)
            for simplex in pull(part)
        )

    return np.array(pull(frozenset(range(len(perms)))))


def _hit_and_run(n: int, d: int, rng: np.random.Generator) -> Array:
    """From the barycenter, in the directions that exchange weight in 2 x 2 minors."""
    chains = max(1, min(n, CHAINS))
    x = np.full((d, d, chains), 1 / d)
    kept = [np.empty((d, d, 0))]
    for turn in range(ceil(n / chains)):
        for _ in range((THINNING if turn else BURN_IN) * d):
            _step(x, rng)
        kept.append(np.maximum(x, 0))
    return batch_first(np.concatenate(kept, axis=2)[..., :n], 2)


def _step(x: Any, rng: np.random.Generator) -> None:
    """Hit-and-run in disjoint minors ``[[a, b], [c, e]]``, in place: a + t, b - t, c - t, e + t.

    Rows and columns are paired at random, alike for all chains; every minor of every chain then
    moves to its own uniform point of its chord. One such step mixes like d to d^2 steps in
    dense directions, whose chords end at the smallest of all entries.
    """
    d = len(x)
    rows, columns = (rng.permutation(d)[: d // 2 * 2].reshape(2, -1) for _ in "rc")
    a, b, c, e = (np.ix_(r, k) for r in rows for k in columns)
    low = np.minimum(x[a], x[e])
    t = rng.random(low.shape) * (low + np.minimum(x[b], x[c])) - low
    for minor, sign in ((a, 1), (b, -1), (c, -1), (e, 1)):
        x[minor] += sign * t
