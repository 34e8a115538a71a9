"""The picture of a table, in house style; whoever draws it sees the table alone."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any

from birkhoff_cli.analyses.core import metadata, overview, titles
from birkhoff_cli.analyses.core.errors import BadInput
from birkhoff_cli.analyses.core.lettering import TITLE, fit_width

if TYPE_CHECKING:
    import pyarrow as pa
    from matplotlib.figure import Figure

    from birkhoff_cli.analyses.core.result import Summary

STYLE: Any = {
    "font.size": 9,
    "axes.titlesize": 9,
    "figure.titlesize": 9,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "legend.fontsize": 8,
    "legend.title_fontsize": 8,
    # paths look alike where our font is not installed; text in a PDF can be searched and copied
    "svg.fonttype": "path",
    "pdf.fonttype": 42,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "svg.hashsalt": "birkhoff",
}
SIZE = (4.8, 3.9)
DPI = 200
"""Of what is drawn as pixels in a file."""
SCREEN_DPI = 110
"""Of pictures in a notebook."""


@contextmanager
def house_style() -> Iterator[None]:
    """Draw and save in house style, whatever a matplotlibrc in the current directory says."""
    import matplotlib as mpl

    with mpl.rc_context(), warnings.catch_warnings(action="ignore"):  # of letters no font has
        mpl.rcdefaults()
        mpl.rcParams.update(STYLE)
        yield


def figure_of(table: "pa.Table", module: Any, summary: "Summary | None" = None) -> "Figure":
    """The figure of a table: of one run, of a series of checkpoints, or of a sweep.

    Args:
        table: with the metadata that the command line gives it.
        module: whose table it is; it draws one run.
        summary: the headline numbers, of every checkpoint or cell too; None if not known.

    Raises:
        BadInput: a sweep without its numbers.
    """
    meta, summary = metadata.load(table.schema.metadata)["meta"], summary or {}
    with house_style():
        if "series" in meta:
            figure = _series(table, module, summary.get("steps", ()))
        elif "sweep" in meta and "draw_sweep" not in vars(module):
            title = str(meta.get("title", ""))  # none in tables of version 0.1
            figure = _sweep(meta["sweep"], summary.get("results", ()), title)
        else:
            figure = _figure(vars(module).get("SIZE", SIZE))
            vars(module).get("draw_sweep" if "sweep" in meta else "draw")(table, figure)
    # a notebook shows only figures of pyplot by itself, which would be kept in memory
    vars(figure)["_repr_png_"] = partial(_png, figure)
    return figure


def _figure(size: tuple[float, float]) -> "Figure":
    from matplotlib.figure import Figure

    return Figure(figsize=size, layout="constrained")


MAX_WIDTH = 8.3
"""Inches of the widest picture: more would be shown smaller, and so would its text."""


def _series(table: "pa.Table", module: Any, steps: overview.Rows) -> "Figure":
    """Numbers over training steps; below, curves over depth of all, or the first and the last."""
    numbers = overview.families(steps, "step") if steps else {}
    heights = [overview.size(len(numbers))[1]] if numbers else []
    by_step = _by_step(table)
    if "depth_curves" in vars(module):
        heights.append(overview.CURVES_HEIGHT)
    else:
        ends = [*dict.fromkeys((min(by_step), max(by_step)))]
        width, height = vars(module).get("PART", vars(module).get("SIZE", SIZE))
        across = len(ends) if width <= SIZE[0] else 1
        heights.append(height * len(ends) / across)
    figure = _figure((MAX_WIDTH, sum(heights) + TITLE_HEIGHT))
    figure.suptitle(fit_width(_title_of_series(by_step), MAX_WIDTH, TITLE), fontsize=TITLE)
    parts: Any = figure.subfigures(len(heights), 1, height_ratios=heights, squeeze=False)
    if numbers:
        overview.draw_numbers(parts[0, 0], steps, "step")
    if "depth_curves" in vars(module):
        curves = {step: module.depth_curves(rows) for step, rows in by_step.items()}
        overview.draw_curves(parts[-1, 0], curves, "site in order of depth")
        return figure
    shape = (len(ends) // across, across)
    below: Any = parts[-1, 0].subfigures(*shape, squeeze=False)
    for part, step in zip(below.flat, ends, strict=True):
        module.draw(by_step[step], part)
    return figure


TITLE_HEIGHT = 0.4
"""Room for the title of a series, in inches."""


def _title_of_series(by_step: "dict[int, pa.Table]") -> str:
    """What all steps share, and which they are."""
    names = [str(metadata.meta_of(rows).get("title", "")) for rows in by_step.values()]
    series = f"{len(by_step)} checkpoints, steps {min(by_step):,} to {max(by_step):,}"
    return ", ".join(filter(None, (series, titles.common(names))))


def _sweep(axes: dict[str, Any], results: overview.Rows, title: str) -> "Figure":
    """Numbers over what is swept; a colour for every value of a second option."""
    if not results:
        raise BadInput("the table of a sweep holds no headline numbers; run the sweep again")
    keys = [*results[0]]
    names = [next(k for k in (f"swept_{axis}", axis) if k in keys) for axis in axes]
    several = [name for name in names if len({str(row[name]) for row in results}) > 1] or names
    width, height = overview.size(len(overview.families(results, several[0])))
    figure = _figure((width, height + TITLE_HEIGHT))
    figure.suptitle(fit_width(title, width, TITLE), fontsize=TITLE)
    overview.draw_numbers(figure, results, several[0], several[1] if several[1:] else None)
    return figure


def _png(figure: "Figure") -> bytes:
    from io import BytesIO

    save(figure, file := BytesIO(), "png", "Software", SCREEN_DPI)
    return file.getvalue()


CANVASES = {"png": "Agg", "svg": "SVG", "pdf": "Pdf"}
"""What draws each format, in Matplotlib's words."""


def save(figure: "Figure", sink: Any, format: str, without: str, dpi: float = DPI) -> None:
    """Write a figure in house style, drawn once: ``savefig`` draws one with a layout twice.

    Args:
        figure: that is drawn.
        sink: a binary file.
        format: one of `CANVASES`.
        without: what Matplotlib would note of the time or of itself, and is left out.
        dpi: dots in an inch of what is drawn as pixels.
    """
    name = CANVASES[format]
    backend = import_module(f"matplotlib.backends.backend_{name.lower()}")
    with house_style():
        figure.dpi = dpi  # printing to vectors leaves it at that of a point
        canvas = vars(backend)[f"FigureCanvas{name}"](figure)
        getattr(canvas, f"print_{format}")(sink, metadata={without: None})


def _by_step(table: "pa.Table") -> "dict[int, pa.Table]":
    """The rows of every checkpoint, as each would be alone, in order of training."""
    import pyarrow.compute as pc

    facts = metadata.load(table.schema.metadata)
    tables = {}
    for step in sorted(map(int, facts["meta"]["series"])):
        rows = table.filter(pc.equal(table["step"], step)).drop_columns("step")
        own = facts["meta"]["series"][str(step)]
        meta = own | {"title": f"{own.get('title', '')}, step {step:,}"}
        tables[step] = rows.replace_schema_metadata(metadata.dump(facts | {"meta": meta}))
    return tables
