"""Parameters and FLOPs of each method as d grows, and its measured speed.

parameters: numbers that make one matrix. learned: learned numbers of one site whose streams have
--width channels (Table 1). model: those of --layers layers with two sites each. allocated: what the
released code allocates for the model, which Table 9 counts: a gain of d x width more at each site,
and for go-mHC all (d s)^2 entries of the skew matrix (G.4).

flops: of one matrix (Table 4 with C = 1). model_flops: of all matrices that one token meets.
--measure: rates on this machine through torch, in one thread, by CPU time (cuda: by a clock), each
the median of 5 rounds; spread: how far these are apart. Matrices made; tokens of the small model in
examples/ with H following its streams; tokens whose streams of --width one H mixes, dense and by
gather where a method can do without H (be-hc), and the memory of a token.

A method stops where its matrices cannot be made: the reason is in the table.

Source: go-mHC, tables 1, 2, 4, 9, figure 5; sHC, figure 7 (docs/papers.md).
"""

import dataclasses
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np

from birkhoff_cli.analyses import parameterizations
from birkhoff_cli.analyses.core.analysis import analysis
from birkhoff_cli.analyses.core.errors import UsageError
from birkhoff_cli.analyses.core.lettering import SMALL
from birkhoff_cli.analyses.core.metadata import meta_of
from birkhoff_cli.analyses.core.parameterization import Parameterization, require
from birkhoff_cli.analyses.core.quantities import METHOD, judged, of_columns, quantity
from birkhoff_cli.analyses.core.random_numbers import Seed, generator
from birkhoff_cli.analyses.core.result import Result, Summary
from birkhoff_cli.analyses.core.source import Draws
from birkhoff_cli.analyses.core.table import Columns
from birkhoff_cli.analyses.drawing import captions, cost_curves
from birkhoff_cli.analyses.networks import speed
from birkhoff_cli.analyses.networks.counts import COUNTS, SITES, count_costs

if TYPE_CHECKING:
    import pyarrow as pa
    from matplotlib.figure import Figure

EXAMPLES = (
    "birkhoff complexity --plot complexity.png",
    "birkhoff complexity --d 4,8 --width 384 --layers 6 --json",
    "birkhoff complexity --method go-mhc:s=1 --method mhc-lite --method be-hc --d 4,16 --measure",
)

SCHEMA = (*COUNTS, *speed.SPEEDS)
"""Counts are floating point because d! leaves every integer type; they are exact to 2^53."""

REASONS = ("reason", "unmeasured")

SUMMARY = (
    *judged(
        "feasible, or limited if the matrices of a method cannot be made at every d",
        "feasible",
        "largest d that was asked for",
    ),
    quantity(
        "rows",
        "the table without reasons",
        rows=of_columns(c for c in SCHEMA if c.name not in REASONS),
    ),
    quantity(
        "feasible",
        "how far the matrices of every method can be made",
        rows=(
            METHOD,
            quantity("up_to", "largest d of those asked for; null if none", good="large"),
            quantity("reason", "why not all; null if all"),
        ),
    ),
)

PUBLISHED: tuple[tuple[str, dict[str, Any]], ...] = (
    ("mhc", {}),
    ("mhc-lite", {}),
    ("kromhc", {}),
    ("go-mhc", {"s": 1}),
    ("go-mhc", {"s": 2}),
    ("shc", {}),
)
"""Methods and options in go-mHC's figure 5 and sHC's figure 7."""

LARGEST = 128

MEASURED = (
    (
        ("forward", "forward_backward"),
        "matrices per second, {dtype} on {device}",
        "solid: forward, dashed: and backward",
    ),
    (
        ("tokens", "tokens_backward"),
        "tokens per second, the small model",
        "solid: forward, dashed: and backward",
    ),
    (
        ("dense", "gather"),
        "tokens mixed per second, width {width:,}",
        "solid: by H, dashed: by gather",
    ),
    (
        ("dense_bytes", "gather_bytes"),
        "bytes at the peak of mixing",
        "solid: by H, dashed: by gather",
    ),
)
"""Columns of a panel, the first solid and the second dashed, its label and its title."""


@analysis
def run(
    methods: tuple[Parameterization, ...] = (),
    *,
    d: Annotated[str, "numbers of streams, 1 to 128, with commas"] = "2,3,4,6,8,9,12,16,24,32",
    width: Annotated[int, "channels of a stream"] = 512,
    layers: Annotated[int, "layers of the model, two sites each"] = 12,
    measure: Annotated[bool, "measure the speed on this machine: no two runs are alike"] = False,
    draws: Draws = Draws(samples=4096),  # noqa: B008 (frozen)
    seed: Seed = 0,
) -> Result:
    """Count, and time if asked for.

    Args:
        methods: the maps, of whatever d; those of `published` if none.
        d: the numbers of streams.
        width: channels of a stream.
        layers: layers of the model.
        measure: adds the columns `speed.SPEEDS`.
        draws: of effect for measurements: matrices at a time (fewer if they are large), the
            distribution of their parameters, precision and device.
        seed: of the parameters that are measured.

    Returns:
        A row for every method and d. The summary has ``rows``, the same but for the reasons, and
        ``feasible``: for every method the largest d whose matrices can be made, of those asked
        for, and why not all.

    Raises:
        UsageError: a d, a width or layers that cannot be.
        Unsupported: a device that is not there.
    """
    require(width >= 1, f"--width {width}", "at least 1")
    require(layers >= 0, f"--layers {layers}", "at least 0")
    sizes = _sizes(d)
    if measure:
        known = draws.draw in (None, "gaussian", "uniform", "init")
        require(known, f"--draw {draws.draw} with --measure", "gaussian, uniform or init")
        draws.evaluator()
    rows: list[dict[str, Any]] = []
    chosen = methods or published()
    return Result(
        schema=SCHEMA if measure else COUNTS,
        steps=_steps(
            chosen, sizes, width, layers, (draws, generator(seed)) if measure else None, rows
        ),
        summarise=lambda: _summary(rows),
        total=len(chosen) * len(sizes),
        meta={"width": width, "layers": layers, "measured": measure}
        | {"dtype": draws.dtype, "device": draws.device}
        | {"title": f"cost of {len(chosen)} methods, {layers} layers, width {width:,}"},
    )


