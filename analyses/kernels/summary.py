"""Headline numbers of a recipe that was found."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from birkhoff_cli.analyses.core.stack import Stack
from birkhoff_cli.analyses.geometry.recipes import OTHER, Recipe
from birkhoff_cli.analyses.kernels.compare import SLACK
from birkhoff_cli.analyses.kernels.identify import Identity
from birkhoff_cli.analyses.kernels.naming import LOGITS

if TYPE_CHECKING:
    pass


def summarise(identity: Identity, output: Stack) -> dict[str, Any]:
    """The headline numbers of matrices that were searched, by the keys of `verify`."""
    verdict = "match" if identity.name else "no_match" if identity.informative else "no_information"
    sure = identity.confirmation
    return {
        "verdict": verdict,
        "threshold": SLACK,
        "match": identity.name,
        "changes": list(identity.changes) if identity.name else [],
        "orientation": identity.orientation,
        **settings(identity.fit.recipe, identity.orientation, identity.clamp_acts),
        "arithmetic": identity.fit.arithmetic,
        "dtype": identity.form,
        "samples": len(output.values),
        "d": output.d,
        "error_max": sure.error_max,
        "error_ulp_max": sure.error_ulp_max,
        "within_rounding": sure.within_rounding,
        "matching": sure.matching,
        "also": [
            *(_also(a.kernel, a.orientation, a.changes) for a in identity.also),
            *(
                _also(identity.name, identity.orientation, [*identity.changes, s])
                for s in identity.alike
            ),
        ],
        "near": [
            {"change": m.change, "orientation": m.orientation, "error_max": finite(m.error_max)}
            for m in identity.near
        ],
    }


def _also(kernel: str | None, orientation: str, changes: Sequence[str]) -> dict[str, Any]:
    return {"match": kernel, "orientation": orientation, "changes": list(changes)}


def settings(recipe: Recipe, orientation: str, clamp_acts: bool) -> dict[str, Any]:
    """A recipe's settings; a recipe runs on the dump's logits, and sides are the kernel's own."""
    if orientation == LOGITS:
        recipe = recipe._replace(first=OTHER[recipe.first])
    iters = float(recipe.iters)
    return {
        "iters": int(iters) if iters.is_integer() else iters,
        "eps": float(recipe.eps) if recipe.eps_on != "none" else None,
        "eps_on": recipe.eps_on,
        "start": recipe.start,
        "first": recipe.first,
        "last": recipe.last,
        "clamp": float(recipe.clamp) if clamp_acts else None,
        "tau": float(recipe.tau),
    }


def finite(value: float) -> float | None:
    """The number, or None for what JSON cannot hold."""
    return value if np.isfinite(value) else None
