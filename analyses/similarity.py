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
from birkhoff_cli.analyses.core.table import Columns, column
from birkhoff_cli.analyses.core.trace import caption, check_steps, site_columns, site_schema
from birkhoff_cli.analyses.drawing import axis, bands, captions
from birkhoff_cli.analyses.drawing.palette import BLUE, GREEN, ORANGE
from birkhoff_cli.analyses.networks.language_model import LanguageModel, states
from birkhoff_cli.analyses.networks.token_run import (
    TokenRun,
    batches,
    in_torch,
    inference,
    sequences_in_batch,
)
from birkhoff_cli.analyses.statistics.distributions import (
    QUANTILE_ERROR,
    STATISTICS,
    Distributions,
)

if TYPE_CHECKING:
    import pyarrow as pa
    from matplotlib.axes import Axes
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
ALIKE = 0.9
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

STREAMS = ("in", "mixed", "out")
MIXINGS = ("actual", "identity")
MIXED = STREAMS.index("mixed")
KEPT = 2**29
"""Bytes of similarities up to which their percentiles are exact."""
SIZE = (10.0, 3.4)


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
    meta = {**last.meta, "inputs": _once(files), "title": _title(series)}
    runs = [_Tokens(each) for each in series]
    return run_fold(_Similarity(series, runs), Chained(runs), SCHEMA, meta)


def _once(files: list[Any]) -> list[Any]:
    """Each file once: all steps run the same tokens."""
    return [file for k, file in enumerate(files) if file not in files[:k]]


def _title(series: tuple[TokenRun, ...]) -> str:
    """The file, or the first and the last."""
    names = [caption(series[0].source), caption(series[-1].source)]
    return names[0] if len(series) == 1 else " ... ".join(names)


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
            yield np.stack([_similarities(variant, batch, self.run) for variant in variants])


