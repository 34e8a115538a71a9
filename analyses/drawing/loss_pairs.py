"""Loss against loss: where two methods are at the same epoch, on their way down.

Source: go-mHC, arXiv:2604.02309, figures 7 and A1.
"""

from collections.abc import Sequence
from itertools import cycle
from typing import TYPE_CHECKING, Any

import numpy as np

from birkhoff_cli.analyses.core import palette
from birkhoff_cli.analyses.core.lettering import SMALL
from birkhoff_cli.analyses.drawing import axis, captions

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PANEL, WIDTH = 4.0, 8.3
"""Width of a panel, and of a row of them at most, in inches."""

MARGIN = 1.5
"""Factor by which the axes go beyond the losses."""


def draw_pairs(figure: "Figure", columns: dict[str, Any], swept: Sequence[str] = ()) -> None:
    """A panel for every method: its loss upwards, that of the first method to the right.

    A line is the mean over targets from epoch to epoch, a dot a target after the last epoch; above
    the diagonal the first method is ahead.

    Args:
        figure: an empty one.
        columns: ``method, against, target, epoch, loss, loss_against, floor``, and of a sweep
            ``cell`` and what was varied.
        swept: names of what was varied; a colour for every cell.
    """
    labels = list(dict.fromkeys(columns["method"]))
    width = min(WIDTH, PANEL * len(labels))
    figure.set_size_inches(width, width / len(labels) + (0.9 if swept else 0.3))
    panels = figure.subplots(1, len(labels), squeeze=False, sharex=True, sharey=True)[0]
    ends = np.array([columns["loss"], columns["loss_against"]])
    ends = ends[ends > 0]
    low, high = ends.min(initial=1.0) / MARGIN, ends.max(initial=1.0) * MARGIN
    for axes, label in zip(panels, labels, strict=True):
        mine = columns["method"] == label
        _draw_panel(axes, {k: v[mine] for k, v in columns.items()}, swept)
        axes.fill_between([low, high], [low, high], high, color=palette.GREEN, alpha=0.08, lw=0)
        axes.plot([low, high], [low, high], color="0.5", lw=0.8, ls="--")
        axes.set(xscale="log", yscale="log", xlim=(low, high), ylim=(low, high))
        for side in (axes.xaxis, axes.yaxis):
            axis.powers_of_ten(side, np.log10(low), np.log10(high))
        axes.set(xlabel=f"loss of {columns['against'][0]}", ylabel=f"loss of {label}")
        axes.set_title(f"shaded: {columns['against'][0]} is ahead", fontsize=SMALL)
    if swept:
        captions.legend_below(figure, panels[0], NOTE)
    else:
        figure.supxlabel(NOTE, fontsize=SMALL)


NOTE = "line: mean of the targets; dots: targets at the end; +: floor"


def _draw_panel(axes: "Axes", columns: dict[str, Any], swept: Sequence[str]) -> None:
    cells = columns.get("cell", np.zeros(len(columns["epoch"]), int))
    for cell, look in zip(np.unique(cells), cycle(palette.LOOKS), strict=False):
        colour = look.colour
        rows = {k: v[cells == cell] for k, v in columns.items()}
        label = ", ".join(f"{name.removeprefix('swept_')} = {rows[name][0]}" for name in swept)
        epochs, where = np.unique(rows["epoch"], return_inverse=True)
        count = np.bincount(where)
        x, y = (np.bincount(where, rows[name]) / count for name in ("loss_against", "loss"))
        last = rows["epoch"] == epochs[-1]
        ends = (rows["loss_against"][last], rows["loss"][last])
        axes.scatter(*ends, color=colour, s=5, alpha=0.35, lw=0)
        axes.plot(x, y, color=colour, ls=look.dashes, lw=1.4, label=label.replace("_", " ") or None)
        axes.plot(x[0], y[0], color=colour, marker="o", ms=3)
        floor = rows["floor"].mean()
        if floor > 0:
            axes.plot(floor, floor, color=colour, marker="+", ms=9, mew=1.2)
