"""What every branch reads of the streams, H_pre, and where it writes, H_post.

A site does x_out = H x_in + h_post branch(h_pre . x_in). Stream by stream the table has what the
branch reads (gate = pre) and how much of its output the stream receives (gate = post), with the
sigmoid, tanh, softmax, clamps and scales of the code base. Where streams are never mixed (H = I, as
in HY-V4 and Qwen4-Exp) this is all there is to see. --inputs static sets what follows the streams
to zero; gaussian and tokens=FILE move it.

The effective number of streams is exp(entropy) of the moduli over their sum, as that of a row of H
in birkhoff degeneration: 1 is one stream, d all alike; a stream that is subtracted is read, too. A
stream is never read if its share of what is read is below 0.05/d, a twentieth of an equal share, at
every site; never written likewise.

What a site reads of what the one before it wrote: last_gain = h_pre . h_post of the site before,
the factor with which that branch's output enters this one; last_overlap, the cosine between the
two; last_share, the modulus of that gain over the sum of moduli of the gains of all earlier
branches and of the embedding, each carried to this site by the H between them: the share if all
had written alike. With --inputs gaussian every site has streams of its own.

Source: Hyper-Connections, arXiv:2409.19606; mHC, arXiv:2512.24880, eq. 5-8.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from birkhoff_cli.analyses.core.analysis import analysis
from birkhoff_cli.analyses.core.arrays import Array
from birkhoff_cli.analyses.core.fold import Chained, Series, run_fold
from birkhoff_cli.analyses.core.quantities import (
    AT_LEAST_1,
    METHOD,
    SAMPLES,
    SHARE,
    SITES,
    STEP,
    D,
    quantity,
)
from birkhoff_cli.analyses.core.result import Result, Summary
from birkhoff_cli.analyses.core.sentences import count, share, short
from birkhoff_cli.analyses.core.series import check_sizes, check_steps, meta_of_series, over_steps
from birkhoff_cli.analyses.core.table import column
from birkhoff_cli.analyses.core.trace import MixingTrace, site_schema
from birkhoff_cli.analyses.drawing import captions, gate_panels
from birkhoff_cli.analyses.sites.gates import LAST, Gates, Step
from birkhoff_cli.analyses.statistics.distributions import QUANTILE_ERROR

if TYPE_CHECKING:
    import pyarrow as pa
    from matplotlib.figure import Figure

EXAMPLES = (
    "birkhoff gates out/ckpt.pt --plot gates.png",
    "birkhoff gates out/ckpt_*.pt -o gates.parquet --plot gates.png",
    "birkhoff gates out/ckpt.pt --inputs gaussian --json",
)

SCHEMA = (
    column("step", "int64", "training step of the model; null if not known", nullable=True),
    *site_schema(),
    column("gate", "string", "pre: what the branch reads; post: what streams receive of it"),
    column("stream", "int32", "stream, counted from 0"),
    column("mean", "float64", "the gate, mean over samples"),
    column("p10", "float64", "10th percentile of the gate over samples"),
    column("p50", "float64", "median of the gate over samples"),
    column("p90", "float64", "90th percentile of the gate over samples"),
    column(
        "share",
        "float64",
        "modulus over the sum of those of all streams, mean; null where all are 0",
        nullable=True,
    ),
    column(
        "effective_streams",
        "float64",
        "of the site and gate: exp(entropy) of the shares, mean; null where all are 0",
        nullable=True,
    ),
    column(
        "unknown",
        "int64",
        "samples in which all gates of the site are 0, left out of share and effective_streams",
    ),
    column(
        "last_gain",
        "float64",
        "of the site: h_pre . h_post of the site before, mean; null at the first, and of post",
        nullable=True,
    ),
    column(
        "last_overlap", "float64", "cosine between these two, mean; null likewise", nullable=True
    ),
    column(
        "last_share",
        "float64",
        "modulus of last_gain over those of all earlier branches and the embedding, mean",
        nullable=True,
    ),
)
NEVER = 0.05
"""Share of a stream, over that of an equal share, below which it does not count as read."""

_WORDS = (("read", "pre", "a branch reads"), ("written", "post", "a branch writes"))
NUMBERS = (
    *(
        quantity(
            f"streams_{word}",
            f"mean over sites of the number of streams that {does}: exp(entropy) of the shares",
            range=AT_LEAST_1,
        )
        for word, _, does in _WORDS
    ),
    *(
        quantity(
            f"streams_{word}_{end}",
            f"{which} over sites of that of streams that {does}",
            range=AT_LEAST_1,
        )
        for word, _, does in _WORDS
        for end, which in (("min", "smallest"), ("max", "largest"))
    ),
    *(
        quantity(
            f"streams_never_{word}",
            f"streams whose share of what {does} is below the threshold at every site",
            good="none",
        )
        for word, _, does in _WORDS
    ),
    quantity("never_threshold", "share below which a stream does not count: 0.05/d", range=SHARE),
    quantity("read_total", "mean over sites of the sum of H_pre"),
    quantity("written_total", "mean over sites of the sum of H_post"),
    quantity("last_gain_mean", "mean over sites of h_pre . h_post of the site before"),
    quantity("last_overlap_mean", "mean over sites of the cosine between these two", range=(-1, 1)),
    quantity(
        "last_share_mean",
        "mean over sites of the share that the branch before has of what is read",
        range=SHARE,
    ),
    QUANTILE_ERROR,
)
SUMMARY = (METHOD, STEP, D, SITES, SAMPLES, *NUMBERS)

SIZE = (8.3, 5.8)


@analysis
def run(series: tuple[MixingTrace, ...]) -> Result:
    """H_pre and H_post of every stream at every site, at every step.

    Args:
        series: one trace of a checkpoint, or several of one model in order of training.

    Returns:
        A row for every step, site, gate and stream. The summary has, of the last step, effective
        numbers of streams, streams that are never read or written, and what sites read of what
        the one before them wrote. A series adds ``steps``, the same of every step.

    Raises:
        Unsupported: matrices alone, or a format whose gates are not known.
        BadInput: models that differ in d or in their sites.
    """
    check_sizes(series)
    check_steps(series)
    gates = Chained([Gates(trace) for trace in series])
    return run_fold(_Gates(series), gates, SCHEMA, meta_of_series(series))


class _Gates(Series):
    """Every trace in order of training."""

    def __init__(self, series: tuple[MixingTrace, ...]) -> None:
        super().__init__([Step(trace) for trace in series], [Gates(trace) for trace in series])
        self.series = series

    def summarise(self, summaries: list[Summary]) -> Summary:
        """The numbers of the last step, and those of every step."""
        steps = [_headline(*pair) for pair in zip(self.series, summaries, strict=True)]
        return over_steps(steps)


def _headline(trace: MixingTrace, numbers: Summary) -> dict[str, Any]:
    """The numbers of one step."""
    effective, shares = numbers["effective"], numbers["shares"]
    participles = [word for word, *_ in _WORDS]
    least = NEVER / trace.d
    return {
        "method": trace.method_name,
        "step": trace.step,
        "d": trace.d,
        "sites": len(trace.sites),
        "samples": trace.samples,
        **{f"streams_{w}": _over(own) for w, own in zip(participles, effective, strict=True)},
        **{
            f"streams_{w}_{end}": _over(own, of)
            for w, own in zip(participles, effective, strict=True)
            for end, of in (("min", np.min), ("max", np.max))
        },
        **{
            f"streams_never_{w}": _never(s, least) for w, s in zip(participles, shares, strict=True)
        },
        "never_threshold": least,
        "read_total": _over(numbers["totals"][0]),
        "written_total": _over(numbers["totals"][1]),
        **{f"{name}_mean": _over(numbers[name]) for name in LAST},
        "quantile_error": numbers["quantile_error"],
    }


def _never(shares: Array, least: float) -> list[int]:
    """Streams whose share is below ``least`` at every site, ``(sites, d)``."""
    largest = np.where(np.isnan(shares), 0.0, shares).max(0)
    streams: list[int] = np.flatnonzero(largest < least).tolist()
    return streams


def _over(values: Array, of: Callable[[Array], Any] = np.mean) -> float | None:
    """Of the sites where it is known."""
    known = values[~np.isnan(values)]
    return float(of(known)) if len(known) else None


def answer(summary: Summary) -> str:
    """How many streams are read and written, and which are not."""
    sites, d = count(summary["sites"], "site"), count(summary["d"], "stream")
    if summary["streams_read"] is None or summary["streams_written"] is None:
        return f"At {sites} of {d} a gate is zero everywhere: nothing passes through a branch."
    begin = (
        f"On average over {sites} a branch reads {short(summary['streams_read'])} of {d} and "
        f"writes to {short(summary['streams_written'])}"
    )
    never = [
        f"{word} {', '.join(map(str, streams))}"
        for word in ("read", "written")
        if (streams := summary[f"streams_never_{word}"])
    ]
    last = summary["last_share_mean"]
    again = "" if last is None else f"; {share(last)} of what it reads is what the last one wrote"
    return f"{begin}{again}{'' if not never else '; never ' + ', never '.join(never)}."


def draw(result: "pa.Table", figure: "Figure") -> None:
    """Heat maps of sites by streams, at several steps of a series; then numbers over depth."""
    captions.title(result, figure)
    halves: Any = figure.subfigures(2, 1, height_ratios=(1.1, 1))
    gate_panels.draw_maps(halves[0], result)
    gate_panels.draw_depth(halves[1], result)
