"""Distances between mixing matrices, pair by pair: batches ``(..., d, d)`` broadcast.

All of them are 0 for equal matrices. A distance that is not defined for a pair is NaN.

The geodesic distance is an angle between rotations: an orthostochastic W, ``W_ij = R_ij^2``, has a
rotation R, in general unique up to the signs of rows and columns. Of another matrix R is the
polar factor of its entrywise square root with the best signs, whose squares need not be the
nearest orthostochastic matrix: of 3 x 3 Sinkhorn matrices they are 0.144 away, the nearest 0.132.

Source: go-mHC, arXiv:2604.02309, F.1 (eq. 39, 40) and F.2; Hoffman & Wielandt, Duke Math. J. 20
(1953) 37-39, for matched spectra.
"""

from functools import cache
from typing import Any

import numpy as np

from birkhoff_cli.analyses.core.arrays import Array, lanes
from birkhoff_cli.analyses.core.shapes import Shaped
from birkhoff_cli.analyses.geometry.assignment import least_assignment
from birkhoff_cli.analyses.geometry.eigenvalues import eigenvalues
from birkhoff_cli.analyses.geometry.frobenius import frobenius_norm, power_of_two

LARGEST = 5
"""Largest d whose sign patterns, ``2^((d-1)^2)``, are all tried: 65,536 for 5."""

EPS = np.finfo(float).eps
ROOM = 4_000_000
"""Numbers that one step of a search may hold."""


def frobenius(
    a: Shaped[Array, "*#batch d d"], b: Shaped[Array, "*#batch d d"]
) -> Shaped[Array, "..."]:
    """Frobenius distance ``||A - B||_F``.

    Args:
        a: ``(..., d, d)``.
        b: the same; batches broadcast.

    Returns:
        ``(...)``, at least 0.
    """
    return frobenius_norm(a - b)


def spectral(
    a: Shaped[Array, "*#batch d d"], b: Shaped[Array, "*#batch d d"]
) -> Shaped[Array, "..."]:
    """Spectral distance ``||A - B||_2``, the largest singular value of the difference.

    Args:
        a: ``(..., d, d)``, finite.
        b: the same; batches broadcast.

    Returns:
        ``(...)``, at least 0.

    Raises:
        LinAlgError: the iteration for a matrix does not converge.
    """
    norm: Array = np.linalg.norm(a - b, ord=2, axis=(-2, -1))
    return norm


