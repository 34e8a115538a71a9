"""The exact derivative of a truncated normalisation, in float64, by going back step by step.

The maximum that is taken off the logits cancels in exact arithmetic wherever the first
normalisation has no eps; where it has one, a kernel that treats the maximum as a constant is off.
"""

from typing import NamedTuple

import numpy as np

from birkhoff_cli.analyses.core.arrays import Array
from birkhoff_cli.analyses.geometry.recipes import Recipe


class Step(NamedTuple):
    """One normalisation: the axis, what was divided by, what came of it, and where sums count."""

    axis: int
    total: Array
    result: Array
    counts: Array


def pull_back(logits: Array, cotangent: Array, recipe: Recipe, constant_max: bool) -> Array:
    """The gradient in the logits, ``(batch, n, n)`` of the dtype of the logits.

    Args:
        logits: ``(batch, n, n)``.
        cotangent: the gradient in the kernel's own matrices, the same shape.
        recipe: whose iteration.
        constant_max: whether the maximum of the logits is treated as a constant.
    """
    x = np.moveaxis(logits, 0, -1)
    z = np.clip(x, -recipe.clamp, recipe.clamp) / x.dtype.type(recipe.tau)
    first, last = (1, 0) if recipe.first == "rows" else (0, 1)
    shift = z.max(first, keepdims=True) if recipe.start != "raw" else z.dtype.type(0)
    powers = np.exp(z - shift)
    slope = np.moveaxis(cotangent, 0, -1)
    for step in reversed(_steps(powers, recipe, (first, last))):
        inner = (slope * step.result * step.counts).sum(step.axis, keepdims=True)
        slope = (slope - inner) / step.total
    slope = slope * powers
    if recipe.start != "raw" and not constant_max:
        slope = slope - (z == shift) * slope.sum(first, keepdims=True) / _ties(z, shift, first)
    inside = np.abs(x) <= recipe.clamp
    return np.moveaxis(slope * inside / x.dtype.type(recipe.tau), -1, 0)


def _ties(z: Array, shift: Array, axis: int) -> Array:
    return (z == shift).sum(axis, keepdims=True)


def _steps(h: Array, recipe: Recipe, axes: tuple[int, int]) -> list[Step]:
    """Every division, with the results before eps is added to the values."""
    eps = h.dtype.type(recipe.eps)
    steps = []
    for count in range(max(recipe.normalisations, int(recipe.start == "softmax"))):
        total = h.sum(axes[count % 2], keepdims=True)
        counts = np.ones_like(total)
        plain = recipe.start == "softmax" and count == 0
        if recipe.eps_on == "floor" and not plain:
            counts = (total > eps).astype(h.dtype)
            total = np.maximum(total, eps)
        elif recipe.eps_on in ("sums", "values+sums") and not plain:
            total = total + eps
        h = h / total
        steps.append(Step(axes[count % 2], total, h, counts))
        if plain and recipe.eps_on in ("values", "values+sums"):
            h = h + eps
    return steps
