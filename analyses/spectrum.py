"""Eigenvalues of mixing matrices in the complex plane, and how much of their region they reach.

Draws matrices of a method, or takes those of a checkpoint. The region is that of doubly stochastic
matrices (`birkhoff region`; proven for d <= 4), for shc the unit disk.

--probe sample draws. Its coverage depends on the distribution and is a lower bound on the reach.

--probe targets moves the parameters until an eigenvalue is as near as it gets to each of -n random
targets in the square, and counts the eigenvalues of the matrices it ends with (--history: of all on
the way). A miss is no proof that a target cannot be reached.

--probe frontier pushes an eigenvalue outwards along every direction as far as the method can
follow: a curve, its area and the largest gap to the region. Every point of it was reached, so it
bounds the reach from below.

Source: go-mHC, arXiv:2604.02309, section 4.1, appendix A.5.1 and figures 3, 4; MATH 2, 3, 10.
"""

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np

from analyses.core import source as sources
from analyses.core.arrays import batch_first, lanes
from analyses.core.errors import UsageError
from analyses.core.parameterization import NONNEGATIVE, NORM, Parameterization, require
from analyses.core.result import Result, Summary
from analyses.core.source import Draws, Source
from analyses.core.table import Columns, column
from analyses.geometry import reach
from analyses.geometry.charts import Chart, Parameters
from analyses.geometry.coverage import OUTSIDE, Coverage
from analyses.geometry.eigenvalues import eigenvalue_parts
from analyses.geometry.permutations import prime_factors
from analyses.geometry.regions import Region

if TYPE_CHECKING:
    import pyarrow as pa
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

EXAMPLES = (
    "birkhoff spectrum --method go-mhc --s 2 --plot reach.png",
    "birkhoff spectrum --method go-mhc --s 2 --probe frontier --plot frontier.png",
    "birkhoff spectrum --method mhc-lite --probe targets -n 10000",
    "birkhoff spectrum --method mhc --iters 2 --scale 8 -n 20000 -o eigenvalues.parquet",
    "birkhoff spectrum out/ckpt.pt --plot trained.png",
)

SCHEMA = (
    column("sample", "int64", "index of the matrix, of the target, or of the direction"),
    column("step", "int32", "step at which it was recorded; targets only"),
    column("angle", "float64", "direction; frontier only", unit="rad"),
    column("site", "int32", "site in order of depth; a path only"),
    column("layer", "int32", "layer of the site; a path only"),
    column("branch", "string", "branch of the site, attn or mlp; a path only"),
    column("index", "int32", "0 is the eigenvalue 1 (or nearest to it); the rest in no order"),
    column("re", "float64", "real part of the eigenvalue"),
    column("im", "float64", "imaginary part of the eigenvalue"),
)

Probe = Literal["sample", "targets", "frontier"]


def run(
    source: Source,
    *,
    draws: Draws = Draws(),  # noqa: B008 (frozen)
    probe: Annotated[Probe, "how to look for eigenvalues; a checkpoint has only sample"] = "sample",
    resolution: Annotated[int, "cells along each side of [-1, 1]^2 for the coverage"] = 200,
    max_steps: Annotated[int, "targets: Gauss-Newton steps at most"] = 100,
    history: Annotated[bool, "targets: keep the eigenvalues of every step"] = False,
    directions: Annotated[int, "frontier: evenly spaced directions in the half-plane"] = 180,
    starts: Annotated[int, "frontier: random starts for each direction"] = 8,
    rng: np.random.Generator,
) -> Result:
    """Eigenvalues, and the share of their region that they reach.

    Args:
        source: a parameterization to draw from, or a trace.
        draws: how many matrices (or targets) and how they are drawn.
        probe: how to look.
        resolution: cells along each side of the grid.
        max_steps: most steps to a target.
        history: record every step.
        directions: directions of the frontier.
        starts: starts of each.
        rng: the only source of randomness.

    Returns:
        A row for every eigenvalue. The summary has ``coverage`` (share of the cells whose centre
        is in the region that hold an eigenvalue; of a frontier, the share of the area),
        ``outside_fraction`` (share of eigenvalues outside by more than ``outside_tolerance``:
        1e-9, or the rounding of float32 matrices), ``outside_karpelevic_fraction`` (share that no
        stochastic matrix has), for Kronecker products ``outside_factor_fraction`` (share outside
        the region of the largest factor alone), ``region``, ``region_proven``,
        ``area_reached`` (of the cells counted; of a frontier, inside the curve), ``area_region``,
        ``resolution``, ``eigenvalues`` (how many), ``nonreal_fraction``. Targets add ``targets``,
        ``hits`` (share with an eigenvalue within 1e-3) and ``row_error_max``,
        ``column_error_max`` of the matrices found. A frontier adds ``area_error`` (the change when
        every other direction is left out) and ``gap_max`` (largest distance from the region's
        boundary to the curve).

    Raises:
        UsageError: numbers out of range, a distribution that the method does not have, or a probe
            of a checkpoint, whose matrices cannot be moved.
    """
    require(1 <= resolution <= 20_000, f"--resolution {resolution}", "1 to 20,000")
    require(max_steps >= 1, f"--max-steps {max_steps}", "at least 1")
    require(directions >= 8, f"--directions {directions}", "at least 8")
    require(starts >= 1, f"--starts {starts}", "at least 1")
    region = region_for(source)
    meta = {"d": source.d, "region": region.kind, "title": sources.title(source), "probe": probe}
    if not isinstance(source, Parameterization):
        if probe != "sample":
            raise UsageError(
                f"--probe {probe} moves matrices and {source.source} is fixed; leave it"
            )
        meta = {**source.meta, **meta}
    count = Coverage(region, resolution, _tolerance(source, draws), _factor_region(source))
    if probe == "frontier" and isinstance(source, Parameterization):
        return _frontier(source, count, directions, starts, meta, rng)
    if probe == "targets" and isinstance(source, Parameterization):
        return _targets(source, count, draws.samples, max_steps, history, meta, rng)
    names = ["sample", *(_OF_A_PATH if not isinstance(source, Parameterization) else ())]
    return Result(
        schema=_schema(*names, "index", "re", "im"),
        steps=_samples(source, draws, rng, count),
        summarise=count.summary,
        total=sources.steps(source, draws),
        meta=meta,
    )