class _Step(Fold[Distributions, Array]):
    """The similarities of one model, over tokens."""

    def __init__(self, run: TokenRun) -> None:
        self.run = run
        self.shape = (len(MIXINGS), len(run.sites), len(STREAMS))

    def start(self) -> Distributions:
        samples = self.run.samples
        return Distributions(prod(self.shape), samples, f"{samples:,} tokens", KEPT)

    def add(self, state: Distributions, number: int, block: Array) -> Columns:
        state.add(number, block.reshape(prod(self.shape), -1))
        return {}

    def finish(self, state: Distributions) -> tuple[Iterable[Columns], Summary]:
        """Rows by mixing, then site, then stage."""
        columns = state.columns()
        numbers = {name: columns[name].reshape(self.shape) for name in STATISTICS}
        rows = {
            "step": self.run.step,
            "mixing": np.array(MIXINGS)[:, None, None],
            **{name: c[:, None] for name, c in site_columns(self.run.sites).items()},
            "streams": np.array(STREAMS),
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
        return steps[-1] | ({"steps": steps} if len(steps) > 1 else {})


def _similarities(model: LanguageModel, tokens: Array, source: TokenRun) -> Array:
    """``(sites, 3, samples)`` of tokens ``(sequences, length)``: before, after mixing, out.

    Raises:
        BadInput: streams that are not finite.
    """
    import torch

    with inference(model):
        out = []
        for state in states(model, tokens):
            stages = torch.stack([_cosine(x) for x in (state.before, state.mixed, state.after)])
            out.append(stages.flatten(1).numpy())
    found = np.stack(out)
    bad = np.flatnonzero(~np.isfinite(found).all(axis=(1, 2)))
    if len(bad) and model.connections[0].d > 1:
        site = source.sites[bad[0]]
        raise BadInput(
            f"{source.source}: the streams of layer {site.layer}, {site.branch} are not finite; "
            f"the run has probably diverged, try an earlier checkpoint"
        )
    return found


def _cosine(streams: Array) -> Array:
    """Mean cosine over pairs of the streams ``(..., d, width)``; NaN for a single one."""
    import torch
    from torch.nn.functional import normalize

    d = streams.shape[-2]
    largest = streams.abs().amax(-1, keepdim=True)  # whose square may be out of range
    unit = normalize(streams / largest.clamp_min(torch.finfo(streams.dtype).tiny), dim=-1)
    gram = unit @ unit.mT
    off = gram.sum((-2, -1)) - gram.diagonal(dim1=-2, dim2=-1).sum(-1)
    return off / (d * (d - 1)) if d > 1 else off * float("nan")


def _headline(means: Array) -> dict[str, float | None]:
    """Means after mixing: at the first site, at the last, over all; with H and with I."""
    found: dict[str, float | None] = {}
    for number, word in zip(means, ("", "_identity"), strict=True):
        mean = number[:, MIXED]
        for name, value in (("first", mean[0]), ("last", mean[-1]), ("mean", mean.mean())):
            found[f"similarity_{name}{word}"] = None if np.isnan(value) else float(value)
    return found


def _verdict(last: float | None) -> Summary:
    word = None if last is None else "alike" if last >= ALIKE else "distinct"
    return {"verdict": word, "threshold": ALIKE}


def answer(summary: Summary) -> str:
    """Whether depth makes streams alike, with the mixing as trained and without."""
    first, last, bare = (summary[f"similarity_{key}"] for key in ("first", "last", "last_identity"))
    if last is None:
        return "A single stream is similar to no other."
    return (
        f"After mixing, streams have a cosine similarity of {short(first)} at the first site and "
        f"{short(last)} at the last; with H = I it is {short(bare)} there."
    )


COLOURS = {"actual": BLUE, "identity": ORANGE, "branch": GREEN}
NAMES = {"actual": "H as trained", "identity": "H = I"}


def draw(result: "pa.Table", figure: "Figure") -> None:
    """Similarity after mixing with H and with I: over training steps, or over depth."""
    captions.title(result, figure)
    steps = np.unique(result["step"].to_numpy())
    if len(steps) > 1:
        _over_steps(result, figure, steps)
    else:
        _over_depth(result, figure)


def _pick(result: "pa.Table", mixing: str, streams: str, name: str) -> Array:
    """One column at one stage, ``(steps, sites)``."""
    sites = result["site"].to_numpy().max() + 1
    chosen = (result["mixing"].to_numpy() == mixing) & (result["streams"].to_numpy() == streams)
    return result[name].to_numpy()[chosen].reshape(-1, sites)


def _over_steps(result: "pa.Table", figure: "Figure", steps: Array) -> None:
    """The papers' figure, a line for every site, and what they leave to the eye: the difference."""
    import matplotlib as mpl

    identity, actual = (_pick(result, m, "mixed", "mean") for m in ("identity", "actual"))
    shades = mpl.cm.ScalarMappable(mpl.colors.Normalize(0, identity.shape[1] - 1), "viridis")
    colours = shades.to_rgba(np.arange(identity.shape[1]))
    panels = figure.subplots(1, 3)
    panels[1].sharey(panels[0])
    lines = {
        "H = I": identity,
        "H as trained": actual,
        "H as trained, minus H = I": actual - identity,
    }
    for axes, (title, values) in zip(panels, lines.items(), strict=True):
        for site in range(values.shape[1]):
            axes.plot(steps, values[:, site], color=colours[site], lw=1, marker=".", ms=3)
        axes.set_title(title, fontsize="medium")
        axis.steps(axes)
    panels[0].set(ylabel="mean cosine similarity after mixing")
    panels[2].set(ylabel="difference of the means")
    axis.reference(panels[2], 0)
    figure.colorbar(shades, ax=panels[2], label=axis.DEPTH)


def _over_depth(result: "pa.Table", figure: "Figure") -> None:
    """Both models over depth; and what mixing and branch each change at a site."""
    panels = figure.subplots(1, 2)
    site = np.arange(_pick(result, "actual", "mixed", "mean").shape[1])
    for mixing in MIXINGS:
        _band(panels[0], site, result, mixing)
    before, mixed, after = (_pick(result, "actual", s, "mean")[0] for s in STREAMS)
    style = {"marker": ".", "ms": 5, "lw": 1.2}
    panels[1].plot(site, mixed - before, color=COLOURS["actual"], label="mixing", **style)
    panels[1].plot(site, after - mixed, color=COLOURS["branch"], label="branch", **style)
    axis.reference(panels[1], 0)
    panels[0].set(ylabel="cosine similarity after mixing")
    panels[1].set(ylabel="change of the mean at the site")
    captions.legend(panels[0], "mean, 10-90 %")
    captions.legend(panels[1], "H as trained")
    for axes in panels:
        axis.depth(axes)


def _band(axes: "Axes", site: Array, result: "pa.Table", mixing: str) -> None:
    low, mean, high = (_pick(result, mixing, "mixed", n)[0] for n in ("p10", "mean", "p90"))
    colour = COLOURS[mixing]
    bands.band(axes, site, low, high, colour, opacity=0.25)
    dashes = "--" if mixing == "identity" else "-"
    axes.plot(site, mean, dashes, color=colour, lw=1.4, marker=".", ms=5, label=NAMES[mixing])
