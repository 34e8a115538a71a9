"""Fit a recipe to a dump: every start, side and place of eps, with all iterations at once."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from birkhoff_cli.analyses.core.arrays import Array
from birkhoff_cli.analyses.geometry.recipes import PLANS, Recipe
from birkhoff_cli.analyses.geometry.sinkhorn import Side
from birkhoff_cli.analyses.kernels.arithmetic import ARITHMETICS, ULP, round_to
from birkhoff_cli.analyses.kernels.dump import Dump, Frame, Seen
from birkhoff_cli.analyses.kernels.invariant import list_frames, rank_frames
from birkhoff_cli.analyses.kernels.run import follow

MAX_NORMALISATIONS = 201
"""Of one side: 100 iterations after a softmax."""

GRID = np.array([1e-12, 1e-10, 1e-9, 1e-8, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 3e-3, 1e-2, 3e-2, 0.1])
GIVEN_UP = 24
"""Normalisations after the best one at which a search along them ends."""

PART = 120
"""Matrices of the first search."""

LOST = 0.2
"""Mean relative error beyond which nothing fits."""


class Fit(NamedTuple):
    """A recipe in a frame and an arithmetic, and how far it is off.

    Attributes:
        error: mean relative error, of every entry at most 1.
        recipe: with its number of iterations, and with the clamp and tau of the frame.
        frame: orientation, clamp and tau.
        arithmetic: in which the recipe was run.
    """

    error: float
    recipe: Recipe
    frame: Frame
    arithmetic: str

    def change(
        self,
        *,
        eps: float | None = None,
        iters: float | None = None,
        tau: float | None = None,
        clamp: float | None = None,
    ) -> "Fit":
        """The fit with other numbers, in the frame that goes with them; its error is not known."""
        old = self.recipe
        recipe = old._replace(
            eps=old.eps if eps is None else eps,
            iters=old.iters if iters is None else iters,
            tau=old.tau if tau is None else tau,
            clamp=old.clamp if clamp is None else clamp,
        )
        frame = Frame(self.frame.transposed, recipe.clamp, recipe.tau)
        return self._replace(recipe=recipe, frame=frame)


def search(dump: Dump) -> list[Fit]:
    """The best fits, the best first; narrow arithmetic only where float64 does not explain it."""
    part = np.random.default_rng(1).permutation(dump.logits.shape[-1])[:PART]
    small = dump.part(part)
    with np.errstate(all="ignore"):
        frames = _alike(rank_frames(small)) or _screen(dump.part(part[:FEW]))
        fits = _fit(dump, small, ["float64"], frames[:3])
        if ULP[dump.format] / 1000 < fits[0].error < LOST:
            fits = _narrow(dump, small, fits, frames[:2])
    return fits


FEW = 24
"""Matrices on which every frame is tried where none can be told beforehand."""


def _alike(ranked: Sequence[tuple[float, Frame]]) -> list[Frame]:
    """Frames that explain as much as the best.

    Without a clamp first, then of temperature 1, then of numbers with few digits.
    """
    best = ranked[0][0] if ranked else 0.0
    frames = {frame for error, frame in ranked if error < 1.5 * best + 1e-9}
    return sorted(
        frames, key=lambda f: (f.clamp < np.inf, f.tau != 1, len(f"{f.clamp:g}{f.tau:g}"), f)
    )


def _screen(few: Dump) -> list[Frame]:
    """Every frame, the one of the best recipe first."""
    fits = sorted(_coarse(few, ["float64"], list_frames(few)), key=_error_of)
    return list(dict.fromkeys(fit.frame for fit in fits))


def _narrow(dump: Dump, small: Dump, fits: list[Fit], frames: Sequence[Frame]) -> list[Fit]:
    """The same recipes in float32 and, where the results are narrower, searches in their format."""
    for fit in fits[:6]:
        fits = [*fits, measure(dump, fit._replace(arithmetic="float32"))]
    fits = sorted(fits, key=_error_of)
    if dump.format in ("bf16", "fp16") and fits[0].error > ULP[dump.format] / 500:
        names = [name for name, kind in ARITHMETICS.items() if kind.storage == dump.format]
        fits = sorted([*fits, *_fit(dump, small, names, frames)], key=_error_of)
    return fits


def _error_of(fit: Fit) -> float:
    return fit.error


def _fit(dump: Dump, small: Dump, names: Sequence[str], frames: Sequence[Frame]) -> list[Fit]:
    """A coarse search on a part, then eps polished on the part and on everything."""
    fits = sorted(_coarse(small, names, frames), key=_error_of)
    fits = sorted((_polish(small, fit, 5, 10.0) for fit in fits[:12]), key=_error_of)
    near = [f for f in fits[:8] if f.error < 30 * fits[0].error + 1e-12]
    fits = sorted((_polish(dump, fit, 4, 1.01) for fit in near), key=_error_of)
    return [measure(dump, fit) for fit in fits]


def _coarse(dump: Dump, names: Sequence[str], frames: Sequence[Frame]) -> Iterator[Fit]:
    """The best number of iterations and eps of the grid, of every plan."""
    for frame in frames:
        seen = dump.seen(frame)
        for name in names:
            linear = not ARITHMETICS[name].logarithms
            for start, eps_on in (plan for plan in PLANS if linear or plan[1] == "none"):
                for first in ("rows", "columns"):
                    side: Side = "rows" if first == "rows" else "columns"
                    recipe = Recipe(start, side, eps_on, 0.0, 0, frame.tau, frame.clamp)
                    grid = GRID if name == "float64" else GRID[3:]
                    grid = np.zeros(1) if eps_on == "none" else grid
                    yield _best(
                        seen, recipe, grid, name, frame, "float64"
                    )  # rounding changes no order here


def _best(
    seen: Seen,
    recipe: Recipe,
    eps: Array,
    arithmetic: str,
    frame: Frame,
    form: str,
    near: int | None = None,
) -> Fit:
    """The best of a grid of eps and of all iterations, or of those near a number of them."""
    window = (0, MAX_NORMALISATIONS)
    if near is not None:
        window = (max(near - 2, 0), min(near + 2, MAX_NORMALISATIONS))
    errors = curve(seen, recipe, eps, arithmetic, form, window)
    count, lane = np.unravel_index(errors.argmin(), errors.shape)
    fitted = recipe._replace(eps=float(eps[lane]), iters=int(count) / 2)
    return Fit(float(errors[count, lane]), fitted, frame, arithmetic)


def _polish(dump: Dump, fit: Fit, rounds: int, width: float) -> Fit:
    """Zoom in on eps, with two normalisations to either side of the count."""
    seen = dump.seen(fit.frame)
    for _ in range(rounds if fit.recipe.eps_on != "none" else 1):
        eps = fit.recipe.eps
        grid = np.clip(np.append(eps * np.geomspace(1 / width, width, 7), eps), 0, 0.1)
        near = fit.recipe.normalisations
        fit = _best(seen, fit.recipe, np.unique(grid), fit.arithmetic, fit.frame, dump.format, near)
        width **= 0.4
    return fit


def curve(
    seen: Seen,
    recipe: Recipe,
    eps: Array,
    arithmetic: str,
    form: str,
    window: tuple[int, int] = (0, MAX_NORMALISATIONS),
    patience: int = GIVEN_UP,
) -> Array:
    """Mean relative error after every number of normalisations, for every eps.

    Args:
        seen: the dump in the recipe's frame.
        recipe: its number of iterations is of no effect.
        eps: ``(lanes,)``.
        arithmetic: in which to run it.
        form: format that the dump's results have, to which the run's are rounded.
        window: first and last number of normalisations that are compared.
        patience: how far to look beyond the best.

    Returns:
        ``(normalisations, lanes)``; infinite where nothing was compared.
    """
    first, last = window
    errors = np.full((MAX_NORMALISATIONS + 1, len(eps)), np.inf)
    for count, h in follow(seen.logits, recipe, eps, arithmetic):
        if first <= count <= last:
            errors[count] = _relative(h, seen, form).mean((0, 1, 3))
            if count - int(errors.argmin(0).max()) > patience:
                break
        if count >= last:
            break
    return errors


def per_matrix(dump: Dump, fit: Fit) -> Array:
    """Mean relative error of every matrix, ``(batch,)``; 1 where the recipe never stops there."""
    seen = dump.seen(fit.frame)
    eps = np.array([fit.recipe.eps])
    for count, h in follow(seen.logits, fit.recipe, eps, fit.arithmetic):
        if count >= fit.recipe.normalisations:
            errors: Array = _relative(h, seen, dump.format).mean((0, 1))[0]
            return errors
    raise AssertionError("follow never ends")


def measure(dump: Dump, fit: Fit) -> Fit:
    """The fit with its error on all matrices of a dump."""
    with np.errstate(all="ignore"):
        return fit._replace(error=float(per_matrix(dump, fit).mean()))


def _relative(h: Array, seen: Seen, form: str) -> Array:
    """Relative errors, each at most 1; 1 where a number is not finite."""
    off = round_to(h, form) * seen.inverse
    off -= seen.counted
    np.abs(off, out=off)
    return np.minimum(np.nan_to_num(off, copy=False, nan=1.0), 1)
