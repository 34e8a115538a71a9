"""Name a fitted recipe: the known code base that needs the fewest changes to give the same.

A setting that the inputs cannot tell from the code base's own takes the code base's value: a clamp
that no logit exceeds, iterations of matrices that have converged, an eps that rounding hides.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from birkhoff_cli.analyses.core.arrays import Array
from birkhoff_cli.analyses.geometry.recipes import OTHER, RECIPES, Recipe, list_changes
from birkhoff_cli.analyses.kernels.arithmetic import ULP
from birkhoff_cli.analyses.kernels.dump import Dump, Frame
from birkhoff_cli.analyses.kernels.search import Fit, per_matrix

AS_IS, LOGITS, RESULT = "as is", "logits transposed", "result transposed"


class Answer(NamedTuple):
    """A known code base with changes that gives the dump.

    Attributes:
        kernel: its name.
        orientation: what is transposed.
        changes: what differs from the code base, in words.
        fit: the recipe that was run, in the dump's frame, and its error.
    """

    kernel: str
    orientation: str
    changes: tuple[str, ...]
    fit: Fit


def name_fits(dump: Dump, fits: Sequence[Fit]) -> list[Answer]:
    """Every known code base that explains the dump as well as the best fit, fewest changes first.

    Args:
        dump: the matrices that the fits were made on.
        fits: the best first.
    """
    with np.errstate(all="ignore"):
        best = per_matrix(dump, fits[0])
        answers = [a for fit in fits for a in _answers(dump, fit, best)]
    answers.sort(key=_effort)
    shortest: dict[str, Answer] = {}
    for answer in answers:
        shortest.setdefault(answer.kernel, answer)
    return list(shortest.values())


def _effort(answer: Answer) -> tuple[float, float, int]:
    """Changes, where a transposed result is half a one; then the error, then how widely it runs."""
    half = 0.5 * (answer.orientation == RESULT)
    rank = list(RECIPES).index(answer.kernel)
    return len(answer.changes) - half, round(answer.fit.error, 9), rank


def _answers(dump: Dump, fit: Fit, best: Array) -> Iterator[Answer]:
    """One for every known code base that is at most one structural change away."""
    if fit.error > 3 * float(best.mean()) + 1e-9:
        return
    same: dict[Recipe, list[str]] = {}
    for name, known in RECIPES.items():
        same.setdefault(known, []).append(name)
    for known, names in same.items():
        near = _towards(dump, fit, known, best)
        if near.recipe.start != known.start and near.recipe.eps_on != known.eps_on:
            continue  # two structural changes: another code base is nearer
        if is_worse(per_matrix(dump, near), best, dump.format):
            continue
        flip = near.recipe.first != known.first
        orientation = AS_IS
        if near.frame.transposed:
            orientation = LOGITS if flip else RESULT
        changes = list(list_changes(near.recipe, known))
        if near.frame.transposed:
            changes.append(orientation)
        elif flip:
            first = near.recipe.first
            changes.append(f"{first} first, which is logits and result transposed")
        for name in names:
            yield Answer(name, orientation, tuple(changes), near)


def _towards(dump: Dump, fit: Fit, known: Recipe, best: Array) -> Fit:
    """The fit with every setting of the known recipe that does not make it worse.

    A number that does keeps the fewest digits of its fitted value that explain as much.
    """
    ours = fit.recipe
    whole = fit._replace(recipe=known._replace(first=ours.first, iters=ours.iters))
    whole = whole.change(eps=known.eps)  # the frame of its clamp and tau
    for tried in (whole, whole.change(tau=ours.tau), whole.change(tau=ours.tau, clamp=ours.clamp)):
        if not is_worse(per_matrix(dump, tried), best, dump.format):
            fit = tried
            break
    for field in ("clamp", "tau", "eps", "iters"):
        if getattr(fit.recipe, field) == getattr(known, field):
            continue
        tried = fit.change(**{field: getattr(known, field)})
        if not is_worse(per_matrix(dump, tried), best, dump.format):
            fit = tried
        elif field != "iters":
            fit = _shorten(dump, fit, best, field)
    return fit


def _shorten(dump: Dump, fit: Fit, best: Array, field: str) -> Fit:
    """The power of ten, or else the value of the fewest digits, that is no worse."""
    value = getattr(fit.recipe, field)
    if not 0 < value < np.inf:
        return fit
    exponent = np.log10(value)
    powers = sorted((np.floor(exponent), np.ceil(exponent)), key=lambda p: abs(p - exponent))
    values = [float(f"1e{power:.0f}") for power in powers]
    for near in [*values, *(float(f"{value:.{digits}e}") for digits in range(MAX_DIGITS))]:
        tried = fit.change(**{field: near})
        if not is_worse(per_matrix(dump, tried), best, dump.format):
            return tried
    return fit


MAX_DIGITS = 5
"""Digits of a fitted number that are tried, less one."""


def is_worse(errors: Array, best: Array, form: str) -> bool:
    """Whether errors of matrices are above the best ones by more than chance.

    A number that lies between two of the format may be rounded to either: a unit of the last
    place says nothing of a single matrix, and counts in the mean only.
    """
    off = errors - best
    mean = float(best.mean())
    # of a single matrix the unit of the last place says nothing of a recipe, of many it does
    chance = max(4 * off.std() / np.sqrt(len(off)), max(0.02, len(off) ** -0.5) * mean)
    chance += 2 * ULP[form] / len(off)
    return bool(off.mean() > chance or errors.max() > 4 * best.max() + ULP[form])


def place(known: Recipe, orientation: str) -> tuple[Recipe, Frame]:
    """A known recipe as it is seen in a dump of that orientation.

    Transposed logits and the other side first give the transposed result.
    """
    recipe = known._replace(first=OTHER[known.first]) if orientation == LOGITS else known
    return recipe, Frame(orientation != AS_IS, known.clamp, known.tau)
