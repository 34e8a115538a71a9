"""Mean matrices beside one another, and the distribution of entries by depth."""

from typing import TYPE_CHECKING, Any

import numpy as np

from birkhoff_cli.analyses.core.lettering import SMALL
from birkhoff_cli.analyses.core.palette import BLUE, VERMILION
from birkhoff_cli.analyses.drawing import axis, captions

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import SubFigure


NUMBERED = 6
"""Largest d whose entries and sums are written out."""


def draw_means(figure: "SubFigure", shown: list[dict[str, Any]], titles: list[str]) -> None:
    """On one scale; row sums at the left, column sums below."""
    means = [np.array(row["mean"]) for row in shown]
    low, high = min(float(m.min()) for m in means), max(float(m.max()) for m in means)
    if signed := low < -0.005:  # what is written as 0.00 needs no second colour
        low, high = -max(-low, high), max(-low, high)
    high = max(high, 0.0)
    scale = {"cmap": "RdBu" if signed else "Blues", "vmin": min(low, 0.0), "vmax": high}
    panels = figure.subplots(1, len(shown), squeeze=False)[0]
    for axes, row, mean, title in zip(panels, shown, means, titles, strict=True):
        image = axes.imshow(mean, **scale)
        axes.set_title(title, fontsize=SMALL)
        axes.spines[:].set_visible(False)
        _sums(axes, row, len(mean))
        if len(mean) <= NUMBERED:
            for (i, j), value in np.ndenumerate(mean):
                dark = abs(value) > 0.6 * high
                style = {"ha": "center", "va": "center", "color": "white" if dark else "black"}
                axes.text(j, i, _two_digits(value), fontsize=SMALL, **style)
    panels[0].set_ylabel("row sum", fontsize=SMALL)
    panels[0].set_xlabel("column sum", fontsize=SMALL)
    figure.colorbar(image, ax=panels, label="mean of an entry", shrink=0.8)


def _two_digits(value: float) -> str:
    """Without the zero before the point, as four of them have to stand side by side."""
    text = f"{round(value, 2) + 0:.2f}"
    return text.replace("0.", ".", 1) if abs(value) < 0.995 else text.removesuffix(".00")


def _sums(axes: "Axes", row: dict[str, Any], d: int) -> None:
    """Every sum where its row or column is; for many streams the range of them."""
    for side, sums in ((axes.yaxis, row["row_sum"]), (axes.xaxis, row["column_sum"])):
        if d <= NUMBERED:
            side.set_ticks(range(d), [f"{s:.2f}" for s in sums])
            axes.xaxis.set_tick_params(rotation=90)
        else:
            side.set_ticks([(d - 1) / 2], [f"{min(sums):.2f} to {max(sums):.2f}"])
            side.set_tick_params(length=0, labelsize=SMALL)
    if d > NUMBERED:
        axes.yaxis.set_tick_params(rotation=90)


def draw_entries(figure: "SubFigure", sites: Any, composite: Any, limit: float) -> None:
    """The distribution at all sites and of the composite, and at every site.

    Args:
        figure: where to.
        sites: counts in equal bins, ``(sites, bins)``.
        composite: the same, ``(bins,)``.
        limit: the bins are those of ``[-limit, limit]``.
    """
    import matplotlib as mpl

    bins = len(composite)
    used = np.flatnonzero(sites.sum(0) + composite)
    first, last = min(used[0], bins // 2), max(used[-1] + 1, bins // 2 + bins // 4 + 1)
    edges = np.arange(first, last + 1) * (2 * limit / bins) - limit
    together, each = figure.subplots(1, 2)
    for counts, word, style in (
        (sites.sum(0), "all sites", {"color": BLUE, "fill": True, "alpha": 0.5}),
        (composite, "composite", {"color": VERMILION, "lw": 1.2}),
    ):
        together.stairs(counts[first:last] / counts.sum(), edges, label=word, **style)
    beyond = " (those beyond are in the last bins)" if first == 0 or last == bins else ""
    together.set(xlabel=f"entry{beyond}", ylabel="share of entries in 1/128")
    together.set_ylim(0.5 / sites.sum(), 1.5)
    axis.logarithmic(together)
    captions.legend(together)
    share = sites[:, first:last] / sites.sum(1, keepdims=True)
    share[share == 0] = np.nan
    depth = np.arange(len(sites) + 1) - 0.5
    scale = mpl.colors.LogNorm(1 / sites.sum(1).max(), 1)
    mesh = each.pcolormesh(edges, depth, share, norm=scale, rasterized=True)
    each.set(xlabel="entry", ylabel=axis.DEPTH)
    axis.integers(each.yaxis, min_n_ticks=1)
    figure.colorbar(mesh, ax=each, label="share of entries in 1/128")
