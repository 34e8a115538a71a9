"""What a Sinkhorn kernel does, as a recipe; the recipes of the known code bases.

Sides are those of the kernel's own matrix, as it stands before any transposition: several code
bases apply the transpose of what they normalise.

Source: the published code of each code base. openPangu-2.0 and MaxText do what DeepSeek-V4 does.
"""

from collections.abc import Iterator, Mapping
from math import inf
from typing import Literal, NamedTuple

from birkhoff_cli.analyses.geometry.sinkhorn import Side

Name = Literal[
    "paper",
    "mhc-lite",
    "lucidrains",
    "deepseek-v4",
    "megatron-main",
    "megatron-dev",
    "tokenbender",
    "xing",
    "motif",
]
"""Code bases, as ``mhc:variant=`` and ``verify`` name them."""
Start = Literal["softmax", "max", "raw"]
EpsOn = Literal["values+sums", "values", "sums", "floor", "none"]

OTHER: Mapping[Side, Side] = {"rows": "columns", "columns": "rows"}


class Recipe(NamedTuple):
    """How logits become a matrix.

    Attributes:
        start: ``softmax`` of the first side, which counts as its first normalisation; ``max``: the
            exponential of the logits less their maximum along the first side; ``raw``: the
            exponential of the logits.
        first: the side that is normalised first; the sides then take turns.
        eps_on: where eps is added: to the values after the softmax, to every later sum, or as the
            floor below which no sum falls.
        eps: what is added there.
        iters: normalisations of both sides; half a one is a single side.
        tau: what the logits are divided by, after the clamp.
        clamp: the modulus at which logits are cut off.
    """

    start: Start
    first: Side
    eps_on: EpsOn
    eps: float
    iters: float
    tau: float = 1.0
    clamp: float = inf

    @property
    def normalisations(self) -> int:
        """Normalisations of one side."""
        return round(2 * self.iters)

    @property
    def last(self) -> Side:
        """The side that is normalised last."""
        return self.first if self.normalisations % 2 else OTHER[self.first]


class CodeBase(NamedTuple):
    """What a code base normalises, and whether it applies the transpose of it."""

    recipe: Recipe
    transposed: bool


V4 = CodeBase(Recipe("softmax", "rows", "values+sums", 1e-6, 20), transposed=True)
CODE_BASES: Mapping[Name, CodeBase] = {
    "deepseek-v4": V4,
    "megatron-dev": V4,
    "xing": CodeBase(Recipe("max", "rows", "sums", 1e-6, 20, clamp=30.0), transposed=False),
    "megatron-main": CodeBase(Recipe("max", "rows", "floor", 1e-6, 20), transposed=False),
    "lucidrains": CodeBase(Recipe("max", "columns", "floor", 1e-12, 20), transposed=True),
    "motif": CodeBase(Recipe("raw", "rows", "floor", 1e-8, 20, clamp=20.0), transposed=False),
    "mhc-lite": CodeBase(Recipe("max", "columns", "none", 0.0, 20), transposed=True),
    "paper": CodeBase(Recipe("max", "columns", "none", 0.0, 20), transposed=False),
    "tokenbender": CodeBase(Recipe("max", "rows", "none", 0.0, 10, tau=0.05), transposed=True),
}
"""Of those that compute the same, the most widely run comes first."""

RECIPES: Mapping[str, Recipe] = {name: base.recipe for name, base in CODE_BASES.items()}

PLANS: tuple[tuple[Start, EpsOn], ...] = tuple(
    dict.fromkeys(
        [(r.start, r.eps_on) for r in RECIPES.values()]
        + [("softmax", "values"), ("softmax", "sums"), ("raw", "sums")]
    )
)
"""Starts and places of eps that are tried: those of the known code bases, and mixtures."""

FIELDS = {
    "start": "start",
    "eps_on": "eps on",
    "clamp": "clamp",
    "tau": "temperature",
    "eps": "eps",
    "iters": "iterations",
}


def list_changes(recipe: Recipe, known: Recipe) -> Iterator[str]:
    """Say how a recipe differs from a known one, but for the side that comes first."""
    for field, word in FIELDS.items():
        ours, theirs = getattr(recipe, field), getattr(known, field)
        if ours != theirs and not (field == "eps" and recipe.eps_on == "none"):
            yield f"{word} {_text(ours)} instead of {_text(theirs)}"


def _text(value: float | str) -> str:
    if value == inf:
        return "none"
    return value if isinstance(value, str) else f"{value:.4g}"
