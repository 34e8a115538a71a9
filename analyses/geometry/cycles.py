"""The cyclic group of a d-cycle, its plane in the space of matrices, and matrices in that plane.

``P`` is the matrix of the cycle ``i -> i + 1``: ``P[i, i + 1] = 1``. The coefficient of ``P^k`` in
the orthogonal projection of a matrix B onto circulant matrices is ``alpha_k = tr((P^k)^T B) / d``;
the point is ``z = sum_k alpha_k w^k`` with ``w = e^{2 pi i / d}``.

Source: go-mHC, arXiv:2604.02309, eq. 38; docs/mathematics.md 3, 4.
"""

from functools import reduce
from operator import add, mul

import numpy as np

from birkhoff_cli.analyses.core.arrays import Array, batch_first, lanes
from birkhoff_cli.analyses.geometry.frobenius import frobenius_norm
from birkhoff_cli.analyses.geometry.orthogonal import Field, haar


def coefficients(matrices: Array, turn: int = 1) -> Array:
    """Means over the shifted diagonals ``j = k + turn i``, lanes ``(d, ...)`` of ``(..., d, d)``.

    Args:
        matrices: any real matrices.
        turn: 1 for the circulant part, -1 for the anti-circulant one (of the reflections).
    """
    x = lanes(matrices, 2)
    d = len(x)
    means = [reduce(add, (x[i, (k + turn * i) % d] for i in range(d))) for k in range(d)]
    return np.stack(means) * (1 / d)


def point(alpha: Array) -> tuple[Array, Array]:
    """``(re, im)`` of ``sum_k alpha_k w^k`` from lanes ``(d, ...)``."""
    angle = 2 * np.pi / len(alpha) * np.arange(len(alpha))
    # no product of matrices: BLAS rounds a column by where it stands among the others
    re, im = (reduce(add, map(mul, of(angle).tolist(), alpha)) for of in (np.cos, np.sin))
    return re, im


def circulant(alpha: Array) -> Array:
    """``sum_k alpha_k P^k``, ``(..., d, d)`` from lanes ``(d, ...)``."""
    k = np.arange(len(alpha))
    return batch_first(alpha[(k - k[:, None]) % len(alpha)], 2)


def distance(matrices: Array, alpha: Array) -> Array:
    """Frobenius distance of every matrix ``(..., d, d)`` from its circulant part."""
    x = lanes(matrices, 2)
    d = len(x)
    apart = [x[i, j] - alpha[(j - i) % d] for i in range(d) for j in range(d)]
    with np.errstate(over="ignore"):
        norm: Array = np.sqrt(reduce(add, map(np.square, apart)))
    if np.isinf(norm).any():
        norm = frobenius_norm(np.stack(apart)[None], (0, 1))
    return norm


def block_circulant(n: int, s: int, rng: np.random.Generator, field: Field = "real") -> Array:
    """Coefficients of 3 x 3 circulant matrices ``(1/s) ||Q_ij||^2``, lanes ``(3, n)``.

    ``Q = (F x I) diag(U_0, U_1, U_2) (F* x I)`` with Haar blocks is unitary and block-circulant,
    ``Q_{i,i+k} = (1/3) sum_j w^{-jk} U_j``; it is real if U_0 is, with U_2 the conjugate of U_1.
    """
    first, second = haar(n, s, rng, field), haar(n, s, rng, "complex")
    third = second.conj() if field == "real" else haar(n, s, rng, "complex")
    blocks = [lanes(u, 2) for u in (first, second, third)]
    # |sum_j w^{-jk} U_j|^2 needs the inner products of the blocks only
    cross = sum(np.einsum("ab...,ab...->...", blocks[j - 1].conj(), blocks[j]) for j in range(3))
    turned = np.exp(-2j * np.pi / 3 * np.arange(3))[:, None] * cross
    return np.maximum(1 / 3 + 2 / (9 * s) * turned.real, 0)


def tied_entries(d: int) -> Array:
    """For every entry of a ``d x d`` matrix, row by row, the one of row 0 on its diagonal."""
    k = np.arange(d)
    return ((k - k[:, None]) % d).ravel()


def tied_permutations(perms: Array) -> Array | None:
    """For every permutation the first that the d-cycle conjugates it to; None if not all are there.

    Weights that are alike on these orbits mix the permutations to a circulant matrix.
    """
    index = {tuple(p): r for r, p in enumerate(np.asarray(perms).tolist())}
    d = len(next(iter(index)))
    tied = []
    for p in index:
        orbit = {tuple((p[(i - k) % d] + k) % d for i in range(d)) for k in range(d)}
        if not orbit <= index.keys():
            return None
        tied.append(min(index[q] for q in orbit))
    return np.array(tied)


def notation(d: int, k: int) -> str:
    """The permutation ``i -> i + k`` of 1, ..., d: ``(1 3)(2 4)``; a power of P for d > 4."""
    if k % d == 0:
        return "I"
    if d > 4:
        return f"$P^{{{k}}}$"
    length = d // int(np.gcd(d, k))
    starts = range(d // length)
    return "".join(f"({' '.join(str((i + j * k) % d + 1) for j in range(length))})" for i in starts)