def region_for(source: Source) -> Region:
    """The unit disk for signed matrices of bounded norm, else that of doubly stochastic ones."""
    exact = source.exact if isinstance(source, Parameterization) else frozenset()
    if NORM in exact and NONNEGATIVE not in exact and source.d > 2:
        return Region("unit disk", source.d)
    return Region("doubly-stochastic", source.d)


def _factor_region(source: Source) -> Region | None:
    """That of the largest factor of a Kronecker product, in which go-mHC's B.1 puts its spectrum.

    Products of eigenvalues leave it for every factor larger than 2 (MATH 5.6).
    """
    if not hasattr(source, "factors"):
        return None
    factors = source.factors or prime_factors(source.d)
    return Region("doubly-stochastic", max(factors)) if len(factors) > 1 else None


_OF_A_PATH = ("site", "layer", "branch")


def _schema(*names: str) -> Any:
    return tuple(c for c in SCHEMA if c.name in names)


def _tolerance(source: Source, draws: Draws) -> float:
    """What counts as outside: more than a matrix in its dtype can be off by rounding alone."""
    dtype = draws.dtype if isinstance(source, Parameterization) else source.matrices.dtype
    return max(OUTSIDE, 16 * source.d * float(np.finfo(dtype).eps))


def _samples(
    source: Source, draws: Draws, rng: np.random.Generator, count: Coverage
) -> Iterator[Columns]:
    places = sources.sites(source)
    where = {
        "site": np.arange(len(places))[:, None],
        "layer": np.array([s.layer for s in places])[:, None],
        "branch": np.array([s.branch for s in places])[:, None],
    }
    start = 0
    for block in sources.blocks(source, draws, rng):
        re, im = eigenvalue_parts(block)
        count.add(lanes(re, 1), lanes(im, 1))
        sample = np.arange(start, start + len(block))[:, None, None]
        start += len(block)
        yield {"sample": sample, "index": np.arange(block.shape[-1]), "re": re, "im": im, **where}


def chart_of(method: Parameterization) -> Chart:
    """The method's own way to move, or the one that every map has."""
    own: Chart | None = method.chart()
    return own or Parameters(method)


REACHED = 1e-8
"""A point of the frontier is an eigenvalue to about this."""

HIT = 1e-3
"""Distance within which a target counts as hit."""


