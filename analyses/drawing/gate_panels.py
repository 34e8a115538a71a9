"""What sites read and write of their streams: heat maps, and numbers over depth."""

from typing import TYPE_CHECKING, Any

import numpy as np

from birkhoff_cli.analyses.core import palette
from birkhoff_cli.analyses.core.lettering import SMALL
from birkhoff_cli.analyses.core.palette import BLUE, ORANGE
from birkhoff_cli.analyses.drawing import axis, captions

if TYPE_CHECKING:
    import pyarrow as pa
    from matplotlib.figure import SubFigure

    from birkhoff_cli.analyses.core.arrays import Array

GATES = ("pre", "post")
TITLES = {"pre": "$H_{pre}$, what is read", "post": "$H_{post}$, what is written"}
MAX_TICKS = 4
"""Streams up to which each has its number below a map."""
MAX_MAPS = 4
"""Steps of a series that have a heat map."""


def draw_maps(figure: "SubFigure", result: "pa.Table") -> None:
    """Sites by streams, what is read beside what is written; a pair for each of some steps."""
    steps = np.unique(_step(result))
    chosen = np.unique(np.linspace(0, len(steps) - 1, MAX_MAPS).round().astype(int))
    panels: Any = figure.subplots(1, len(GATES) * len(chosen), squeeze=False)
    for gate, own in zip(GATES, np.split(panels[0], len(GATES)), strict=True):
        means = [_means(result, gate, step) for step in steps[chosen]]
        for axes, mean, step in zip(own, means, steps[chosen], strict=True):
            image = axes.imshow(mean, aspect="auto", interpolation="nearest", **_scale(means))
            title = f"{gate}\nstep {step:,}" if len(steps) > 1 else TITLES[gate]
            axes.set_title(title, fontsize=SMALL)
            axes.set(xlabel="stream")
            axis.integers(axes.xaxis, min_n_ticks=min(mean.shape[1], MAX_TICKS))
            axis.integers(axes.yaxis, min_n_ticks=1)
        own[0].set_ylabel(axis.DEPTH)
        figure.colorbar(image, ax=[*own], label=TITLES[gate])


def _scale(means: "list[Array]") -> dict[str, Any]:
    """One scale for all steps: from 0, or about 0 where a gate is negative."""
    low, high = min(float(m.min()) for m in means), max(float(m.max()) for m in means)
    if low < 0:
        high = max(-low, high)
        return {"cmap": "RdBu", "vmin": -high, "vmax": high}
    return {"cmap": "viridis", "vmin": 0.0, "vmax": high or 1.0}


def draw_depth(figure: "SubFigure", result: "pa.Table") -> None:
    """Effective numbers of streams and what is read of the site before, a line for every step."""
    left, middle, right = figure.subplots(1, 3)
    steps = np.unique(_step(result))
    colours = palette.numbers(steps[0], steps[-1])
    many = len(steps) > 1
    for step in steps:
        for gate, style, colour in (("pre", "-", BLUE), ("post", "--", ORANGE)):
            line = {"color": colours.to_rgba(step) if many else colour, "ls": style}
            label = f"{'read' if gate == 'pre' else 'written'}" if step == steps[-1] else None
            _line(left, result, gate, step, "effective_streams", line | {"label": label})
        line = {"color": colours.to_rgba(step) if many else BLUE}
        _line(middle, result, "pre", step, "last_overlap", line)
        _line(right, result, "pre", step, "last_share", line)
    left.set(ylabel="effective number of streams", ylim=(0.95, None))
    captions.legend(left)
    low = min(0.0, np.nanmin(result["last_overlap"].to_numpy(), initial=0.0))
    middle.set(ylabel="overlap with the $H_{post}$ before", ylim=(1.03 * low, 1.03))
    right.set(ylabel="share of the branch before", ylim=(0, None))
    for axes in (left, middle, right):
        axis.depth(axes)
        axes.set_xlim(-0.5, result["site"].to_numpy().max() + 0.5)
    if many:
        figure.colorbar(colours, ax=right, label="training step")


def _line(axes: Any, result: "pa.Table", gate: str, step: int, name: str, style: Any) -> None:
    rows = _rows(result, gate, step) & (result["stream"].to_numpy() == 0)
    site, values = result["site"].to_numpy()[rows], result[name].to_numpy()[rows]
    axes.plot(site, values, lw=1.2, marker=".", ms=4, **style)


def _means(result: "pa.Table", gate: str, step: int) -> "Array":
    """``(sites, streams)``."""
    rows = _rows(result, gate, step)
    return result["mean"].to_numpy()[rows].reshape(-1, result["stream"].to_numpy().max() + 1)


def _rows(result: "pa.Table", gate: str, step: int) -> "Array":
    return (result["gate"].to_numpy() == gate) & (_step(result) == step)


def _step(result: "pa.Table") -> "Array":
    """Steps of the rows; 0 where it is not known, which is of one model."""
    import pyarrow.compute as pc

    return pc.fill_null(result["step"], 0).to_numpy()