def published() -> tuple[Parameterization, ...]:
    """The methods of the papers' figures."""
    return tuple(parameterizations.load(name)(**options) for name, options in PUBLISHED)


def _sizes(text: str) -> list[int]:
    try:
        sizes = sorted({int(word) for word in text.split(",")})
    except ValueError:
        raise UsageError(
            f"--d {text!r} is no list of whole numbers; say --d 4, or --d 2,4,8"
        ) from None
    for size in sizes:
        require(1 <= size <= LARGEST, f"--d {size}", f"1 to {LARGEST:,}")
    return sizes


def _steps(
    methods: tuple[Parameterization, ...],
    sizes: list[int],
    width: int,
    layers: int,
    timing: tuple[Draws, np.random.Generator] | None,
    rows: list[dict[str, Any]],
) -> Iterator[Columns]:
    for method in methods:
        for d in sizes:
            row = count_costs(method, d, width, layers)
            if timing is not None:
                row |= _measured(row, method, d, width, *timing)
            rows.append(row)
            yield {name: [value] for name, value in row.items()}


def _measured(
    counted: dict[str, Any],
    method: Parameterization,
    d: int,
    width: int,
    draws: Draws,
    rng: np.random.Generator,
) -> dict[str, Any]:
    """Columns `speed.SPEEDS`, null but for the reason where no matrix can be made."""
    if counted["reason"]:
        return {c.name: None for c in speed.SPEEDS} | {"unmeasured": "there is no matrix"}
    return speed.measure(dataclasses.replace(method, d=d), draws, width, rng)


def _summary(rows: list[dict[str, Any]]) -> Summary:
    feasible = []
    for name in dict.fromkeys(row["method"] for row in rows):
        own = [row for row in rows if row["method"] == name]
        reason = next((row["reason"] for row in own if row["reason"]), None)
        up_to = max((row["d"] for row in own if not row["reason"]), default=None)
        feasible.append({"method": name, "up_to": up_to, "reason": reason})
    shown = [{k: v for k, v in row.items() if k not in REASONS} for row in rows]
    largest = max(row["d"] for row in rows)
    limited = any(row["up_to"] != largest for row in feasible)
    verdict = {"verdict": "limited" if limited else "feasible", "threshold": largest}
    return {**verdict, "rows": shown, "feasible": feasible}


def answer(summary: Summary) -> str:
    """How far the methods can be made, and which needs fewest learned numbers there."""
    largest, rows = summary["threshold"], summary["feasible"]
    ends = [
        f"{row['method']} ends at d = {row['up_to']}"
        if row["up_to"]
        else f"{row['method']} has none"
        for row in rows
        if row["up_to"] != largest
    ]
    made = {row["method"] for row in rows if row["up_to"] == largest}
    at = [row for row in summary["rows"] if row["d"] == largest and row["method"] in made]
    least = min(at, key=lambda row: row["learned"], default=None)
    clauses = [f"{len(made)} of {len(rows)} methods can be made up to d = {largest}", *ends]
    if least:
        clauses.append(
            f"{least['method']} learns fewest numbers there, {least['learned']:,} a site"
        )
    return f"{'; '.join(clauses)}."


def draw(result: "pa.Table", figure: "Figure") -> None:
    """Learned numbers, FLOPs and, where measured, speed over d; hollow where nothing can run."""
    meta = meta_of(result)
    sites = SITES * meta["layers"]
    panels: list[tuple[tuple[str, ...], str, str]] = [
        (("model",), f"learned numbers: {sites} sites, width {meta['width']:,}", ""),
        (("flops",), "FLOPs of one matrix", ""),
    ]
    if meta["measured"]:
        panels += [(names, label.format(**meta), title) for names, label, title in MEASURED]
    rows = len(panels) // 3 or 1
    figure.set_size_inches(min(8.3, 3.5 * len(panels)), 1 + 3.2 * rows)
    captions.title(result, figure)
    drawn = figure.subplots(rows, len(panels) // rows).ravel()
    for axes, (names, label, title) in zip(drawn, panels, strict=True):
        cost_curves.draw_costs(axes, result, names)
        axes.set(xlabel="number of streams d", ylabel=label)
        axes.set_title(title, fontsize=SMALL)
    hollow = result["reason"].null_count < len(result)
    heading = "hollow: matrices cannot be made" if hollow else None
    captions.legend_below(figure, drawn[0], heading)
