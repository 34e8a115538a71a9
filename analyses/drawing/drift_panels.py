"""Panels of drift over depth: sums, norms, and the way to the barycenter."""

from typing import TYPE_CHECKING, Any

import numpy as np

from birkhoff_cli.analyses.core import palette
from birkhoff_cli.analyses.core.arrays import Array
from birkhoff_cli.analyses.core.lettering import SMALL
from birkhoff_cli.analyses.core.palette import GREEN, VERMILION
from birkhoff_cli.analyses.core.sentences import short
from birkhoff_cli.analyses.drawing import axis, bands
from birkhoff_cli.analyses.geometry.norms import EPS
from birkhoff_cli.analyses.sites.drift import ROUNDING
from birkhoff_cli.analyses.statistics.distributions import STATISTICS
from birkhoff_cli.analyses.statistics.drift import METRICS, Chain

if TYPE_CHECKING:
    import pyarrow as pa
    from matplotlib.axes import Axes


DEPTH = "depth: sites so far"


KINDS = ("site", "composite")

Ends = dict[str, tuple[Chain, tuple[str, ...]]]
"""Numbers, and those of their statistics that may be farthest from 1, by label."""


def rows_by_metric(result: "pa.Table") -> dict[tuple[str, str], Chain]:
    """Single matrices, and the products from the first site, in order of depth."""
    columns = {k: result[k].to_numpy() for k in ("kind", "metric", "site", "start", *STATISTICS)}
    rows = {}
    for kind in KINDS:
        ours = (columns["kind"] == kind) & ((kind == "site") | (columns["start"] == 0))
        for metric in METRICS:
            these = ours & (columns["metric"] == metric)
            chain = {name: _finite(columns[name][these].astype(float)) for name in STATISTICS}
            rows[kind, metric] = chain | {"depth": columns["site"][these] + 1}
    return rows


def has_spread(rows: dict[tuple[str, str], Chain]) -> bool:
    """Whether samples differ, so that there are bands."""
    norm = rows["composite", "spectral_norm"]
    return bool((norm["max"] > norm["min"]).any())


def draw_sums(axes: "Axes", rows: dict[tuple[str, str], Chain], kind: str) -> None:
    """Sums of both sides: their distributions, or of exact ones how far rounding takes them."""
    sides = {"column sum": rows[kind, "column_sum"], "row sum": rows[kind, "row_sum"]}
    off = {word: _off(chain) for word, chain in sides.items()}
    of = {"site": "each matrix", "composite": "the composite"}[kind]
    if max(off.values()) < ROUNDING:
        ends: Ends = {word: (chain, ("min", "max")) for word, chain in sides.items()}
        _draw_deviations(axes, ends, f"largest |sum - 1| of {of}")
        return
    looks = palette.looks(sides)
    for k, word in enumerate(sorted(sides, key=lambda word: -off[word])):  # the inexact beneath
        exact = off[word] < ROUNDING
        label = f"{word}: 1 within {max(off[word], EPS):.0e}" if exact else word
        _draw_distribution(axes, sides[word], looks[word], label, is_over=k > 0)
    axes.set(ylabel=f"sums of {of}")
    if max(off.values()) > WIDE:
        axes.set_yscale("symlog")
        axis.reference(axes, 1)
    else:
        axis.around_one(axes)


def draw_norms(axes: "Axes", rows: dict[tuple[str, str], Chain]) -> None:
    """The norm of the composite, and the largest radius and norm of a single matrix."""
    norm = rows["composite", "spectral_norm"]
    singles = {
        "largest norm of a matrix": rows["site", "spectral_norm"],
        "largest spectral radius of a matrix": rows["site", "spectral_radius"],
    }
    if max(_off(norm), *(_off(single, ("max",)) for single in singles.values())) < ROUNDING:
        ends: Ends = {"norm of the composite": (norm, ("min", "max"))}
        ends |= {word: (single, ("max",)) for word, single in singles.items()}
        _draw_deviations(axes, ends, "largest |norm - 1|, |radius - 1|")
        return
    _draw_distribution(axes, norm, palette.LOOKS[0], "norm of the composite")
    for (label, single), look in zip(singles.items(), SINGLES, strict=True):
        axes.plot(single["depth"], single["max"], label=label, **_line(look, single))
    axes.set_ylabel("spectral norm and radius")
    if _off(norm) > WIDE:
        axis.logarithmic(axes)
    else:
        axis.around_one(axes)


SINGLES = (palette.LOOKS[3], palette.LOOKS[2])
"""Looks of the norm and of the radius of single matrices."""

WIDE = 100
"""Distances from 1 beyond this are drawn by their logarithm."""

SMALLEST = 1e-17
"""Deviations of exactly 0 are drawn at it."""


def _draw_deviations(axes: "Axes", ends: Ends, ylabel: str) -> None:
    """The largest distance from 1 by depth, on a logarithmic scale: what exact numbers show."""
    largest = 0.0
    for (label, (chain, names)), look in zip(ends.items(), palette.LOOKS, strict=False):
        apart = np.max([np.abs(chain[name] - 1) for name in names], axis=0)
        most = float(np.nanmax(apart, initial=0))
        label, largest = f"{label}: at most {short(most)}", max(largest, most)
        values = np.maximum(apart, SMALLEST)
        axes.plot(chain["depth"], values, label=label, **_line(look, chain))
    axes.set(ylabel=ylabel)
    axis.logarithmic(axes)
    if largest == 0:
        style: dict[str, Any] = {"transform": axes.transAxes, "ha": "center", "fontsize": SMALL}
        axes.text(0.5, 0.6, "1 to rounding at every depth", **style)
        axes.set_yticks([])