def _targets(
    method: Parameterization,
    count: Coverage,
    n: int,
    max_steps: int,
    history: bool,
    meta: dict[str, Any],
    rng: np.random.Generator,
) -> Result:
    found = {"hits": 0, "row": 0.0, "column": 0.0}
    chart = chart_of(method)

    target = rng.uniform(-1, 1, n) + 1j * rng.uniform(-1, 1, n)

    def measured(which: Any, age: Any, state: Any) -> Columns:
        h = batch_first(chart.matrices(state), 2)
        re, im = eigenvalue_parts(h)
        count.add(lanes(re, 1), lanes(im, 1))
        for side, axis in (("row", -1), ("column", -2)):
            error = np.abs(h.sum(axis) - 1).max(initial=0)
            found[side] = max(found[side], float(error))
        at = {"sample": which[:, None], "step": age[:, None]}
        return {**at, "index": np.arange(method.d), "re": re, "im": im}

    def ended(held: list[tuple[Any, Any, Any]]) -> Columns:
        which, age, state = (np.concatenate(parts, -1) for parts in zip(*held, strict=True))
        rows = measured(which, age, state)
        goal = target[which[:, None]]
        near = np.hypot(rows["re"] - goal.real, rows["im"] - goal.imag)[:, 1:]
        found["hits"] += int((near.min(1, initial=2) < HIT).sum())
        held.clear()
        return rows

    def pursued() -> Iterator[Columns]:
        held: list[tuple[Any, Any, Any]] = []  # measured in full batches: small ones cost as much
        for now in reach.pursue(chart, target, rng, max_steps):
            over = now.ended
            held.append((now.which[over], now.age[over], now.state[..., over]))
            full = sum(len(which) for which, *_ in held) >= reach.WIDTH
            yield ended(held) if full else {}
            if history:
                left = np.delete(np.arange(len(now.which)), over)
                yield measured(now.which[left], now.age[left], now.state[..., left])
        if held:
            yield ended(held)

    def summary() -> Summary:
        errors = {"row_error_max": found["row"], "column_error_max": found["column"]}
        return {**count.summary(), "targets": n, "hits": found["hits"] / n, **errors}

    schema = _schema("sample", "step", "index", "re", "im")
    return Result(schema, pursued(), summary, total=8 * n // reach.WIDTH + 8, meta=meta)


def _frontier(
    method: Parameterization,
    count: Coverage,
    directions: int,
    starts: int,
    meta: dict[str, Any],
    rng: np.random.Generator,
) -> Result:
    angle = reach.directions(method.d, directions, getattr(method, "s", 1))
    passes = reach.trace_frontier(chart_of(method), rng, angle, starts)
    last: dict[str, Any] = {}

    def pushed() -> Iterator[Columns]:
        for radius in passes:
            last["curve"] = reach.closed_curve(angle, radius)
            yield {}
        turn, re, im = last["curve"]
        yield {"sample": np.arange(len(turn)), "angle": turn, "re": re, "im": im}

    def summary() -> Summary:
        turn, re, im = last["curve"]
        area, coarse = reach.area(re, im), reach.area(*reach.thinned(re, im))
        region = count.region
        excess = region.excess(re, im)
        return {
            "coverage": area / region.area if region.area else None,
            "outside_fraction": float((excess > REACHED).mean()),
            "outside_tolerance": REACHED,
            "region": region.kind,
            "region_proven": region.proven,
            "area_reached": area,
            "area_region": region.area,
            "area_error": abs(area - coarse),
            "area_is": "a lower bound on the reach, up to area_error",
            "gap_max": reach.gap(region.boundary(), (re, im)),
            "resolution": count.resolution,
            "eigenvalues": len(turn),
            "nonreal_fraction": float((im != 0).mean()),
        }

    return Result(_schema("sample", "angle", "re", "im"), pushed(), summary, starts + 2, meta)


def draw(result: "pa.Table", figure: "Figure") -> None:
    """Log-density of the eigenvalues other than 1; a frontier; a trained model by layer."""
    meta = json.loads(result.schema.metadata[b"birkhoff"])["meta"]
    region = Region(meta["region"], meta["d"])
    axes = figure.subplots()
    if meta.get("probe") == "frontier":
        axes.fill(result["re"], result["im"], color="#56b4e9", alpha=0.6, lw=0)
        axes.plot(result["re"], result["im"], color="#0072b2", lw=1, label="reached")
    else:
        _points(result, figure, axes)
    _outline(axes, region)
    axes.set_title(meta["title"], fontsize="medium")


def _points(result: "pa.Table", figure: "Figure", axes: "Axes") -> None:
    other = result["index"].to_numpy() > 0
    re, im = (result[name].to_numpy()[other] for name in ("re", "im"))
    if "layer" in result.column_names:
        points = axes.scatter(re, im, c=result["layer"].to_numpy()[other], s=9, zorder=3, lw=0)
        figure.colorbar(points, label="layer")
    else:
        _density(axes, figure, re, im)


def _density(axes: "Axes", figure: "Figure", re: Any, im: Any) -> None:
    limit = max(1.05, *(float(np.abs(x).max()) * 1.02 for x in (re, im))) if len(re) else 1.05
    counts, edges, _ = np.histogram2d(re, im, bins=300, range=[[-limit, limit]] * 2)
    counts[counts == 0] = np.nan
    mesh = axes.pcolormesh(edges, edges, counts.T, norm="log", rasterized=True)
    figure.colorbar(mesh, label="eigenvalues in a cell")


def _outline(axes: "Axes", region: Region) -> None:
    angle = np.linspace(0, 2 * np.pi, 361)
    axes.plot(np.cos(angle), np.sin(angle), color="0.45", lw=0.8, ls="--", label="unit circle")
    if region.kind != "unit disk":
        name = f"doubly stochastic, d = {region.d} ({region.proven})"
        axes.plot(*region.boundary(), color="#d55e00", lw=1.2, label=name)
    axes.set(xlabel="Re $\\lambda$", ylabel="Im $\\lambda$", aspect="equal")
    axes.legend(loc="lower right", fontsize="x-small", framealpha=0.9)
