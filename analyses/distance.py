"""Distances between the matrices of two sources, site by site and sample by sample.

A and B are checkpoints or files of matrices with the same sites; a source of one sample is
compared with every sample of the other.

frobenius, spectral: the norms of A - B.

kl_rows, kl_columns: mean Kullback-Leibler divergence KL(A || B) of the rows (columns), each
divided by its sum; for doubly stochastic matrices the two are equal. Null where it is infinite (an
entry of A that is 0 in B) and where an entry is negative.

geodesic: angle in radians between an orthogonal lift of A and one of B, the least over all signs
of their rows and columns. The lift is the orthogonal matrix nearest to the entrywise square root
with the signs that make its rows most nearly orthogonal (its polar factor). lift_error is how far
the squares of the lift's entries are from the matrix: at 0 it is orthostochastic and the angle is
exact; otherwise they need not be the nearest orthostochastic matrix.
Null for d above 5 or a negative entry.

wasserstein: 2-Wasserstein distance of the spectra, eigenvalues paired at least cost.

Source: go-mHC, arXiv:2604.02309, F.1 (eq. 39, 40, with s = 1) and F.2.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from birkhoff_cli.analyses.core.analysis import analysis
from birkhoff_cli.analyses.core.memory import require_memory
from birkhoff_cli.analyses.core.pairs import assumptions, pairs, refuse_unlike
from birkhoff_cli.analyses.core.palette import BLUE
from birkhoff_cli.analyses.core.quantities import AT_LEAST_0, SITES, D, judged, quantity
from birkhoff_cli.analyses.core.result import Result, Summary
from birkhoff_cli.analyses.core.sentences import count, short
from birkhoff_cli.analyses.core.table import Columns, column
from birkhoff_cli.analyses.core.titles import title_of_pair
from birkhoff_cli.analyses.core.trace import MixingTrace, site_schema
from birkhoff_cli.analyses.drawing import axis, bands, captions
from birkhoff_cli.analyses.geometry import distances

if TYPE_CHECKING:
    import pyarrow as pa
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

EXAMPLES = (
    "birkhoff distance before.pt after.pt --plot distance.png",
    "birkhoff distance target.npy fitted.parquet --json",
)

SCHEMA = (
    column("sample", "int64", "sample of the pair, counted from 0"),
    *site_schema(" in A"),
    column("frobenius", "float64", "||A - B||_F"),
    column("spectral", "float64", "||A - B||_2, the largest singular value"),
    column("kl_rows", "float64", "mean KL(A || B) of the rows", unit="nat", nullable=True),
    column("kl_columns", "float64", "mean KL(A || B) of the columns", unit="nat", nullable=True),
    column(
        "geodesic",
        "float64",
        "angle between the polar factors of the sign-fixed square roots of A and B",
        unit="rad",
        nullable=True,
    ),
    column(
        "lift_error",
        "float64",
        "Frobenius distance of A or B, the larger, to the squared entries of that polar factor; "
        "the nearest orthostochastic matrix may be nearer",
        nullable=True,
    ),
    column("wasserstein", "float64", "2-Wasserstein distance of the spectra"),
)

SAME = 1e-6
"""Frobenius distance that rounding in float32 explains."""

SUMMARY = (
    *judged(
        "equal, or apart if a pair differs by more than rounding",
        "equal",
        "Frobenius distance up to which a pair is equal",
    ),
    quantity("pairs", "pairs of matrices", range=AT_LEAST_0),
    D,
    SITES,
    quantity(
        "distances",
        "every distance over the pairs where it is defined",
        rows=(
            quantity("distance", "name of the distance, a column of the table"),
            quantity("mean", "mean over pairs; null if none is defined", range=AT_LEAST_0),
            quantity("median", "median over pairs", range=AT_LEAST_0),
            quantity("max", "largest of any pair", range=AT_LEAST_0),
            quantity("undefined", "pairs where it is not defined", range=AT_LEAST_0, good="0"),
        ),
    ),
)

MEASURES = tuple(c.name for c in SCHEMA[4:])
SIZE = (8.3, 4.8)


@analysis
def run(a: MixingTrace, b: MixingTrace) -> Result:
    """Every distance of every pair.

    Args:
        a: the first source, the target of the divergence.
        b: the second, of the same d and number of sites; as many samples, or one, or A has one.

    Returns:
        A row for every sample and site. The summary has ``pairs``, ``d``, ``sites`` and
        ``distances``: mean, median and largest value of each, over the pairs where it is
        defined, and the number of pairs where it is not.

    Raises:
        BadInput: sources that do not fit together.
        TooLarge: more pairs than fit in memory.
    """
    refuse_unlike(a, b)
    record: dict[str, list[Any]] = {name: [] for name in MEASURES}
    samples = max(a.samples, b.samples)
    count = samples * len(a.sites)
    require_memory(16 * len(MEASURES) * count, f"the distances of {count:,} pairs")
    return Result(
        schema=SCHEMA,
        steps=_steps(a, b, record),
        summarise=lambda: _summary(a, record),
        total=max(a.blocks, b.blocks),
        meta={
            "title": title_of_pair(a, b.title, samples),
            "d": a.d,
            "a": a.meta,
            "b": b.meta,
            "assumptions": assumptions(a, b),
        },
    )


def _steps(a: MixingTrace, b: MixingTrace, record: dict[str, list[Any]]) -> Iterator[Columns]:
    sites = {
        "site": np.arange(len(a.sites)),
        "layer": np.array([site.layer for site in a.sites]),
        "branch": np.array([site.branch for site in a.sites]),
    }
    start = 0
    for one, other in pairs(a, b):
        measured = _measure(one, other)
        for name, values in measured.items():
            record[name].append(values.ravel())
        count = max(len(one), len(other))
        yield {"sample": np.arange(start, start + count)[:, None], **sites, **measured}
        start += count


def _measure(a: Any, b: Any) -> dict[str, Any]:
    """Every distance of ``(n, sites, d, d)`` and the same, or one, in the order of the schema."""
    r, s = distances.rotations(a), distances.rotations(b)
    divergence = {
        name: distances.divergence(a, b, axis)
        for name, axis in (("kl_rows", -1), ("kl_columns", -2))
    }
    return {
        "frobenius": distances.frobenius(a, b),
        "spectral": distances.spectral(a, b),
        **{name: np.where(np.isfinite(kl), kl, np.nan) for name, kl in divergence.items()},
        "geodesic": distances.geodesic(r, s),
        "lift_error": np.maximum(distances.frobenius(r * r, a), distances.frobenius(s * s, b)),
        "wasserstein": distances.spectral_wasserstein(a, b),
    }


def _summary(a: MixingTrace, record: dict[str, list[Any]]) -> Summary:
    values = {name: np.concatenate(parts) for name, parts in record.items()}
    equal = float(values["frobenius"].max(initial=0)) <= SAME
    return {
        "verdict": "equal" if equal else "apart",
        "threshold": SAME,
        "pairs": len(values["frobenius"]),
        "d": a.d,
        "sites": len(a.sites),
        "distances": [{"distance": name, **_statistics(v)} for name, v in values.items()],
    }


def _statistics(values: Any) -> dict[str, Any]:
    known = values[~np.isnan(values)]
    numbers = (known.mean(), np.median(known), known.max()) if known.size else ()
    nulls = dict.fromkeys(("mean", "median", "max"))
    statistics = dict(zip(nulls, map(float, numbers), strict=False))
    return {**nulls, **statistics, "undefined": len(values) - len(known)}


def answer(summary: Summary) -> str:
    """How far the pairs are apart."""
    far = summary["distances"][0]
    if far["mean"] is None:
        return "There are no pairs."
    return (
        f"{count(summary['pairs'], 'pair')} of matrices are {short(far['mean'])} apart in the mean "
        f"and at most {short(far['max'])}, in the Frobenius norm."
    )


PANELS = (
    ("frobenius", "Frobenius"),
    ("spectral", "spectral norm"),
    ("wasserstein", "Wasserstein, spectra"),
    ("kl_rows", "KL of rows [nat]"),
    ("kl_columns", "KL of columns [nat]"),
    ("geodesic", "geodesic [rad]"),
)


def draw(result: "pa.Table", figure: "Figure") -> None:
    """Every distance over depth, or as a distribution where there is one site."""
    captions.title(result, figure)
    site = result["site"].to_numpy()
    grid = figure.subplots(2, 3)
    for axes, (name, label) in zip(grid.ravel(), PANELS, strict=True):
        values = result[name].to_numpy()
        axes.set_ylabel(label)
        if np.isnan(values).all():
            axes.text(0.5, 0.5, "not defined", transform=axes.transAxes, ha="center", color="0.4")
            axes.set(xticks=[], yticks=[])
        elif site.any():
            _depth(axes, site, values)
        else:
            axes.ecdf(values[~np.isnan(values)], color=BLUE)
            axes.set(xlabel=label, ylabel="share of pairs")
    if site.any() and np.count_nonzero(site == 0) > 1:
        shown = next(a for a in grid.flat if a.get_legend_handles_labels()[0])
        captions.legend_below(figure, shown)


def _depth(axes: "Axes", site: Any, values: Any) -> None:
    """Median over samples, the middle 80 % and the range, at every site; of one sample a line."""
    sites, names = np.unique(site), ("min", "p10", "p50", "p90", "max")
    known = [values[(site == k) & ~np.isnan(values)] for k in sites]
    shares = (0, 0.1, 0.5, 0.9, 1)
    numbers = [np.quantile(v, shares) if v.size else np.full(len(shares), np.nan) for v in known]
    rows = dict(zip(names, np.transpose(numbers), strict=True))
    if max(map(len, known)) == 1:
        axes.plot(sites, rows["p50"], color=BLUE, lw=1.2, marker=".", ms=4)
    else:
        labels = ("smallest to largest", "10-90 %", "median")
        bands.distribution(axes, sites, rows, BLUE, labels, marker=".", ms=4)
    axes.set(ylim=(0, None))
    axis.depth(axes, nbins=6, steps=(1, 2, 3, 4, 5, 6, 8, 10))
