"""Panels of degeneration: row maxima, the diagonal, and distances, over depth and over steps."""

from typing import TYPE_CHECKING, Any

import numpy as np

from birkhoff_cli.analyses.core import overview, palette
from birkhoff_cli.analyses.core.palette import BLUE
from birkhoff_cli.analyses.drawing import axis, bands, captions
from birkhoff_cli.analyses.sites.step import BANDS
from birkhoff_cli.analyses.sites.verdict import NEAR, Numbers

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

REFERENCES = {
    "identity_distance": ("I", palette.LOOKS[0]),
    "permutation_distance": ("nearest permutation", palette.LOOKS[1]),
    "barycenter_distance": ("J/d", palette.LOOKS[2]),
}

FLOOR = 1e-6
"""Smaller distances are drawn at it."""


def draw_depth(panels: Any, rows: Numbers, unit: float) -> None:
    """A point for every site; where the row maxima of a layer lie, and what it is near to."""
    site = rows["site"]
    middle = rows["row_max_p50"]  # a monitor keeps the median alone
    _row_maxima(panels[0], site, *(rows.get(name, middle) for name in BANDS))
    label = _everywhere(rows["diagonal_fraction"], "site")
    panels[1].bar(site, rows["diagonal_fraction"], color=BLUE, width=0.7, label=label)
    for name, (word, look) in REFERENCES.items():
        style = {"color": look.colour, "ls": look.dashes, "marker": look.marker, "ms": 3.5, "lw": 1}
        panels[2].plot(site, np.maximum(rows[name] / unit, FLOOR), label=word, **style)
    _diagonal(panels[1])
    _near(panels[2], "near")
    panels[2].set(ylabel="mean distance / $\\sqrt{d-1}$")
    captions.legend(panels[1])
    captions.legend(panels[2], "distance to")
    for axes in panels:
        axis.depth(axes)


def draw_steps(figure: "Figure", rows: Numbers, unit: float, size: tuple[float, float]) -> None:
    """All sites together and every site on its own over the steps; every step over depth."""
    figure.set_size_inches(size[0], size[1] + overview.CURVES_HEIGHT)
    halves: Any = figure.subfigures(2, 1, height_ratios=(size[1], overview.CURVES_HEIGHT))
    above, below = halves
    panels = above.subplots(1, 3)
    first = rows["site"] == 0
    step = rows["step"][first]
    _row_maxima(panels[0], step, *(rows[f"step_{name}"][first] for name in BANDS))
    layers = palette.numbers(rows["layer"].min(), rows["layer"].max())
    for site in np.unique(rows["site"]):
        at = rows["site"] == site
        style = {"color": layers.to_rgba(rows["layer"][at][0]), "lw": 0.9, "marker": ".", "ms": 3}
        panels[1].plot(step, rows["diagonal_fraction"][at], **style)
        panels[2].plot(step, np.maximum(rows["identity_distance"][at] / unit, FLOOR), **style)
    fraction = rows["step_diagonal_fraction"][first]
    label = _everywhere(fraction, "all sites")
    panels[1].plot(step, fraction, color="black", lw=1.8, ls="--", label=label)
    _diagonal(panels[1])
    _near(panels[2], "at the identity")
    panels[2].set(ylabel="distance to $I$ / $\\sqrt{d-1}$")
    captions.legend(panels[1])
    captions.legend(panels[2])
    for axes in panels:
        axis.steps(axes)
    palette.colour_bar(above, layers, panels[2], "layer (a line for every site)")
    if len(np.unique(rows["site"])) > 1:
        curves = {int(k): _depth_curves(rows, rows["step"] == k, unit) for k in step}
        overview.draw_curves(below, curves, axis.DEPTH)


def draw_alarms(figure: "Figure", rows: Numbers) -> None:
    """A line through the panels over steps where an alarm rang, with its verdict in the first."""
    rang = {int(s): str(a) for s, a in zip(rows["step"], rows["alarm"], strict=True) if a}
    for axes in figure.axes[:3]:
        for step in rang:
            axes.axvline(step, color="black", lw=1, ls=":")
    first = figure.axes[0]
    across = first.get_xaxis_transform()
    style: dict[str, Any] = {"transform": across, "rotation": 90, "va": "bottom"}
    for step, word in rang.items():
        first.text(step, 0.03, f" alarm: {word}", fontsize="x-small", **style)


def _depth_curves(rows: Numbers, at: Any, unit: float) -> overview.Curves:
    """What the panels show of one step, over depth."""
    shown = {
        "largest entry of a row, median": rows["row_max_p50"],
        "share on the diagonal": rows["diagonal_fraction"],
        "distance to $I$ / $\\sqrt{d-1}$": np.maximum(rows["identity_distance"] / unit, FLOOR),
    }
    return {name: (rows["site"][at], values[at]) for name, values in shown.items()}


def _diagonal(axes: "Axes") -> None:
    axes.set(ylabel="share of matrices with all\nrow maxima on the diagonal", ylim=(-0.03, 1.03))


def _everywhere(shares: Any, label: str) -> str:
    """What a flat line is at, in words."""
    return f"{label}: {shares[0]:.3g} everywhere" if (shares == shares[0]).all() else label


def _near(axes: "Axes", description: str) -> None:
    """Distances by their logarithm, and the side of the threshold that has the verdict."""
    drawn = np.concatenate([np.asarray(line.get_ydata(), float) for line in axes.lines])
    known = [*drawn[np.isfinite(drawn)], NEAR]  # a monitor may have measured NaN
    low, high = min(known) / 3, max(known) * 2
    label = f"shaded: {description}, at most {NEAR:g}"
    axes.axhspan(low, NEAR, color="0.92", lw=0, zorder=0, label=label)
    axes.set_ylim(low, high)
    axis.logarithmic(axes)


def _row_maxima(axes: "Axes", x: Any, low: Any, middle: Any, high: Any) -> None:
    if low is not middle:
        bands.band(axes, x, low, high, BLUE, opacity=0.3, label="10-90 %")
    axes.plot(x, middle, color=BLUE, lw=1.4, marker=".", ms=4, label="median")
    axes.set(ylabel="largest entry of a row")
    axes.ticklabel_format(axis="y", useOffset=False)
    captions.legend(axes)
