"""Eigenvalues of mixing matrices in the complex plane, and how much of their region they reach.

Draws matrices of a method, or takes those of a checkpoint. The region is the Perfect-Mirsky
region (the eigenvalues of doubly stochastic matrices, exactly so for d <= 4), for shc the unit
disk. Coverage by samples is a lower bound on the reach, and depends on the distribution: a cell
that no sample hits may still be reachable.

Source: go-mHC, arXiv:2604.02309, section 4.1 and figures 3, 4; MATH 2, 10.
"""

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np

from analyses.core import source as sources
from analyses.core.arrays import lanes
from analyses.core.parameterization import NONNEGATIVE, NORM, Parameterization, require
from analyses.core.result import Result, Summary
from analyses.core.source import Draws, Source
from analyses.core.table import Columns, column
from analyses.geometry.eigenvalues import eigenvalue_parts
from analyses.geometry.regions import Region

if TYPE_CHECKING:
    import pyarrow as pa
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

EXAMPLES = (
    "birkhoff spectrum --method go-mhc --s 2 --plot reach.png",
    "birkhoff spectrum --method mhc --iters 2 --scale 8 -n 20000 -o eigenvalues.parquet",
    "birkhoff spectrum out/ckpt.pt --plot trained.png",
)

SCHEMA = (
    column("sample", "int64", "index of the drawn matrix, or of the sample of a trace"),
    column("site", "int32", "site in order of depth; a path only"),
    column("layer", "int32", "layer of the site; a path only"),
    column("branch", "string", "branch of the site, attn or mlp; a path only"),
    column(
        "index", "int32", "0 is the eigenvalue 1 (or the one nearest to 1), the rest in no order"
    ),
    column("re", "float64", "real part of the eigenvalue"),
    column("im", "float64", "imaginary part of the eigenvalue"),
)

OUTSIDE = 1e-9
"""An eigenvalue farther than this outside the region counts as outside; float64 stays below."""


def run(
    source: Source,
    *,
    draws: Draws = Draws(),  # noqa: B008 (frozen)
    resolution: Annotated[int, "cells along each side of [-1, 1]^2 for the coverage"] = 200,
    rng: np.random.Generator,
) -> Result:
    """Eigenvalues of every matrix, and the share of the region's cells that hold one.

    Args:
        source: a parameterization to draw from, or a trace.
        draws: how many to draw and how.
        resolution: cells along each side of the grid.
        rng: the only source of randomness.

    Returns:
        d rows for every matrix. The summary has ``coverage`` (share of the cells whose centre is
        in the region that hold an eigenvalue), ``outside_fraction`` (share of eigenvalues outside
        by more than ``outside_tolerance``: 1e-9, or the rounding of float32 matrices),
        ``region``, ``region_proven``, ``area_reached`` (area of the cells counted, a lower bound
        up to the cell size), ``area_region``, ``resolution``, ``eigenvalues`` (how many),
        ``nonreal_fraction``.

    Raises:
        UsageError: resolution below 1, or a distribution that the method does not have.
    """
    require(1 <= resolution <= 20_000, f"--resolution {resolution}", "1 to 20,000")
    region = region_for(source)
    count = Count(region, resolution, _tolerance(source, draws))
    is_trace = not isinstance(source, Parameterization)
    meta = {} if isinstance(source, Parameterization) else source.meta
    return Result(
        schema=SCHEMA if is_trace else tuple(c for c in SCHEMA if c.name not in _OF_A_PATH),
        steps=_steps(source, draws, rng, count, is_trace),
        summarise=count.summary,
        total=sources.steps(source, draws),
        meta={**meta, "d": source.d, "region": region.kind, "title": sources.title(source)},
    )


def region_for(source: Source) -> Region:
    """The unit disk for matrices that are bounded in norm and signed, else Perfect-Mirsky's."""
    exact = source.exact if isinstance(source, Parameterization) else frozenset()
    if NORM in exact and NONNEGATIVE not in exact and source.d > 2:
        return Region("unit disk", source.d)
    return Region("perfect-mirsky", source.d)


def _tolerance(source: Source, draws: Draws) -> float:
    """What counts as outside: more than a matrix in its dtype can be off by rounding alone."""
    dtype = draws.dtype if isinstance(source, Parameterization) else source.matrices.dtype
    return max(OUTSIDE, 16 * source.d * float(np.finfo(dtype).eps))


_OF_A_PATH = ("site", "layer", "branch")


