"""Arithmetic of many small matrices at once, batch axes last (see `core.arrays`)."""

import math
from collections.abc import Iterator, Sequence
from typing import TypeAlias

import numpy as np

from birkhoff_cli.analyses.core.arrays import Array, aligned, lanes, namespace
from birkhoff_cli.analyses.geometry.frobenius import NARROW, frobenius_norm

Where: TypeAlias = slice | Array
"""Some lanes: all of them, which costs no copy, or their indices."""


FEW = 16
"""Lanes below which ``einsum`` might take another axis than the batch for its inner loop."""


def cases(*flags: Array) -> Iterator[tuple[Where, tuple[bool, ...]]]:
    """Lanes that agree in all of several flags ``(batch,)``: where they are, and the flags."""
    batch = len(flags[0])
    if all(np.count_nonzero(flag) in (0, batch) for flag in flags):
        yield slice(None), tuple(bool(flag[0]) for flag in flags)
        return
    code = np.zeros(batch, np.uint8)
    for bit, flag in enumerate(flags):
        code |= flag.view(np.uint8) << bit
    for value in np.flatnonzero(np.bincount(code)).tolist():
        agreed = tuple(bool(value >> bit & 1) for bit in range(len(flags)))
        yield np.flatnonzero(code == value), agreed


def select(x: Array, where: Where) -> Array:
    """Some lanes of ``(..., batch)``; a view if it is all of them."""
    return x if isinstance(where, slice) else np.take(x, where, axis=-1)


def vectors(theta: Array) -> Array:
    """Parameters ``(..., p)`` as lanes ``(p, ...)``, contiguous; no copy if they already are."""
    x = lanes(theta, 1)
    return np.ascontiguousarray(x) if namespace(x) is np else x.contiguous()


def powers(logits: Array) -> Array:
    """``exp(logits - max)`` along the first axis: softmax up to its denominator."""
    xp = namespace(logits)
    return xp.exp(logits - xp.max(logits, axis=0))


def contract(subscripts: str, a: Array, b: Array) -> Array:
    """Sums of products of numpy lanes ``(..., batch)``, as ``einsum`` writes them.

    One pass for a term, where a product and its sum are two. The terms of a sum are added in
    order, whatever the batch: ``einsum`` does so while the batch is its inner loop, for which few
    lanes are too few and strides too far.
    """
    batch = a.shape[-1]
    if 0 < batch < FEW:
        again = np.arange(FEW) % batch
        return contract(subscripts, a[..., again], b[..., again])[..., :batch]
    a, b = (x if x.strides[-1] == x.itemsize else np.ascontiguousarray(x) for x in (a, b))
    return np.einsum(subscripts, a, b)


def matmul(a: Array, b: Array) -> Array:
    """Products ``(p, r, ...)`` of lanes ``(p, q, ...)`` and ``(q, r, ...)``."""
    batch = a.shape[2:]
    if isinstance(a, np.ndarray) and batch == b.shape[2:]:
        a, b = (x.reshape(*x.shape[:2], math.prod(batch)) for x in (a, b))
        return contract("ikn,kjn->ijn", a, b).reshape(a.shape[0], b.shape[1], *batch)
    product = a[:, 0, None] * b[None, 0]
    for k in range(1, a.shape[1]):
        product = product + a[:, k, None] * b[None, k]
    return product


def dot(a: Array, b: Array) -> Array:
    """Sums over the first axes of ``a * b``, lanes ``(..., batch)``, to ``(batch,)``.

    Term by term in order: a sum over one lane is rounded as one over many is, which numpy's own
    sums and ``einsum`` are not.
    """
    indices = list(np.ndindex(a.shape[:-1]))
    if not indices:
        return np.zeros(a.shape[-1])
    total = a[indices[0]] * b[indices[0]]
    term = np.empty_like(total)
    for index in indices[1:]:
        total += np.multiply(a[index], b[index], out=term)
    return total


def norm(a: Array) -> Array:
    """Frobenius norms of lanes ``(..., batch)``."""
    with np.errstate(over="ignore"):
        total = dot(a, a)
    if not total.size or NARROW[0] < total.min() <= total.max() < NARROW[1]:
        return np.sqrt(total, out=total)
    odd = np.flatnonzero(~((total > NARROW[0]) & (total < NARROW[1])))
    np.sqrt(total, out=total)
    if a[..., odd].any():
        total[odd] = frobenius_norm(a[..., odd], tuple(range(a.ndim - 1)))
    return total


def reciprocal(size: Array) -> Array:
    """``1 / size`` of sizes of at least 0; 1 where that would be infinite, as of 0."""
    return 1 / np.where(size > np.finfo(float).tiny, size, 1)


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
