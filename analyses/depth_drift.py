"""Drift over depth: sums, norms and gains of every matrix and of their product.

The composite after a site is the product of all matrices up to it, the last leftmost (--from-each:
from every start). Column sums are what each input stream hands on in total (1 conserves the mean);
row sums are the gain of a constant signal. Entropies are in nats.

Sums that are 1 up to rounding count as 1; what rounding hides of a sample is counted as unknown.
The typical decay per layer is the geometric mean over samples of ||P - J/d||; rare chains carry the
mean-square decay.

Source: sHC, figure 6; mHC-lite; go-mHC, eq. 10, 11, figure A9; BE-HC, figure 1.
"""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Annotated

import numpy as np

from birkhoff_cli.analyses.core.analysis import analysis
from birkhoff_cli.analyses.core.arrays import Array
from birkhoff_cli.analyses.core.errors import BadInput
from birkhoff_cli.analyses.core.fold import Fold, Grouped, Statistics, run_fold
from birkhoff_cli.analyses.core.options import ArrayAxis
from birkhoff_cli.analyses.core.quantities import (
    AT_LEAST_0,
    LAYERS,
    SAMPLES,
    SITES,
    judged,
    quantity,
)
from birkhoff_cli.analyses.core.questions import Question
from birkhoff_cli.analyses.core.result import Result, Summary
from birkhoff_cli.analyses.core.sentences import capitalise, halving
from birkhoff_cli.analyses.core.source import Draws, Source
from birkhoff_cli.analyses.core.table import Columns, column
from birkhoff_cli.analyses.core.titles import title
from birkhoff_cli.analyses.core.trace import site_columns
from birkhoff_cli.analyses.drawing import axis, captions, drift_panels
from birkhoff_cli.analyses.probes.laws import mean_square_factor
from birkhoff_cli.analyses.sites.drift import (
    decay_per_site,
    describe_gains,
    describe_sums,
    drift_questions,
)
from birkhoff_cli.analyses.statistics.composites import (
    COMPOSITE,
    judge_composite,
    summarise_composite,
)
from birkhoff_cli.analyses.statistics.distributions import COLUMNS, QUANTILE_ERROR
from birkhoff_cli.analyses.statistics.drift import (
    DECAYS,
    METRICS,
    Chain,
    Drift,
    Spans,
    decays,
)
from birkhoff_cli.analyses.statistics.extremes import COLUMN_ERROR, ROW_ERROR
from birkhoff_cli.analyses.statistics.lyapunov import FACTORS, Lyapunov

if TYPE_CHECKING:
    import pyarrow as pa
    from matplotlib.figure import Figure

EXAMPLES = (
    "birkhoff depth-drift out/ckpt.pt --plot drift.png",
    "birkhoff depth-drift --method mhc --iters 5 --scale 4 --layers 48 -o drift.parquet",
    "birkhoff depth-drift --method go-mhc --s 1 --draw haar --layers 400 -n 4000 --lyapunov",
    "birkhoff depth-drift trace.parquet --from-each -o spans.parquet",
)

SCHEMA = (
    column("kind", "string", "site: one matrix; composite: the product of all up to the site"),
    column("depth", "int32", "number of matrices in the product"),
    column("start", "int32", "first site of the product; 0 without --from-each"),
    column("site", "int32", "site in order of depth; of a composite, its last"),
    column("layer", "int32", "layer of that site"),
    column("branch", "string", "branch of that site: attn or mlp; drawn for a drawn stack"),
    column("metric", "string", "what the numbers of the row are; see the command's help"),
    *COLUMNS,
)

SUMMARY = (
    *judged(
        "conserved, or drifts if a sum or gain of the composite leaves 1",
        "conserved",
        "distance from 1 up to which a sum, or a gain above 1, is conserved",
    ),
    LAYERS,
    SITES,
    SAMPLES,
    COLUMN_ERROR,
    ROW_ERROR,
    *COMPOSITE,
    quantity(
        "differences_left",
        "geometric mean of ||P - J/d|| after all sites, over that of I: the differences of streams",
        range=AT_LEAST_0,
        good="0.01 or more",
    ),
    *DECAYS,
    quantity(
        "mean_square_decay_exact",
        "the proven mean_square_decay, where there is one",
        range=AT_LEAST_0,
    ),
    *FACTORS,
    QUANTILE_ERROR,
)

