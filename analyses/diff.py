"""Two models site by site: equal, different, or equal to the transpose; and where they part.

A and B are checkpoints or traces of the same sites; one sample is compared with every sample of
the other. A port of a model that applies H^T instead of H shows at once, and the first site that
differs is named, and so is the commonest mistake that explains what differs: H transposed, rows and
columns of the logits exchanged, other iterations or another eps, sites exchanged or shifted. Equal
means: up to rounding of the coarser of the two number formats, or --tolerance. The format is told
by the numbers: what was rounded to bf16 and saved as float32 counts as bf16. --set-a and --set-b
are --set for one of the two.

With --against identity instead of B: what the residual mixing contributes, at every site and in
the product over depth.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np

from birkhoff_cli.analyses.core.analysis import analysis
from birkhoff_cli.analyses.core.errors import UsageError
from birkhoff_cli.analyses.core.pairs import assumptions, pairs, refuse_unlike
from birkhoff_cli.analyses.core.palette import BLUE, VERMILION
from birkhoff_cli.analyses.core.parameterization import require
from birkhoff_cli.analyses.core.quantities import AT_LEAST_0, SAMPLES, SITES, quantity
from birkhoff_cli.analyses.core.result import Result, Summary
from birkhoff_cli.analyses.core.sentences import count, short
from birkhoff_cli.analyses.core.table import Columns, column
from birkhoff_cli.analyses.core.titles import title_of_pair
from birkhoff_cli.analyses.core.trace import MixingTrace, in_memory, site_schema
from birkhoff_cli.analyses.drawing import axis, captions
from birkhoff_cli.analyses.kernels.ports import explain
from birkhoff_cli.analyses.kernels.storage import storage_rounding

if TYPE_CHECKING:
    import pyarrow as pa
    from matplotlib.figure import Figure

EXAMPLES = (
    "birkhoff diff ckpt.pt trace.parquet",
    "birkhoff diff ours.pt theirs.pt --fail-on different",
    "birkhoff diff ckpt.pt --against identity --plot contribution.png",
)

SCHEMA = (
    column("kind", "string", "site: one matrix; composite: the product of all up to the site"),
    *site_schema(" in A"),
    column("verdict", "string", "equal, transposed or different, over all samples"),
    column("difference_mean", "float64", "mean over samples of the largest |A - B|"),
    column("difference_max", "float64", "largest |A - B| of all entries and samples"),
    column("transposed_max", "float64", "largest |A - B^T|"),
    column("tolerance", "float64", "what rounding can explain"),
)

SUMMARY = (
    quantity("verdict", "equal, transposed or different, over all sites", good="equal"),
    quantity("threshold", "difference up to which a matrix is equal", range=AT_LEAST_0),
    quantity("explanation", "the commonest mistake that explains what differs; null if none"),
    SAMPLES,
    SITES,
    *(
        quantity(
            f"sites_{state}", f"sites that are {phrase}", range=AT_LEAST_0, good=good, detail=True
        )
        for state, phrase, good in (
            ("equal", "equal", "all"),
            ("transposed", "equal to the transpose", "0"),
            ("different", "neither", "0"),
        )
    ),
    quantity("first_difference", "name of the first site that is not equal; null if all are"),
    quantity("difference_max", "largest |A - B| of a matrix", range=AT_LEAST_0, good="near 0"),
    quantity(
        "composite_difference_max",
        "largest |A - B| of the product of all sites",
        range=AT_LEAST_0,
        good="near 0",
    ),
)

SIZE = (6.4, 3.6)
Verdict = Literal["equal", "transposed", "different"]


@analysis
def run(
    a: MixingTrace,
    b: MixingTrace | None = None,
    *,
    against: Annotated[Literal["identity"] | None, "compare with H = I instead of with B"] = None,
    tolerance: Annotated[
        float | None, "largest difference that counts as equal; what rounding explains if not given"
    ] = None,
    fail_on: Annotated[
        Literal["transposed", "different"] | None,
        "exit with 1 if a site is not equal (transposed: only if it is equal to the transpose)",
    ] = None,
) -> Result:
    """The largest difference at every site and of the composites up to it.

    Args:
        a: the first model.
        b: the second, of the same d and number of sites; as many samples, or one, or A has one.
        against: what to take in place of ``b``.
        tolerance: of every entry, in place of what rounding explains.
        fail_on: what counts as a failure.

    Returns:
        A row for every site, then for the composite up to every site. The summary has the overall
        ``verdict``, the ``explanation``, the number of ``sites_equal``, ``sites_transposed`` and
        ``sites_different``, the ``first_difference`` and the largest differences.

    Raises:
        UsageError: neither B nor ``against``, or both.
        BadInput: models that do not fit together.
    """
    if (b is None) is (against is None):
        raise UsageError("diff compares A with one thing; give B, or --against identity")
    other = _identity(a) if b is None else b
    refuse_unlike(a, other)
    require(tolerance is None or tolerance >= 0, f"--tolerance {tolerance}", "0 or more")
    rounding = _rounding(a, other)
    if b is not None:
        stored = storage_rounding(a, b)
        rounding = rounding + np.stack([stored, stored.cumsum()])
    record = _Record(len(a.sites), rounding, tolerance)
    return Result(
        schema=SCHEMA,
        steps=_steps(a, other, record),
        summarise=lambda: _summary(a, other, record, against is None),
        total=max(a.blocks, other.blocks),
        meta={
            "title": title_of_pair(a, other.title, max(a.samples, other.samples)),
            **{"d": a.d, "a": a.meta, "b": other.meta, "assumptions": assumptions(a, other)},
        },
        failed=lambda: _failed(a, record, fail_on),
    )


def _identity(a: MixingTrace) -> MixingTrace:
    matrices = np.broadcast_to(np.eye(a.d), (1, len(a.sites), a.d, a.d))
    return in_memory(matrices, a.sites, "identity")


def _rounding(a: MixingTrace, b: MixingTrace) -> Any:
    """What rounding explains beside entries of 1: of d sums, and of as many products."""
    eps = max(float(np.finfo(trace.dtype).eps) for trace in (a, b))
    depth = np.stack([np.ones(len(a.sites)), np.arange(1, len(a.sites) + 1)])
    return 16 * a.d * eps * depth


@dataclass
class _Record:
    """Largest differences so far, ``(kind, site)``, beside what rounding explains."""

    sites: int
    rounding: Any
    allowed: float | None = None
    samples: int = 0
    mean: Any = field(init=False)
    largest: Any = field(init=False)
    transposed: Any = field(init=False)
    scale: Any = field(init=False)

    def __post_init__(self) -> None:
        self.mean, self.largest, self.transposed, self.scale = np.zeros((4, 2, self.sites))

    @property
    def tolerance(self) -> Any:
        """Rounding is relative to the largest entry; that of sums of 1 is 1 at least."""
        if self.allowed is not None:
            return np.full_like(self.scale, self.allowed)
        return self.rounding * np.maximum(self.scale, 1)

    @property
    def verdicts(self) -> Any:
        """Equal, transposed or different."""
        turned = np.where(self.transposed <= self.tolerance, "transposed", "different")
        return np.where(self.largest <= self.tolerance, "equal", turned)

    def add(self, kind: int, site: int, a: Any, b: Any) -> None:
        """Compare ``(samples, d, d)`` matrices."""
        each = np.abs(a - b).max((-1, -2))
        turned = np.abs(a - b.swapaxes(-1, -2)).max()
        self.scale[kind, site] = max(self.scale[kind, site], np.abs(a).max())
        self.mean[kind, site] += each.sum()
        self.largest[kind, site] = max(self.largest[kind, site], each.max())
        self.transposed[kind, site] = max(self.transposed[kind, site], turned)


def _steps(a: MixingTrace, b: MixingTrace, record: _Record) -> Iterator[Columns]:
    for one, other in pairs(a, b):
        record.samples += max(len(one), len(other))
        products = [np.eye(a.d), np.eye(a.d)]
        for site in range(record.sites):
            h = (one[:, site], other[:, site])
            products = [matrix @ product for matrix, product in zip(h, products, strict=True)]
            record.add(0, site, *h)
            record.add(1, site, *products)
        yield {}
    yield _rows(a, record)


def _rows(a: MixingTrace, record: _Record) -> Columns:
    return {
        "kind": np.array(["site", "composite"])[:, None],
        "site": np.arange(record.sites),
        "layer": np.array([site.layer for site in a.sites]),
        "branch": np.array([site.branch for site in a.sites]),
        "verdict": record.verdicts,
        "difference_mean": record.mean / max(record.samples, 1),
        "difference_max": record.largest,
        "transposed_max": record.transposed,
        "tolerance": record.tolerance,
    }


def _summary(a: MixingTrace, b: MixingTrace, record: _Record, ported: bool) -> Summary:
    verdicts = record.verdicts[0]
    counts = {v: int((verdicts == v).sum()) for v in ("equal", "transposed", "different")}
    return {
        "verdict": _overall(counts),
        "threshold": float(record.tolerance[0].max(initial=0)),
        "explanation": explain(a, b, record.tolerance[0]) if ported else None,
        "samples": record.samples,
        "sites": record.sites,
        **{f"sites_{verdict}": count for verdict, count in counts.items()},
        "first_difference": _first(a, verdicts),
        "difference_max": float(record.largest[0].max(initial=0)),
        "composite_difference_max": float(record.largest[1, -1]),
    }


def answer(summary: Summary) -> str:
    """How many sites are equal, and what explains the others."""
    off = short(summary["difference_max"])
    sites = count(summary["sites"], "site")
    if summary["verdict"] == "equal":
        return f"All of {sites} are equal; the largest difference is {off}."
    parts = ((summary["sites_different"], "different"), (summary["sites_transposed"], "transposed"))
    counts = " and ".join(f"{number} {state}" for number, state in parts if number)
    why = f"; {summary['explanation']}" if summary["explanation"] else ""
    return f"Of {sites} {counts}, by up to {off}; the first is {summary['first_difference']}{why}."


def _overall(counts: dict[str, int]) -> Verdict:
    if counts["different"]:
        return "different"
    return "transposed" if counts["transposed"] else "equal"


def _first(a: MixingTrace, verdicts: Any) -> str | None:
    """The first site that differs in any way, by its name."""
    where = np.flatnonzero(verdicts != "equal")
    return None if not len(where) else a.sites[where[0]].name


def _failed(a: MixingTrace, record: _Record, fail_on: str | None) -> str | None:
    verdicts = record.verdicts[0]
    bad = {"different": ["different", "transposed"], "transposed": ["transposed"]}.get(
        fail_on or ""
    )
    where = np.flatnonzero(np.isin(verdicts, bad or []))
    if not len(where):
        return None
    site = a.sites[where[0]].name
    return f"{len(where)} of {record.sites} sites are not equal, the first is {site}"


def draw(result: "pa.Table", figure: "Figure") -> None:
    """Differences over depth, single matrices and composites, and what rounding explains."""
    captions.title(result, figure)
    axes = figure.subplots()
    kinds, sites, tolerance = (result[name].to_numpy() for name in ("kind", "site", "tolerance"))
    smallest = float(tolerance.min()) / 100
    for kind, colour, mark in (("site", BLUE, "o"), ("composite", VERMILION, "D")):
        rows = kinds == kind
        most, turned = (
            np.maximum(result[name].to_numpy()[rows], smallest)
            for name in ("difference_max", "transposed_max")
        )
        axes.plot(sites[rows], most, color=colour, marker=mark, ms=4, label=f"{kind}, A - B")
        axes.plot(sites[rows], turned, color=colour, ls=":", label=f"{kind}, A - B^T")
    axes.fill_between(sites[rows], smallest, tolerance[rows], color="0.85", lw=0, label="rounding")
    axes.set(ylabel="largest difference")
    axis.logarithmic(axes)
    axis.depth(axes)
    captions.legend(axes)
