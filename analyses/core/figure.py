"""The picture of a table, in house style; whoever draws it sees the table alone."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from birkhoff_cli.analyses.core import metadata, overview
from birkhoff_cli.analyses.core.errors import BadInput

if TYPE_CHECKING:
    import pyarrow as pa
    from matplotlib.figure import Figure

    from birkhoff_cli.analyses.core.result import Summary

STYLE: Any = {
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "savefig.dpi": 200,
    "svg.hashsalt": "birkhoff",
}
SIZE = (4.8, 3.9)
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
            figure = _sweep(meta["sweep"], summary.get("results", ()))
        else:
            figure = _figure(vars(module).get("SIZE", SIZE))
            vars(module).get("draw_sweep" if "sweep" in meta else "draw")(table, figure)
    # a notebook shows only figures of pyplot by itself, which would be kept in memory
    vars(figure)["_repr_png_"] = partial(_png, figure)
    return figure


def _figure(size: tuple[float, float]) -> "Figure":
    from matplotlib.figure import Figure

    return Figure(figsize=size, layout="constrained")


def _series(table: "pa.Table", module: Any, steps: overview.Rows) -> "Figure":
    """Numbers over training steps, and below them the first and the last checkpoint."""
    width, height = vars(module).get("SIZE", SIZE)
    top = overview.size(len(overview.families(steps, "step"))) if steps else (0.0, 0.0)
    figure = _figure((max(2 * width, top[0]), height + top[1]))
    below: Any = figure
    if steps and overview.families(steps, "step"):
        halves: Any = figure.subfigures(2, 1, height_ratios=(top[1], height))
        above, below = halves
        overview.draw_numbers(above, steps, "step")
    ends = _ends(table)
    parts: Any = below.subfigures(1, len(ends), squeeze=False)
    for part, rows in zip(parts[0], ends, strict=True):
        module.draw(rows, part)
    return figure


def _sweep(axes: dict[str, Any], results: overview.Rows) -> "Figure":
    """Numbers over what is swept; a colour for every value of a second option."""
    if not results:
        raise BadInput("the table of a sweep holds no headline numbers; run the sweep again")
    keys = [*results[0]]
    names = [next(k for k in (f"swept_{axis}", axis) if k in keys) for axis in axes]
    several = [name for name in names if len({str(row[name]) for row in results}) > 1] or names
    figure = _figure(overview.size(len(overview.families(results, several[0]))))
    overview.draw_numbers(figure, results, several[0], several[1] if several[1:] else None)
    return figure


def _png(figure: "Figure") -> bytes:
    from io import BytesIO

    with house_style():
        figure.savefig(file := BytesIO(), format="png", dpi=SCREEN_DPI)
    return file.getvalue()


def _ends(table: "pa.Table") -> "list[pa.Table]":
    """The rows of the first and of the last checkpoint, as each would be alone."""
    import pyarrow.compute as pc

    facts = metadata.load(table.schema.metadata)
    series = sorted(facts["meta"]["series"].items(), key=lambda item: int(item[0]))
    found = []
    for step, meta in dict([series[0], series[-1]]).items():
        rows = table.filter(pc.equal(table["step"], int(step))).drop_columns("step")
        meta = meta | {"title": f"{meta.get('title', '')}, step {step}"}
        found.append(rows.replace_schema_metadata(metadata.dump(facts | {"meta": meta})))
    return found
