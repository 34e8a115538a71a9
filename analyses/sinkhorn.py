"""Sinkhorn: spread of its input, sweeps needed, what variants and rounding change.

The logits of --method mhc and of a checkpoint's static matrices are known. Of other matrices it
takes the logarithms; the variants are then not known. Spread is log(largest / smallest) of the
entries that are normalised (mHC-lite's log 1/nu). Diameter is the largest log(a_ij a_kl / (a_il
a_kj)): no scaling changes it, and a sweep shrinks the distance to the limit at least by
tanh(diameter / 4)^2. The residual is the largest |sum - 1|. The verdict is saturated if the mean
residual of a site, as it is applied, is above 0.01.

Part sweeps: residuals after (further) sweeps without guard. Part needed: sweeps until the residual
is 1e-3 or 1e-6; 1001: over 1000. Part variant: the Sinkhorn of every known code base on the same
logits. Part rounding: the logits, or the matrices that are applied, stored as bf16, fp16, fp8 or
int8. lambda_2 is the second largest modulus of an eigenvalue.

Source: mHC-lite (spread); mHC, arXiv:2512.24880; Franklin & Lorenz (1989).
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated

import numpy as np

from birkhoff_cli.analyses.balancing.changes import measure_changes
from birkhoff_cli.analyses.balancing.convergence import (
    MAX_SWEEPS,
    TOLERANCES,
    key_of,
    measure_convergence,
)
from birkhoff_cli.analyses.balancing.stage import Stage, open_stages
from birkhoff_cli.analyses.balancing.tally import Key, Numbers, Tally
from birkhoff_cli.analyses.core.analysis import analysis
from birkhoff_cli.analyses.core.arrays import Array
from birkhoff_cli.analyses.core.errors import BadInput
from birkhoff_cli.analyses.core.fold import Fold, Statistics, run_fold
from birkhoff_cli.analyses.core.quantities import (
    AT_LEAST_0,
    SAMPLES,
    SITES,
    D,
    Quantities,
    judged,
    quantity,
)
from birkhoff_cli.analyses.core.result import Result, Summary
from birkhoff_cli.analyses.core.sentences import short
from birkhoff_cli.analyses.core.source import Draws, Source
from birkhoff_cli.analyses.core.table import Columns, column
from birkhoff_cli.analyses.core.titles import title
from birkhoff_cli.analyses.core.trace import site_columns, site_schema
from birkhoff_cli.analyses.drawing import axis, captions, sinkhorn_panels
from birkhoff_cli.analyses.sites.verdict import SATURATED
from birkhoff_cli.analyses.statistics.distributions import (
    COLUMNS,
    QUANTILE_ERROR,
    largest_error,
)
from birkhoff_cli.analyses.statistics.extremes import COLUMN_ERROR, ROW_ERROR

if TYPE_CHECKING:
    import pyarrow as pa
    from matplotlib.figure import Figure

EXAMPLES = (
    "birkhoff sinkhorn --method mhc --scale 4 --layers 24 --plot sinkhorn.png",
    "birkhoff sinkhorn --method mhc --variant deepseek-v4 --draw init --scale 2 -o rows.parquet",
    "birkhoff sinkhorn out/ckpt.pt --inputs gaussian --plot sinkhorn.png",
)

SCHEMA = (
    column("part", "string", "input, sweeps, needed, variant or rounding; see the command's help"),
    column("name", "string", "variant, or what is rounded how; null in other parts", nullable=True),
    column("sweeps", "int32", "number of sweeps; part sweeps only", nullable=True),
    *site_schema("; null for the composite", nullable=True),
    column("metric", "string", "what the numbers of the row are; see the command's help"),
    *COLUMNS,
)


def _changes(kind: str) -> Quantities:
    """sinkhorn_panels.Rows of the largest changes, one for each variant or rounding."""
    return (
        quantity(kind, f"the {kind}"),
        quantity("entry_change_max", "largest change of an entry", range=AT_LEAST_0, good="near 0"),
        ROW_ERROR,
        COLUMN_ERROR,
        quantity("lambda_2_change_max", "largest change of |lambda_2|", range=AT_LEAST_0),
        quantity(
            "composite_change_max", "largest change of an entry of the composite", range=AT_LEAST_0
        ),
    )


CONVERGED = 1e-3
"""Residual up to which matrices count as balanced."""

SUMMARY = (
    *judged(
        "converged, unconverged if a sum of a matrix as it is applied leaves 1, or saturated",
        "converged",
        "residual up to which matrices are converged",
    ),
    quantity(
        "saturated",
        "sites whose logits spread further than their iterations balance: mean residual over 0.01",
        good="none",
    ),
    D,
    SITES,
    SAMPLES,
    quantity(
        "spread_max",
        "largest log(largest / smallest) of the entries that are normalised",
        unit="nat",
        range=AT_LEAST_0,
    ),
    quantity(
        "diameter_max",
        "largest log(a_ij a_kl / (a_il a_kj)), which no scaling changes",
        unit="nat",
        range=AT_LEAST_0,
    ),
    quantity(
        "residual_max",
        "largest |sum - 1| of the matrices as they are applied",
        range=AT_LEAST_0,
        good="near 0",
    ),
    *(
        quantity(
            f"sweeps_{key_of(word)}",
            f"most sweeps until the residual is {word}; null if {MAX_SWEEPS} are not enough",
            range=AT_LEAST_0,
            good="the iterations of the code, or fewer",
        )
        for word in TOLERANCES
    ),
    quantity(
        "variants",
        "changes by the Sinkhorn of each known code base; logits only",
        rows=_changes("variant"),
    ),
    quantity("roundings", "changes by each rounding", rows=_changes("rounding")),
    QUANTILE_ERROR,
)

SIZE = (8.3, 7.4)


@analysis
def run(
    source: Annotated[Source, Draws(samples=1000, layers=24)],
) -> Result:
    """Measure Sinkhorn-Knopp on logits or on what it made of them.

    Args:
        source: a method whose logits Sinkhorn normalises, or a trace of nonnegative matrices.

    Returns:
        A row for every part, name, number of sweeps, metric and site, and for the composite. In
        the summary ``spread_max`` and ``diameter_max``; ``residual_max`` of the matrices as they
        are applied; ``sweeps_1e_3`` and ``sweeps_1e_6``: most sweeps that any matrix needs, null
        if `MAX_SWEEPS` are not enough; ``variants`` (logits only) and ``roundings``: the largest
        changes.

    Raises:
        UsageError: a method without logits, or a distribution of matrices.
        BadInput: a trace with a negative entry, or with a row or column of zeros; a product of
            all sites beyond the largest number.
    """
    if not source.samples or not source.sites:
        raise BadInput(f"{source.title}: holds no matrices; record or draw at least one")
    stages = open_stages(source)
    meta = {**source.meta, "d": source.d, "title": title(source)}
    return run_fold(_Sinkhorn(source), stages, SCHEMA, meta)


class _Tallies(Statistics):
    """Of the sites, and of the composite."""

    def __init__(self, samples: int) -> None:
        self.sites, self.composite = Tally(samples), Tally(samples)


class _Sinkhorn(Fold[_Tallies, Stage]):
    """Everything that is measured, over samples."""

    def __init__(self, source: Source) -> None:
        self.source = source

    def start(self) -> _Tallies:
        return _Tallies(self.source.samples)

    def add(self, state: _Tallies, number: int, block: Stage) -> Columns:
        changes, of_composite = measure_changes(block)
        state.sites.add(number, measure_convergence(block) | changes)
        state.composite.add(number, of_composite)
        return {}

    def finish(self, state: _Tallies) -> tuple[Iterable[Columns], Summary]:
        where = site_columns(self.source.sites)
        sites, composite = state.sites.statistics(), state.composite.statistics()
        rows = [
            {**key._asdict(), **columns, **numbers}
            for statistics, columns in ((sites, where), (composite, dict.fromkeys(where)))
            for key, numbers in statistics.items()
        ]
        error = largest_error(state.sites.distributions, state.composite.distributions)
        return rows, {**_summary(self.source, sites, composite), "quantile_error": error}


CHANGES = ("entry_change", "row_error", "column_error", "lambda_2_change")


def _summary(source: Source, sites: Numbers, composite: Numbers) -> Summary:
    def largest(part: str, metric: str, name: str | None = None) -> float | None:
        value = float(np.fmax.reduce(sites[Key(part, name, None, metric)]["max"]))
        return None if np.isnan(value) else value

    needed = {word: largest("needed", f"sweeps_{word}") for word in TOLERANCES}
    tables = {
        part: [
            {part: key.name}
            | {f"{metric}_max": largest(part, metric, key.name) for metric in CHANGES}
            | {"composite_change_max": float(numbers["max"][0])}
            for key, numbers in composite.items()
            if (key.part, key.metric) == (part, "entry_change")
        ]
        for part in ("variant", "rounding")
    }
    residual = largest("applied", "residual")
    off = sites[Key("applied", None, None, "residual")]["mean"]
    saturated = [
        site.name for site, mean in zip(source.sites, off, strict=True) if mean > SATURATED
    ]
    balanced = "converged" if (residual or 0) <= CONVERGED else "unconverged"
    return {
        "verdict": "saturated" if saturated else balanced,
        "saturated": saturated,
        "threshold": CONVERGED,
        "d": source.d,
        "sites": len(source.sites),
        "samples": source.samples,
        "spread_max": largest("input", "spread"),
        "diameter_max": largest("input", "diameter"),
        "residual_max": residual,
        **{
            f"sweeps_{key_of(word)}": None if k is None or k > MAX_SWEEPS else int(k)
            for word, k in needed.items()
        },
        **{f"{part}s": rows for part, rows in tables.items() if rows},
    }


def answer(summary: Summary) -> str:
    """How far sums are off as the matrices are applied, and how many sweeps they need."""
    needed = (
        f"{'more than ' + str(MAX_SWEEPS) if sweeps is None else sweeps} to {word}"
        for word in TOLERANCES
        for sweeps in (summary[f"sweeps_{key_of(word)}"],)
    )
    return (
        f"Sums of the matrices are off by at most {short(summary['residual_max'])}; "
        f"sweeps needed: {', '.join(needed)}."
    )


def draw(result: "pa.Table", figure: "Figure") -> None:
    """What goes in, what sweeps leave, how many are needed, what variants and rounding change."""
    captions.title(result, figure)
    rows = sinkhorn_panels.rows_by_key(result)
    (above, right), (below, last) = figure.subplots(2, 2, height_ratios=(1, 1.5))
    sinkhorn_panels.draw_inputs(above, rows)
    sinkhorn_panels.draw_residuals(right, rows)
    sinkhorn_panels.draw_needed(below, rows)
    sinkhorn_panels.draw_dots(last, rows)
    for axes in (above, below):
        axis.depth(axes, min_n_ticks=1)
        captions.legend(axes, "median, 10-90 %; dotted: largest")
    for axes in (right, last):
        captions.legend(axes)


def depth_curves(result: "pa.Table") -> dict[str, tuple[Array, Array]]:
    """Of one checkpoint, over depth: the spread of the input, the residual, the sweeps needed."""
    return sinkhorn_panels.curves(sinkhorn_panels.rows_by_key(result))
