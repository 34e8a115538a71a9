"""Heatmaps: every mixing matrix and their product over depth, averaged over samples.

Draws a stack of matrices of a method, or takes those of a checkpoint. The composite is the product
of all sites for every sample, the last leftmost, and then averaged. The picture shows a few sites
in order of depth and the composite, with the row sums at the left and the column sums below;
then how the entries of all samples are distributed, at every site.

Source: sHC, figures 1, 8 and 9.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np

from birkhoff_cli.analyses.core.analysis import analysis
from birkhoff_cli.analyses.core.arrays import Array
from birkhoff_cli.analyses.core.errors import BadInput
from birkhoff_cli.analyses.core.fold import Fold, run_fold
from birkhoff_cli.analyses.core.quantities import (
    SAMPLES,
    SHARE,
    SITES,
    D,
    judged,
    prefixed,
    quantity,
)
from birkhoff_cli.analyses.core.result import Result, Summary
from birkhoff_cli.analyses.core.sentences import count, off_one, share, short
from birkhoff_cli.analyses.core.source import Draws, Source
from birkhoff_cli.analyses.core.table import Columns, column
from birkhoff_cli.analyses.core.titles import title
from birkhoff_cli.analyses.core.trace import site_columns, site_schema
from birkhoff_cli.analyses.drawing import captions, entries
from birkhoff_cli.analyses.statistics.drift import CONSERVED, judge_drift
from birkhoff_cli.analyses.statistics.entries import (
    BINS,
    LIMIT,
    EntriesOverDepth,
    negative_fraction,
    require_entries,
)
from birkhoff_cli.analyses.statistics.extremes import ENTRY_MIN

if TYPE_CHECKING:
    import pyarrow as pa
    from matplotlib.figure import Figure

EXAMPLES = (
    "birkhoff heatmap out/ckpt.pt --plot heatmap.png",
    "birkhoff heatmap --method shc --layers 24 -o heatmap.parquet --plot heatmap.png",
)

SCHEMA = (
    column("kind", "string", "site: one matrix; composite: the product of all of them"),
    *site_schema("; null for the composite", nullable=True),
    column("mean", "matrix<float64>[4]", "mean over samples, entry by entry, d x d"),
    column("std", "matrix<float64>[4]", "standard deviation over samples, entry by entry, d x d"),
    column("row_sum", "vector<float64>[4]", "row sums of the mean: the gain of a constant signal"),
    column(
        "column_sum",
        "vector<float64>[4]",
        "column sums of the mean: what each input stream hands on in total",
    ),
    column("entry_min", "float64", "smallest entry of any sample"),
    column("entry_max", "float64", "largest entry of any sample"),
    column(
        "histogram",
        f"vector<int64>[{BINS}]",
        f"entries in each of {BINS} equal bins over "
        "[-2, 2); those beyond are in the first and the last",
    ),
)
_SUMS = tuple(
    quantity(f"{side}_sum_{end}", f"{word} {side} sum of a mean matrix", good="1", unity=True)
    for side in ("row", "column")
    for end, word in (("min", "smallest"), ("max", "largest"))
)
SUMMARY = (
    *judged(
        "conserved, or drifts if a sum of a mean matrix or of the mean composite leaves 1",
        "conserved",
        "distance from 1 up to which a sum is conserved",
    ),
    D,
    SITES,
    SAMPLES,
    *_SUMS,
    ENTRY_MIN,
    quantity("entry_max", "largest entry of any matrix", good="1 or less"),
    quantity(
        "negative_fraction", "share of entries of single matrices below 0", range=SHARE, good="0"
    ),
    *prefixed("composite_", _SUMS, "of the composite"),
)

SIZE = (8.3, 4.9)


@analysis
def run(source: Annotated[Source, Draws(samples=1000, layers=24)]) -> Result:
    """Means over samples and distributions of entries, of every site and of the composite.

    Args:
        source: a trace, or stacks that are drawn.

    Returns:
        A row for every site, then one for the composite. In the summary ``row_sum_*`` and
        ``column_sum_*`` are the extremes over sites of the sums of the mean matrices,
        ``negative_fraction`` is the share of entries of single matrices below 0, and what begins
        with ``composite`` is of the mean composite.

    Raises:
        BadInput: a trace without matrices, or a product beyond the largest number.
        TooLarge: the sums of all sites do not fit in memory.
    """
    sites, d = source.sites, source.d
    if not source.samples or not sites:
        raise BadInput(f"{source.title}: holds no matrices; record or draw at least one")
    require_entries(len(sites), d)
    schema = tuple(c._replace(dtype=c.dtype.replace("[4]", f"[{d}]")) for c in SCHEMA)
    meta = {**source.meta, "d": d, "title": title(source)}
    return run_fold(_Heatmap(source), source, schema, meta)


class _Heatmap(Fold[EntriesOverDepth, Array]):
    """Matrices of every site, and their products over depth."""

    def __init__(self, source: Source) -> None:
        self.source = source

    def start(self) -> EntriesOverDepth:
        return EntriesOverDepth(len(self.source.sites), self.source.d)

    def add(self, state: EntriesOverDepth, number: int, block: Array) -> Columns:
        state.add(number, block, self.source.title)
        return {}

    def finish(self, state: EntriesOverDepth) -> tuple[Iterable[Columns], Summary]:
        single, composite = state.single.columns(), state.composite.columns()
        where = site_columns(self.source.sites)
        rows = (
            {"kind": "site", **where, **single},
            {"kind": "composite", **dict.fromkeys(where), **composite},
        )
        sums = {**_extremes("", single), **_extremes("composite_", composite)}
        return rows, {
            "verdict": judge_drift(off_one(sums.values())),
            "threshold": CONSERVED,
            "d": self.source.d,
            "sites": len(self.source.sites),
            "samples": self.source.samples,
            **_extremes("", single),
            "entry_min": float(single["entry_min"].min()),
            "entry_max": float(single["entry_max"].max()),
            "negative_fraction": negative_fraction(single["histogram"]),
            **_extremes("composite_", composite),
        }


def answer(summary: Summary) -> str:
    """Where the sums and the entries of the mean matrices lie."""
    ends = {
        side: dict.fromkeys(short(summary[f"{side}_sum_{end}"]) for end in ("min", "max"))
        for side in ("row", "column")
    }
    sums = (f"{side} sums of {' to '.join(limits)}" for side, limits in ends.items())
    return (
        f"Mean matrices at {count(summary['sites'], 'site')} have {' and '.join(sums)}; entries "
        f"lie between {short(summary['entry_min'])} and {short(summary['entry_max'])}, "
        f"{share(summary['negative_fraction'])} of them below 0."
    )


def _extremes(prefix: str, columns: dict[str, Any]) -> Summary:
    return {
        f"{prefix}{name}_{word}": float(end(columns[name]))
        for name in ("row_sum", "column_sum")
        for word, end in (("min", np.min), ("max", np.max))
    }


MAX_SITES = 4
"""Sites in the picture."""


def draw(result: "pa.Table", figure: "Figure") -> None:
    """Mean matrices of a few sites and the composite; entries of all samples, by site."""
    captions.title(result, figure)
    halves: Any = figure.subfigures(2, 1, height_ratios=(1, 1.25))
    rows = result.select([n for n in result.column_names if n != "histogram"]).to_pylist()
    sites, composite = rows[:-1], rows[-1]
    at = np.unique(np.linspace(0, len(sites) - 1, MAX_SITES).round().astype(int))
    shown = [*(sites[k] for k in at), composite]
    titles = [f"layer {row['layer']}, {row['branch']}" for row in shown[:-1]]
    entries.draw_means(halves[0], shown, [*titles, f"composite of {len(sites)}"])
    counts = np.array(result["histogram"].to_pylist())
    entries.draw_entries(halves[1], counts[:-1], counts[-1], LIMIT)
