"""What every paper and code base fixes of mHC's Sinkhorn, in our orientation."""

import math
from collections.abc import Iterator, Mapping
from typing import Any, Literal, NamedTuple, get_args

import numpy as np

from birkhoff_cli.analyses.core.arrays import Array, lanes
from birkhoff_cli.analyses.geometry.recipes import CODE_BASES, OTHER, CodeBase, EpsOn, Name
from birkhoff_cli.analyses.geometry.sinkhorn import Guard, Side, least_narrow

EPSILON = float(np.finfo(float).eps)

Start = Literal["usual", "shifted", "powers"]

MAX_ITERS = 100_000
"""Sweeps of a Sinkhorn, beyond those that any has."""


class Settings(NamedTuple):
    """What a variant fixes; the fields of `MHC` say what they mean, and one is no option.

    Attributes:
        start: what is swept: a softmax with guard ``add`` and else powers over their largest
            (``usual``), those powers with any guard (``shifted``), or powers as they are.
    """

    iters: int
    tau: float
    last: Side
    guard: Guard
    eps: float
    clip: float = math.inf
    start: Start = "usual"


GUARDS: Mapping[EpsOn, Guard] = {"none": "log", "floor": "floor"}
"""Of recipes whose eps is not added."""


def _settings(base: CodeBase) -> Settings:
    """A code base's settings, turned to our orientation."""
    recipe = base.recipe
    start: Start = "powers" if recipe.start == "raw" else "usual"
    if (recipe.start, recipe.eps_on) == ("max", "sums"):
        start = "shifted"
    return Settings(
        round(recipe.iters),
        recipe.tau,
        OTHER[recipe.last] if base.transposed else recipe.last,
        GUARDS.get(recipe.eps_on, "add"),
        recipe.eps,
        recipe.clamp,
        start,
    )


VARIANTS: Mapping[str, Settings] = {name: _settings(CODE_BASES[name]) for name in get_args(Name)}
UNIFORM_START = ("deepseek-v4", "megatron-main", "megatron-dev", "xing", "motif")
EPS: Mapping[str, float] = {"log": 0.0, "floor": 1e-12, "add": 1e-6}
"""For a guard that the variant does not have."""


MAX_VARIED_ITERS = 61
VARIED_EPS = (0.0, 1e-12, 1e-10, 1e-9, 1e-8, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2)
"""Settings that a port may have in place of its model's."""


def varied(s: Settings) -> Iterator[tuple[str, dict[str, Any]]]:
    """Other numbers of iterations, sizes of the guard, and the other side last, in words."""
    for iters in range(1, MAX_VARIED_ITERS):
        if iters != s.iters:
            yield f"{iters} iterations", {"iters": iters}
    for eps in VARIED_EPS if s.guard != "log" else ():
        if eps != s.eps:
            yield f"eps {eps:g}", {"eps": eps}
    yield f"{OTHER[s.last]} normalised last", {"last": OTHER[s.last]}


def scale_of_fixed(s: Settings, d: int) -> float:
    """What becomes of a doubly stochastic matrix, as a multiple of it.

    With guard ``add`` all sums of such a matrix are alike, 1 + d eps after the softmax, and
    every later step divides by the sum + eps.
    """
    scale = 1.0
    if s.guard == "add":
        total = 1 + d * s.eps
        for _ in range(max(2 * s.iters - 1, 1)):
            scale /= total + s.eps
            total /= total + s.eps
    return scale


def effective(s: Settings, d: int, theta: Array) -> Settings:
    """Settings without a floor that no sum of these logits ``(..., d * d)`` reaches.

    The first sums of shifted powers are at least 1, and the sums of neither side fall below
    the least that the first half of the sweep leaves, or 1/d. Nor has a clip that no logit
    reaches an effect, and the first sums take out by what powers were divided.
    """
    if s.guard != "floor" or s.start == "shifted" or not s.iters:
        return s
    first, last = (0, 1) if s.last == "rows" else (1, 0)
    z = np.asarray(lanes(theta, 1)).reshape(d, d, -1)
    largest, least = z.max(first, initial=-math.inf), z.min(first, initial=math.inf)
    if max(largest.max(initial=0), -least.min(initial=0)) / s.tau > s.clip:
        return s
    deepest = float((least - largest).min(initial=0)) / s.tau  # of powers over their largest
    floor = s.eps * (1 + 4 * d * EPSILON)
    reached = not _stays_above(floor, z, s.tau, deepest, first, last)
    if s.start == "powers":  # which are as large as their sums at most
        reached |= math.exp(largest.min(initial=0) / s.tau) <= floor
    if reached or deepest < least_narrow(z):
        return s
    return s._replace(guard="log", eps=0.0, clip=math.inf, start="usual")


def _stays_above(floor: float, z: Array, tau: float, deepest: float, first: int, last: int) -> bool:
    """Whether all sums do, after the first ones, of powers over their largest."""
    d = len(z)
    if floor >= 1 / d:
        return False
    if math.exp(deepest) > floor:  # d entries of at least that over d
        return True
    h = np.exp((z - z.max(first, keepdims=True)) / tau)
    h /= h.sum(first, keepdims=True)
    return bool(h.sum(last).min(initial=1) > floor)