SIZE = (8.3, 7.4)

MAX_LANES = 17_000
"""4 x 4 matrices in one step; fewer of larger ones.

A step takes 2 ms however few they are, a tenth of what so many take; more would be more memory.
"""

MAX_BYTES = 64e6
"""Of the matrices that are taken together."""


@analysis
def run(
    source: Annotated[Source, Draws(samples=1000, layers=24), ArrayAxis("sites")],
    *,
    from_each: Annotated[bool, "composites from every start, not only from the first site"] = False,
    lyapunov: Annotated[
        bool, "factors per layer of every axis of the product, with errors"
    ] = False,
) -> Result:
    """Statistics over samples of `METRICS`, per site and for the composite after it.

    Args:
        source: a trace, or stacks that are drawn.
        from_each: a composite for every pair of a start and a later site.
        lyapunov: also the Lyapunov factors, which take about a third longer.

    Returns:
        A row for every kind, start, site and metric. In the summary ``column_error_max`` and
        ``row_error_max`` are the largest |sum - 1| of all single matrices; everything that
        begins with ``composite`` or ``amax`` is of the product of all of them. Factors per layer:
        ``typical_decay`` is that of the geometric mean of ||P - J/d|| over the second half of the
        depth, ``lambda_2_decay`` the same of |lambda_2|, ``mean_square_decay`` the root of that
        of the mean of ||P - J/d||^2, as deep as the samples give it to about 10 %
        (``mean_square_depth``), ``mean_square_decay_exact`` the proven one where there is one;
        ``lyapunov_factors`` are those of all axes, with ``lyapunov_errors``.
        ``quantile_error`` is 0 where percentiles are exact.

    Raises:
        BadInput: a trace without samples, or a matrix that is not finite.
        TooLarge: more sites than fit in memory.
    """
    if not source.samples or not source.sites:
        raise BadInput(f"{source.title}: holds no matrices; record at least one sample")
    fold = _DepthDrift(source, from_each, lyapunov)
    meta = {**source.meta, "d": source.d, "title": title(source), "mean_square_factor": fold.factor}
    return run_fold(fold, Grouped(source, fold.group), SCHEMA, meta)


class _State(Statistics):
    """Numbers of sites and products, and the stretches of axes where they are asked for."""

    def __init__(self, drift: Drift, stretches: Lyapunov | None) -> None:
        self.drift = drift
        if stretches is not None:
            self.stretches = stretches


