"""Similarity of the streams, over depth and over training steps, beside the same model at H = I.

Runs tokens through a trained model, or through every checkpoint of a series, and takes the mean
over all pairs of streams of their cosine similarity: at every site before mixing, after mixing,
and after the branch has written. 1: all streams point the same way; 0: nothing in common. A
stream that is zero is similar to none.

Beside it the same model runs with H = I at every site, all other weights as they are: what lies
between the two is what the trained mixing does. (The papers train a second model with H = I.)

Source: sHC, section 4.2 and figures 3, 10, 11.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from birkhoff_cli.analyses.core.analysis import analysis
from birkhoff_cli.analyses.core.arrays import Array
from birkhoff_cli.analyses.core.errors import BadInput
from birkhoff_cli.analyses.core.fold import Chained, Fold, Series, run_fold
from birkhoff_cli.analyses.core.quantities import SAMPLES, SITES, STEP, judged, quantity
from birkhoff_cli.analyses.core.result import Result, Summary
from birkhoff_cli.analyses.core.sentences import short
from birkhoff_cli.analyses.core.series import check_steps, over_steps, said_of_series
from birkhoff_cli.analyses.core.table import Columns, column
from birkhoff_cli.analyses.core.titles import name_of_series, title_of_file
from birkhoff_cli.analyses.core.trace import caption, site_columns, site_schema
from birkhoff_cli.analyses.drawing import captions, similarity_panels
from birkhoff_cli.analyses.networks.stream_similarity import STAGES, measure_similarities
from birkhoff_cli.analyses.networks.token_run import (
    TokenRun,
    batches,
    in_torch,
    sequences_in_batch,
)
from birkhoff_cli.analyses.statistics.distributions import (
    QUANTILE_ERROR,
    STATISTICS,
    Distributions,
)

if TYPE_CHECKING:
    import pyarrow as pa
    from matplotlib.figure import Figure

EXAMPLES = (
    "birkhoff similarity out/ckpt.pt --inputs tokens=data/val.bin --plot similarity.png",
    "birkhoff similarity out/ckpt_*.pt --inputs tokens=data/val.bin --sequences 16 --plot s.png",
)

COSINE = (-1, 1)
OF = "of the mean over pairs of streams of their cosine similarity, over tokens"
SCHEMA = (
    column("step", "int64", "training step of the model; null if not known", nullable=True),
    column("mixing", "string", "actual: H as trained; identity: the same model with H = I"),
    *site_schema(),
    column("streams", "string", "in: before mixing; mixed: after it; out: and with the branch"),
    column("mean", "float64", f"mean {OF}; null for d = 1", nullable=True),
    column("std", "float64", f"standard deviation {OF}", nullable=True),
    column("min", "float64", f"smallest {OF}", nullable=True),
    column("p10", "float64", f"10th percentile {OF}", nullable=True),
    column("p50", "float64", f"median {OF}", nullable=True),
    column("p90", "float64", f"90th percentile {OF}", nullable=True),
    column("max", "float64", f"largest {OF}", nullable=True),
)
THRESHOLD = 0.9
"""Mean cosine similarity from which on streams count as alike."""

SUMMARY = (
    *judged(
        "alike if streams point the same way after the last mixing, else distinct; null for d = 1",
        "distinct",
        "mean cosine similarity from which on streams are alike",
    ),
    SITES,
    SAMPLES,
    STEP,
    *(
        quantity(
            f"similarity_{key}{suffix}",
            f"mean cosine similarity of streams {where}{mixing}",
            range=COSINE,
            good="below 1",
        )
        for suffix, mixing in (("", ""), ("_identity", ", of the same model with H = I"))
        for key, where in (
            ("first", "after the first mixing"),
            ("last", "after the last mixing"),
            ("mean", "over all sites"),
        )
    ),
    QUANTILE_ERROR,
)

MIXINGS = {"actual": "H as trained", "identity": "H = I"}
"""Values of the column mixing, and what pictures call them."""

MIXED = STAGES.index("mixed")
MAX_EXACT_BYTES = 2**29
"""Bytes of similarities up to which their percentiles are exact."""
SIZE = (8.3, 3.3)


@analysis
def run(series: tuple[TokenRun, ...]) -> Result:
    """Measure how similar streams are, at every step, site and stage, with H and with I.

    Args:
        series: one model and its tokens, or several of one model in order of training.

    Returns:
        A row for every step, mixing, site and stage. The summary has, of the last step and after
        mixing, the mean at the first and at the last site, and over all sites; each also for
        H = I. A series adds ``steps``: these numbers of every step.

    Raises:
        BadInput: models that differ in their sites, or streams that are not finite.
        TooLarge: more tokens than fit in memory.
    """
    first, last = series[0], series[-1]
    for each in series:
        if len(each.sites) != len(first.sites):
            raise BadInput(
                f"{each.source}: has {len(each.sites)} sites and {first.source} has "
                f"{len(first.sites)}; give checkpoints of one model"
            )
    check_steps(series)
    files = [file for each in series for file in each.meta.get("inputs", ())]
    own = {"inputs": _once(files), "title": _title(series)}
    meta = {**last.meta, **said_of_series(series), **own}
    runs = [_Tokens(each) for each in series]
    return run_fold(_Similarity(series, runs), Chained(runs), SCHEMA, meta)


def _once(files: list[Any]) -> list[Any]:
    """Each file once: all steps run the same tokens."""
    return [file for k, file in enumerate(files) if file not in files[:k]]


def _title(series: tuple[TokenRun, ...]) -> str:
    """The file, or the first and the last of several."""
    last = series[-1]
    name = name_of_series([caption(run.source) for run in series])
    return title_of_file(name, last.meta, last.meta.get("d"), last.sites, last.samples)


@dataclass(frozen=True)
class _Tokens:
    """Similarities of batches of tokens, ``(mixings, sites, streams, samples)`` each."""

    run: TokenRun

    @property
    def blocks(self) -> int:
        """Number of batches."""
        return -(-len(self.run.tokens) // sequences_in_batch(self.run.tokens))

    def read(self, numbers: range) -> Iterator[Array]:
        """Run the batches through the model as trained, and with H = I."""
        model = in_torch(self.run.load())
        variants, step = (model, model.unmixed()), sequences_in_batch(self.run.tokens)
        for batch in batches(self.run.tokens[numbers.start * step : numbers.stop * step]):
            yield np.stack([measure_similarities(variant, batch, self.run) for variant in variants])


class _Step(Fold[Distributions, Array]):
    """The similarities of one model, over tokens."""

    def __init__(self, run: TokenRun) -> None:
        self.run = run
        self.shape = (len(MIXINGS), len(run.sites), len(STAGES))

    def start(self) -> Distributions:
        samples = self.run.samples
        return Distributions(prod(self.shape), samples, f"{samples:,} tokens", MAX_EXACT_BYTES)

    def add(self, state: Distributions, number: int, block: Array) -> Columns:
        state.add(number, block.reshape(prod(self.shape), -1))
        return {}

    def finish(self, state: Distributions) -> tuple[Iterable[Columns], Summary]:
        """Rows by mixing, then site, then stage."""
        columns = state.columns()
        numbers = {name: columns[name].reshape(self.shape) for name in STATISTICS}
        rows = {
            "step": self.run.step,
            "mixing": np.array([*MIXINGS])[:, None, None],
            **{name: c[:, None] for name, c in site_columns(self.run.sites).items()},
            "streams": np.array(STAGES),
            **numbers,
        }
        return (rows,), {"step": self.run.step, **_headline(numbers["mean"]), **state.summary()}


class _Similarity(Series):
    """Every model in order of training."""

    def __init__(self, series: tuple[TokenRun, ...], runs: list[_Tokens]) -> None:
        super().__init__([_Step(run) for run in series], runs)
        self.series = series

    def summarise(self, summaries: list[Summary]) -> Summary:
        """The numbers of the last step, and those of every step."""
        steps = [
            {
                **_verdict(summary["similarity_last"]),
                "sites": len(run.sites),
                "samples": run.samples,
                **summary,
            }
            for run, summary in zip(self.series, summaries, strict=True)
        ]
        return over_steps(steps)


def _headline(means: Array) -> dict[str, float | None]:
    """Means after mixing: at the first site, at the last, over all; with H and with I."""
    numbers: dict[str, float | None] = {}
    for number, word in zip(means, ("", "_identity"), strict=True):
        mean = number[:, MIXED]
        for name, value in (("first", mean[0]), ("last", mean[-1]), ("mean", mean.mean())):
            numbers[f"similarity_{name}{word}"] = None if np.isnan(value) else float(value)
    return numbers


def _verdict(last: float | None) -> Summary:
    word = None if last is None else "alike" if last >= THRESHOLD else "distinct"
    return {"verdict": word, "threshold": THRESHOLD}


def answer(summary: Summary) -> str:
    """Whether depth makes streams alike, with the mixing as trained and without."""
    first, last, bare = (summary[f"similarity_{key}"] for key in ("first", "last", "last_identity"))
    if last is None:
        return "A single stream is similar to no other."
    return (
        f"After mixing, streams have a cosine similarity of {short(first)} at the first site and "
        f"{short(last)} at the last; with H = I it is {short(bare)} there."
    )


def draw(result: "pa.Table", figure: "Figure") -> None:
    """Similarity after mixing with H and with I: over training steps, or over depth."""
    captions.title(result, figure)
    similarity_panels.draw_similarity(result, figure, MIXINGS)
