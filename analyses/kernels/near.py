"""What other recipes would have given: near misses, and settings that these inputs cannot tell."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple, get_args

import numpy as np

from birkhoff_cli.analyses.core.arrays import Array
from birkhoff_cli.analyses.geometry.recipes import OTHER, RECIPES, EpsOn, Start
from birkhoff_cli.analyses.kernels.arithmetic import ARITHMETICS, ULP, round_to
from birkhoff_cli.analyses.kernels.dump import Dump
from birkhoff_cli.analyses.kernels.naming import AS_IS, LOGITS, RESULT, is_worse, place
from birkhoff_cli.analyses.kernels.run import apply
from birkhoff_cli.analyses.kernels.search import Fit, per_matrix

MAX_MISSES = 8
SPANS = np.array([1e-3, 1e-2, 0.1, 0.5, 1.0])
"""Relative changes of eps that are tried, downwards and upwards."""

MAX_EPS = 1.0
HALVINGS = 5
"""Times the decade in which an upper end of eps lies is halved."""


class Miss(NamedTuple):
    """A recipe that was not run, and its largest difference from the dump.

    Attributes:
        change: what differs from the recipe that was, or the known code base's name.
        fit: the recipe.
        orientation: what is transposed.
        error_max: largest absolute difference on the matrices that were searched.
    """

    change: str
    fit: Fit
    orientation: str
    error_max: float


def list_misses(dump: Dump, fit: Fit, orientation: str) -> list[Miss]:
    """Single changes of a recipe by the difference they make, the smallest first, none of 0.

    Matrices that the recipe itself does not explain are left out: they would hide the others.
    """
    own = differences(dump, fit)
    dump = dump.part(np.flatnonzero(own <= 10 * np.median(own) + 4 * ULP[dump.format]))
    misses = [
        Miss(change, other, where, float(differences(dump, other).max(initial=0)))
        for change, other, where in _single_changes(fit, orientation)
    ]
    own_max = float(differences(dump, fit).max(initial=0))
    worse = (m for m in misses if m.error_max > own_max)
    return sorted(worse, key=lambda m: m.error_max)[:MAX_MISSES]


def list_known(dump: Dump) -> list[Miss]:
    """Every known code base as it is, in all orientations, the nearest first."""
    misses = []
    for name, known in RECIPES.items():
        for orientation in (AS_IS, RESULT, LOGITS):
            recipe, frame = place(known, orientation)
            fit = Fit(1.0, recipe, frame, "float64")
            error = float(differences(dump, fit).max(initial=0))
            misses.append(Miss(name, fit, orientation, error))
    return sorted(misses, key=lambda m: m.error_max)


def _single_changes(fit: Fit, orientation: str) -> Iterator[tuple[str, Fit, str]]:
    recipe = fit.recipe
    for step in (-1, -0.5, 0.5, 1):
        if (iters := recipe.iters + step) > 0:
            change = f"iterations {iters:g} instead of {recipe.iters:g}"
            yield change, fit.change(iters=iters), orientation
    if recipe.eps_on != "none":
        for eps in (recipe.eps * 10, recipe.eps / 10, 0.0):
            yield (
                f"eps {eps:.3g} instead of {recipe.eps:.3g}",
                fit.change(eps=eps),
                orientation,
            )
    for start in get_args(Start):
        if start != recipe.start:
            change = f"start {start} instead of {recipe.start}"
            yield change, fit._replace(recipe=recipe._replace(start=start)), orientation
    for eps_on in get_args(EpsOn):
        if eps_on != recipe.eps_on and (eps_on == "none" or recipe.eps):
            change = f"eps on {eps_on} instead of {recipe.eps_on}"
            yield change, fit._replace(recipe=recipe._replace(eps_on=eps_on)), orientation
    for clamp in (10.0, 20.0, 30.0, np.inf):
        if clamp != recipe.clamp:
            word = f"clamp {clamp:g}" if clamp < np.inf else "no clamp"
            yield word, fit.change(clamp=clamp), orientation
    for other in (AS_IS, RESULT, LOGITS):
        if other != orientation:
            yield other, turned(fit, orientation, other), other
    for arithmetic in ("float32", "bf16", "fp16"):
        if arithmetic != fit.arithmetic:
            yield f"arithmetic in {arithmetic}", fit._replace(arithmetic=arithmetic), orientation


def turned(fit: Fit, now: str, then: str) -> Fit:
    """The same kernel in another orientation.

    Transposed logits give the transposed result of the kernel that begins with the other side.
    """
    first = fit.recipe.first
    if (now == LOGITS) != (then == LOGITS):
        first = OTHER[first]
    recipe = fit.recipe._replace(first=first)
    return fit._replace(recipe=recipe, frame=fit.frame._replace(transposed=then != AS_IS))


def differences(dump: Dump, fit: Fit) -> Array:
    """Largest absolute difference of every matrix from a run; infinite where it is not finite."""
    h = apply(np.moveaxis(dump.logits, -1, 0), fit.recipe, fit.arithmetic)
    h = h.swapaxes(1, 2) if fit.frame.transposed else h
    off = np.abs(round_to(h, dump.format) - np.moveaxis(dump.results, -1, 0))
    return np.nan_to_num(off, nan=np.inf, posinf=np.inf).max((1, 2))


def list_alike(dump: Dump, fit: Fit) -> list[str]:
    """Settings that give these matrices as well, in words."""
    with np.errstate(all="ignore"):
        best = per_matrix(dump, fit)
        return [
            *_iterations(dump, fit, best),
            *_eps(dump, fit, best),
            *_arithmetic(dump, fit, best),
        ]


def _iterations(dump: Dump, fit: Fit, best: Array) -> Iterator[str]:
    """The range of iterations around the recipe's; matrices that converged leave it open."""
    low = _reach(dump, fit, best, -0.5)
    high = _reach(dump, fit, best, 0.5)
    if low < high:
        yield f"iterations {low:g} to {'100 and more' if high >= MAX_ITERS else f'{high:g}'}"


