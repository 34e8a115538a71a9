"""Permutations of a few streams, their matrices, and mixtures of these.

A permutation ``pi`` is the row ``(pi(0), ..., pi(d-1))``; its matrix has ``P[i, pi(i)] = 1``,
so that output stream i is input stream ``pi(i)``. The order is always the lexicographic one of
`itertools.permutations`; number 0 is the identity.
"""

import itertools
import math
from functools import cache
from typing import Any

import numpy as np

from birkhoff_cli.analyses.core.arrays import Array, constant, namespace
from birkhoff_cli.analyses.core.errors import TooLarge
from birkhoff_cli.analyses.core.pullback import Differentiable, Pullback

MAX_TABLE = 200e6
"""Bytes of the largest table of permutation matrices, as float64: d = 8 takes 21 MB, 9 235 MB."""


@cache
def all_permutations(d: int) -> Any:
    """Every permutation of d, ``(d!, d)`` integers, read-only.

    Raises:
        TooLarge: their matrices would not fit `MAX_TABLE`.
    """
    refuse_too_many(d)
    perms = np.array(list(itertools.permutations(range(d))))
    perms.flags.writeable = False
    return perms


def refuse_too_many(d: int) -> None:
    """Refuse a d whose permutations cannot be enumerated; nothing is allocated.

    Raises:
        TooLarge: how many there are, the memory they take, and what works instead.
    """
    digits = math.lgamma(d + 1) / math.log(10)
    if digits + math.log10(8 * d * d) > math.log10(MAX_TABLE):
        raise TooLarge(
            f"d = {d} has {_count(d, digits)} permutation matrices, {_size(d, digits)} of memory; "
            f"all of them can be mixed up to d = 8: take go-mhc, or kromhc with factors up to 8"
        )


def matrices(perms: Any) -> Any:
    """Permutation matrices ``(k, d, d)`` of ``(k, d)``, int8."""
    return (np.asarray(perms)[:, :, None] == np.arange(np.shape(perms)[1])).astype(np.int8)


def refuse_table(k: int, d: int) -> None:
    """Refuse a basis of k permutations of d whose `table` would not fit `MAX_TABLE`.

    Raises:
        TooLarge: the memory it takes, and how many permutations fit.
    """
    size = 8.0 * k * d * d
    if size > MAX_TABLE:
        raise TooLarge(
            f"k = {k:,} permutation matrices of side {d} take {size / 1e6:,.0f} MB; "
            f"take k = {int(MAX_TABLE / (8 * d * d)):,} or fewer"
        )


def table(perms: Any) -> Any:
    """The matrices as columns: ``(d * d, k)`` int8, read-only, for `mixture`."""
    k, d = np.shape(perms)
    refuse_table(k, d)
    columns = np.ascontiguousarray(matrices(perms).reshape(k, d * d).T)
    columns.flags.writeable = False
    return columns


@cache
def vertices(d: int) -> Any:
    """`table` of all permutations: the vertices of the Birkhoff polytope."""
    return table(all_permutations(d))


def mixture(weights: Array, columns: Any) -> Array:
    """Convex combinations of permutation matrices.

    Args:
        weights: lanes ``(k, ...)``, at least 0, of any positive sum.
        columns: what `table` returns, ``(d * d, k)``.

    Returns:
        Lanes ``(d, d, ...)``, doubly stochastic.
    """
    d = math.isqrt(columns.shape[0])
    flat = weights.reshape((weights.shape[0], math.prod(weights.shape[1:])))
    h = (constant(columns, weights) @ flat).reshape((d, d, *weights.shape[1:]))
    return h * (1 / namespace(h).sum(h[0], axis=0))


def softmax_mixture(columns: Any) -> Differentiable:
    """The map of logits ``(batch, k)`` to mixtures of k permutations, with its gradient.

    Args:
        columns: what `table` returns, ``(d * d, k)``.
    """
    d, k = math.isqrt(columns.shape[0]), columns.shape[1]
    columns = columns.astype(float)
    rows = np.ascontiguousarray(np.vstack((columns, np.ones(k))).T)

    def evaluate(theta: Array) -> tuple[Array, Pullback]:
        weights = np.exp(theta - np.maximum.reduce(theta, axis=1, keepdims=True))
        mixed = weights @ rows
        scale = 1 / mixed[:, -1:]  # of the sum of the weights
        h = mixed[:, :-1] * scale
        weights *= scale

        def pullback(gradient: Array) -> Array:
            slope = gradient.reshape(len(theta), -1) @ columns
            slope -= np.vecdot(weights, slope)[:, None]
            slope *= weights
            return slope

        return h.reshape(-1, d, d), pullback

    return evaluate


@cache
def inverse_order(d: int) -> Any:
    """Number of the inverse of every permutation: ``theta[inverse_order(d)]`` gives ``H^T``."""
    perms = all_permutations(d)
    index = {tuple(p): r for r, p in enumerate(perms.tolist())}
    order = np.array([index[tuple(p)] for p in np.argsort(perms, axis=1).tolist()])
    order.flags.writeable = False
    return order


def prime_factors(d: int) -> tuple[int, ...]:
    """Prime factors of ``d``, ascending, with multiplicity; ``(1,)`` for 1."""
    factors = []
    p = 2
    while p * p <= d:
        while d % p == 0:
            factors.append(p)
            d //= p
        p += 1
    return (*factors, d) if d > 1 or not factors else tuple(factors)


def _count(d: int, digits: float) -> str:
    return f"{math.factorial(d):,}" if d < 18 else f"more than 1e{int(digits)}"


def _size(d: int, digits: float) -> str:
    size = digits + math.log10(8 * d * d)
    for unit, power in (("MB", 6), ("GB", 9), ("TB", 12), ("PB", 15)):
        if size < power + 3:
            return f"{10 ** (size - power):.3g} {unit}"
    return f"more than 1e{int(size) - 9} GB"
