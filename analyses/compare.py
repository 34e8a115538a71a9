"""Models side by side: checkpoints, series of them, and methods that are drawn.

Every model has a panel of eigenvalues and one of projections onto the plane of the cycle, on the
same axes. Models of several sites have mean matrices too, and lines over depth: how far sums leave
1, the norm of the product, row maxima (over the steps of a series) and the distribution of entries.
All methods are probed alike; --probe targets moves eigenvalues to random targets.

Source: go-mHC, figures 3, 4, A12, A21; sHC, figures 2, 6, 8, 9.
"""

from typing import TYPE_CHECKING, Annotated, Any

import numpy as np

from birkhoff_cli.analyses.comparison import depth
from birkhoff_cli.analyses.comparison.panel import REACH, Panel, Probe
from birkhoff_cli.analyses.core.analysis import analysis
from birkhoff_cli.analyses.core.errors import UsageError
from birkhoff_cli.analyses.core.metadata import meta_of
from birkhoff_cli.analyses.core.models import Model
from birkhoff_cli.analyses.core.parameterization import require
from birkhoff_cli.analyses.core.quantities import (
    METHOD,
    SAMPLES,
    SHARE,
    SITES,
    STEP,
    D,
    judged,
    quantity,
)
from birkhoff_cli.analyses.core.result import Result, Summary
from birkhoff_cli.analyses.core.sentences import share, short
from birkhoff_cli.analyses.core.source import Draws
from birkhoff_cli.analyses.core.table import column
from birkhoff_cli.analyses.core.titles import title_of_models
from birkhoff_cli.analyses.core.trace import site_schema
from birkhoff_cli.analyses.drawing import captions
from birkhoff_cli.analyses.drawing import models as drawing
from birkhoff_cli.analyses.statistics.coverage import QUANTITIES, judge
from birkhoff_cli.analyses.statistics.distributions import COLUMNS
from birkhoff_cli.analyses.statistics.drift import CONSERVED

if TYPE_CHECKING:
    import pyarrow as pa
    from matplotlib.figure import Figure

EXAMPLES = (
    "birkhoff compare --method go-mhc:s=1 --method go-mhc:s=2 --d 3 --plot compare.png",
    "birkhoff compare --method mhc:iters=2 --method mhc-lite --method kromhc --method go-mhc",
    "birkhoff compare mhc=out/a/ckpt.pt lite=out/b/ckpt.pt --method mhc --plot models.png",
)

POINTS = (
    column("model", "string", "name of the model"),
    column(
        "panel",
        "string",
        "reach: an eigenvalue; projection: a matrix in the plane of the cycle; depth: statistics "
        "at a site; training: at a step; mean: an entry of a mean matrix; entries: a bin of them",
    ),
    column("sample", "int64", "index of the matrix, or of the target", nullable=True),
    *site_schema("; of checkpoints, null for the composite", nullable=True),
    column("re", "float64", "real part of the eigenvalue, or of z", nullable=True),
    column("im", "float64", "imaginary part of the eigenvalue, or of z", nullable=True),
)
DEEP = (
    column("kind", "string", "site: one matrix; composite: the product up to it", nullable=True),
    column("step", "int64", "training step; training only", nullable=True),
    column("metric", "string", "what the statistics are of; depth and training", nullable=True),
    *(c for c in COLUMNS if c.name in ("min", "p10", "p50", "p90", "max")),
    column("row", "int32", "row of the entry; mean only", nullable=True),
    column("column", "int32", "column of the entry; mean only", nullable=True),
    column("entry", "float64", "where the bin of width 1/128 begins; entries only", nullable=True),
    column(
        "value",
        "float64",
        "the mean entry, the share of entries in the bin, or of matrices whose row maxima are on "
        "the diagonal",
        nullable=True,
    ),
)
SCHEMA = (*POINTS, *DEEP)

