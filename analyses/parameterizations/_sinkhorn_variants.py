"""What every paper and code base fixes of mHC's Sinkhorn, in our orientation."""

import math
from collections.abc import Mapping
from typing import Literal, NamedTuple, get_args

from birkhoff_cli.analyses.geometry.recipes import CODE_BASES, OTHER, CodeBase, EpsOn, Name
from birkhoff_cli.analyses.geometry.sinkhorn import Guard, Side

Start = Literal["usual", "shifted", "powers"]


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
