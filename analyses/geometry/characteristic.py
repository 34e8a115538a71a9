"""The characteristic polynomial as a function of a matrix: its value, adjugate and gradient.

An eigenvalue as a function of the matrix has a kink wherever two of them meet: a real one cannot
leave the axis by following its own gradient. det(z I - G) has no kink, so to bring an eigenvalue
to z one solves det(z I - G) = 0, two real equations.

Source: Jacobi's formula, d det(M) = tr(adj(M) dM).
"""

from typing import Any

import numpy as np

from birkhoff_cli.analyses.core.arrays import Array, batch_first, lanes
from birkhoff_cli.analyses.geometry.lanes import matmul

NEAR, COARSELY_NEAR = 1e-6, 1e-3
"""Distance from 1 of sums that are 1 by construction, in double and in single precision."""

MAX_SIDE = 11
"""Side up to which the coefficients of the polynomial are computed, beyond, LAPACK is faster."""


def residual(h: Array, z: Array) -> tuple[Array, Array]:
    """How far matrices are from having z as an eigenvalue other than 1, and which way to go.

    Args:
        h: lanes ``(d, d, batch)`` whose rows, or whose columns, sum to 1; else any.
        z: ``(batch,)`` complex.

    Returns:
        r: ``(batch,)`` complex, det(z I - G) over the norm of its adjugate: 0 if and only if z is
            an eigenvalue, and of the order of the distance to the nearest one.
        gradient: ``(d, d, batch)`` complex, dr/dH for a constant norm.
    """
    g, spread = _deflated(h)
    determinant, adjugate = _determinant(g, z)
    norm = np.sqrt((adjugate.real**2 + adjugate.imag**2).sum((0, 1)))
    norm += np.finfo(norm.dtype).tiny
    adjugate /= -norm
    return determinant / norm, spread(adjugate.swapaxes(0, 1))


def _deflated(h: Array) -> tuple[Array, Any]:
    """The matrix without its eigenvalue 1, and how a gradient in it is one in H."""
    near = NEAR if h.dtype == float else COARSELY_NEAR
    if np.abs(h.sum(1) - 1).max(initial=0) < near:
        return h[:-1, :-1] - h[-1:, :-1], _rows_down
    if np.abs(h.sum(0) - 1).max(initial=0) < near:
        return h[:-1, :-1] - h[:-1, -1:], _columns_right
    return h, lambda gradient: gradient


def _rows_down(gradient: Array) -> Array:
    d = len(gradient) + 1
    full = np.zeros((d, d, *gradient.shape[2:]), dtype=gradient.dtype)
    full[:-1, :-1] = gradient
    full[-1, :-1] = -gradient.sum(0)
    return full


def _columns_right(gradient: Array) -> Array:
    return _rows_down(gradient.swapaxes(0, 1)).swapaxes(0, 1)


def _determinant(g: Array, z: Array) -> tuple[Array, Array]:
    """det(z I - G) and adj(z I - G), lanes."""
    m = -g.astype(np.result_type(g, np.complex64))
    diagonal = np.einsum("ii...->i...", m)
    diagonal += z
    if len(m) == 1:
        return m[0, 0].copy(), np.ones_like(m)
    if len(m) == 2:
        adjugate = np.stack([np.stack([m[1, 1], -m[0, 1]]), np.stack([-m[1, 0], m[0, 0]])])
        return m[0, 0] * m[1, 1] - m[0, 1] * m[1, 0], adjugate
    if len(m) == 3:
        return _three(m)
    return _by_coefficients(g, z) if len(m) <= MAX_SIDE else _by_eigenvectors(g, z)


def _three(m: Array) -> tuple[Array, Array]:
    adjugate = np.empty_like(m)
    for i in range(3):
        for j in range(3):
            a, b = (j + 1) % 3, (j + 2) % 3
            c, e = (i + 1) % 3, (i + 2) % 3
            adjugate[i, j] = m[a, c] * m[b, e] - m[a, e] * m[b, c]
    return m[0, 0] * adjugate[0, 0] + m[0, 1] * adjugate[1, 0] + m[0, 2] * adjugate[2, 0], adjugate


def _by_coefficients(g: Array, z: Array) -> tuple[Array, Array]:
    """By Faddeev and LeVerrier: ``adj(z I - G) = sum_k z^(n-1-k) M_k``, all M_k real.

    ``M_0 = I``, and ``M_k = G M_(k-1) + c_k I`` with the k-th coefficient of the polynomial.
    """
    n = len(g)
    m = np.repeat(np.eye(n, dtype=g.dtype)[..., None], g.shape[-1], -1)
    dtype = np.result_type(g, np.complex64)
    determinant, adjugate = np.ones(len(z), dtype), m.astype(dtype)
    for k in range(1, n + 1):
        m = matmul(g, m)
        diagonal = np.einsum("ii...->i...", m)  # a view
        coefficient = diagonal.sum(0) / -k
        determinant = determinant * z + coefficient
        if k < n:
            diagonal += coefficient
            adjugate *= z
            adjugate += m
    return determinant, adjugate


def _by_eigenvectors(g: Array, z: Array) -> tuple[Array, Array]:
    """From eigenvectors V: V diag(prod_{j != k} (z - w_j)) V^-1, finite at an eigenvalue too."""
    w, v = np.linalg.eig(np.ascontiguousarray(batch_first(g, 2)))
    v = v + 1e-12 * np.eye(len(g))  # a defective matrix has no inverse of eigenvectors
    factor = z[:, None] - w
    others = np.stack([np.prod(np.delete(factor, k, 1), 1) for k in range(len(g))], 1)
    adjugate = (v * others[:, None]) @ np.linalg.inv(v)
    return np.prod(factor, 1), np.ascontiguousarray(lanes(adjugate, 2))
