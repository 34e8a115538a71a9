"""Several models: a column of panels for each on the same axes, and lines of all in one."""

from typing import TYPE_CHECKING, Any

import numpy as np

from birkhoff_cli.analyses import regions
from birkhoff_cli.analyses.core.lettering import SMALL, fit_width, write_numbers
from birkhoff_cli.analyses.core.palette import BLUE, VERMILION, looks
from birkhoff_cli.analyses.drawing import axis, bands, captions, plane
from birkhoff_cli.analyses.geometry.hypocycloids import Support
from birkhoff_cli.analyses.statistics.entries import BINS as BINS_OF_ENTRIES
from birkhoff_cli.analyses.statistics.entries import LIMIT

if TYPE_CHECKING:
    import pyarrow as pa
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BINS, LEAST = 120, 1.05
"""Cells along the side of a picture, and half of that side unless points lie beyond."""

WIDTH, MARGIN = 8.3, 1.5
"""Inches of the picture at most, and of what stands beside all columns."""

COLUMN, TOGETHER = 2.6, 4.9
"""Inches of a model's column at most, and of the height of the lines of all models."""

MODELS = 5
"""Columns at most; further models stand below."""

AROUND = 0.55
"""Inches above and below a panel."""

ACROSS = 3
"""Panels of lines in a row."""

MATRICES = 2
"""Mean matrices along each side of a panel."""

MAX_DOTS = 500
"""Points that are drawn one by one."""

TICKS = (-1, 0, 1)

SUMS = ("row_sum", "column_sum")
"""Metrics that are 1 of a doubly stochastic matrix."""

LEAST_DEVIATION = 1e-17
"""Drawn in place of 0, which has no logarithm."""

Meta = dict[str, Any]
Points = tuple[str, Meta, Any, Any]
"""A kind of panel, the model, and real and imaginary parts of what it shows."""


def draw_points(part: Any, points: list[list[Points]]) -> None:
    """Rows of panels, a column for every model; one scale of colours and one square for all.

    Args:
        part: of a figure.
        points: in rows.
    """
    panels = part.subplots(len(points), max(map(len, points)), squeeze=False)
    for axes in panels.flat:
        axes.set_axis_off()
    used = [
        (axes, each)
        for row, each_row in zip(panels, points, strict=True)
        for axes, each in zip(row, each_row, strict=False)
        if each[0] == "reach" or each[1]["d"] > 2
    ]
    counts = [
        plane.counts(re, im, BINS, LEAST) if len(re) > MAX_DOTS else None
        for _, (_, _, re, im) in used
    ]
    most = max((float(np.nanmax(c.number)) for c in counts if c is not None), default=1.0)
    mesh = None
    for (axes, (kind, model, re, im)), count in zip(used, counts, strict=True):
        axes.set_axis_on()
        (_reach if kind == "reach" else _projection)(axes, model)
        upright = kind == "projection"
        if count is not None:
            mesh = plane.cells_of(axes, count, most, upright)
        else:  # a dot of a cell's size would not be seen
            x, y = (im, re) if upright else (re, im)
            axes.scatter(x, y, s=7, lw=0, color=BLUE, zorder=plane.POINTS)
        if axes not in panels[:, 0]:
            axes.set(ylabel="")
    _same_axes([axes for axes, _ in used], panels[:, 0])
    if mesh is not None:
        part.colorbar(mesh, ax=panels, label="points in a cell", shrink=0.8, aspect=30)


def _reach(axes: "Axes", model: Meta) -> None:
    """The region of the eigenvalues of a model."""
    plane.unit_circle(axes, color="0.45", lw=0.7, ls="--")
    region = regions.load(model["region"])(model["d"])
    if not region.style.is_unit_circle:
        plane.outline(axes, *region.boundary(), width=1.1)
    plane.name_eigenvalue_axes(axes)
    streams = f"d = {model['d']}"
    name = model["title"] if "d=" in model["title"] else f"{model['title']}, {streams}"
    name = name.replace("$", r"\$")
    axes.set_title(fit_width(name, COLUMN * 0.7), fontsize=SMALL)


def _projection(axes: "Axes", model: Meta) -> None:
    """The polygon of projections onto the plane of the cycle."""
    polygon_re, polygon_im = Support("polygon", model["d"]).boundary()
    axes.plot(polygon_im, polygon_re, color="0.35", lw=0.8)
    if model["support"] and model["support"]["shape"] not in ("polygon", "plane"):
        support_re, support_im = Support(**model["support"]).boundary()
        plane.outline(axes, support_im, support_re, width=1.1, ls="-.")
    axes.set(xlabel="Im z", ylabel="Re z, projection", aspect="equal")


def _same_axes(panels: Any, first: Any) -> None:
    """One square for all panels, so that models can be compared; ticks are named at the left."""
    limits = [abs(edge) for axes in panels for edge in (*axes.get_xlim(), *axes.get_ylim())]
    for axes in panels:
        axes.set(xlim=(-max(limits), max(limits)), ylim=(-max(limits), max(limits)))
        axes.set(xticks=TICKS, yticks=TICKS)
        if axes not in first:
            axes.set(yticklabels=[])


def legend_of_points(figure: "Figure") -> None:
    """What the lines of both kinds of panels are."""
    from matplotlib.lines import Line2D

    lines = [
        Line2D([], [], label=label, color=colour, lw=1, ls=dashes)
        for label, colour, dashes in (
            ("unit circle", "0.45", "--"),
            ("region of the eigenvalues", VERMILION, "-"),
            ("projections of doubly stochastic matrices", "0.35", "-"),
            ("exact projections, if known", VERMILION, "-."),
        )
    ]
    captions.entries_below(figure, lines)


