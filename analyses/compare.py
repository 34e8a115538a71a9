"""Several methods side by side: spectral reach above, projection onto the plane of the cycle below.

A method is its name with its options after a colon: go-mhc:s=1, mhc:iters=2, kromhc:factors=2x2.
All are probed alike; --probe targets moves eigenvalues towards random targets, sample draws.

With go-mhc:s=1 go-mhc:s=2 at d = 3 this is figure 3 of the go-mHC paper above and figure A12 below,
with mhc mhc-lite kromhc go-mhc at d = 4 figure 4, with averaged-go-mhc figure A21.

Source: go-mHC, arXiv:2604.02309, figures 3, 4, A12, A21.
"""

from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np

from birkhoff_cli.analyses import regions
from birkhoff_cli.analyses.core.analysis import analysis
from birkhoff_cli.analyses.core.errors import UsageError
from birkhoff_cli.analyses.core.metadata import meta_of
from birkhoff_cli.analyses.core.parameterization import Parameterization, require
from birkhoff_cli.analyses.core.quantities import METHOD, SHARE, judged, quantity
from birkhoff_cli.analyses.core.random_numbers import Seed, generator
from birkhoff_cli.analyses.core.result import Result, Summary
from birkhoff_cli.analyses.core.sentences import share
from birkhoff_cli.analyses.core.source import Drawn, Draws
from birkhoff_cli.analyses.core.table import Columns, column
from birkhoff_cli.analyses.drawing import plane
from birkhoff_cli.analyses.geometry import cycles
from birkhoff_cli.analyses.geometry.hypocycloids import Support
from birkhoff_cli.analyses.probes import Probe
from birkhoff_cli.analyses.probes.references import coverage_of
from birkhoff_cli.analyses.probes.sample import sampled
from birkhoff_cli.analyses.probes.targets import aimed
from birkhoff_cli.analyses.statistics.coverage import QUANTITIES, judge
from birkhoff_cli.analyses.statistics.occupancy import Occupancy

if TYPE_CHECKING:
    import pyarrow as pa
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

EXAMPLES = (
    "birkhoff compare --method go-mhc:s=1 --method go-mhc:s=2 --d 3 --plot compare.png",
    "birkhoff compare --method mhc:iters=2 --method mhc-lite --method kromhc --method go-mhc",
)

REACH = ("coverage", "outside_fraction", "nonreal_fraction", "area_reached", "area_region")
"""Of the numbers of `spectrum`."""

SCHEMA = (
    column("method", "int32", "which of the methods, in the order given, 0 first"),
    column(
        "panel", "string", "reach: an eigenvalue; projection: a matrix in the plane of the cycle"
    ),
    column("sample", "int64", "index of the matrix, or of the target"),
    column("re", "float64", "real part of the eigenvalue, or of z"),
    column("im", "float64", "imaginary part of the eigenvalue, or of z"),
)


SUMMARY = (
    *judged(
        "inside, or outside if an eigenvalue of a method lies outside its region",
        "inside",
        "share of eigenvalues outside the region that is allowed",
    ),
    quantity(
        "methods",
        "numbers of `spectrum` and `slice` for every method",
        rows=(
            METHOD,
            *(q for q in QUANTITIES if q.name in REACH),
            quantity("hits", "share of targets with an eigenvalue within 1e-3", range=SHARE),
            quantity(
                "projection_fraction",
                "share of the polygon's cells that the projection of a matrix hits",
                range=SHARE,
            ),
            quantity("projection_exact", "exact share of its area, if known", range=SHARE),
        ),
    ),
)


@analysis
def run(
    methods: tuple[Parameterization, ...],
    *,
    draws: Draws = Draws(samples=20_000),  # noqa: B008 (frozen)
    probe: Annotated[Literal["targets", "sample"], "how to look for eigenvalues"] = "targets",
    resolution: Annotated[int, "cells along each side of [-1, 1]^2"] = 200,
    seed: Seed = 0,
) -> Result:
    """Eigenvalues and projections of every method, with the same number of each.

    Args:
        methods: the maps.
        draws: how many matrices (and targets) for each, and how they are drawn.
        probe: how to look for eigenvalues.
        resolution: cells along each side of the grids.
        seed: of all draws; every method has a seed of its own, made from it.

    Returns:
        A row for every eigenvalue but the trivial one, and for every projected matrix. The summary
        has ``methods``: a row for each with the numbers of `spectrum` and `slice`.

    Raises:
        UsageError: no method, resolution out of range, or targets for a single stream.
    """
    require(len(methods) > 0, "a comparison without --method", "--method NAME, once for each")
    require(1 <= resolution <= 20_000, f"--resolution {resolution}", "1 to 20,000")
    single = [method.name for method in methods if method.d < 2]
    if single and probe == "targets":
        raise UsageError(
            f"{single[0]} with d = 1 has no eigenvalue to move to a target; "
            "take d of 2 or more, or --probe sample"
        )
    seeds = generator(seed).integers(1 << 62, size=len(methods))
    panels = [
        _Panel(k, Drawn(method, draws, int(own)), probe, resolution)
        for k, (method, own) in enumerate(zip(methods, seeds, strict=True))
    ]
    return Result(
        schema=SCHEMA,
        steps=(columns for panel in panels for columns in panel.steps()),
        summarise=lambda: _summary([panel.summary() for panel in panels]),
        total=sum(panel.total for panel in panels),
        meta={"methods": [panel.meta for panel in panels], "probe": probe},
    )