def divergence(
    target: Shaped[Array, "*#batch d d"], learned: Shaped[Array, "*#batch d d"], axis: int = -1
) -> Shaped[Array, "..."]:
    """Mean over rows of the Kullback-Leibler divergence of the target's from the learned.

    ``KL(p || q) = sum_j p_j log(p_j / q_j)`` of rows divided by their sums. Of doubly stochastic
    matrices the mean over columns is the same.

    Args:
        target: ``(..., d, d)``, p.
        learned: ``(..., d, d)``, q.
        axis: -1 for rows, -2 for columns.

    Returns:
        ``(...)`` in nats: infinite where an entry is 0 and the target's is not, NaN where one is
        negative or a whole row 0.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        target, learned = (m / power_of_two(m, (-2, -1)) for m in (target, learned))
        p, q = (np.where(m < 0, np.nan, m) / m.sum(axis, keepdims=True) for m in (target, learned))
        terms = np.where(p == 0, 0 * q, p * np.log(p / q)) + (q - p)  # each at least 0
    total: Array = np.maximum(terms.sum(axis), 0).mean(-1)
    return total


def spectral_wasserstein(
    a: Shaped[Array, "*#batch d d"], b: Shaped[Array, "*#batch d d"]
) -> Shaped[Array, "..."]:
    """2-Wasserstein distance of the spectra, every eigenvalue of mass 1/d: ``(...)``.

    ``sqrt(min over pairings of mean |lambda_i - mu_i|^2)`` in the complex plane. For normal
    matrices at most ``frobenius / sqrt(d)``.

    Args:
        a: ``(..., d, d)``, finite.
        b: the same; batches broadcast.

    Returns:
        ``(...)``, at least 0.

    Source: Hoffman & Wielandt, Duke Math. J. 20 (1953) 37-39, for the bound.
    """
    apart = np.abs(eigenvalues(a)[..., :, None] - eigenvalues(b)[..., None, :])
    scale = power_of_two(apart, (-2, -1))
    cost = np.square(apart / scale)
    batch, d = cost.shape[:-2], cost.shape[-1]
    least = least_assignment(np.ascontiguousarray(lanes(cost, 2)).reshape(d, d, -1))
    return np.sqrt(least / d).reshape(batch) * scale[..., 0, 0]


def rotations(h: Shaped[Array, "*batch d d"]) -> Shaped[Array, "*batch d d"]:
    """Orthogonal R with ``R_ij^2`` near ``h_ij``, up to the signs of rows and columns.

    The signs S are those for which the rows of ``S * sqrt(H)`` are most nearly orthogonal (least
    sum of squared inner products), of all patterns with a first row and column of +1; the first
    if several are equal, as for J/4. R is the polar factor of ``S * sqrt(H)``, the orthogonal
    matrix nearest to it. H is orthostochastic if ``frobenius(R * R, H)`` is 0 to rounding;
    otherwise ``R * R`` need not be the orthostochastic matrix nearest to H. A multiple of H has
    the same R.

    Args:
        h: ``(..., d, d)``.

    Returns:
        ``(..., d, d)``: NaN for d above `LARGEST`, a negative entry, or where R is not unique.

    Source: go-mHC, eq. 39.
    """
    d = h.shape[-1]
    if d > LARGEST:
        return np.full(h.shape, np.nan)
    flat = np.asarray(h, dtype=float).reshape(-1, d, d)
    root = np.sqrt(np.maximum(flat, 0))
    root /= power_of_two(root, (-2, -1))
    step = max(1, ROOM // 2 ** ((d - 1) ** 2))
    signed = [root[k : k + step] * _signs(root[k : k + step]) for k in range(0, len(flat), step)]
    u, size, v = np.linalg.svd(np.concatenate([flat[:0], *signed]))
    unclear = (flat.min((-2, -1), initial=0) < 0) | (size[:, -1] <= 8 * d * EPS * size[:, 0])
    r: Array = np.where(unclear[:, None, None], np.nan, u @ v).reshape(h.shape)
    return r


def geodesic(
    r: Shaped[Array, "*#batch d d"], s: Shaped[Array, "*#batch d d"]
) -> Shaped[Array, "..."]:
    """``min ||log(R^T D S D')||_F / sqrt(2)`` over sign matrices D and D': ``(...)`` in radians.

    The length of the shortest path in SO(d) between `rotations`, whatever the signs of their rows
    and columns; of D and D' only those count for which the determinant is 1. The chord
    ``sqrt(d - tr Q)`` is never longer than the arc: they are tried by growing chord until it
    exceeds the shortest arc.

    Args:
        r: `rotations` ``(..., d, d)``, d at most `LARGEST`; NaN gives NaN.
        s: the same.

    Source: go-mHC, eq. 40.
    """
    r, s = np.broadcast_arrays(r, s)
    batch, d = r.shape[:-2], r.shape[-1]
    r, s = r.reshape(-1, d, d), s.reshape(-1, d, d)
    known = np.flatnonzero(np.isfinite(r).all((1, 2)) & np.isfinite(s).all((1, 2)))
    length = np.full(len(r), np.nan)
    step = max(1, ROOM // 4**d)
    for k in range(0, len(known), step):
        at = known[k : k + step]
        length[at] = _least_angle(r[at], s[at])
    return length.reshape(batch)


def _least_angle(r: Array, s: Array) -> Array:
    n, d, _ = r.shape
    left = _patterns(d)
    right = np.concatenate([left, -left])
    trace = np.einsum("li,nij,rj->nlr", left, r * s, right)
    sign = np.linalg.det(r) * np.linalg.det(s)
    proper = sign[:, None, None] * left.prod(1)[:, None] * right.prod(1) > 0
    chord = np.sqrt(np.maximum(d - np.where(proper, trace, -np.inf), 0)).reshape(n, -1)
    order = np.argsort(chord, axis=1, kind="stable")
    least = np.full(n, np.inf)
    for rank in range(order.shape[1] // 2):
        todo = np.flatnonzero(chord[np.arange(n), order[:, rank]] < least)
        if not todo.size:
            break
        row, column = np.divmod(order[todo, rank], len(right))
        turn = (r[todo] * left[row][:, :, None]).swapaxes(-1, -2) @ s[todo] * right[column][:, None]
        arc = np.sqrt(np.square(np.angle(np.linalg.eigvals(turn))).sum(-1) / 2)
        least[todo] = np.minimum(least[todo], arc)
    return least


def _signs(root: Array) -> Array:
    """The sign patterns ``(n, d, d)`` that make the rows of ``(n, d, d)`` most nearly orthogonal.

    The inner product of two rows depends on the product of their patterns only, which for
    patterns that are binary numbers is their exclusive or.
    """
    n, d, _ = root.shape
    patterns = _patterns(d)
    size = len(patterns)
    if d == 1:
        return np.ones((n, 1, 1))
    product = np.arange(size)[:, None] ^ np.arange(size)
    cost = np.zeros((n, *[size] * (d - 1)))  # an axis for the pattern of every row but the first
    for k in range(1, d):
        for i in range(k):
            inner = np.square((root[:, i] * root[:, k]) @ patterns.T)
            shape = (n, *(size if row in (i, k) else 1 for row in range(1, d)))
            cost += (inner if i == 0 else inner[:, product]).reshape(shape)
    best = np.unravel_index(cost.reshape(n, -1).argmin(1), cost.shape[1:])
    return np.stack([np.ones((n, d)), *(patterns[row] for row in best)], axis=1)


@cache
def _patterns(d: int) -> Any:
    """Signs ``(2^(d-1), d)`` that begin with +1; row p is the binary number p."""
    bits = np.arange(2 ** (d - 1))[:, None] >> np.arange(d - 1) & 1
    return np.concatenate([np.ones((len(bits), 1)), 1.0 - 2 * bits], axis=1)
