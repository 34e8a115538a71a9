"""Panels of Sinkhorn: bands over sites, residuals of sweeps, and changes as dots."""

from typing import TYPE_CHECKING, Any

import numpy as np

from birkhoff_cli.analyses.balancing.convergence import (
    TOLERANCES,
)
from birkhoff_cli.analyses.balancing.tally import Key
from birkhoff_cli.analyses.drawing import bands, captions
from birkhoff_cli.analyses.drawing.palette import BLUE, VERMILION, shades
from birkhoff_cli.analyses.statistics.distributions import (
    STATISTICS,
)

if TYPE_CHECKING:
    import pyarrow as pa
    from matplotlib.axes import Axes


FLOOR = 1e-9
"""Smaller changes are drawn at it."""


Rows = dict[tuple[Any, ...], dict[str, Any]]


def rows_by_key(result: "pa.Table") -> Rows:
    """Columns of numbers by part, name, sweeps and metric, and by "composite" before these."""
    by_key: Rows = {}
    columns = ("site", *STATISTICS)
    for row in result.to_pylist():
        key = tuple(row[name] for name in Key._fields)
        key = key if row["site"] is not None else ("composite", *key)
        numbers = by_key.setdefault(key, {name: [] for name in columns})
        for name, values in numbers.items():
            values.append(row[name])
    return {k: {n: np.array(v, dtype=float) for n, v in rows.items()} for k, rows in by_key.items()}


def draw_band(axes: "Axes", rows: dict[str, Any], label: str, colour: str) -> None:
    """Distributions by site; what is infinite is left out."""
    x = rows["site"]
    bands.band(axes, x, rows["p10"], rows["p90"], colour, opacity=0.3)
    axes.plot(x, rows["max"], color=colour, lw=1, ls=":")
    axes.plot(x, rows["p50"], color=colour, lw=1.2, marker=".", ms=4, label=label)


def draw_residuals(axes: "Axes", rows: Rows) -> None:
    """The largest at every site, dark to light with depth."""
    import matplotlib as mpl

    by_sweeps = {key[2]: numbers for key, numbers in rows.items() if key[0] == "sweeps"}
    largest = np.maximum([numbers["max"] for numbers in by_sweeps.values()], 1e-17)
    for site, shade in enumerate(shades(largest.shape[1])):
        axes.plot(list(by_sweeps), largest[:, site], color=shade, lw=0.9, marker=".", ms=3)
    for tolerance in TOLERANCES.values():
        axes.axhline(tolerance, color="0.4", lw=0.8, ls=":")
    more = "further sweeps" if 0 in by_sweeps else "sweeps"
    axes.set(xlabel=more, ylabel="largest residual of a site (lighter: deeper)", yscale="log")
    axes.set_xscale("symlog", linthresh=1)
    axes.set_xlim(min(by_sweeps) - 0.1, max(by_sweeps) * 1.2)
    axes.set_xticks(list(by_sweeps), [str(k) for k in by_sweeps])
    axes.xaxis.set_minor_locator(mpl.ticker.NullLocator())


def draw_dots(axes: "Axes", rows: Rows) -> None:
    """The largest change of an entry, of single matrices and of the composite."""
    keys = [key for key in rows if key[0] in ("variant", "rounding") and key[3] == "entry_change"]
    at = np.arange(len(keys))[::-1]
    for word, prefix, marker, colour in (
        ("matrix of a site", (), "o", BLUE),
        ("composite", ("composite",), "D", VERMILION),
    ):
        largest = [max(rows[(*prefix, *key)]["max"].max(), FLOOR) for key in keys]
        axes.plot(largest, at, marker, color=colour, ms=4, label=word)
    axes.set_xscale("log")
    axes.set_xlim(right=2)
    axes.set(xlabel="largest change of an entry (at least 1e-9)")
    axes.set_yticks(at, [str(key[1]) for key in keys], fontsize="x-small")
    axes.grid(axis="y", color="0.9", lw=0.6)
    captions.legend(axes)