def _summary(rows: list[Summary]) -> Summary:
    outside = max(row["outside_fraction"] or 0 for row in rows)
    return {**judge(outside), "methods": rows}


def answer(summary: Summary) -> str:
    """Which method reaches most of its region, and which least."""
    rows = [row for row in summary["methods"] if row["coverage"] is not None]
    if not rows:
        return "No method has a region with an area."
    order = sorted(rows, key=lambda row: -row["coverage"])
    first, last = (
        f"{row['method']} reaches {share(row['coverage'])}" for row in (order[0], order[-1])
    )
    if len(rows) == 1:
        return f"{first} of its region."
    return f"{first} of its region, the most of {len(rows)} methods; {last}, the least."


class _Panel:
    """One method: its eigenvalues, then its projections."""

    def __init__(self, index: int, source: Drawn, probe: str, resolution: int) -> None:
        self.index, self.source, method = index, source, source.method
        count = coverage_of(source, resolution)
        self.region = count.region
        self.found: Probe = (
            aimed(method, source.samples, count, generator(source.seed))
            if probe == "targets"
            else sampled(source, resolution)
        )
        self.plane = None
        if method.d > 2:
            polygon = Support("polygon", method.d)
            exact = method.projection_support()
            self.plane = Occupancy(polygon, exact, resolution, count.tolerance)
        self.total = self.found.total + source.blocks

    def steps(self) -> Iterator[Columns]:
        for rows in self.found.steps:
            if rows:
                other = {name: rows[name][..., 1:] for name in ("re", "im")}
                yield {"method": self.index, "panel": "reach", "sample": rows["sample"], **other}
        for number, block in enumerate(self.source if self.plane else ()):
            re, im = cycles.point(cycles.coefficients(block[:, 0].astype(np.float64, copy=False)))
            if self.plane:
                self.plane.add(number, re, im)
            sample = number * self.source.block + np.arange(len(block))
            where = {"method": self.index, "panel": "projection", "sample": sample}
            yield {**where, "re": re, "im": im}

    @property
    def meta(self) -> dict[str, Any]:
        exact = self.plane.exact if self.plane else None
        return {
            "title": self.source.title,
            "d": self.source.d,
            "region": self.region.name,
            "support": asdict(exact) if exact else None,
        }

    def summary(self) -> Summary:
        reach, plane = self.found.summary(), self.plane
        return {
            "method": self.source.title,
            **{name: reach[name] for name in REACH},
            "hits": reach.get("hits"),
            "projection_fraction": plane.fraction if plane else None,
            "projection_exact": plane.exact.fraction if plane and plane.exact else None,
        }


BINS, LEAST = 200, 1.05
"""Cells along the side of a picture, and half of that side unless points lie beyond."""


def draw(result: "pa.Table", figure: "Figure") -> None:
    """A column for every method: eigenvalues above, projections below, one scale of colours."""
    meta = meta_of(result)
    shown = meta["methods"]
    rows = 2 if any(m["d"] > 2 for m in shown) else 1
    figure.set_size_inches(2.9 * len(shown) + 0.6, 3.0 * rows)
    panels = figure.subplots(rows, len(shown), squeeze=False)
    which, panel = result["method"].to_numpy(), result["panel"].to_numpy()
    for row, kind in enumerate(("reach", "projection")[:rows]):
        for k, method in enumerate(shown):
            chosen = (which == k) & (panel == kind)
            re, im = (result[name].to_numpy()[chosen] for name in ("re", "im"))
            axes = panels[row, k]
            if kind == "reach":
                _reach(axes, re, im, method)
            elif method["d"] > 2:
                _projection(axes, re, im, method)
            else:
                axes.set_axis_off()


def _reach(axes: "Axes", re: Any, im: Any, method: dict[str, Any]) -> None:
    plane.density(axes, re, im, bins=BINS, least=LEAST)
    plane.unit_circle(axes, color="0.45", lw=0.7, ls="--")
    region = regions.load(method["region"])(method["d"])
    if not region.style.is_unit_circle:
        plane.outline(axes, *region.boundary(), width=1.1)
    plane.name_eigenvalue_axes(axes)
    axes.set_title(method["title"].replace(", field = real", ""), fontsize="small")


def _projection(axes: "Axes", re: Any, im: Any, method: dict[str, Any]) -> None:
    plane.density(axes, im, re, bins=BINS, least=LEAST)
    polygon_re, polygon_im = Support("polygon", method["d"]).boundary()
    axes.plot(polygon_im, polygon_re, color="0.35", lw=0.8)
    if method["support"] and method["support"]["shape"] not in ("polygon", "plane"):
        support_re, support_im = Support(**method["support"]).boundary()
        plane.outline(axes, support_im, support_re, width=1.1)
    axes.set(xlabel="Im z, projection", ylabel="Re z, projection", aspect="equal")
