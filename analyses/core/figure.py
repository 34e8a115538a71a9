"""The picture of a table, in house style; whoever draws it sees the table alone."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from birkhoff_cli.analyses.core import metadata

if TYPE_CHECKING:
    import pyarrow as pa
    from matplotlib.figure import Figure

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


def figure_of(table: "pa.Table", module: Any) -> "Figure":
    """The figure that a module draws of its table; of a series one below the other."""
    from matplotlib.figure import Figure

    with house_style():
        size = vars(module).get("SIZE", SIZE)
        tables = list(_by_step(table))
        figure = Figure(figsize=(size[0], size[1] * len(tables)), layout="constrained")
        if len(tables) == 1:
            module.draw(table, figure)
        else:
            parts: Any = figure.subfigures(len(tables))
            for part, rows in zip(parts, tables, strict=True):
                module.draw(rows, part)
    # a notebook shows only figures of pyplot by itself, which would be kept in memory
    vars(figure)["_repr_png_"] = partial(_png, figure)
    return figure


def _png(figure: "Figure") -> bytes:
    from io import BytesIO

    with house_style():
        figure.savefig(file := BytesIO(), format="png", dpi=SCREEN_DPI)
    return file.getvalue()


def _by_step(table: "pa.Table") -> "Iterator[pa.Table]":
    """The tables of a series one by one, as each would be alone; else the table itself."""
    facts = metadata.load(table.schema.metadata)
    if "series" not in facts["meta"]:
        yield table
        return
    import pyarrow.compute as pc

    for step, meta in sorted(facts["meta"]["series"].items(), key=lambda item: int(item[0])):
        rows = table.filter(pc.equal(table["step"], int(step))).drop_columns("step")
        meta = meta | {"title": f"{meta.get('title', '')}, step {step}"}
        yield rows.replace_schema_metadata(metadata.dump(facts | {"meta": meta}))
