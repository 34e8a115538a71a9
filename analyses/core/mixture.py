"""Learned weights of a mixture: softmax over fixed permutations, or over other terms.

A site may have several: one for every factor of a Kronecker product, one for the products of a sum.
Together they are a distribution over the terms of H: of a sum over products, a product and then a
permutation for each of its factors.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from math import log
from typing import Any

import numpy as np

from birkhoff_cli.analyses.core.arrays import Array


@dataclass(frozen=True, eq=False)
class Mixture:
    """Weights ``softmax(theta[first : first + terms])``.

    Attributes:
        terms: how many.
        permutations: ``(terms, side)``; None of terms that are learned matrices themselves.
        first: the first of the parameters that are its logits.
        factor: of a Kronecker product, the slowest index first; None if H is none.
        summand: of a sum of such products; None if H is none.
    """

    terms: int
    permutations: Any = None
    first: int = 0
    factor: int | None = None
    summand: int | None = None

    @property
    def identity(self) -> int | None:
        """Which term is the identity; None if none is."""
        if self.permutations is None:
            return None
        same = (self.permutations == np.arange(self.permutations.shape[1])).all(1)
        return int(same.argmax()) if same.any() else None

    def weights(self, theta: Array) -> Array:
        """``(..., terms)`` float64, at least 0, of sum 1, of parameters ``(..., p)``."""
        logits = np.asarray(theta[..., self.first : self.first + self.terms], np.float64)
        powers = np.exp(logits - logits.max(-1, keepdims=True))
        weights: Array = powers / powers.sum(-1, keepdims=True)
        return weights


Mixtures = Sequence[Mixture]


def count_terms(mixtures: Mixtures) -> int:
    """Terms that H has: summand after summand, all choices of one permutation for each factor."""
    products: dict[int | None, int] = {}
    for part in (m for m in mixtures if not _is_of_summands(m, mixtures)):
        products[part.summand] = products.get(part.summand, 1) * part.terms
    return sum(products.values())


def joint(mixtures: Mixtures, weights: Sequence[Array]) -> tuple[Array, Array]:
    """Weight of the identity, and entropy in nats, of the distribution over all terms of H.

    Args:
        mixtures: of one method.
        weights: those of each, ``(..., terms)``.

    Returns:
        Two of ``(...)``; the first is NaN where a mixture has no identity.
    """
    shape = weights[0].shape[:-1]
    identity: dict[int | None, Array] = {}
    inner: dict[int | None, Array] = {}
    shares, entropy = None, np.zeros(shape)
    for part, own in zip(mixtures, weights, strict=True):
        if _is_of_summands(part, mixtures):
            shares, entropy = own, _entropy(own)
            continue
        at = np.full(shape, np.nan) if part.identity is None else own[..., part.identity]
        identity[part.summand] = identity.get(part.summand, 1.0) * at
        inner[part.summand] = inner.get(part.summand, 0.0) + _entropy(own)
    if shares is None:
        return next(iter(identity.values())), next(iter(inner.values()))
    first = sum(shares[..., t] * identity[t] for t in sorted(t for t in identity if t is not None))
    rest = sum(shares[..., t] * inner[t] for t in sorted(t for t in inner if t is not None))
    return np.asarray(first), entropy + rest


def dominant(mixtures: Mixtures, weights: Sequence[Array]) -> tuple[tuple[int, ...] | None, float]:
    """The permutation of the heaviest term of H, and its weight; None if it is none.

    Args:
        mixtures: of one method.
        weights: those of each, ``(terms,)``.
    """
    shares: dict[int | None, float] = {None: 1.0}
    chosen: dict[int | None, list[Any]] = {}
    heaviest: dict[int | None, float] = {}
    for part, own in zip(mixtures, weights, strict=True):
        if _is_of_summands(part, mixtures):
            shares |= dict(enumerate(own.tolist()))
            continue
        if part.permutations is None:
            return None, float(own.max())
        chosen.setdefault(part.summand, []).append(part.permutations[own.argmax()])
        heaviest[part.summand] = heaviest.get(part.summand, 1.0) * float(own.max())
    best = max(heaviest, key=lambda t: shares[t] * heaviest[t])
    permutation = reduce(_kronecker, chosen[best])
    return tuple(permutation.tolist()), shares[best] * heaviest[best]


def uniform_entropy(mixtures: Mixtures) -> float:
    """Largest entropy that the distribution over all terms of H can have, in nats."""
    return log(count_terms(mixtures))


def _is_of_summands(part: Mixture, mixtures: Mixtures) -> bool:
    """Whether its terms are the products that other mixtures make."""
    return part.summand is None and any(other.summand is not None for other in mixtures)


def _entropy(weights: Array) -> Array:
    with np.errstate(divide="ignore", invalid="ignore"):
        parts = weights * np.log(weights)
    total: Array = -np.where(weights > 0, parts, 0.0).sum(-1)
    return total + 0.0  # of a single term 0, not -0


def _kronecker(a: Array, b: Array) -> Array:
    """The permutation whose matrix is the Kronecker product of those of two."""
    product: Array = (a[:, None] * len(b) + b).ravel()
    return product
