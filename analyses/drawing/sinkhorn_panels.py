"""Panels of Sinkhorn: bands over sites, residuals of sweeps, and changes as dots."""

from typing import TYPE_CHECKING, Any

import numpy as np

from birkhoff_cli.analyses.balancing.convergence import MAX_SWEEPS, TOLERANCES
from birkhoff_cli.analyses.balancing.tally import Key
from birkhoff_cli.analyses.core import palette
from birkhoff_cli.analyses.core.palette import BLUE, VERMILION
from birkhoff_cli.analyses.core.sentences import short
from birkhoff_cli.analyses.drawing import axis, bands
from birkhoff_cli.analyses.statistics.distributions import STATISTICS

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


def draw_inputs(axes: "Axes", rows: Rows) -> None:
    """How far what is normalised spreads, at every site."""
    for metric, look in palette.looks(("spread", "diameter")).items():
        _draw_band(axes, rows["input", None, None, metric], metric, look)
    axes.set(ylabel="logarithm of a ratio of entries", ylim=(0, None))


def draw_needed(axes: "Axes", rows: Rows) -> None:
    """Sweeps until the sums are 1 up to a tolerance; those that never are in a lane above."""
    looks = palette.looks(TOLERANCES)
    numbers = {word: rows["needed", None, None, f"sweeps_{word}"] for word in looks}
    for word, look in looks.items():
        own = {
            name: values if name == "site" else np.where(values > MAX_SWEEPS, np.nan, values)
            for name, values in numbers[word].items()
        }
        _draw_band(axes, own, f"residual {word}", look)
    largest = max(float(n["max"].max()) for n in numbers.values())
    axes.set(ylabel="sweeps needed", yscale="symlog", ylim=(-0.2, 2 * min(largest, MAX_SWEEPS)))
    if largest <= MAX_SWEEPS:
        _write_sweeps(axes, largest)
        return
    axes.axhspan(MAX_SWEEPS, LANE, color="0.93", lw=0, zorder=0)
    for k, (word, look) in enumerate(looks.items()):
        never = numbers[word]["p50"] > MAX_SWEEPS
        height = np.full(never.sum(), MAX_SWEEPS * (2 if k else 5))
        label = f"not in {MAX_SWEEPS:,}: residual {word}" if never.any() else None
        style: dict[str, Any] = {"ls": "", "marker": "x", "ms": 5, "color": look.colour}
        axes.plot(numbers[word]["site"][never], height, label=label, **style)
    axes.set_ylim(-0.2, LANE)
    _write_sweeps(axes, MAX_SWEEPS)


def _write_sweeps(axes: "Axes", largest: float) -> None:
    ticks = [k for k in (0, 1, 10, 100, 1000) if k <= max(largest, 1)]
    axes.set_yticks(ticks, [str(k) for k in ticks])
    axes.set_yticks([], minor=True)


LANE = 10 * MAX_SWEEPS
"""Upper end of the lane for matrices that no number of sweeps balances."""


def _draw_band(axes: "Axes", rows: dict[str, Any], label: str, look: palette.Look) -> None:
    """Distributions by site; what is infinite is left out. A band on another is two lines."""
    x = rows["site"]
    style: dict[str, Any] = {"color": look.colour, "ls": look.dashes, "marker": look.marker}
    if axes.collections:
        for name in ("p10", "p90"):
            axes.plot(x, rows[name], color=look.colour, lw=0.7)
    else:
        bands.band(axes, x, rows["p10"], rows["p90"], look.colour, opacity=0.25)
    axes.plot(x, rows["max"], color=look.colour, lw=1, ls=":")
    axes.plot(x, rows["p50"], lw=1.2, ms=3, label=label, **style)


def draw_residuals(axes: "Axes", rows: Rows) -> None:
    """The largest residual of a site by sweeps: the range over all sites, and their median."""
    by_sweeps = {key[2]: numbers for key, numbers in rows.items() if key[0] == "sweeps"}
    largest = np.maximum([numbers["max"] for numbers in by_sweeps.values()], SMALLEST)
    sweeps, sites = [*by_sweeps], largest.shape[1]
    if sites > 1:
        low, high = largest.min(1), largest.max(1)
        bands.band(axes, sweeps, low, high, BLUE, opacity=0.25, label=f"range of {sites} sites")
    style: dict[str, Any] = {"color": BLUE, "lw": 1.4, "marker": "o", "ms": 3}
    label = "median of the sites" if sites > 1 else "the site"
    axes.plot(sweeps, np.median(largest, axis=1), label=label, **style)
    for dashes, (word, tolerance) in zip(("--", ":"), TOLERANCES.items(), strict=False):
        axes.axhline(tolerance, color="0.3", lw=0.9, ls=dashes, label=f"residual {word}")
    more = "further sweeps" if 0 in by_sweeps else "sweeps"
    axes.set(xlabel=more, ylabel="largest residual of a site")
    axes.set_xscale("symlog", linthresh=1)
    axes.set_xlim(min(by_sweeps) - 0.1, max(by_sweeps) * 1.2)
    axes.set_xticks(sweeps, [str(k) for k in sweeps])
    axes.set_xticks([], minor=True)
    axis.logarithmic(axes)


SMALLEST = 1e-17
"""Residuals of exactly 0 are drawn at it."""


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
    axes.set_xlim(FLOOR / 2, 2)
    axis.logarithmic(axes, "x")
    axes.set(xlabel=f"largest change of an entry (at least {short(FLOOR)})")
    axes.set_yticks(at, [str(key[1]) for key in keys])
    axes.set_ylim(-0.7, len(keys) - 0.3)
    axes.grid(axis="y", color="0.9", lw=0.6)


def curves(rows: Rows) -> dict[str, tuple[Any, Any]]:
    """What the panels show of the sites, each as one curve over depth."""
    tolerance = next(iter(TOLERANCES))
    chosen = {
        "spread of the input, median [nat]": (("input", None, None, "spread"), "p50"),
        "largest residual as applied": (("applied", None, None, "residual"), "max"),
        f"sweeps to {tolerance}, median": (("needed", None, None, f"sweeps_{tolerance}"), "p50"),
    }
    return {name: (rows[key]["site"], rows[key][end]) for name, (key, end) in chosen.items()}
