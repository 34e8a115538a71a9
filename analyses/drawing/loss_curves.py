"""Loss curves of fits, cell by cell of a sweep, and the matrices that were learned."""

import re
from textwrap import fill
from typing import TYPE_CHECKING, Any

import numpy as np

from birkhoff_cli.analyses.drawing import bands
from birkhoff_cli.analyses.fitting.curves import convergence

if TYPE_CHECKING:
    import pyarrow as pa
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


TITLE_WIDTH = 32
"""Letters in a line above a panel."""

PANELS = {
    "loss": "loss (mean square per element)",
    "kl": "Kullback-Leibler divergence (nat)",
    "geodesic": "angle to the target, dashed: to the start (rad)",
}


def draw_cells(
    figure: "Figure", columns: dict[str, Any], swept: list[str], colours: dict[str, str]
) -> None:
    """The losses of a sweep, a panel for every cell."""
    numbers, first = np.unique(columns["cell"], return_index=True)
    across = min(4, len(numbers))
    down = -(-len(numbers) // across)
    figure.set_size_inches(2.4 * across + 1.7, 2.2 * down + 0.4)
    grid = figure.subplots(down, across, squeeze=False, sharex=True, sharey=True)
    for axes in grid.ravel()[len(numbers) :]:
        axes.set_axis_off()
    for axes, number, row in zip(grid.flat, numbers, first, strict=False):
        mine = columns["cell"] == number
        draw_panel(axes, {name: values[mine] for name, values in columns.items()}, "loss", colours)
        said = (f"{name.removeprefix('swept_')} = {columns[name][row]}" for name in swept)
        title = re.sub(r",(?=\S)", ", ", ", ".join(said).replace("_", " "))
        axes.set_title(fill(title, TITLE_WIDTH, break_on_hyphens=False), fontsize="small")
    for axes in grid.ravel()[max(0, len(numbers) - across) : len(numbers)]:
        axes.tick_params(labelbottom=True)
    figure.supxlabel("epoch", fontsize="medium")
    figure.supylabel(PANELS["loss"], fontsize="medium")


def draw_panel(axes: "Axes", columns: dict[str, Any], name: str, colours: dict[str, str]) -> None:
    """One column by epoch, a curve for every method; the floor of a loss."""
    for label, colour in colours.items():
        mine = columns["method"] == label
        if not mine.any():  # too large in this cell of a sweep, or swept are its own options
            continue
        part = {key: values[mine] for key, values in columns.items()}
        _curve(axes, *_by_epoch(part, name), colour, name == "loss")
        if name == "geodesic":
            epoch, values = _by_epoch(part, "geodesic_start")
            axes.plot(epoch, np.nanmean(values, axis=1), color=colour, lw=1.0, ls="--")
    floor = columns["floor"].mean()
    if name == "loss" and floor > 0:
        axes.axhline(floor, color="0.3", lw=0.9, ls="--")
    axes.set(yscale="linear" if name == "geodesic" else "log")
    axes.set_xscale("symlog", linthresh=1, linscale=0.6)
    axes.set_xlim(0, None)


def _by_epoch(columns: dict[str, Any], name: str) -> tuple[Any, Any]:
    """The kept epochs and the values ``(epochs, targets)`` of one method."""
    epoch = np.unique(columns["epoch"])
    order = np.lexsort((columns["target"], columns["epoch"]))
    return epoch, columns[name][order].reshape(len(epoch), -1)


def _curve(axes: "Axes", epoch: Any, values: Any, colour: str, mark: bool) -> None:
    """The mean over targets, the middle 80 %, and a mark where the mean converges, if it does."""
    values = values[:, np.isfinite(values).all(0)]
    if not values.size:
        return
    mean = values.mean(1)
    low, high = np.quantile(values, (0.1, 0.9), axis=1)
    bands.band(axes, epoch, low, high, colour, opacity=0.18)
    axes.plot(epoch, mean, color=colour, lw=1.4)
    converged = convergence(epoch, mean) if mark else None
    if converged is not None:
        at = np.searchsorted(epoch, converged)
        axes.plot(converged, mean[at], color=colour, marker="o", ms=4.5, mec="white", mew=0.6)


def draw_legend(figure: "Figure", colours: dict[str, str], floor: bool) -> None:
    """What colours and marks mean, beside all panels."""
    from matplotlib.lines import Line2D

    lines = [Line2D([], [], color=colour, label=label) for label, colour in colours.items()]
    lines.append(Line2D([], [], color="0.4", ls="", marker="o", ms=4.5, label="converged to 5 %"))
    if floor:
        lines.append(Line2D([], [], color="0.3", lw=0.9, ls="--", label="floor"))
    figure.legend(handles=lines, loc="outside right center", fontsize="small", frameon=False)


SHOWN = 8


def draw_matrices(result: "pa.Table", figure: "Figure", labels: list[str]) -> None:
    """The first matrices that every method learned, a row of them each."""
    cells = result["matrix"].combine_chunks().flatten()
    d = cells.type.list_size
    matrices = cells.flatten().to_numpy().reshape(-1, d, d)
    which = result["method"].to_numpy()
    figure.set_size_inches(1.1 * SHOWN, 1.3 * len(labels) + 0.4)
    grid = figure.subplots(len(labels), SHOWN, squeeze=False)
    for k, label in enumerate(labels):
        mine = matrices[which == label]
        for axes, matrix in zip(grid[k], mine, strict=False):
            image = axes.imshow(matrix, vmin=0, vmax=1, cmap="cividis")
        for axes in grid[k]:
            axes.set(xticks=[], yticks=[], frame_on=False)
        grid[k, 0].set_title(label, fontsize="small", loc="left")
    figure.colorbar(image, ax=grid, label="entry")
