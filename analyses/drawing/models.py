"""Several models: a column of panels for each on the same axes, and lines of all in one."""

from typing import TYPE_CHECKING, Any

import numpy as np

from birkhoff_cli.analyses import regions
from birkhoff_cli.analyses.drawing import axis, bands, captions, plane
from birkhoff_cli.analyses.drawing.palette import CURVES
from birkhoff_cli.analyses.geometry.hypocycloids import Support

if TYPE_CHECKING:
    import pyarrow as pa
    from matplotlib.axes import Axes

BINS, LEAST = 200, 1.05
"""Cells along the side of a picture, and half of that side unless points lie beyond."""

COLUMN, ROW, TOGETHER = 2.9, 3.0, 4.4
"""Inches of a model's column, of a row of panels, and of the lines of all models."""

ACROSS = 3
"""Panels of lines in a row."""

MATRICES = 2
"""Mean matrices along each side of a panel."""

MAX_DOTS = 500
"""Points that are drawn one by one."""

Meta = dict[str, Any]


def reach(axes: "Axes", rows: "pa.Table", model: Meta) -> None:
    """Eigenvalues within their region."""
    _points(axes, rows["re"].to_numpy(), rows["im"].to_numpy())
    plane.unit_circle(axes, color="0.45", lw=0.7, ls="--")
    region = regions.load(model["region"])(model["d"])
    if not region.style.is_unit_circle:
        plane.outline(axes, *region.boundary(), width=1.1)
    plane.name_eigenvalue_axes(axes)
    streams = f"d = {model['d']}"
    name = model["title"] if "d=" in model["title"] else f"{model['title']}, {streams}"
    axes.set_title(name.replace("$", r"\$"), fontsize="small")


def _points(axes: "Axes", x: Any, y: Any) -> None:
    """Dots as long as they are few; a dot of a cell's size would not be seen."""
    if len(x) <= MAX_DOTS:
        axes.scatter(x, y, s=7, lw=0, zorder=3)
    else:
        plane.density(axes, x, y, bins=BINS, least=LEAST)


def projection(axes: "Axes", rows: "pa.Table", model: Meta) -> None:
    """Projections onto the plane of the cycle, within the polygon; none of two streams."""
    if model["d"] < 3:
        axes.set_axis_off()
        return
    _points(axes, rows["im"].to_numpy(), rows["re"].to_numpy())
    polygon_re, polygon_im = Support("polygon", model["d"]).boundary()
    axes.plot(polygon_im, polygon_re, color="0.35", lw=0.8)
    if model["support"] and model["support"]["shape"] not in ("polygon", "plane"):
        support_re, support_im = Support(**model["support"]).boundary()
        plane.outline(axes, support_im, support_re, width=1.1)
    axes.set(xlabel="Im z, projection", ylabel="Re z, projection", aspect="equal")


def same_axes(panels: Any) -> None:
    """One square for the panels of a row, so that models can be compared."""
    used = [axes for axes in panels if axes.axison]
    limits = [abs(edge) for axes in used for edge in (*axes.get_xlim(), *axes.get_ylim())]
    for axes in used:
        axes.set(xlim=(-max(limits), max(limits)), ylim=(-max(limits), max(limits)))


def means(part: Any, rows: "pa.Table", model: Meta, limit: float) -> None:
    """Mean matrices of a few sites and of the composite, on the scale of all models."""
    panels = part.subplots(MATRICES, MATRICES).ravel()
    every = rows.to_pylist()
    places = list(dict.fromkeys((row["kind"], row["site"], row["layer"]) for row in every))
    for axes in panels:
        axes.set_axis_off()
    for axes, place in zip([*panels[: len(places) - 1], panels[-1]], places, strict=True):
        own = [row for row in every if (row["kind"], row["site"], row["layer"]) == place]
        mean = np.array([row["value"] for row in own]).reshape(model["d"], model["d"])
        axes.imshow(mean, cmap="RdBu", vmin=-limit, vmax=limit)
        head = f"composite of {model['sites']}" if place[0] == "composite" else f"layer {place[2]}"
        sums = mean.sum(0)
        head += f"\ncolumn sums {sums.min():.2f} to {sums.max():.2f}"
        axes.set_title(head, fontsize="xx-small")


class Together:
    """Panels in which every model with a depth is a line of its own colour."""

    def __init__(self, part: Any, shown: list[Meta]) -> None:
        """Panels in two rows; the last holds the names."""
        self.panels = part.subplots(2, ACROSS).ravel()
        deep = [model["title"] for model in shown if model["depth"]]
        self.colours = {name: CURVES[k % len(CURVES)] for k, name in enumerate(deep)}
        names = self.panels[-1]
        for name, colour in self.colours.items():
            names.plot([], [], color=colour, label=name.replace("$", r"\$"))
        names.set_axis_off()
        captions.legend(names, "median, 10 to 90 %", loc="center", frameon=False)

    def draw(self, rows: list[Meta]) -> None:
        """Row maxima, sums, norms and entries, of rows that are no points."""
        maxima, sums, products, norms, entries, _ = self.panels
        steps = {(row["model"], row["step"]) for row in rows if row["panel"] == "training"}
        if len(steps) > len({name for name, _ in steps}):
            self._bands(maxima, rows, "step", panel="training", metric="row_max")
            axis.steps(maxima)
        else:
            self._bands(maxima, rows, "site", panel="depth", metric="row_max")
            axis.depth(maxima)
        maxima.set(ylabel="row maximum")
        for axes, kind, metric, label in (
            (sums, "site", "column_sum", "column sum of a matrix"),
            (products, "composite", "column_sum", "column sum of the composite"),
            (norms, "composite", "spectral_norm", "norm of the composite"),
        ):
            self._bands(axes, rows, "site", panel="depth", kind=kind, metric=metric)
            axes.set(ylabel=label)
            axes.ticklabel_format(axis="y", useOffset=False)
            axis.depth(axes)
        self._entries(entries, rows)

    def _bands(self, axes: "Axes", rows: list[Meta], x: str, **where: Any) -> None:
        for name, colour in self.colours.items():
            own = [r for r in rows if r["model"] == name and where.items() <= r.items()]
            own.sort(key=lambda row: row[x])
            at, low, middle, high = (
                np.array([np.nan if r[k] is None else r[k] for r in own], float)
                for k in (x, "p10", "p50", "p90")
            )
            bands.band(axes, at, low, high, colour, bands.RANGE)
            marker = "." if len(at) <= axis.MAX_LINEAR_DEPTH else ""
            axes.plot(at, middle, color=colour, lw=1.2, marker=marker, ms=3)

    def _entries(self, axes: "Axes", rows: list[Meta]) -> None:
        """The distribution of the entries of all sites."""
        for name, colour in self.colours.items():
            where = {"model": name, "panel": "entries", "kind": "site"}
            own = [row for row in rows if where.items() <= row.items()]
            edges, share = ([row[k] for row in own] for k in ("entry", "value"))
            axes.plot(edges, share, color=colour, lw=1, marker=".", ms=2)
        axes.set(xlabel="entry", ylabel="share of entries in 1/128", yscale="log")
