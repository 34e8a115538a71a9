"""Loss curves of fits, cell by cell of a sweep, and the matrices that were learned."""

import re
from typing import TYPE_CHECKING, Any

import numpy as np

from birkhoff_cli.analyses.core import palette
from birkhoff_cli.analyses.core.lettering import SMALL, fit_width
from birkhoff_cli.analyses.drawing import axis, bands, captions, sweep_ends
from birkhoff_cli.analyses.fitting.curves import convergence

if TYPE_CHECKING:
    import pyarrow as pa
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


PANELS = {
    "loss": "loss (mean square per element)",
    "kl": "Kullback-Leibler divergence (nat)",
    "geodesic": "angle to the target, dotted: to the start (rad)",
}


WIDTH = 8.3
"""Of a picture in inches."""

Looks = dict[str, palette.Look]
"""Of the line of every method."""


def draw_cells(figure: "Figure", columns: dict[str, Any], swept: list[str], looks: Looks) -> None:
    """The losses of a sweep, a panel for every cell; and what they end at over what is swept."""
    numbers, first = np.unique(columns["cell"], return_index=True)
    ends = sweep_ends.numbers(columns, swept, first)
    panels = len(numbers) + (2 if ends else 0)
    across = min(4, panels)
    down = -(-panels // across)
    figure.set_size_inches(WIDTH, 2.2 * down + 1.2)
    grid = figure.subplots(down, across, squeeze=False)
    for axes in grid.ravel()[panels:]:
        axes.set_axis_off()
    for axes, number, row in zip(grid.flat, numbers, first, strict=False):
        mine = columns["cell"] == number
        draw_panel(axes, {name: values[mine] for name, values in columns.items()}, "loss", looks)
        settings = (f"{name.removeprefix('swept_')} = {columns[name][row]}" for name in swept)
        title = re.sub(r",(?=\S)", ", ", ", ".join(settings).replace("_", " "))
        axes.set_title(fit_width(title, WIDTH / across - 0.6), fontsize=SMALL)
        axes.set(xlabel="epoch", ylabel="loss" if axes in grid[:, 0] else "")
    _share_losses(grid.ravel()[: len(numbers)])
    if ends:
        sweep_ends.draw(grid.ravel()[len(numbers) : panels], columns, swept[0], ends, looks)


def _share_losses(panels: Any) -> None:
    """One scale of losses for all cells."""
    limits = np.array([axes.get_ylim() for axes in panels])
    low, high = limits[:, 0].min(), limits[:, 1].max()
    for axes in panels:
        axes.set_ylim(low, high)
        axis.powers_of_ten(axes.yaxis, np.log10(low), np.log10(high))


def draw_panel(axes: "Axes", columns: dict[str, Any], name: str, looks: Looks) -> None:
    """One column by epoch, a curve for every method; the floor of a loss."""
    for label, look in looks.items():
        mine = columns["method"] == label
        if not mine.any():  # too large in this cell of a sweep, or swept are its own options
            continue
        part = {key: values[mine] for key, values in columns.items()}
        _curve(axes, *by_epoch(part, name), look, name == "loss")
        if name == "geodesic":
            epoch, values = by_epoch(part, "geodesic_start")
            axes.plot(epoch, np.nanmean(values, axis=1), color=look.colour, lw=0.8, ls=":")
    floor = columns["floor"].mean()
    if name == "loss" and floor > 0:
        axes.axhline(floor, color="0.3", lw=0.9, ls=FLOOR)
    if name != "geodesic":
        axis.logarithmic(axes)
    axes.set_xscale("symlog", linthresh=1, linscale=0.6)
    axes.set_xlim(0, None)
    _mark_epochs(axes, float(columns["epoch"].max()))


FLOOR: Any = (0, (4, 2))
"""Dashes of the line at the floor."""


def _mark_epochs(axes: "Axes", last: float) -> None:
    """Ticks at 0, 1 and further powers of 10."""
    powers = [10**k for k in range(int(np.log10(max(last, 1))) + 1)]
    ticks = [0, *powers[:: 2 if len(powers) > 3 else 1]]
    axes.set_xticks(ticks, [f"{tick:,}" for tick in ticks])
    axes.set_xticks([], minor=True)


def by_epoch(columns: dict[str, Any], name: str) -> tuple[Any, Any]:
    """The kept epochs and the values ``(epochs, targets)`` of one method."""
    epoch = np.unique(columns["epoch"])
    order = np.lexsort((columns["target"], columns["epoch"]))
    return epoch, columns[name][order].reshape(len(epoch), -1)


def _curve(axes: "Axes", epoch: Any, values: Any, look: palette.Look, mark: bool) -> None:
    """The mean over targets, the middle 80 %, and a mark where the mean converges, if it does."""
    values = values[:, np.isfinite(values).all(0)]
    if not values.size:
        return
    mean = values.mean(1)
    low, high = np.quantile(values, (0.1, 0.9), axis=1)
    bands.band(axes, epoch, low, high, look.colour, opacity=0.13)
    axes.plot(epoch, mean, color=look.colour, ls=look.dashes, lw=1.4)
    converged = convergence(epoch, mean) if mark else None
    if converged is not None:
        at = np.searchsorted(epoch, converged)
        edge: dict[str, Any] = {"ms": 5, "mec": "white", "mew": 0.6}
        axes.plot(converged, mean[at], color=look.colour, marker=look.marker, **edge)


def draw_legend(figure: "Figure", looks: Looks, columns: dict[str, Any]) -> None:
    """What colours, lines and marks mean, below all panels."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    lines: list[Any] = [
        Line2D([], [], color=look.colour, ls=look.dashes, label=label)
        for label, look in looks.items()
    ]
    targets = len(np.unique(columns["target"]))
    if targets > 1:
        lines.append(Patch(color="0.4", alpha=0.25, lw=0, label="10-90 % of the targets"))
    mark = "from here within 5 % of its end"
    lines.append(Line2D([], [], color="0.4", ls="", marker="o", ms=4.5, label=mark))
    if columns["floor"].max() > 0:
        lines.append(Line2D([], [], color="0.3", lw=0.9, ls=FLOOR, label="floor"))
    heading = f"lines: mean over {targets} targets" if targets > 1 else None
    captions.entries_below(figure, lines, heading)


MAX_MATRICES = 8


def draw_matrices(result: "pa.Table", figure: "Figure", labels: list[str]) -> None:
    """The first matrices that every method learned, a row of them each."""
    cells = result["matrix"].combine_chunks().flatten()
    d = cells.type.list_size
    matrices = cells.flatten().to_numpy().reshape(-1, d, d)
    which = result["method"].to_numpy()
    figure.set_size_inches(1.1 * MAX_MATRICES, 1.3 * len(labels) + 0.4)
    grid = figure.subplots(len(labels), MAX_MATRICES, squeeze=False)
    for k, label in enumerate(labels):
        mine = matrices[which == label]
        for axes, matrix in zip(grid[k], mine, strict=False):
            image = axes.imshow(matrix, vmin=0, vmax=1, cmap="cividis")
        for axes in grid[k]:
            axes.set(xticks=[], yticks=[], frame_on=False)
        grid[k, 0].set_title(label, fontsize=SMALL, loc="left")
    figure.colorbar(image, ax=grid, label="entry")