class _DepthDrift(Fold[_State, list[Array]]):
    """Every site, and every product that ends there."""

    def __init__(self, source: Source, from_each: bool, lyapunov: bool) -> None:
        self.samples, self.d, self.sites = source.samples, source.d, source.sites
        self.spans = Spans(len(source.sites), from_each)
        self.lyapunov = lyapunov
        self.precision = float(np.finfo(np.result_type(source.dtype, np.float16)).eps)
        drawn = source.drawn
        self.factor = mean_square_factor(drawn.method, drawn.draws) if drawn else None
        self.at_once = max(1, MAX_LANES * 16 // self.d**2)
        block_bytes = source.block * len(self.sites) * self.d**2 * source.dtype.itemsize
        self.group = max(1, min(self.at_once // source.block, int(MAX_BYTES // block_bytes)))

    def start(self) -> _State:
        """No samples."""
        stretches = Lyapunov(self.samples, len(self.sites), self.d) if self.lyapunov else None
        return _State(Drift(len(self.spans.composite), self.samples, self.d), stretches)

    def add(self, state: _State, number: int, block: list[Array]) -> Columns:
        """Measure the samples of a group of blocks, so many at once that they stay in cache."""
        for row, numbers in self.spans.measure(block, self.at_once, self.precision):
            state.drift.add(number, row, numbers)
        if self.lyapunov:
            state.stretches.add(number, block, self.precision, self.d)
        return {}

    def finish(self, state: _State) -> tuple[Iterable[Columns], Summary]:
        """A row for every kind, last site, start and metric."""
        columns, error = state.drift.columns(), state.drift.quantile_error
        start, last = self.spans.ends
        sites = {k: v[last][:, None] for k, v in site_columns(self.sites).items()}
        kind = np.where(self.spans.composite, "composite", "site")
        rows = {
            "kind": kind[:, None],
            "depth": (1 + last - start)[:, None],
            "start": start[:, None],
            **sites,
            "metric": np.array(list(METRICS)),
            **columns,
        }
        stretches = state.stretches.summary(self.samples, self.d) if self.lyapunov else {}
        return [rows], {**self._summary(columns), **stretches, "quantile_error": error}

    def _summary(self, columns: dict[str, Array]) -> Summary:
        single, chain = self._by_metric(columns)
        composite = summarise_composite(single, chain)
        return {
            **judge_composite(composite),
            "layers": len({site.layer for site in self.sites}),
            "sites": len(self.sites),
            "samples": self.samples,
            "column_error_max": _largest_error(single["column_sum"]),
            "row_error_max": _largest_error(single["row_sum"]),
            **composite,
            "differences_left": self._left(chain["log_barycenter_distance"]["mean"][-1]),
            **decays(chain, self.samples),
            "mean_square_decay_exact": None if self.factor is None else self.factor**0.5,
        }

    def _left(self, log: float) -> float | None:
        """A distance to J/d, of its logarithm, over that of I; None if not known, or d = 1."""
        with np.errstate(over="ignore", divide="ignore"):
            left = float(np.exp(log - np.log(self.d - 1) / 2))
        return left if np.isfinite(left) and self.d > 1 else None

    def _by_metric(self, columns: dict[str, Array]) -> tuple[dict[str, Chain], dict[str, Chain]]:
        """Statistics of single matrices, and of the products from the first site."""
        composite, start = self.spans.composite, self.spans.ends[0]
        single, chain = (
            {m: {k: v[rows, i] for k, v in columns.items()} for i, m in enumerate(METRICS)}
            for rows in (~composite, composite & (start == 0))
        )
        return single, chain


def answer(summary: Summary) -> str:
    """Whether mass drifts, how fast streams flatten, and whether anything is amplified."""
    flat = halving(decay_per_site(summary), "site")
    return f"{capitalise(describe_sums(summary))}; {flat}; {describe_gains(summary)}."


def questions(summary: Summary) -> Iterator[Question]:
    """Whether mass drifts, and whether streams flatten."""
    yield from drift_questions(summary)


def _largest_error(sums: Chain) -> float:
    return float(max(np.abs(sums[k] - 1).max() for k in ("min", "max")))


def draw(result: "pa.Table", figure: "Figure") -> None:
    """Sums of every matrix and of the composite, norm and radius, the way to the barycenter."""
    meta = captions.title(result, figure)
    rows = drift_panels.rows_by_metric(result)
    panels = figure.subplots(2, 2)
    for axes, kind in zip(panels[0], drift_panels.KINDS, strict=True):
        drift_panels.draw_sums(axes, rows, kind)
    drift_panels.draw_norms(panels[1, 0], rows)
    drift_panels.draw_decays(panels[1, 1], rows, meta)
    bands = "median; bands: 10-90 %, range" if drift_panels.has_spread(rows) else None
    for axes in panels.flat:
        axis.composite_depth(axes, len(rows["site", "row_sum"]["depth"]), drift_panels.DEPTH)
        captions.legend(axes, bands if axes.collections else None)


def depth_curves(result: "pa.Table") -> dict[str, tuple[Array, Array]]:
    """Of one checkpoint, over depth: how far sums of the composite are off, norm, distance."""
    return drift_panels.curves(drift_panels.rows_by_metric(result))
