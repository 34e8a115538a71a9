"""Training runs by step: a panel for every quantity, or for every run with its layers."""

from typing import TYPE_CHECKING, Any

import numpy as np

from birkhoff_cli.analyses.core import palette
from birkhoff_cli.analyses.core.lettering import SMALL
from birkhoff_cli.analyses.core.sentences import count
from birkhoff_cli.analyses.drawing import axis, bands, captions

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PANELS = {
    "loss": "loss (nat); dots: held out",
    "gradient_norm": "gradient norm",
    "jitter": "jitter of the gradient norm",
}
WIDTH = 8.3
"""Of a picture in inches at most."""

WIDE = 20
"""Ratio of the largest to the smallest number beyond which an axis is logarithmic."""

MAX_POINTS = 2000
"""Points of a line; of more, means of as many neighbours are drawn."""

MANY = 150
"""Points of a line beyond which it is thin."""


def title(columns: dict[str, Any]) -> str:
    """``3 runs, steps 1 to 300``."""
    runs = count(len(np.unique(columns["run"])), "run")
    first, last = (int(end) for end in (columns["step"].min(), columns["step"].max()))
    return f"{runs}, steps {first:,} to {last:,}"


def draw_runs(figure: "Figure", columns: dict[str, Any]) -> None:
    """A colour for every name: one line, or the mean and the range of several runs."""
    shown = [name for name in PANELS if np.isfinite(columns[name]).any()] or ["loss"]
    figure.set_size_inches(min(WIDTH, 3.2 * len(shown) + 1.4), 3.9)
    figure.suptitle(title(columns))
    panels = figure.subplots(1, len(shown), squeeze=False)[0]
    looks = palette.looks(dict.fromkeys(columns["name"]))
    for axes, quantity in zip(panels, shown, strict=True):
        for name, look in looks.items():
            mine = columns["name"] == name
            part = {key: values[mine] for key, values in columns.items()}
            _draw_name(axes, part, quantity, look, name)
        _scale(axes, columns[quantity])
        axes.set(ylabel=PANELS[quantity])
        axis.steps(axes)
        axis.integers(axes.xaxis)
    handles = {h.get_label(): h for axes in panels for h in axes.get_lines()}
    legend = [h for label, h in handles.items() if not str(label).startswith("_")]
    captions.entries_below(figure, legend)


def _draw_name(
    axes: "Axes", columns: dict[str, Any], quantity: str, look: palette.Look, name: str
) -> None:
    """The runs of one name."""
    colour = look.colour
    runs = [_by_step(columns, run, quantity) for run in np.unique(columns["run"])]
    runs = [(step, values) for step, values in runs if len(step)]
    if quantity == "loss":
        known = np.isfinite(columns["held_out_loss"])
        held_out = (columns["step"][known], columns["held_out_loss"][known])
        axes.plot(*held_out, color=colour, ls="", marker="o", ms=3, mec="white", mew=0.4)
        for step in columns["step"][~columns["finite"]][:1]:
            label = f"{_text(name)}: not finite from {step:,}"
            axes.axvline(step, color=colour, lw=0.9, ls=":", label=label)
    if not runs:
        return
    if len(runs) == 1:
        step, mean = runs[0]
    else:
        step, stacked = _common(runs)
        mean = stacked.mean(0)
        bands.band(axes, step, stacked.min(0), stacked.max(0), colour, opacity=0.25)
    label = _text(name) if len(runs) == 1 else f"{_text(name)}, {len(runs)} runs"
    width = 1.3 if len(step) <= MANY else 0.8
    axes.plot(*_thinned(step, mean), color=colour, ls=look.dashes, lw=width, label=label)


def _text(name: str) -> str:
    """A name in a picture, where a dollar sign would begin a formula."""
    return name.replace("$", r"\$")


def _by_step(columns: dict[str, Any], run: int, quantity: str) -> tuple[Any, Any]:
    mine = (columns["run"] == run) & np.isfinite(columns[quantity])
    return columns["step"][mine], columns[quantity][mine]


def _common(runs: list[tuple[Any, Any]]) -> tuple[Any, Any]:
    """The steps that all runs have, and their numbers ``(runs, steps)``."""
    steps = runs[0][0]
    for step, _ in runs[1:]:
        steps = np.intersect1d(steps, step)
    return steps, np.array([values[np.isin(step, steps)] for step, values in runs])


def _thinned(step: Any, values: Any) -> tuple[Any, Any]:
    """Means of neighbours where there are more points than a picture shows."""
    size = -(-len(step) // MAX_POINTS)
    if size <= 1:
        return step, values
    starts = np.arange(0, len(step), size)
    counts = np.diff([*starts, len(step)])
    return np.add.reduceat(step, starts) / counts, np.add.reduceat(values, starts) / counts


def _scale(axes: "Axes", values: Any) -> None:
    """By logarithms where positive numbers span a wide range."""
    known = values[np.isfinite(values)]
    if known.size and known.min() > 0 and known.max() > WIDE * known.min():
        axis.logarithmic(axes)


def draw_layers(figure: "Figure", columns: dict[str, Any]) -> None:
    """Gradient norms of layers by step, a panel for every run, from the first layer to the last."""
    runs, first = np.unique(columns["run"], return_index=True)
    across = min(4, len(runs))
    down = -(-len(runs) // across)
    figure.set_size_inches(min(WIDTH, 2.8 * across + 1.2), 2.6 * down + 0.8)
    figure.suptitle(title(columns))
    panels = figure.subplots(down, across, squeeze=False, sharey=True)
    last = max(int(columns["layer"].max(initial=0)), 1)
    colours = palette.numbers(0, last)
    for axes, run, row in zip(panels.flat, runs, first, strict=False):
        mine = columns["run"] == run
        for layer in np.unique(columns["layer"][mine]):
            here = mine & (columns["layer"] == layer)
            line = _thinned(columns["step"][here], columns["gradient_norm"][here])
            axes.plot(*line, color=colours.to_rgba(layer), lw=0.8)
        axes.set_title(_text(columns["name"][row]), fontsize=SMALL)
        axes.set_yscale("log")
        axis.steps(axes)
        axis.integers(axes.xaxis)
    for axes in panels.flat[len(runs) :]:
        axes.set_axis_off()
    panels[0, 0].set(ylabel="gradient norm of a layer")
    bar = figure.colorbar(colours, ax=panels, label="layer")
    axis.integers(bar.ax.yaxis)