MODEL = (
    quantity("name", "the file, the method with its options, or as it was named"),
    METHOD,
    D,
    SAMPLES,
    SITES,
    STEP,
    quantity("probe", "how eigenvalues were looked for: targets, or sample of those that are"),
    *(q for q in QUANTITIES if q.name in REACH),
    quantity("hits", "share of targets with an eigenvalue within 1e-3", range=SHARE),
    quantity(
        "projection_fraction",
        "share of the polygon's cells that the projection of a matrix hits",
        range=SHARE,
    ),
    quantity("projection_exact", "exact share of its area, if known", range=SHARE),
    *depth.QUANTITIES,
)

SUMMARY = (
    *judged(
        "inside, or outside if an eigenvalue of a model lies outside its region",
        "inside",
        "share of eigenvalues outside the region that is allowed",
    ),
    quantity(
        "models",
        "numbers of `spectrum`, `slice`, `degeneration`, `depth-drift` and `heatmap` of each",
        rows=(
            *MODEL,
            quantity(
                "steps",
                "how each step of a series mixes",
                rows=(STEP, *depth.mixing_quantities()),
            ),
        ),
    ),
)


@analysis
def run(
    models: Annotated[tuple[Model, ...], Draws(samples=20_000, layers=1)],
    *,
    probe: Annotated[Probe, "where eigenvalues come from"] = "targets",
    resolution: Annotated[int, "cells along each side of [-1, 1]^2"] = 200,
) -> Result:
    """Eigenvalues and projections of every model, and what it does over depth.

    Args:
        models: checkpoints, series and draws; of draws as many matrices (and targets) for each.
        probe: how to look for eigenvalues of draws.
        resolution: cells along each side of the grids.

    Returns:
        A row for every eigenvalue but the trivial one, and for every projected matrix; of models
        of several sites statistics by depth and step, mean matrices and histograms of entries. The
        summary has ``models``: a row for each with the numbers of `spectrum`, `slice`,
        `degeneration`, `depth-drift` and `heatmap`. Models may differ in d: eigenvalues are held
        against the region of each.

    Raises:
        UsageError: no model, resolution out of range, or targets for a single stream.
        BadInput: a checkpoint that holds no matrices, or a product beyond the largest number.
    """
    if not models:
        raise UsageError("there is nothing to compare; give checkpoints, or --method NAME for each")
    require(1 <= resolution <= 20_000, f"--resolution {resolution}", "1 to 20,000")
    single = [model.name for model in models if model.source.drawn and model.source.d < 2]
    if single and probe == "targets":
        raise UsageError(
            f"{single[0]} with d = 1 has no eigenvalue to move to a target; "
            "take d of 2 or more, or --probe sample"
        )
    panels = [Panel(model, probe, resolution) for model in models]
    deep = any(panel.depth for panel in panels)
    assumed = [a for m in models for a in m.source.meta.get("assumptions", ())]
    return Result(
        schema=SCHEMA if deep else tuple(c for c in POINTS if c.name not in SITE),
        steps=({**NONE, **c} if c else c for panel in panels for c in panel.rows()),
        summarise=lambda: _summary([panel.summary() for panel in panels]),
        total=sum(panel.total for panel in panels),
        meta={
            "models": [panel.meta for panel in panels],
            "inputs": [i for m in models for i in m.source.meta.get("inputs", ())],
            "assumptions": list(dict.fromkeys(assumed)),
            "probe": probe,
            "title": title_of_models([m.source for m in models], probe),
        },
    )


SITE = ("site", "layer", "branch")
NONE: dict[str, Any] = dict.fromkeys(c.name for c in SCHEMA)
"""A row without values."""


def _summary(rows: list[Summary]) -> Summary:
    outside = max(row["outside_fraction"] or 0 for row in rows)
    return {**judge(outside), "models": rows}


def answer(summary: Summary) -> str:
    """Which model reaches most of its region and which least; how trained models mix and drift."""
    return " ".join([*_reached(summary["models"]), *_mixed(summary["models"])])


def _reached(models: list[Summary]) -> list[str]:
    """Which reaches most, of those with matrices enough to fill cells."""
    rows = [
        r for r in models if r not in _deep(models) or r["samples"] * r["sites"] >= MIN_MATRICES
    ]
    known = [row for row in rows if row["coverage"] is not None]
    if not known:
        return ["No model has a region with an area."] if rows else []
    order = sorted(known, key=lambda row: -row["coverage"])
    first, last = (f"{r['name']} reaches {share(r['coverage'])}" for r in (order[0], order[-1]))
    if len(known) == 1:
        return [f"{first} of its region."]
    return [f"{first} of its region, the most of {len(known)} models; {last}, the least."]


