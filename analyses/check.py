"""Check a model in ten lines: what it is, precision, verdict, drift, odd sites, what was assumed.

The verdict is that of `birkhoff degeneration` on all sites together. Drift is the largest distance
from 1 of a row or column sum of the product over all sites, of any sample (`birkhoff depth-drift`
says more). A site is odd if its verdict is not that of the model, or if a sum of one of its
matrices is off 1 by more than 0.01 and ten times what is usual among the sites.

--fail-on WORD ends with exit code 1 if that is the verdict; drifts: if a sum of the product leaves
1; narrow: if mixing tensors are stored in less than float32; odd: if a site is odd.
"""

import re
from collections.abc import Iterable, Iterator
from math import sqrt
from typing import Annotated, Any, Literal

import numpy as np

from birkhoff_cli.analyses.core.analysis import analysis
from birkhoff_cli.analyses.core.arrays import Array
from birkhoff_cli.analyses.core.errors import BadInput
from birkhoff_cli.analyses.core.fold import Fold, Statistics, run_fold
from birkhoff_cli.analyses.core.quantities import (
    AT_LEAST_0,
    LAYERS,
    METHOD,
    SAMPLES,
    SITES,
    D,
    quantity,
)
from birkhoff_cli.analyses.core.questions import Question, SiteColumn
from birkhoff_cli.analyses.core.result import Result, Summary
from birkhoff_cli.analyses.core.sentences import capitalise, count, short
from birkhoff_cli.analyses.core.table import Columns, column
from birkhoff_cli.analyses.core.trace import MixingTrace, site_columns
from birkhoff_cli.analyses.sites.step import Step
from birkhoff_cli.analyses.sites.verdict import NEAR, WORDS
from birkhoff_cli.analyses.statistics.drift import CONSERVED, judge_drift
from birkhoff_cli.analyses.statistics.ranges import Ranges

EXAMPLES = (
    "birkhoff check out/ckpt.pt",
    "birkhoff check out/ckpt.pt --fail-on identity-degenerate --json",
    "birkhoff check trace.parquet -o sites.csv",
)

SCHEMA = (
    column("site", "int32", "site in order of depth"),
    column("layer", "int32", "layer of that site"),
    column("branch", "string", "branch of that site: attn or mlp; file for a plain array"),
    column("verdict", "string", "what its matrices are; null for d = 1", nullable=True),
    column("identity_distance", "float64", "mean Frobenius distance to I"),
    column("sum_error", "float64", "largest |sum - 1| of a row or column"),
    column("odd", "bool", "whether it is not as the other sites"),
)

SUMMARY = (
    quantity("format", "what the file is"),
    METHOD,
    quantity("dtype", "number formats of the mixing tensors, or of the matrices", good="float32"),
    quantity("verdict", "what the matrices of all sites are; null for d = 1", good="mixing"),
    quantity("drift", "conserved, or drifts if a sum of the product leaves 1", good="conserved"),
    quantity(
        "composite_error_max",
        "largest |sum - 1| of a row or column of the product over all sites",
        range=AT_LEAST_0,
        good="0.01 or less",
    ),
    quantity("odd", "names of the sites that are not as the others", good="none"),
    quantity("assumptions", "what the file does not say, and what was taken instead", good="none"),
    *(quantity(q.name, q.about, range=q.range, detail=True) for q in (D, SITES, LAYERS, SAMPLES)),
    quantity("threshold", "distance up to which matrices are at I, or J/d", detail=True),
    quantity("drift_threshold", "distance from 1 up to which a sum is conserved", detail=True),
    quantity("sum_error_max", "largest |sum - 1| of a single matrix", detail=True),
)

Fault = Literal[
    "saturated",
    "identity-degenerate",
    "near-permutation",
    "near-uniform",
    "signed",
    "drifts",
    "narrow",
    "odd",
]


@analysis
def run(
    trace: MixingTrace,
    *,
    fail_on: Annotated[Fault | None, "exit with code 1 if this is found"] = None,
) -> Result:
    """Judge every site and the product of all.

    Args:
        trace: of one model.
        fail_on: what shall count as a failure.

    Returns:
        A row for every site; the summary as in `SUMMARY`.

    Raises:
        BadInput: a trace without matrices, or a matrix that is not finite.
    """
    if not trace.samples or not trace.sites:
        raise BadInput(f"{trace.source}: holds no matrices; record or draw at least one")
    meta = {**trace.meta, "d": trace.d, "title": trace.title}
    result = run_fold(_Check(trace), trace, SCHEMA, meta)
    result.failed = lambda: _failure(result.summarise(), fail_on, trace.source)
    return result


class _State(Statistics):
    """What is measured of the sites, and sums of their product."""

    def __init__(self, step: Any, sites: int) -> None:
        self.step, self.sums, self.composite = step, Ranges(sites), Ranges(1)