MAX_ITERS = 100


def _reach(dump: Dump, fit: Fit, best: Array, step: float) -> float:
    """How far the number of iterations can go, in half steps, before the fit is worse."""
    iters = fit.recipe.iters
    while 0.5 <= iters + step <= MAX_ITERS:
        if is_worse(per_matrix(dump, fit.change(iters=iters + step)), best, dump.format):
            break
        iters += step
    return iters


def _eps(dump: Dump, fit: Fit, best: Array) -> Iterator[str]:
    """The range of eps that is no worse, where it is wider than the digits that are printed."""
    eps = fit.recipe.eps
    if fit.recipe.eps_on == "none" or not eps:
        return
    spans, form = [], dump.format
    for sign in (-1, 1):
        ends = [
            s for s in SPANS if not is_worse(_errors(dump, fit, eps * (1 + sign * s)), best, form)
        ]
        spans.append(max(ends, default=0.0))
    if max(spans) >= 0.1:
        high = _highest(dump, fit, best, eps) if spans[1] == 1 else eps * (1 + spans[1])
        yield f"eps {eps * (1 - spans[0]):.3g} to {high:.3g}"


def _highest(dump: Dump, fit: Fit, best: Array, eps: float) -> float:
    """The largest eps that is no worse: a floor that no sum falls below may be far larger."""
    step = 10.0
    while eps * step <= MAX_EPS and not is_worse(_errors(dump, fit, eps * step), best, dump.format):
        eps *= step
    for _ in range(HALVINGS):
        step = step**0.5
        if not is_worse(_errors(dump, fit, eps * step), best, dump.format):
            eps *= step
    return eps


def _errors(dump: Dump, fit: Fit, eps: float) -> Array:
    return per_matrix(dump, fit.change(eps=eps))


def _arithmetic(dump: Dump, fit: Fit, best: Array) -> Iterator[str]:
    for name, kind in ARITHMETICS.items():
        if kind.logarithms and fit.recipe.eps_on != "none":
            continue  # there is no such kernel
        if name != fit.arithmetic and not is_worse(
            per_matrix(dump, fit._replace(arithmetic=name)), best, dump.format
        ):
            yield f"arithmetic in {name}"


def tells_nothing(dump: Dump, misses: Sequence[Miss]) -> bool:
    """Whether all matrices are uniform, or every known code base gives the same, up to rounding."""
    with np.errstate(over="ignore"):  # infinite is far from it too
        uniform = np.abs(dump.results * len(dump.results) - 1).max(initial=0)
    if uniform <= SAME + ULP[dump.format]:
        return True
    runs = [apply(np.moveaxis(dump.logits, -1, 0), m.fit.recipe, "float64") for m in misses]
    return all(np.abs(run - runs[0]).max(initial=0) <= SAME for run in runs)


SAME = 1e-5
"""Difference that eps alone makes in matrices of equal logits."""