def _steps(
    source: Source, draws: Draws, rng: np.random.Generator, count: "Count", is_trace: bool
) -> Iterator[Columns]:
    places = sources.sites(source)
    where: dict[str, Any] = {}
    if is_trace:
        where = {
            "site": np.arange(len(places))[:, None],
            "layer": np.array([s.layer for s in places])[:, None],
            "branch": np.array([s.branch for s in places])[:, None],
        }
    start = 0
    for block in sources.blocks(source, draws, rng):
        re, im = eigenvalue_parts(block)
        count.add(lanes(re, 1), lanes(im, 1))
        n, d = len(block), block.shape[-1]
        sample = np.arange(start, start + n)[:, None, None]
        start += n
        yield {"sample": sample, "index": np.arange(d), "re": re, "im": im, **where}


class Count:
    """Running counts over all eigenvalues."""

    def __init__(self, region: Region, resolution: int, tolerance: float = OUTSIDE) -> None:
        self.region, self.resolution, self.tolerance = region, resolution, tolerance
        self.seen = np.zeros(resolution * resolution, dtype=bool)
        self.total = self.outside = self.nonreal = 0

    def add(self, re: Any, im: Any) -> None:
        """Count eigenvalues ``(d, ...)``, the eigenvalue 1 first."""
        self.total += re.size
        self.nonreal += int(np.count_nonzero(im))
        if (re[0] == 1).all():  # usual, and one look is enough for all of them
            self._mark(re[0].ravel()[:1], im[0].ravel()[:1])
            re, im = re[1:], im[1:]
        square = re * re
        square += im * im
        self.outside += self.region.outside(re, im, square, self.tolerance)
        if square.size and square.max() >= 1:  # the circle belongs to the cells within
            reach = 1 + self.tolerance
            near = (np.abs(re) <= reach) & (np.abs(im) <= reach)
            re, im = re[near], im[near]
        self._mark(re, im)

    def _mark(self, re: Any, im: Any) -> None:
        half, last = self.resolution / 2, self.resolution - 1
        column, row = re * half, im * half
        for axis in (column, row):
            axis += half
            np.minimum(axis, last, out=axis)
        cell = column.astype(np.int32)
        cell *= self.resolution
        cell += row.astype(np.int32)
        self.seen[cell] = True

    def summary(self) -> Summary:
        """What `run` documents."""
        centre = (np.arange(self.resolution) + 0.5) * (2 / self.resolution) - 1
        inside = self.region.excess(centre[:, None], centre) <= OUTSIDE
        cells = int(inside.sum())
        reached = int((self.seen.reshape(inside.shape) & inside).sum())
        return {
            "coverage": reached / cells if cells else None,
            "outside_fraction": self.outside / self.total,
            "outside_tolerance": self.tolerance,
            "region": self.region.kind,
            "region_proven": self.region.proven,
            "area_reached": reached * (2 / self.resolution) ** 2,
            "area_region": self.region.area,
            "resolution": self.resolution,
            "eigenvalues": self.total,
            "nonreal_fraction": self.nonreal / self.total,
        }


def draw(result: "pa.Table", figure: "Figure") -> None:
    """Log-density of the eigenvalues other than 1; those of a trained model coloured by layer."""
    meta = json.loads(result.schema.metadata[b"birkhoff"])["meta"]
    region = Region(meta["region"], meta["d"])
    other = result["index"].to_numpy() > 0
    re, im = (result[name].to_numpy()[other] for name in ("re", "im"))
    axes = figure.subplots()
    if "layer" in result.column_names:
        points = axes.scatter(re, im, c=result["layer"].to_numpy()[other], s=9, zorder=3, lw=0)
        figure.colorbar(points, label="layer")
    else:
        _density(axes, figure, re, im)
    _outline(axes, region)
    axes.set_title(meta["title"], fontsize="medium")


def _density(axes: "Axes", figure: "Figure", re: Any, im: Any) -> None:
    limit = max(1.05, *(float(np.abs(x).max()) * 1.02 for x in (re, im))) if len(re) else 1.05
    counts, edges, _ = np.histogram2d(re, im, bins=300, range=[[-limit, limit]] * 2)
    counts[counts == 0] = np.nan
    mesh = axes.pcolormesh(edges, edges, counts.T, norm="log", rasterized=True)
    figure.colorbar(mesh, label="eigenvalues in a cell")


def _outline(axes: "Axes", region: Region) -> None:
    angle = np.linspace(0, 2 * np.pi, 361)
    axes.plot(np.cos(angle), np.sin(angle), color="0.45", lw=0.8, ls="--", label="unit circle")
    if region.kind == "perfect-mirsky":
        axes.plot(
            *region.boundary(), color="#d55e00", lw=1.2, label=f"Perfect-Mirsky, d = {region.d}"
        )
    axes.set(xlabel="Re $\\lambda$", ylabel="Im $\\lambda$", aspect="equal")
    axes.legend(loc="lower right", fontsize="x-small", framealpha=0.9)
