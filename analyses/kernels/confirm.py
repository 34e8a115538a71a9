"""Hold a recipe against every matrix of a dump, block by block."""

from typing import NamedTuple

import numpy as np

from birkhoff_cli.analyses.core.arrays import Array
from birkhoff_cli.analyses.kernels.arithmetic import round_to, unit_of
from birkhoff_cli.analyses.kernels.run import apply, tempered
from birkhoff_cli.analyses.kernels.search import Fit

BLOCK = 4096
SLACK = 4
"""Times the difference that another arithmetic makes, within which rounding explains an error."""

FLOOR_ULP = 2.0
"""Units in the last place that are always rounding."""


class Confirmation(NamedTuple):
    """Errors of a recipe on all matrices.

    Attributes:
        error_max: largest absolute difference.
        error_ulp_max: largest difference in units of the last place of the dump's format.
        matching: share of matrices within rounding.
        equal: share of entries that are the same number.
    """

    error_max: float
    error_ulp_max: float
    matching: float
    equal: float

    @property
    def within_rounding(self) -> bool:
        """Whether rounding explains every matrix."""
        return self.matching == 1


def confirm(logits: Array, results: Array, fit: Fit, form: str, tolerance: float) -> Confirmation:
    """Run the recipe on everything.

    What rounding explains is taken from a second run in a neighbouring arithmetic: the largest
    difference it makes in a matrix, times `SLACK`. Without eps a kernel may work on logarithms too,
    which round in proportion to the spread of the logits. In bf16 or fp16 the order of operations
    decides about single units, and what is rounded differently once goes on through all
    normalisations: there a unit for each is allowed for, or what the format itself costs.

    Args:
        logits: ``(batch, n, n)``.
        results: the same shape.
        fit: recipe, orientation and arithmetic.
        form: the narrowest format that holds the results.
        tolerance: absolute difference that counts as equal.
    """
    per_spread = _noise_of_logarithms(logits, fit, form)
    worst = ulps = 0.0
    matching = equal = 0
    for start in range(0, len(logits), BLOCK):
        z, h = logits[start : start + BLOCK], results[start : start + BLOCK]
        run = round_to(_run(z, fit, fit.arithmetic), form)
        off, unit = np.abs(run - h), unit_of(h, form)
        same = (run == h) | (np.isnan(run) & np.isnan(h))
        off[same] = 0
        off[np.isnan(off)] = np.inf
        noise = _noise(z, run, unit, fit, form) + per_spread * _spread(z, fit)
        allowed = np.maximum(noise * unit, tolerance)
        matching += int((off <= allowed).all((1, 2)).sum())
        equal += int(same.sum())
        worst, ulps = max(worst, float(off.max())), max(ulps, float((off / unit).max()))
    return Confirmation(worst, ulps, matching / len(logits), equal / results.size)


def _run(logits: Array, fit: Fit, arithmetic: str) -> Array:
    h = apply(logits, fit.recipe, arithmetic)
    return h.swapaxes(1, 2) if fit.frame.transposed else h


NEIGHBOUR = {"float64": "float32", "float32": "float64"}


def _noise(logits: Array, run: Array, unit: Array, fit: Fit, form: str) -> Array:
    """Units of the last place that rounding explains, ``(batch, 1, 1)`` or a number."""
    other = round_to(_run(logits, fit, NEIGHBOUR.get(fit.arithmetic, "float64")), form)
    moved = np.abs(other - run) / unit
    moved[~np.isfinite(moved)] = 0
    worst = moved.max((1, 2), keepdims=True)
    if fit.arithmetic in NEIGHBOUR:
        # by chance two runs of a matrix may agree: single roundings add up like a random walk
        return SLACK * worst + FLOOR_ULP + fit.recipe.normalisations**0.5
    return np.maximum(worst, fit.recipe.normalisations) + FLOOR_ULP


def _spread(logits: Array, fit: Fit) -> Array:
    """Largest less smallest of the logits of every matrix as they are exponentiated."""
    finite = np.where(np.isfinite(logits), logits, 0)
    z = tempered(finite, fit.recipe.clamp, fit.recipe.tau)
    return z.max((1, 2), keepdims=True) - z.min((1, 2), keepdims=True)


def _noise_of_logarithms(logits: Array, fit: Fit, form: str) -> float:
    """Units of the last place for a unit of spread that a run on logarithms in float32 is off by.

    0 where an eps acts: it has no form in logarithms.
    """
    if fit.recipe.eps_on not in ("none", "floor") or fit.arithmetic not in NEIGHBOUR:
        return 0.0
    some = logits[np.isfinite(logits).all((1, 2))][:BLOCK_OF_LOGARITHMS]
    z = tempered(some.astype(np.float32), fit.recipe.clamp, fit.recipe.tau)
    axes = (2, 1) if fit.recipe.first == "rows" else (1, 2)
    for count in range(fit.recipe.normalisations):
        top = z.max(axes[count % 2], keepdims=True)
        z = z - (top + np.log(np.exp(z - top).sum(axes[count % 2], keepdims=True)))
    h = np.exp(z).swapaxes(1, 2) if fit.frame.transposed else np.exp(z)
    exact = _run(some, fit, "float64")
    off = (np.abs(round_to(h, form) - round_to(exact, form)) / unit_of(exact, form)).max((1, 2))
    spread = _spread(some, fit)[:, 0, 0]
    return SLACK * float(np.divide(off, spread, where=spread > 0, out=np.zeros_like(off)).max())


BLOCK_OF_LOGARITHMS = 512
"""Matrices from which the rounding of logarithms is taken."""
