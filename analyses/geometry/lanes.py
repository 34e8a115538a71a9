"""Arithmetic of many small matrices at once, batch axes last (see `core.arrays`)."""

from collections.abc import Sequence

import numpy as np

from birkhoff_cli.analyses.core.arrays import Array, aligned, lanes, namespace


def vectors(theta: Array) -> Array:
    """Parameters ``(..., p)`` as lanes ``(p, ...)``, contiguous; no copy if they already are."""
    x = lanes(theta, 1)
    return np.ascontiguousarray(x) if namespace(x) is np else x.contiguous()


def powers(logits: Array) -> Array:
    """``exp(logits - max)`` along the first axis: softmax up to its denominator."""
    xp = namespace(logits)
    return xp.exp(logits - xp.max(logits, axis=0))


def matmul(a: Array, b: Array) -> Array:
    """Products ``(p, r, ...)`` of lanes ``(p, q, ...)`` and ``(q, r, ...)``."""
    product = a[:, 0, None] * b[None, 0]
    term = aligned(product.shape, product.dtype) if isinstance(a, np.ndarray) else None
    for k in range(1, a.shape[1]):
        if term is None:
            product = product + a[:, k, None] * b[None, k]
        else:
            product += np.multiply(a[:, k, None], b[None, k], out=term)
    return product


def average(matrices: Sequence[Array], weights: Array) -> Array:
    """``sum_k w_k H_k / sum_k w_k`` of lanes ``(d, d, ...)`` with weights ``(k, ...)``."""
    share = weights / namespace(weights).sum(weights, axis=0)
    total = matrices[0] * share[0]
    for k in range(1, len(matrices)):
        total += matrices[k] * share[k]
    return total


def kron(factors: Sequence[Array]) -> Array:
    """Kronecker product of lanes ``(i, i, ...)``; the first factor has the slowest index."""
    if len(factors) == 1:
        return factors[0]
    half = len(factors) // 2  # balanced, so that only the last product is large
    a, b = kron(factors[:half]), kron(factors[half:])
    blocks, inner = a[:, None, :, None], b[None, :, None, :]
    if isinstance(a, np.ndarray):
        out = aligned(np.broadcast_shapes(blocks.shape, inner.shape), a.dtype)
        product = np.multiply(blocks, inner, out=out)
    else:
        product = blocks * inner
    side = a.shape[0] * b.shape[0]
    return product.reshape((side, side, *product.shape[4:]))