def _line(look: palette.Look, chain: Chain) -> dict[str, Any]:
    """The style of a line; thin and whole where there are too many points for dashes or marks."""
    if len(chain["depth"]) > axis.MAX_MARKED_DEPTH:
        return {"color": look.colour, "lw": 0.7}
    return {"color": look.colour, "ls": look.dashes, "lw": 1.1, "marker": look.marker, "ms": 2.5}


def draw_decays(axes: "Axes", rows: dict[tuple[str, str], Chain], meta: dict[str, Any]) -> None:
    """Distance to J/d on a scale of powers of 10 that no float64 ends."""
    logs = rows["composite", "log_barycenter_distance"]
    depth = logs["depth"]
    shown = {k: _log10(v) for k, v in logs.items() if k not in ("depth", "std")}
    _draw_distribution(axes, shown | {"depth": depth}, palette.LOOKS[0], "composite: median")
    axes.plot(depth, shown["mean"], color="k", lw=1, ls="--", label="geometric mean (typical)")
    label = "root mean square of the samples"
    axes.plot(depth, _root_mean_square(rows), color=VERMILION, lw=1.2, label=label)
    if (factor := meta.get("mean_square_factor")) and meta["d"] > 1:
        law = 0.5 * (np.log10(meta["d"] - 1) + depth * np.log10(factor))
        label = r"its exact law $\sqrt{(d-1)\,c^L}$"
        axes.plot(depth, law, color=VERMILION, lw=1.2, ls=":", label=label)
    lowest, highest = _limits(shown)
    second = _log10(rows["composite", "log_lambda_2"]["mean"])
    end = float(np.nanmin(second, initial=0))
    ends = f" (to $10^{{{end:.0f}}}$)" if end < lowest else ""
    label = rf"$|\lambda_2|$, geometric mean{ends}"
    axes.plot(depth, second, color=GREEN, lw=1, ls="-.", label=label)
    axes.set_ylim(max(lowest, axes.get_ylim()[0]), min(highest, axes.get_ylim()[1]))
    axis.powers_of_ten(axes.yaxis, *axes.get_ylim(), is_exponent=True)
    axes.set_ylabel(r"Frobenius distance to J/d, $|\lambda_2|$")


def _limits(shown: dict[str, Array]) -> tuple[float, float]:
    """Ends of the axis, so that an eigenvalue far below the distances does not hide them."""
    known = [shown[name][np.isfinite(shown[name])] for name in ("min", "max")]
    if not all(map(len, known)):
        return -np.inf, np.inf
    low, high = float(known[0].min()), float(known[1].max())
    room = max(1.0, (high - low) / 4)
    return low - room, high + room / 5


def _root_mean_square(rows: dict[tuple[str, str], Chain]) -> Array:
    """Its logarithm to base 10; in tables of version 0.1 it ends at 1e-162."""
    square = _log10(rows["composite", "log_barycenter_rms"]["mean"])
    if len(square):
        return square
    distance = rows["composite", "barycenter_distance"]
    with np.errstate(divide="ignore"):  # the squares would underflow
        return _finite(np.log10(np.hypot(distance["mean"], distance["std"])))


def _log10(logs: Array) -> Array:
    return _finite(logs / np.log(10))


def _finite(values: Array) -> Array:
    """Points that a picture can show: the arithmetic of axes overflows far below a float64."""
    return np.where(np.abs(values) < 1e150, values, np.nan)


def _off(chain: Chain, ends: tuple[str, ...] = ("min", "max")) -> float:
    """The largest distance to 1."""
    values = np.concatenate([chain[name] for name in ends])
    return float(np.nanmax(np.abs(values - 1), initial=0))


def _draw_distribution(
    axes: "Axes", chain: Chain, look: palette.Look, label: str, is_over: bool = False
) -> None:
    """Median, 10 to 90 % and range; lines at their ends if it is over another distribution."""
    marker = look.marker if len(chain["depth"]) <= axis.MAX_MARKED_DEPTH else ""
    if is_over:
        style = {"marker": marker, "ms": 2.5}
        bands.edges(axes, chain["depth"], chain, look.colour, label, **style)
        return
    labels = (None, None, label)
    bands.distribution(axes, chain["depth"], chain, look.colour, labels, marker=marker, ms=2.5)


def curves(rows: dict[tuple[str, str], Chain]) -> dict[str, tuple[Array, Array]]:
    """What the panels show of the composite, each as one curve over depth."""
    sums = [rows["composite", side] for side in ("column_sum", "row_sum")]
    apart = np.max([np.abs(s[end] - 1) for s in sums for end in ("min", "max")], axis=0)
    norm, logs = rows["composite", "spectral_norm"], rows["composite", "log_barycenter_distance"]
    depth = norm["depth"]
    lines = {
        "composite: largest |sum - 1|": np.maximum(apart, SMALLEST),
        "composite: largest norm": norm["max"],
        "composite: distance to J/d": np.exp(logs["mean"]),
    }
    return {name: (depth, values) for name, values in lines.items()}
