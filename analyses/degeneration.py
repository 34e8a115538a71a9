"""Degeneration: whether mixing matrices mix, or are stuck at the identity.

Distances are Frobenius norms, averaged over samples; sqrt(d - 1) is how far I and every permutation
are from J/d, whose entries are all 1/d. The effective number of streams is exp(entropy) of a row
divided by its sum: 1 copies one stream, d averages all of them. The diagonal fraction is the share
of matrices in which every row is largest on the diagonal alone: a tie counts as off the diagonal,
so that of J/4 is 0.

The verdict, on every site and on all of them together, is the first of these that holds. saturated:
the logits of a Sinkhorn are known, and the mean of the largest |sum - 1| is above 0.01.
identity-degenerate: the mean distance to I is at most 0.2 sqrt(d - 1), a fifth of the way from I to
J/d (there the row maxima are 0.85 for d = 4). near-permutation: that to the nearest permutation is.
near-uniform: that to J/d is. signed: negative entries have at least 0.01 of the sum of moduli.
mixing: none of these. A single stream (d = 1) has no verdict. --fail-on is of the verdict on all
sites together, at the last step.

Source: sHC, section 4.1 and figures 2, 3; BE-HC, appendix D.2.
"""

from collections.abc import Iterator
from math import sqrt
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np

from birkhoff_cli.analyses.core.analysis import analysis
from birkhoff_cli.analyses.core.errors import BadInput
from birkhoff_cli.analyses.core.fold import Chained, Series, run_fold
from birkhoff_cli.analyses.core.quantities import AT_LEAST_0, SAMPLES, SITES, D, quantity
from birkhoff_cli.analyses.core.questions import Question, SiteColumn
from birkhoff_cli.analyses.core.result import Result, Summary
from birkhoff_cli.analyses.core.sentences import capitalise, short
from birkhoff_cli.analyses.core.series import check_sizes, check_steps, meta_of_series, over_steps
from birkhoff_cli.analyses.core.table import column
from birkhoff_cli.analyses.core.trace import MixingTrace, site_schema
from birkhoff_cli.analyses.drawing import captions, degeneration_panels
from birkhoff_cli.analyses.sites import measured, nearest
from birkhoff_cli.analyses.sites.step import QUANTITIES, Step
from birkhoff_cli.analyses.sites.verdict import JUDGED, NEAR, WORDS, Verdict, mixing_question
from birkhoff_cli.analyses.statistics.distributions import QUANTILE_ERROR

if TYPE_CHECKING:
    import pyarrow as pa
    from matplotlib.figure import Figure

EXAMPLES = (
    "birkhoff degeneration out/ckpt.pt --plot degeneration.png",
    "birkhoff degeneration out/ckpt_*.pt -o degeneration.parquet --plot dynamics.png",
    "birkhoff degeneration out/ckpt.pt --inputs gaussian --fail-on identity-degenerate",
)

ROW = "of the largest entry of every row"
SHARE = "mean share of the sum of moduli that"
SCHEMA = (
    column("step", "int64", "training step of the model; null if not known", nullable=True),
    *site_schema(),
    column("row_max_p10", "float64", f"10th percentile {ROW}"),
    column("row_max_p50", "float64", f"median {ROW}"),
    column("row_max_p90", "float64", f"90th percentile {ROW}"),
    column(
        "diagonal_fraction",
        "float64",
        "share of matrices with all row maxima on the diagonal alone: a tie, as in J/d, is off it",
    ),
    column("identity_distance", "float64", "mean distance to I"),
    column("barycenter_distance", "float64", "mean distance to J/d"),
    column("permutation_distance", "float64", "mean distance to the nearest permutation matrix"),
    column("off_diagonal_mass", "float64", f"{SHARE} lies off the diagonal", nullable=True),
    column(
        "column_concentration",
        "float64",
        f"{SHARE} the heaviest column has: 1/d if all streams hand on alike, 1 if only one does",
        nullable=True,
    ),
    column("negative_mass", "float64", f"{SHARE} negative entries have", nullable=True),
    column("entry_min", "float64", "smallest entry"),
    column(
        "effective_streams",
        "float64",
        "mean effective number of streams in a row; null if it is known of no matrix",
        nullable=True,
    ),
    column(
        "mass_unknown",
        "int64",
        "matrices of zeros, left out of off_diagonal_mass, column_concentration, negative_mass",
    ),
    column(
        "effective_streams_unknown",
        "int64",
        "matrices with a negative entry or a row of zeros, left out of effective_streams",
    ),
    nearest.COLUMN,
    column("verdict", "string", "what the matrices of the site are; null for d = 1", nullable=True),
    column("step_row_max_p10", "float64", f"10th percentile {ROW} at any site of the step"),
    column("step_row_max_p50", "float64", f"median {ROW} at any site of the step"),
    column("step_row_max_p90", "float64", f"90th percentile {ROW} at any site of the step"),
    column("step_diagonal_fraction", "float64", "diagonal_fraction of all sites of the step"),
)
NUMBERS = (
    *QUANTITIES,
    QUANTILE_ERROR,
    *JUDGED,
)
SUMMARY = (
    D,
    SITES,
    SAMPLES,
    *NUMBERS,
    nearest.DOMINANT,
    quantity(
        "verdicts",
        "how many sites have which verdict",
        rows=(
            quantity("verdict", "the verdict on a site"),
            quantity("sites", "sites that have it", range=AT_LEAST_0),
        ),
    ),
)

