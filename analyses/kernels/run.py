"""Recipes run on many matrices at once: one normalisation after the other, many eps in lanes."""

from collections.abc import Iterator

import numpy as np

from birkhoff_cli.analyses.core.arrays import Array
from birkhoff_cli.analyses.geometry.recipes import Recipe
from birkhoff_cli.analyses.kernels.arithmetic import ARITHMETICS, Arithmetic, round_to


def follow(z: Array, recipe: Recipe, eps: Array, arithmetic: str) -> Iterator[tuple[int, Array]]:
    """Normalise for ever.

    Args:
        z: logits, clamped and divided by tau, lanes ``(n, n, 1, batch)``.
        recipe: its start, first side and place of eps; the number of iterations is left open.
        eps: ``(lanes,)``, each in place of the recipe's.
        arithmetic: one of `ARITHMETICS`.

    Yields:
        The number of normalisations so far, and the matrices ``(n, n, lanes, batch)``, which the
        next step overwrites.
    """
    kind = ARITHMETICS[arithmetic]
    first, last = (1, 0) if recipe.first == "rows" else (0, 1)
    if kind.logarithms and recipe.eps_on == "none":
        yield from _follow_logarithms(z, (first, last), kind)
    work = np.float64 if arithmetic == "float64" else np.float32
    eps = np.asarray(eps, work)[:, None]
    eps = round_to(eps, kind.storage) if kind.eps_rounded else eps
    z = round_to(z.astype(work), kind.storage)
    if recipe.start != "raw":
        z = round_to(z - z.max(first, keepdims=True), kind.softmax)
    h = np.repeat(round_to(np.exp(z), kind.softmax), len(eps), axis=2)
    count = 0
    if recipe.start == "softmax":
        h = round_to(h / round_to(h.sum(first, keepdims=True), kind.softmax), kind.storage)
        if recipe.eps_on in ("values", "values+sums"):
            h = round_to(h + eps, kind.storage)
        count = 1
    h = round_to(h, kind.storage)
    while True:
        yield count, h
        total = round_to(h.sum(last if count % 2 else first, keepdims=True), kind.storage)
        if recipe.eps_on == "floor":
            total = np.maximum(total, eps)
        elif recipe.eps_on in ("sums", "values+sums"):
            total = round_to(total + eps, kind.storage)
        h /= total
        h = round_to(h, kind.storage)
        count += 1


def _follow_logarithms(
    z: Array, axes: tuple[int, int], kind: Arithmetic
) -> Iterator[tuple[int, Array]]:
    """The same for ever on logarithms: ``logsumexp`` step by step, or in one rounding."""
    z = round_to(z.astype(np.float32), kind.storage)
    count = 0
    while True:
        yield count, round_to(np.exp(z), kind.storage)
        axis = axes[count % 2]
        top = z.max(axis, keepdims=True)
        powers = round_to(np.exp(round_to(z - top, kind.softmax)), kind.softmax)
        total = round_to(powers.sum(axis, keepdims=True), kind.softmax)
        total = round_to(round_to(np.log(total), kind.softmax) + top, kind.softmax)
        z = round_to(z - total, kind.storage)
        count += 1


def tempered(logits: Array, clamp: float, tau: float) -> Array:
    """Clamp, then divide by the temperature; both only where they act."""
    z = np.clip(logits, -clamp, clamp) if clamp < np.inf else logits
    return z if tau == 1 else z / z.dtype.type(tau)


def apply(logits: Array, recipe: Recipe, arithmetic: str) -> Array:
    """The matrices ``(batch, n, n)`` that a recipe makes of logits ``(batch, n, n)``."""
    z = tempered(np.moveaxis(logits, 0, -1), recipe.clamp, recipe.tau)[:, :, None]
    with np.errstate(all="ignore"):
        steps = follow(z, recipe, np.array([recipe.eps]), arithmetic)
        h = next(h for count, h in steps if count >= recipe.normalisations)
    return np.ascontiguousarray(np.moveaxis(h[:, :, 0], -1, 0))