def means(part: Any, rows: "pa.Table", model: Meta, limit: float) -> None:
    """Mean matrices of a few sites and of the composite, on the scale of all models."""
    panels = part.subplots(MATRICES, MATRICES).ravel()
    every = rows.to_pylist()
    sites = list(dict.fromkeys((row["kind"], row["site"], row["layer"]) for row in every))
    for axes in panels:
        axes.set_axis_off()
    for axes, site in zip([*panels[: len(sites) - 1], panels[-1]], sites, strict=True):
        own = [row for row in every if (row["kind"], row["site"], row["layer"]) == site]
        mean = np.array([row["value"] for row in own]).reshape(model["d"], model["d"])
        axes.imshow(mean, cmap="RdBu", vmin=-limit, vmax=limit)
        head = f"composite of {model['sites']}" if site[0] == "composite" else f"layer {site[2]}"
        head += f"\n{_sums(mean)}"
        axes.set_title(head, fontsize=SMALL)


def _sums(mean: Any) -> str:
    """The sums of rows or of columns, of those that leave 1 by more."""
    sides = {"rows": mean.sum(1), "columns": mean.sum(0)}
    name = max(sides, key=lambda side: float(np.abs(sides[side] - 1).max()))
    low, high = (f"{end:.2f}" for end in (sides[name].min(), sides[name].max()))
    return "sums 1.00" if low == high == "1.00" else f"{name} {low}-{high}"


class Together:
    """Panels in which every model with a depth is a line of its own colour."""

    def __init__(self, part: Any, shown: list[Meta]) -> None:
        """Panels in two rows; the last holds the names."""
        self.panels = part.subplots(2, ACROSS).ravel()
        deep = [model["title"] for model in shown if model["depth"]]
        self.looks = looks(deep)
        names = self.panels[-1]
        for name, look in self.looks.items():
            style: dict[str, Any] = {"color": look.colour, "ls": look.dashes}
            names.plot([], [], marker=look.marker, label=name.replace("$", r"\$"), **style)
        names.set_axis_off()
        names.legend(loc="center", frameon=False, title="median, 10 to 90 %")

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
        for axes, kind, of in (
            (sums, "site", "a matrix"),
            (products, "composite", "the composite"),
        ):
            self._deviations(axes, rows, kind)
            axes.set_title(f"rows and columns of {of}", fontsize=SMALL, loc="left")
        self._bands(norms, rows, "site", panel="depth", kind="composite", metric="spectral_norm")
        norms.set(ylabel="norm of the composite")
        write_numbers(norms.yaxis)
        axis.depth(norms)
        self._entries(entries, rows)

    def _deviations(self, axes: "Axes", rows: list[Meta], kind: str) -> None:
        """How far the sums of any sample leave 1, rows or columns, whichever more."""
        for name, look in self.looks.items():
            where = {"model": name, "panel": "depth", "kind": kind}
            own = [row for row in rows if where.items() <= row.items()]
            ends: dict[int, list[float]] = {}
            for row in own:
                if row["metric"] in SUMS:
                    known = (row[end] for end in ("min", "max") if row[end] is not None)
                    ends.setdefault(row["site"], []).extend(abs(end - 1) for end in known)
            at = sorted(ends)
            most = [max([LEAST_DEVIATION, *ends[site]]) if ends[site] else np.nan for site in at]
            marker = look.marker if len(at) <= axis.MAX_MARKED_DEPTH else ""
            axes.plot(at, most, color=look.colour, ls=look.dashes, marker=marker, lw=1.2, ms=3)
        axes.set(ylabel="largest |sum - 1|")
        axis.logarithmic(axes)
        axis.depth(axes)

    def _bands(self, axes: "Axes", rows: list[Meta], x: str, **where: Any) -> None:
        for name, look in self.looks.items():
            own = [r for r in rows if r["model"] == name and where.items() <= r.items()]
            own.sort(key=lambda row: row[x])
            at, low, middle, high = (
                np.array([np.nan if r[k] is None else r[k] for r in own], float)
                for k in (x, "p10", "p50", "p90")
            )
            bands.band(axes, at, low, high, look.colour, bands.RANGE)
            marker = look.marker if len(at) <= axis.MAX_MARKED_DEPTH else ""
            style: dict[str, Any] = {"color": look.colour, "ls": look.dashes, "marker": marker}
            axes.plot(at, middle, lw=1.2, ms=3, **style)

    def _entries(self, axes: "Axes", rows: list[Meta]) -> None:
        """The distribution of the entries of all sites; a bin without any is a gap."""
        smallest: list[float] = []
        for name, look in self.looks.items():
            where = {"model": name, "panel": "entries", "kind": "site"}
            own = [row for row in rows if where.items() <= row.items()]
            if not own:
                continue
            width = 2 * LIMIT / BINS_OF_ENTRIES
            bins = [round((row["entry"] + LIMIT) / width) for row in own]
            share = np.zeros(max(bins) - min(bins) + 1)
            share[np.array(bins) - min(bins)] = [row["value"] for row in own]
            edges = np.arange(min(bins), max(bins) + 2) * width - LIMIT
            axes.stairs(share, edges, color=look.colour, lw=0.9)
            smallest.append(share[share > 0].min())
        axes.set(xlabel="entry", ylabel="share of entries in 1/128")
        if smallest:
            axes.set_ylim(min(smallest) / 2, 1.5)
        axis.logarithmic(axes)
