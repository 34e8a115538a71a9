"""Panels of what rounding costs: distances over depth, the composite, and losses, by format."""

from typing import TYPE_CHECKING, Any

import numpy as np

from birkhoff_cli.analyses.core.arrays import Array
from birkhoff_cli.analyses.core.palette import BLUE, GREEN, LOOKS, ORANGE
from birkhoff_cli.analyses.drawing import axis, captions

if TYPE_CHECKING:
    import pyarrow as pa
    from matplotlib.axes import Axes

FLOOR = 1e-9
"""Smaller changes are drawn at it."""

STYLES: dict[str, tuple[str, str, str, str]] = {
    "theta": ("-", "solid", "o", BLUE),
    "matrices": ("--", "dashed", "D", ORANGE),
    "model": (":", "dotted", "s", GREEN),
}
"""Line, its name, marker and colour of what is rounded."""

NONE = "none"

Rows = dict[tuple[str, str, str], dict[str, Array]]
"""Mean and largest value by site, of what is rounded, its format and the metric."""


def read(result: "pa.Table") -> Rows:
    """The columns that are drawn."""
    rows: dict[tuple[str, str, str], list[tuple[float, float]]] = {}
    for row in result.select(["what", "format", "metric", "mean", "max"]).to_pylist():
        key = (row["what"], row["format"], row["metric"])
        rows.setdefault(key, []).append((row["mean"], row["max"]))
    arrays = {key: np.array(pairs, dtype=float).T for key, pairs in rows.items()}
    return {key: {"mean": mean, "max": largest} for key, (mean, largest) in arrays.items()}


def has_losses(rows: Rows) -> bool:
    """Whether tokens were run."""
    return (NONE, NONE, "loss") in rows


def _parts(rows: Rows) -> list[str]:
    return [part for part in STYLES if any(key[0] == part for key in rows)]


def _formats(rows: Rows) -> list[str]:
    return list(dict.fromkeys(key[1] for key in rows if key[1] != NONE))


def draw_distances(axes: "Axes", rows: Rows) -> None:
    """Mean distance to the unrounded matrix over depth: a colour for a format, dashes for what."""
    for format, look in zip(_formats(rows), LOOKS, strict=False):
        for part in _parts(rows):
            mean = np.maximum(rows[part, format, "distance"]["mean"], FLOOR)
            label = format if part == _parts(rows)[0] else None
            style: dict[str, Any] = {
                "ls": STYLES[part][0],
                "color": look.colour,
                "lw": 1.2,
                "marker": look.marker,
                "ms": 3,
            }
            axes.plot(np.arange(len(mean)), mean, label=label, **style)
    axes.set(ylabel="mean distance to the unrounded matrix")
    axis.logarithmic(axes)
    axis.depth(axes, min_n_ticks=1)
    lines = ", ".join(f"{STYLES[part][1]}: {part}" for part in _parts(rows))
    captions.legend(axes, lines)


def draw_composite(axes: "Axes", rows: Rows) -> None:
    """Largest |sum - 1| of the composite by format, filled; its distance, hollow."""
    for part in _parts(rows):
        sums = [
            max(rows[part, f, f"composite_{side}_error"]["max"][0] for side in ("row", "column"))
            for f in _formats(rows)
        ]
        apart = [rows[part, f, "composite_distance"]["max"][0] for f in _formats(rows)]
        _dots(axes, part, sums, {"label": f"{part}: |sum - 1|"})
        _dots(axes, part, apart, {"label": f"{part}: distance", "mfc": "none"})
    _by_format(axes, rows)
    axes.set(xlabel=f"composite: largest, at least {FLOOR:g}")
    axis.logarithmic(axes, "x")
    captions.legend(axes)


def draw_losses(axes: "Axes", rows: Rows) -> None:
    """Mean loss by format; the line is that without rounding."""
    axes.axvline(rows[NONE, NONE, "loss"]["mean"][0], color="0.4", lw=0.8, label="unrounded")
    for part in _parts(rows):
        losses = [rows[part, f, "loss"]["mean"][0] for f in _formats(rows)]
        _dots(axes, part, losses, {"label": part})
    _by_format(axes, rows)
    axes.set(xlabel="mean loss of the next token [nat]")
    captions.legend(axes)


def _dots(axes: "Axes", part: str, values: Any, more: dict[str, Any]) -> None:
    _, _, marker, colour = STYLES[part]
    at = np.arange(len(values))[::-1]
    axes.plot(np.maximum(values, FLOOR), at, marker, color=colour, ms=5, **more)


def _by_format(axes: "Axes", rows: Rows) -> None:
    names = _formats(rows)
    axes.set_yticks(np.arange(len(names))[::-1], names)
    axes.set_ylim(-0.5, len(names) - 0.5)
    axes.grid(axis="y", color="0.9", lw=0.6)
