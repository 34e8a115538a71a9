"""Panels of drift over depth: sums, norms, and the way to the barycenter."""

from typing import TYPE_CHECKING, Any

import numpy as np

from birkhoff_cli.analyses.core.arrays import Array
from birkhoff_cli.analyses.drawing import axis, bands
from birkhoff_cli.analyses.drawing.palette import BLUE, GREEN, ORANGE, VERMILION
from birkhoff_cli.analyses.geometry.norms import EPS
from birkhoff_cli.analyses.statistics.distributions import STATISTICS
from birkhoff_cli.analyses.statistics.drift import METRICS, Chain

if TYPE_CHECKING:
    import pyarrow as pa
    from matplotlib.axes import Axes


ROUNDING = 1e-5
"""Distances to 1 below this are the rounding of float32 over many layers."""


DEPTH = "depth: sites so far"


SUMS = {"site": "sums of each matrix", "composite": "sums of the composite"}


def rows_by_metric(result: "pa.Table") -> dict[tuple[str, str], Chain]:
    """Single matrices, and the products from the first site, in order of depth."""
    columns = {k: result[k].to_numpy() for k in ("kind", "metric", "site", "start", *STATISTICS)}
    rows = {}
    for kind in SUMS:
        ours = (columns["kind"] == kind) & ((kind == "site") | (columns["start"] == 0))
        for metric in METRICS:
            these = ours & (columns["metric"] == metric)
            chain = {name: _finite(columns[name][these].astype(float)) for name in STATISTICS}
            rows[kind, metric] = chain | {"depth": columns["site"][these] + 1}
    return rows


def draw_sums(axes: "Axes", rows: dict[tuple[str, str], Chain], kind: str) -> None:
    """Both sides, the inexact one beneath."""
    sides = {"column_sum": BLUE, "row_sum": ORANGE}
    for side in sorted(sides, key=lambda m: -_off(rows[kind, m])):
        off = _off(rows[kind, side])
        exact = f", 1 within {max(off, EPS):.0e}" if off < ROUNDING else ""
        _band(axes, rows[kind, side], sides[side], side.replace("_", " ") + exact)
    off = max(_off(rows[kind, side]) for side in sides)
    axis.around_one(axes, off, ROUNDING)
    if off > 100:
        axes.set_yscale("symlog")


def draw_norms(axes: "Axes", rows: dict[tuple[str, str], Chain]) -> None:
    """The norm of the composite, and the largest radius and norm of a single matrix."""
    norm = rows["composite", "spectral_norm"]
    _band(axes, norm, BLUE, "norm of the composite")
    singles = (
        ("spectral_norm", VERMILION, "largest norm of a matrix"),
        ("spectral_radius", GREEN, "largest spectral radius of a matrix"),
    )
    for metric, colour, label in singles:
        single = rows["site", metric]
        axes.plot(single["depth"], single["max"], color=colour, lw=0.9, alpha=0.7, label=label)
    off = max(_off(norm), *(_off(rows["site", metric]) for metric, *_ in singles))
    axis.around_one(axes, off, ROUNDING)
    if _off(norm) > 100:
        axes.set_yscale("log")
    axes.set_ylabel("spectral norm and radius")


def draw_decays(axes: "Axes", rows: dict[tuple[str, str], Chain], meta: dict[str, Any]) -> None:
    """Distance to J/d on a scale of powers of 10 that no float64 ends."""
    logs = rows["composite", "log_barycenter_distance"]
    depth = logs["depth"]
    shown = {k: _log10(v) for k, v in logs.items() if k not in ("depth", "std")}
    _band(axes, shown | {"depth": depth}, BLUE, "composite: median")
    axes.plot(depth, shown["mean"], color="k", lw=1, ls="--", label="geometric mean (typical)")
    label = "root mean square of the samples"
    axes.plot(depth, _root_mean_square(rows), color=VERMILION, lw=1.2, label=label)
    if (factor := meta.get("mean_square_factor")) and meta["d"] > 1:
        law = 0.5 * (np.log10(meta["d"] - 1) + depth * np.log10(factor))
        label = r"its exact law $\sqrt{(d-1)\,c^L}$"
        axes.plot(depth, law, color=VERMILION, lw=1.2, ls=":", label=label)
    second = _log10(rows["composite", "log_lambda_2"]["mean"])
    axes.plot(depth, second, color=GREEN, lw=1, ls="-.", label=r"$|\lambda_2|$, geometric mean")
    axes.yaxis.set_major_formatter(lambda v, _: f"{10**v:.3g}" if abs(v) < 3 else f"$10^{{{v:g}}}$")
    axes.set_ylabel(r"Frobenius distance to J/d, $|\lambda_2|$")


def _root_mean_square(rows: dict[tuple[str, str], Chain]) -> Array:
    """Its logarithm to base 10; in tables of version 0.1 it ends at 1e-162."""
    square = _log10(rows["composite", "log_barycenter_rms"]["mean"])
    if len(square):
        return square
    distance = rows["composite", "barycenter_distance"]
    with np.errstate(divide="ignore"):
        return _finite(0.5 * np.log10(distance["mean"] ** 2 + distance["std"] ** 2))


def _log10(logs: Array) -> Array:
    return _finite(logs / np.log(10))


def _finite(values: Array) -> Array:
    """Points that a picture can show: the arithmetic of axes overflows far below a float64."""
    return np.where(np.abs(values) < 1e150, values, np.nan)


def _off(chain: Chain) -> float:
    """The largest distance to 1."""
    return float(np.nanmax(np.abs(np.r_[chain["max"], chain["min"], 1.0] - 1)))


def _band(axes: "Axes", chain: Chain, colour: str, label: str) -> None:
    marker = "." if len(chain["depth"]) <= axis.MAX_LINEAR_DEPTH else ""
    bands.distribution(
        axes, chain["depth"], chain, colour, (None, None, label), marker=marker, ms=3
    )