def _deep(models: list[Summary]) -> list[Summary]:
    return [row for row in models if row.get("identity_distance") is not None]


def _mixed(models: list[Summary]) -> list[str]:
    """Which sits nearest to the identity, and whether sums drift."""
    order = sorted(_deep(models), key=lambda row: row["identity_distance"])
    if not order:
        return []
    first, *others = (f"{r['name']} ({short(r['identity_distance'])})" for r in order)
    farthest = f"farthest from it is {others[-1]}; " if others else ""
    drifting = [row["name"] for row in order if _leaves(row)]
    sums = f"sums drift in {', '.join(drifting)}" if drifting else "sums drift in none"
    return [f"Nearest to the identity is {first}, {farthest}{sums}."]


MIN_MATRICES = 1000
"""Matrices of a checkpoint from which on the share of cells that they hit says something."""


def _leaves(row: Summary) -> bool:
    """Whether a sum of the product over all sites leaves 1."""
    ends = [row[name] for name in depth.ENDS if "norm" not in name]
    return any(value is None or abs(value - 1) > CONSERVED for value in ends)


def draw(result: "pa.Table", figure: "Figure") -> None:
    """A column for every model, on the same axes; below it lines of all."""
    shown = meta_of(result)["models"]
    across = min(drawing.MODELS, len(shown))
    side = min(drawing.COLUMN, (drawing.WIDTH - drawing.MARGIN) / across)
    points = _points(result, shown, across)
    heights = [(side + drawing.AROUND) * len(points)]
    deep = any(model["depth"] for model in shown)
    heights += [(side + drawing.AROUND) * -(-len(shown) // across), drawing.TOGETHER] * deep
    width = drawing.WIDTH if deep else side * across + drawing.MARGIN
    figure.set_size_inches(width, sum(heights) + 0.9)
    captions.title(result, figure)
    drawing.legend_of_points(figure)
    parts: Any = figure.subfigures(len(heights), 1, height_ratios=heights, squeeze=False)
    drawing.draw_points(parts[0, 0], points)
    if deep:
        _over_depth(result, parts[1:, 0], shown, across)


def _points(
    result: "pa.Table", shown: list[dict[str, Any]], across: int
) -> list[list[drawing.Points]]:
    """Rows of panels with what they show: eigenvalues, and projections where there is a plane."""
    names, panels = (np.asarray(result[name]) for name in ("model", "panel"))
    re, im = (result[name].to_numpy() for name in ("re", "im"))
    kinds = ("reach", "projection") if any(m["d"] > 2 for m in shown) else ("reach",)
    rows = []
    for start in range(0, len(shown), across):
        for kind in kinds:
            row = []
            for model in shown[start : start + across]:
                chosen = (names == model["title"]) & (panels == kind)
                row.append((kind, model, re[chosen], im[chosen]))
            rows.append(row)
    return rows


def _over_depth(result: "pa.Table", parts: Any, shown: list[dict[str, Any]], across: int) -> None:
    """Mean matrices of every model that has sites, and lines of all of them."""
    import pyarrow as pa
    import pyarrow.compute as pc

    means = result.filter(pc.equal(result["panel"], "mean"))
    limit = float(np.abs(means["value"].to_numpy()).max())
    columns: Any = parts[0].subfigures(-(-len(shown) // across), across, squeeze=False)
    for column_, model in zip(columns.flat, shown, strict=False):
        if model["depth"]:
            own = means.filter(pc.equal(means["model"], model["title"]))
            drawing.means(column_, own, model, limit)
    is_point = pc.is_in(result["panel"], value_set=pa.array(["reach", "projection"]))
    rows = result.filter(pc.invert(is_point)).drop_columns(["re", "im", "sample"])
    drawing.Together(parts[1], shown).draw(rows.to_pylist())
