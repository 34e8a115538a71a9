"""Norm and rank of Jacobians on the way to a vertex, and the parts of a mixture's gradient."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from birkhoff_cli.analyses.core import palette
from birkhoff_cli.analyses.core.arrays import Array
from birkhoff_cli.analyses.core.lettering import SMALL, fit_width
from birkhoff_cli.analyses.drawing import axis, captions

if TYPE_CHECKING:
    import pyarrow as pa
    from matplotlib.axes import Axes

NEAREST = 1e-8
"""Smallest distance that a picture shows."""

DISTANCE = "distance of H to the nearest permutation"

Path = dict[str, Any]
"""Columns of one method on its path, by name."""


def draw_norms(axes: "Axes", paths: Mapping[str, Path], dtype: str) -> None:
    """Norms of the Jacobians over the distance to the nearest permutation, and which start at 0."""
    looks = palette.looks(paths)
    for name, path in paths.items():
        _curve(axes, path, path["norm"], looks[name], name)
    if _any_seen(paths):
        axis.logarithmic(axes, "x")
        axis.logarithmic(axes)
    axes.set(xlabel=DISTANCE, ylabel=f"Frobenius norm of dH/d$\\theta$, {dtype}")
    dead = [name for name, p in paths.items() if not p["norm"][p["scale"] == 1].any()]
    if dead:
        sentence = "exactly 0 at the start: " + ", ".join(dead)
        axes.set_title(fit_width(sentence, 2.4), fontsize=SMALL)


def draw_ranks(axes: "Axes", paths: Mapping[str, Path]) -> None:
    """Ranks of the Jacobians over the same distance, below the dimension of the polytope."""
    looks = palette.looks(paths)
    for k, (name, path) in enumerate(paths.items()):
        beside = path["rank"] + 0.06 * (k - len(paths) / 2)  # so that equal ranks show
        _curve(axes, path, beside, looks[name], None)
        axes.axhline((path["d"][0] - 1) ** 2, color="0.5", lw=0.7, ls=":")
    if _any_seen(paths):
        axis.logarithmic(axes, "x")
    axes.set(xlabel=DISTANCE, ylabel="rank of dH/d$\\theta$ (dotted: of the polytope)")


def _any_seen(paths: Mapping[str, Path]) -> bool:
    """Whether a logarithmic scale has anything to show: d = 1 has nothing above 0."""
    return any(_seen(path).any() for path in paths.values())


def paths_by_method(result: "pa.Table") -> dict[str, Path]:
    """The rows of every method's path, by its name, with d where there are several."""
    table = {name: result[name].to_numpy() for name in result.schema.names}
    several = len(set(table["d"].tolist())) > 1
    rows_of: dict[str, list[int]] = {}
    for k in np.flatnonzero(table["kind"] == "path").tolist():
        name = table["method"][k] + (f", d = {table['d'][k]}" if several else "")
        rows_of.setdefault(name, []).append(k)
    return {name: {c: v[at] for c, v in table.items()} for name, at in rows_of.items()}


def _curve(axes: "Axes", path: Path, y: Array, look: palette.Look, label: str | None) -> None:
    """Over distances that are not too small to show; the start is a circle."""
    x = path["vertex_distance"]
    seen = _seen(path)
    axes.plot(x[seen], y[seen], color=look.colour, ls=look.dashes, lw=1.3, label=label)
    start = seen & (path["scale"] == 1)
    axes.plot(x[start], y[start], "o", color=look.colour, ms=5)


def _seen(path: Path) -> Array:
    """Points that a logarithmic scale can show."""
    seen: Array = (path["vertex_distance"] >= NEAREST) & (path["norm"] > 0)
    return seen


def draw_parts(axes: "Axes", path: Path) -> None:
    """Parts of the gradient in a weight, in modulus, as the weight of the target goes to 1."""
    far = 1 - path["gate"].astype(float)
    for name, dashes, colour in (
        ("signal", "-", palette.BLUE),
        ("crosstalk", "--", palette.VERMILION),
        ("noise_floor", ":", "0.3"),
        ("logit_gradient", "-.", palette.GREEN),
    ):
        label = name.replace("_", " ")
        axes.plot(far, np.abs(path[name].astype(float)), dashes, color=colour, lw=1.3, label=label)
    axes.set(xscale="log", yscale="log", xlim=(NEAREST, 1.5), ylim=(NEAREST, 2))
    axis.logarithmic(axes, "x")
    axis.logarithmic(axes)
    axes.set(xlabel="1 - weight of the target permutation")
    captions.legend(axes)
