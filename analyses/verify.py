"""Which known Sinkhorn made these matrices, how far off they are, and what the nearest differ in.

DUMP holds matrices that some code made of the logits in --logits, in any dtype, also rounded to
bf16 or fp16 and stored wider. Searched are the order of sides, the orientation of logits and
result, up to 100 iterations in half steps, eps and where it is added, clamp, temperature, and the
arithmetic. The recipe with the fewest changes from a known code base is the match; what these
inputs cannot tell from it stands in also, and what other recipes would have changed in near.

Sides are those of the kernel's own matrix, before any transposition. An iteration normalises both
sides; DeepSeek-V4's 20 are a softmax, a column, and 19 pairs.

With --gradient and --cotangent a backward pass is held against the exact derivative in float64.
With --against two dumps are compared without logits.

Source: the published code of DeepSeek-V4, Megatron-LM, lucidrains, mHC-lite, tokenbender, Xing4.0,
Motif-3, openPangu-2.0 and MaxText.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np

from birkhoff_cli.analyses.core.analysis import analysis
from birkhoff_cli.analyses.core.errors import BadInput, UsageError
from birkhoff_cli.analyses.core.palette import BLUE
from birkhoff_cli.analyses.core.quantities import (
    AT_LEAST_0,
    SAMPLES,
    SHARE,
    D,
    judged,
    of_columns,
    quantity,
)
from birkhoff_cli.analyses.core.result import Result, Summary, at_once
from birkhoff_cli.analyses.core.sentences import share, short
from birkhoff_cli.analyses.core.stack import Stack
from birkhoff_cli.analyses.core.table import Columns, column
from birkhoff_cli.analyses.core.trace import caption
from birkhoff_cli.analyses.drawing import axis, captions
from birkhoff_cli.analyses.kernels.compare import (
    GRADIENTS,
    compare_gradients,
    compare_stacks,
)
from birkhoff_cli.analyses.kernels.identify import Identity, identify
from birkhoff_cli.analyses.kernels.naming import Answer
from birkhoff_cli.analyses.kernels.near import Miss
from birkhoff_cli.analyses.kernels.summary import finite, settings, summarise

if TYPE_CHECKING:
    import pyarrow as pa
    from matplotlib.figure import Figure

SETTINGS = (
    *("orientation", "iters", "eps", "eps_on", "start", "first", "last", "clamp", "tau"),
    "arithmetic",
)
"""Columns that the summary has of the recipe that was identity."""

EXAMPLES = (
    "birkhoff verify fused.npy --logits logits.npy",
    "birkhoff verify dump.npz#fused --logits logits.npy --json --fail-on mismatch",
    "birkhoff verify fused.pt --against reference.pt",
    "birkhoff verify h.npy --logits z.npy --cotangent up.npy --gradient down.npy",
)

SCHEMA = (
    column("rank", "int32", "0 for the recipe that was found, then what is nearest"),
    column("part", "string", "match (or nearest, if there is none), also, or near"),
    column(
        "kernel", "string", "name of the known code base; null for a changed one", nullable=True
    ),
    column("change", "string", "what differs from that code base, or from the match"),
    column("orientation", "string", "as is, result transposed, or logits transposed"),
    column("iters", "float64", "normalisations of both sides; a half is a single side"),
    column("eps", "float64", "what is added or the floor; null without", nullable=True),
    column("eps_on", "string", "values+sums, values, sums, floor or none"),
    column("start", "string", "softmax; max: exp of logits less their maximum; raw: exp of logits"),
    column("first", "string", "side normalised first, of the kernel's own matrix"),
    column("last", "string", "side normalised last, of the kernel's own matrix"),
    column("clamp", "float64", "modulus where logits are cut off; null if none is", nullable=True),
    column("tau", "float64", "what logits are divided by"),
    column("arithmetic", "string", "in which the recipe was run"),
    column("error_max", "float64", "largest |difference| from the dump", nullable=True),
)
_ALSO = (
    quantity("match", "name of a known code base; null if none"),
    quantity("orientation", "as is, result transposed, or logits transposed"),
    quantity("changes", "what differs from that code base"),
)
SUMMARY = (
    *judged(
        "match, no_match, or no_information",
        "match",
        "times the rounding of an own run, or units of the last place, that are allowed",
    ),
    quantity("match", "name of the known code base that explains the dump; null if none"),
    quantity("changes", "what differs from that code base"),
    *of_columns(c for c in SCHEMA if c.name in SETTINGS),
    quantity("dtype", "number format that the dump is rounded to"),
    SAMPLES,
    D,
    quantity("error_max", "largest |difference| from the dump", range=AT_LEAST_0, good="near 0"),
    quantity("error_ulp_max", "the same in units of the last place", unit="ulp", range=AT_LEAST_0),
    quantity("within_rounding", "whether rounding explains all differences", good="true"),
    quantity("matching", "share of matrices within rounding", range=SHARE, good="1"),
    quantity("also", "other recipes that these inputs cannot tell apart", rows=_ALSO),
    quantity(
        "near",
        "recipes that these inputs rule out, the nearest first",
        rows=(
            quantity("change", "what differs from the match"),
            quantity("orientation", "as is, result transposed, or logits transposed"),
            quantity("error_max", "largest |difference| from the dump", range=AT_LEAST_0),
        ),
    ),
    *GRADIENTS,
)

SIZE = (7.2, 4.2)


@analysis
def run(
    dump: Annotated[Stack, "Matrices that a kernel made"],
    *,
    logits: Annotated[Stack | None, "what they were made of"] = None,
    against: Annotated[Stack | None, "another dump to compare with, instead of logits"] = None,
    gradient: Annotated[Stack | None, "the kernel's gradient in the logits"] = None,
    cotangent: Annotated[Stack | None, "the gradient in DUMP that it was made of"] = None,
    tolerance: Annotated[float, "absolute difference that counts as equal"] = 0.0,
    fail_on: Annotated[
        Literal["mismatch"] | None, "exit with code 1 if no recipe explains every matrix"
    ] = None,
) -> Result:
    """Find the recipe.

    Args:
        dump: the matrices.
        logits: as many arrays of the same side.
        against: as many matrices of the same side.
        gradient: as many arrays; needs logits and cotangent.
        cotangent: as many arrays.
        tolerance: allowed besides rounding.
        fail_on: what is a failure.

    Returns:
        A row for the match, for every other code base that explains the dump, and for near misses.

    Raises:
        UsageError: neither logits nor another dump, or both; half of a gradient.
        BadInput: different numbers or sides of arrays, or no finite matrix.
    """
    if (logits is None) is (against is None):
        raise UsageError("verify needs --logits INPUT, or --against REFERENCE; give one of them")
    if (gradient is None) is not (cotangent is None) or (gradient and logits is None):
        raise UsageError("--gradient needs --cotangent and --logits too")
    others = {"--logits": logits, "--against": against}
    others |= {"--gradient": gradient, "--cotangent": cotangent}
    for option, other in others.items():
        _refuse_unlike(dump, other, option)
    if against is not None:
        return _compared(dump, against, tolerance, fail_on)
    assert logits is not None  # one of the two is there
    identity = identify(logits.values, dump.values, tolerance)
    if identity is None:
        raise BadInput(f"{dump.source}: no matrix and its logits are finite; nothing to compare")
    summary = summarise(identity, dump)
    if gradient is not None and cotangent is not None:
        summary |= compare_gradients(
            logits.values, cotangent.values, gradient.values, identity.fit, identity.orientation
        )
    stacks = [s for s in (dump, logits, gradient, cotangent) if s is not None]
    result = at_once(SCHEMA, _columns(identity), summary, **_meta(dump.source, stacks))
    if fail_on and (sentence := _mismatch(dump.source, summary)):
        result.failed = lambda: sentence
    return result


def _refuse_unlike(output: Stack, other: Stack | None, option: str) -> None:
    if other is not None and other.values.shape != output.values.shape:
        ours, theirs = (f"{len(s.values):,} of {s.d} x {s.d}" for s in (output, other))
        raise BadInput(
            f"{other.source}: {option} holds {theirs} and {output.source} {ours}; give as many"
        )


def _meta(source: str, stacks: Sequence[Stack]) -> dict[str, Any]:
    inputs = [entry for stack in stacks for entry in stack.meta.get("inputs", ())]
    assumptions = [text for stack in stacks for text in stack.meta.get("assumptions", ())]
    return {
        "title": caption(source),
        "inputs": inputs,
        "assumptions": list(dict.fromkeys(assumptions)),
    }


def _compared(output: Stack, against: Stack, tolerance: float, fail_on: str | None) -> Result:
    summary = compare_stacks(output.values, against.values, tolerance)
    result = at_once(SCHEMA, {}, summary, **_meta(output.source, [output, against]))
    if fail_on and not summary["within_rounding"]:
        off = summary["error_max"]
        result.failed = lambda: f"{output.source} and {against.source} differ by {off:.3g}"
    return result


def _mismatch(source: str, summary: Summary) -> str | None:
    if summary.get("gradient_within_rounding") is False:
        return f"{source}: the gradient is off by {summary['gradient_error_max']:.3g}"
    if summary["match"] and summary["within_rounding"]:
        return None
    if not summary["match"]:
        return f"{source}: no known Sinkhorn made these matrices; the nearest is off by " + (
            f"{summary['error_max']:.3g}"
        )
    share = 100 * summary["matching"]
    return f"{source}: {share:.4g} % of the matrices are those of {summary['match']}"


def answer(summary: Summary) -> str:
    """Which known Sinkhorn made the matrices, and how far they are off."""
    off = short(summary["error_max"])
    if "near" not in summary:
        return (
            f"{share(summary['matching'])} of the matrices are equal, the largest is off by {off}."
        )
    if summary["verdict"] == "no_information":
        return "These matrices tell nothing: every Sinkhorn makes them."
    if summary["match"] is None:
        return f"No known Sinkhorn made these matrices; the nearest is off by {off}."
    changes = f", with {'; '.join(summary['changes'])}" if summary["changes"] else ""
    return (
        f"{share(summary['matching'])} of the matrices are those of {summary['match']}{changes}, "
        f"off by at most {off}."
    )


def _columns(identity: Identity) -> Columns:
    part = "match" if identity.name else "nearest"
    error = identity.confirmation.error_max
    rows = [_row(part, identity.name, identity.changes, identity.orientation, identity.fit, error)]
    rows += [_row("also", *_named(a), a.orientation, a.fit, None) for a in identity.also]
    rows += [_row("near", None, (m.change,), *_missed(m)) for m in identity.near]
    return {
        c.name: [k if c.name == "rank" else row[c.name] for k, row in enumerate(rows)]
        for c in SCHEMA
    }


def _named(answer: Answer) -> tuple[str, Sequence[str]]:
    return answer.kernel, answer.changes


def _missed(miss: Miss) -> tuple[str, Any, float]:
    return miss.orientation, miss.fit, miss.error_max


def _row(
    part: str,
    kernel: str | None,
    changes: Sequence[str],
    orientation: str,
    fit: Any,
    error: float | None,
) -> dict[str, Any]:
    return {
        "part": part,
        "kernel": kernel,
        "change": "; ".join(changes) or "none",
        "orientation": orientation,
        **settings(fit.recipe, orientation, fit.recipe.clamp < np.inf),
        "arithmetic": fit.arithmetic,
        "error_max": None if error is None else finite(error),
    }


def draw(result: "pa.Table", figure: "Figure") -> None:
    """What the recipe and its near misses are off by, on a logarithmic scale."""
    captions.title(result, figure)
    rows = [r for r in result.to_pylist() if r["error_max"] is not None]
    axes = figure.subplots()
    if not rows:  # two dumps were compared, or no difference is finite
        axes.text(0.5, 0.5, "no recipe", transform=axes.transAxes, ha="center", color="0.4")
        axes.set(xticks=[], yticks=[])
        return
    labels = [r["kernel"] or r["change"] for r in rows]
    errors = [max(r["error_max"], SHOWN_MIN) for r in rows]
    colours = [BLUE if r["part"] != "near" else "0.7" for r in rows]
    height = np.arange(len(rows))
    axes.barh(height, errors, left=SHOWN_MIN / 10, color=colours)
    axes.set_yticks(height, labels)
    axes.invert_yaxis()
    axes.set(xlabel="largest |difference| from the dump")
    axis.logarithmic(axes, "x")


SHOWN_MIN = 1e-9
"""Differences below it are drawn as this."""