SIZE = (8.3, 3.3)


@analysis
def run(
    series: tuple[MixingTrace, ...],
    *,
    fail_on: Annotated[Verdict | None, "exit with code 1 if this is the verdict"] = None,
) -> Result:
    """Measure how far every site mixes, at every step.

    Args:
        series: one trace, or several of one model in order of training.
        fail_on: the verdict on all sites of the last step that shall count as a failure.

    Returns:
        A row for every step and site. The summary has the numbers of the last step: ``row_max_*``
        over all samples and sites, the means of the other columns over all sites, ``entry_min``,
        ``verdict``, and ``verdicts``: how many sites have which. A series adds ``steps``, the same
        of every step.

    Raises:
        BadInput: a trace without matrices, or traces that differ in d or in their sites.
    """
    last = series[-1]
    if last.measured is not None:
        result = measured.degeneration(
            last, SCHEMA, {**last.meta, "d": last.d, "title": last.title}
        )
        result.failed = lambda: _failure(result.summarise()["verdict"], fail_on, last.source)
        return result
    _check(series)
    result = run_fold(_Degeneration(series), Chained(series), SCHEMA, meta_of_series(series))
    result.failed = lambda: _failure(result.summarise()["verdict"], fail_on, last.source)
    return result


def _check(series: tuple[MixingTrace, ...]) -> None:
    for trace in series:
        if not trace.samples or not trace.sites:
            raise BadInput(f"{trace.source}: holds no matrices; record or draw at least one")
    check_sizes(series)
    check_steps(series)


def _failure(verdict: str | None, fail_on: str | None, source: str) -> str | None:
    if fail_on is None or verdict != fail_on:
        return None
    return f"{source}: the verdict is {verdict}, on which --fail-on was asked to fail"


class _Degeneration(Series):
    """Every trace in order of training."""

    def __init__(self, series: tuple[MixingTrace, ...]) -> None:
        super().__init__([Step(trace) for trace in series], series)
        self.series = series

    def summarise(self, summaries: list[Summary]) -> Summary:
        """The numbers of the last step, and those of every step."""
        steps = [
            _headline(summary, trace) for summary, trace in zip(summaries, self.series, strict=True)
        ]
        return over_steps(steps)


def _headline(numbers: Summary, trace: MixingTrace) -> dict[str, Any]:
    """The numbers of one step; NaN is not known."""
    verdicts = numbers["verdicts"]
    kept = {k: v for k, v in numbers.items() if k != "nearest"}
    known = {k: None if isinstance(v, float) and np.isnan(v) else v for k, v in kept.items()}
    return {
        "step": trace.step,
        "d": trace.d,
        "sites": len(trace.sites),
        "samples": trace.samples,
        **known,
        "threshold": NEAR * sqrt(trace.d - 1),
        nearest.DOMINANT.name: nearest.rows_of(numbers["nearest"]),
        "verdicts": [
            {"verdict": word, "sites": verdicts.count(word)}
            for word in dict.fromkeys(verdicts)
            if word
        ],
    }


def answer(summary: Summary) -> str:
    """Whether the matrices mix, by their distances to I and J/d, and what they are nearest to."""
    if summary["verdict"] is None and summary["d"] > 1:
        return "Its matrices are not finite: the run has diverged."
    if summary["verdict"] is None:
        return "A single stream has nothing to mix with."
    verdict = capitalise(WORDS[summary["verdict"]])
    near, far = short(summary["identity_distance"]), short(summary["barycenter_distance"])
    apart = short(sqrt(summary["d"] - 1))
    return (
        f"{verdict}: on average they are {near} from I and {far} from J/d, which are {apart} apart"
        f"{nearest.phrase(summary)}."
    )


def questions(summary: Summary) -> Iterator[Question]:
    """Whether it mixes."""
    yield mixing_question(summary, answer(summary))


SITE_COLUMNS = (
    SiteColumn("barycenter_distance", up_to="threshold", means="all streams are averaged"),
    *map(SiteColumn, ("row_max_p50", "diagonal_fraction", "effective_streams")),
)


def draw(result: "pa.Table", figure: "Figure") -> None:
    """Row maxima, diagonal fraction and distances: over training steps, or over depth."""
    import pyarrow.compute as pc

    meta = captions.title(result, figure)
    rows = {name: result[name].to_numpy() for name in result.column_names if name != "branch"}
    unit = sqrt(max(1, meta["d"] - 1))  # d = 1: all distances are from 1
    if len(pc.unique(result["step"])) > 1:
        degeneration_panels.draw_steps(figure, rows, unit, SIZE)
        if "alarm" in rows:
            degeneration_panels.draw_alarms(figure, rows)
    else:
        degeneration_panels.draw_depth(figure.subplots(1, 3), rows, unit)
