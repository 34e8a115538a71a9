"""Elimination without pivots, for many matrices at once.

Stable where the symmetric part of a matrix is positive definite and its entries are moderate, as
for the identity plus a skew matrix.

Source: Golub & Van Loan, Matrix Computations, 4th ed., 3.2 (Crout's order) and 4.1.4.
"""

import numpy as np

from birkhoff_cli.analyses.core.arrays import Array, aligned, batch_first, lanes
from birkhoff_cli.analyses.geometry.lanes import contract


def leading_inverse(matrix: Array, m: int) -> Array:
    """The leading ``m x m`` block of ``M^-1``, numpy only, by elimination without pivots.

    Args:
        matrix: ``(..., n, n)``; overwritten if m = n.
        m: size of the block that is wanted, at most n.

    Returns:
        ``(..., m, m)``.
    """
    x = lanes(matrix, 2)
    batch = x.shape[2:]
    for k in range(len(x) - 1, m - 1, -1):  # the Schur complement of the rows not wanted
        rest = aligned((k, k, *batch), x.dtype)
        np.multiply(x[:k, k, None], (x[k, :k] * (-1 / x[k, k]))[None], out=rest)
        rest += x[:k, :k]
        x = rest
    column, row = aligned((m, *batch), x.dtype), aligned((m, *batch), x.dtype)
    update = aligned((m, m, *batch), x.dtype)
    for k in range(m):  # Gauss-Jordan: each pivot is one rank-one update of the whole block
        factor = -1 / x[k, k]
        np.copyto(column, x[:, k])
        column[k] -= 1
        np.multiply(x[k], factor, out=row)
        row[k] += factor
        np.multiply(column[:, None], row[None], out=update)
        x += update
    return batch_first(x, 2)


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