class _Check(Fold[_State, Array]):
    """Every matrix once, with the product over depth."""

    def __init__(self, trace: MixingTrace) -> None:
        self.trace, self.step = trace, Step(trace)

    def start(self) -> _State:
        return _State(self.step.start(), len(self.trace.sites))

    def add(self, state: _State, number: int, block: Array) -> Columns:
        self.step.add(state.step, number, block)
        h = block.astype(np.float64, copy=False)
        state.sums.add(number, _sums(h).transpose(1, 0, 2).reshape(h.shape[1], -1))
        product = h[:, 0]
        with np.errstate(over="ignore", invalid="ignore"):
            for site in range(1, h.shape[1]):
                product = h[:, site] @ product
            sums = np.nan_to_num(_sums(product), nan=np.inf)
        state.composite.add(number, sums.reshape(1, -1))
        return {}

    def finish(self, state: _State) -> tuple[Iterable[Columns], Summary]:
        """A row for every site."""
        (rows,), together = self.step.finish(state.step)
        errors = _off(state.sums)
        usual = max(CONSERVED, ODD * float(np.median(errors)))
        odd = (rows["verdict"] != together["verdict"]) | ~(errors <= usual)
        columns = {
            **site_columns(self.trace.sites),
            "verdict": rows["verdict"],
            "identity_distance": rows["identity_distance"],
            "sum_error": errors,
            "odd": odd,
        }
        off = float(_off(state.composite)[0])
        return (columns,), self._summary(together["verdict"], off, errors, odd)

    def _summary(self, verdict: str | None, off: float, errors: Array, odd: Array) -> Summary:
        trace = self.trace
        dtypes = trace.meta.get("dtypes") or [str(trace.dtype)]
        return {
            "format": trace.meta.get("format"),
            "method": trace.method_name,
            "dtype": ", ".join(dtypes),
            "verdict": verdict,
            "drift": judge_drift(off),
            "composite_error_max": off if np.isfinite(off) else None,
            "odd": [trace.sites[k].name for k in np.flatnonzero(odd)],
            "assumptions": list(trace.meta.get("assumptions", ())),
            "d": trace.d,
            "sites": len(trace.sites),
            "layers": len({site.layer for site in trace.sites}),
            "samples": trace.samples,
            "threshold": NEAR * sqrt(trace.d - 1),
            "drift_threshold": CONSERVED,
            "sum_error_max": float(errors.max()),
        }


def _sums(h: Array) -> Array:
    """Sums of rows and of columns, ``(..., 2 d)``."""
    return np.concatenate([h.sum(-1), h.sum(-2)], axis=-1)


def _off(sums: Ranges) -> Array:
    """The largest distance from 1 of every stream of sums."""
    return np.maximum(np.abs(sums.low - 1), np.abs(sums.high - 1))


def answer(summary: Summary) -> str:
    """Whether the model mixes, whether mass drifts, and whether a site is odd."""
    verdict = WORDS.get(summary["verdict"], "a single stream has nothing to mix")
    off = summary["composite_error_max"]
    sums = "leave every number" if off is None else f"stay within {short(off)} of 1"
    if off is not None and summary["drift"] == "drifts":
        sums = f"leave 1 by up to {short(off)}"
    odd = len(summary["odd"])
    return (
        f"{capitalise(verdict)} (d = {summary['d']}); sums of their product {sums} after "
        f"{count(summary['sites'], 'site')}; {odd or 'no'} site{'s are' if odd > 1 else ' is'} odd."
    )


def questions(summary: Summary) -> Iterator[Question]:
    """The precision, and which sites are odd."""
    narrow = _is_narrow(summary["dtype"])
    yield Question(
        "In which precision are mixing tensors kept?",
        f"In {summary['dtype']}.",
        "narrow" if narrow else "sound",
        not narrow,
        f"narrow if a tensor has less than {NARROW} bits",
    )
    odd, sites = summary["odd"], summary["sites"]
    yield Question(
        "Which sites are odd?",
        f"{', '.join(odd)}: {len(odd)} of {count(sites, 'site')}."
        if odd
        else f"None of {count(sites, 'site')}.",
        f"{len(odd)} odd" if odd else "none",
        not odd,
        f"odd if the verdict is not the model's, or a sum is off 1 by more than "
        f"{short(summary['drift_threshold'])} and {ODD} times what is usual among the sites",
    )


SITE_COLUMNS = (
    SiteColumn("verdict", unlike="mixing", means="any verdict but mixing"),
    SiteColumn("identity_distance", up_to="threshold", means="the matrices are at the identity"),
    SiteColumn("sum_error", above="drift_threshold", means="a sum is off 1"),
    SiteColumn("odd", unlike=False, means="the site is not as the others"),
)


def _is_narrow(dtype: str) -> bool:
    """Whether a format that is named has fewer bits than `NARROW`."""
    bits = [int(size) for size in re.findall(r"[a-z](\d+)", dtype)]
    return bool(bits) and min(bits) < NARROW


def _failure(summary: Summary, fail_on: Fault | None, source: str) -> str | None:
    if fail_on is None:
        return None
    failures = {summary["verdict"], summary["drift"], "odd" if summary["odd"] else None}
    if _is_narrow(summary["dtype"]):
        failures.add("narrow")
    if fail_on not in failures:
        return None
    return f"{source}: {fail_on}, on which --fail-on was asked to fail; {answer(summary)[:-1]}"


ODD = 10
"""Times the median error of the sums of sites: a site beyond is odd."""

NARROW = 32
"""Bits of a mixing tensor below which it is narrow."""
