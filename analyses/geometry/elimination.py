"""Elimination without pivots, for many matrices at once.

Stable where the symmetric part of a matrix is positive definite and its entries are moderate, as
for the identity plus a skew matrix.

Source: Golub & Van Loan, Matrix Computations, 4th ed., 3.2 (Crout's order) and 4.1.4.
"""

import numpy as np

from birkhoff_cli.analyses.core.arrays import Array, aligned
from birkhoff_cli.analyses.geometry.lanes import contract


def leading_inverse(lower: Array, diagonal: Array, m: int) -> Array:
    """The leading ``m x m`` block of the inverse of a matrix that is skew but for its diagonal.

    The rows from m on are eliminated first, one after another from the last one on: each is made
    of those below it when it is its turn.

    Args:
        lower: numpy lanes ``(n (n - 1) / 2, batch)``, what is below the diagonal, row by row.
        diagonal: ``(n,)`` or ``(n, batch)``.
        m: size of the block that is wanted, at most n.

    Returns:
        Lanes ``(m, m, batch)``.
    """
    n = len(diagonal)
    rows = [lower[k * (k - 1) // 2 : k * (k + 1) // 2] for k in range(n)]
    x, update = (aligned((m, m, *lower.shape[1:]), lower.dtype) for _ in range(2))
    for k in range(m):
        x[k, :k], x[k, k] = rows[k], diagonal[k]
        np.negative(rows[k].conj(), out=x[:k, k])
    below: list[tuple[Array, Array]] = []
    for k in reversed(range(m, n)):
        row, column, pivot = rows[k], -rows[k].conj(), diagonal[k]
        for other_column, other_row in below:
            row = row + other_column[k] * other_row[:k]
            column += other_column[:k] * other_row[k]
            pivot = pivot + other_column[k] * other_row[k]
        row = row * (-1 / pivot)
        below.append((column, row))
        x += np.multiply(column[:m, None], row[None, :m], out=update)
    return invert(x, update)


def invert(x: Array, update: Array) -> Array:
    """Inverses of numpy lanes ``(n, n, batch)``, in place.

    Gauss-Jordan: each pivot is one rank-one update of the whole block.

    Args:
        x: the lanes.
        update: as large, overwritten: memory that was just in use is still in the cache.
    """
    n, batch = len(x), x.shape[2:]
    column, row = aligned((n, *batch), x.dtype), aligned((n, *batch), x.dtype)
    for k in range(n):
        factor = -1 / x[k, k]
        np.copyto(column, x[:, k])
        column[k] -= 1
        np.multiply(x[k], factor, out=row)
        row[k] += factor
        x += np.multiply(column[:, None], row[None], out=update)
    return x


def divide(q: Array, m: Array) -> Array:
    """``Q M^-1`` of numpy lanes, a third cheaper than the inverse and a product.

    M is factored into a lower triangular matrix and a unit upper one, in Crout's order: every
    entry is one sum of products.

    Args:
        q: ``(p, n, batch)``.
        m: ``(n, n, batch)``.

    Returns:
        ``(p, n, batch)``.
    """
    n = len(m)
    z = aligned((n + len(q), *m.shape[1:]), np.result_type(q, m))  # both are divided alike
    z[:n], z[n:] = m, q
    for k in range(n):
        if k:
            z[k:, k] -= contract("ijn,jn->in", z[k:, :k], z[:k, k])
            z[k, k + 1 :] -= contract("jn,jin->in", z[k, :k], z[:k, k + 1 :])
        z[k, k + 1 :] *= 1 / z[k, k]
    lower, x = z[:n], z[n:]
    for k in reversed(range(n)):
        if k < n - 1:
            x[:, k] -= contract("ijn,jn->in", x[:, k + 1 :], lower[k + 1 :, k])
        x[:, k] *= 1 / lower[k, k]
    return x
