"""The whole way from a dump to an answer."""

from typing import NamedTuple

import numpy as np

from birkhoff_cli.analyses.core.arrays import Array
from birkhoff_cli.analyses.kernels.arithmetic import format_of
from birkhoff_cli.analyses.kernels.confirm import Confirmation, confirm
from birkhoff_cli.analyses.kernels.dump import Dump, choose
from birkhoff_cli.analyses.kernels.naming import AS_IS, RESULT, Answer, name_fits
from birkhoff_cli.analyses.kernels.near import (
    Miss,
    list_alike,
    list_known,
    list_misses,
    tells_nothing,
)
from birkhoff_cli.analyses.kernels.search import LOST, Fit, search

SEARCHED = 1000
"""Matrices among which a recipe is searched; it is confirmed on all."""


class Identity(NamedTuple):
    """What is known of a dump after the search.

    Attributes:
        name: the known code base, or None if nothing fits or everything does.
        orientation: what is transposed.
        changes: what differs from the code base.
        fit: the recipe that is nearest.
        confirmation: its errors on all matrices.
        form: the narrowest format that holds the results.
        also: other code bases that explain the dump, with what they would have changed.
        alike: settings that these inputs cannot tell from the recipe's.
        near: other recipes by the difference they make.
        informative: whether the inputs tell kernels apart at all.
        clamp_acts: whether any logit is beyond the recipe's clamp.
    """

    name: str | None
    orientation: str
    changes: tuple[str, ...]
    fit: Fit
    confirmation: Confirmation
    form: str
    also: tuple[Answer, ...]
    alike: tuple[str, ...]
    near: tuple[Miss, ...]
    informative: bool
    clamp_acts: bool


def identify(logits: Array, results: Array, tolerance: float = 0.0) -> Identity | None:
    """Find the recipe that made ``results`` of ``logits``; None without a finite matrix.

    Args:
        logits: ``(batch, n, n)``.
        results: the same shape.
        tolerance: absolute difference that counts as equal.
    """
    chosen = choose(logits, results, SEARCHED)
    if not len(chosen):
        return None
    form = format_of(results[chosen])
    z, h = (np.moveaxis(x[chosen].astype(float), 0, -1) for x in (logits, results))
    dump = Dump(z, h, form)
    known = list_known(dump)
    informative = not tells_nothing(dump, known)
    fits = search(dump)
    answers = name_fits(dump, fits) if fits[0].error <= LOST else []
    if answers:
        best = answers[0]
        near = list_misses(dump, best.fit, best.orientation)
        alike = list_alike(dump, best.fit)
    else:
        best = _nearest(fits[0], known[0])
        near, alike = known, []
    sure = confirm(logits, results, best.fit, form, tolerance)
    explained = bool(answers) and sure.matching > 0 and informative
    return Identity(
        best.kernel if explained else None,
        best.orientation,
        best.changes,
        best.fit,
        sure,
        form,
        tuple(answers[1:]) if explained else (),
        tuple(alike) if explained else (),
        tuple(near),
        informative,
        bool((np.abs(logits[np.isfinite(logits)]) > best.fit.recipe.clamp).any()),
    )


def _nearest(fit: Fit, known: Miss) -> Answer:
    """The fit if it comes near at all, else the nearest known code base."""
    if fit.error <= LOST:
        orientation = RESULT if fit.frame.transposed else AS_IS
        return Answer("", orientation, (), fit)
    return Answer(known.change, known.orientation, (), known.fit)
