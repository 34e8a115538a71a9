"""Eigenvalues of mixing matrices in the complex plane, and how much of their region they reach.

The region is that of doubly stochastic matrices (`birkhoff region`; proven for d <= 4), for shc the
unit disk.
--probe sample draws: its coverage follows the distribution, a lower bound on the reach. --probe
targets moves parameters until an eigenvalue is nearest to each of -n random targets (--history: on
the way too); a miss proves nothing. --probe frontier pushes an eigenvalue outwards along every
direction as far as the method can follow: a curve, its area and the largest gap to the region.

Source: go-mHC, arXiv:2604.02309, section 4.1, appendix A.5.1 and figures 3, 4.
"""

from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np

from birkhoff_cli.analyses import regions
from birkhoff_cli.analyses.core import palette
from birkhoff_cli.analyses.core.analysis import analysis
from birkhoff_cli.analyses.core.arrays import Array
from birkhoff_cli.analyses.core.errors import UsageError
from birkhoff_cli.analyses.core.fold import run_fold
from birkhoff_cli.analyses.core.lettering import SMALL
from birkhoff_cli.analyses.core.options import With
from birkhoff_cli.analyses.core.palette import BLUE, SKY
from birkhoff_cli.analyses.core.parameterization import require
from birkhoff_cli.analyses.core.quantities import METHOD
from birkhoff_cli.analyses.core.random_numbers import generator
from birkhoff_cli.analyses.core.result import Result, Summary
from birkhoff_cli.analyses.core.sentences import count, share, short
from birkhoff_cli.analyses.core.source import Drawn, Draws, Source
from birkhoff_cli.analyses.core.table import Schema, column
from birkhoff_cli.analyses.core.titles import title
from birkhoff_cli.analyses.core.trace import site_schema
from birkhoff_cli.analyses.geometry.region import Region
from birkhoff_cli.analyses.probes import Probe, quantities
from birkhoff_cli.analyses.probes.references import coverage_of
from birkhoff_cli.analyses.probes.sample import Eigenvalues, Sampled
from birkhoff_cli.analyses.statistics import coverage
from birkhoff_cli.analyses.statistics.extremes import SUM_ERRORS

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
    column("interval", "int32", "0 is the outermost interval of the direction; frontier only"),
    column("inner", "float64", "radius at which the interval begins; frontier only"),
    *site_schema("; a path only"),
    column("index", "int32", "0 is the eigenvalue 1 (or nearest to it); the rest in no order"),
    column("re", "float64", "real part of the eigenvalue"),
    column("im", "float64", "imaginary part of the eigenvalue"),
)

SUMMARY = (
    METHOD,
    *coverage.QUANTITIES,
    *quantities.TARGETS,
    *SUM_ERRORS,
    *quantities.FRONTIER,
)

Way = Literal["sample", "targets", "frontier"]

TARGETS, FRONTIER = With("probe", "targets"), With("probe", "frontier")


@analysis
def run(
    source: Annotated[Source, Draws()],
    *,
    probe: Annotated[Way, "how to look"] = "sample",
    resolution: Annotated[int, "cells along each side of [-1, 1]^2 for the coverage"] = 200,
    max_steps: Annotated[int, "targets: Gauss-Newton steps at most", TARGETS] = 100,
    history: Annotated[bool, "targets: keep the eigenvalues of all steps", TARGETS] = False,
    directions: Annotated[
        int, "frontier: evenly spaced directions in the half-plane", FRONTIER
    ] = 180,
    starts: Annotated[int, "frontier: random starts for each direction", FRONTIER] = 8,
) -> Result:
    """Eigenvalues, and the share of their region that they reach.

    Args:
        source: matrices that are drawn (of another probe: the method, and how many targets), or a
            trace.
        probe: how to look.
        resolution: cells along each side of the grid.
        max_steps: most steps to a target.
        history: record every step.
        directions: directions of the frontier.
        starts: starts of each.

    Returns:
        A row for every eigenvalue; the summary as in `SUMMARY`. A frontier has no cells: its
        areas are those of `frontier.pushed`. Targets add the errors of the matrices found.

    Raises:
        UsageError: numbers out of range, a distribution that the method does not have, a way to
            draw for a probe that draws nothing, or a probe of a checkpoint, whose matrices cannot
            be moved.
    """
    require(1 <= resolution <= 20_000, f"--resolution {resolution}", "1 to 20,000")
    require(max_steps >= 1, f"--max-steps {max_steps}", "at least 1")
    require(directions >= 8, f"--directions {directions}", "at least 8")
    require(starts >= 1, f"--starts {starts}", "at least 1")
    facts = _facts(source, probe, directions)
    if probe == "sample":
        fold = Sampled(source, resolution)
        meta = {**source.meta, **facts, "region": fold.start().region.name}
        return run_fold(fold, Eigenvalues(source), _schema(fold.columns), meta)
    drawn = _movable(source, probe)
    count, rng = coverage_of(source, resolution), generator(drawn.seed)
    if probe == "frontier":
        from birkhoff_cli.analyses.probes import frontier  # a sample needs no search

        search = frontier.pushed(drawn.method, count, rng, directions, starts)
    else:
        from birkhoff_cli.analyses.probes import targets

        search = targets.aimed(drawn.method, drawn.samples, count, rng, max_steps, history)
    return _result_of(search, source, {**facts, "region": count.region.name})


def _facts(source: Source, probe: Way, directions: int) -> dict[str, Any]:
    """What a picture needs to know of a run."""
    amount = {
        "sample": None,
        "targets": f"{source.samples:,} targets",
        "frontier": f"frontier in {directions} directions",
    }
    return {"d": source.d, "title": title(source, amount[probe]), "probe": probe}


def _result_of(search: Probe, source: Source, meta: dict[str, Any]) -> Result:
    """The eigenvalues that a search meets, with the name of the method in front of its summary."""
    return Result(
        schema=_schema(search.columns),
        steps=search.steps,
        summarise=lambda: {"method": source.method_name, **search.summary()},
        total=search.total,
        meta=meta,
    )


def _movable(source: Source, probe: Way) -> Drawn:
    """The draws of a source whose matrices a probe can move.

    Raises:
        UsageError: it is fixed, is drawn in a way that has no effect, or has one stream.
    """
    require(source.d > 1, f"--probe {probe} with d = 1", "d of 2 or more")
    if (drawn := source.drawn) is None:
        raise UsageError(
            f"--probe {probe} moves matrices and {source.title} is fixed; leave it out"
        )
    if drawn.draws != Draws(samples=drawn.samples):
        raise UsageError(
            f"--probe {probe} moves matrices in float64 from starts of its own; leave --draw, "
            "--scale, --dtype and --device out"
        )
    return drawn


def _schema(names: tuple[str, ...]) -> Schema:
    return tuple(c for c in SCHEMA if c.name in names)


def answer(summary: Summary) -> str:
    """How much of the region is reached, and whether anything leaves it."""
    reached = "nothing" if summary["coverage"] is None else share(summary["coverage"])
    region = f"the {summary['region']} region ({summary['region_proven']})"
    outside = summary["outside_fraction"]
    beyond = f"{share(outside)} outside it" if outside else "none outside it"
    if "gap_max" in summary:
        gap = short(summary["gap_max"])
        return f"The frontier holds {reached} of the area of {region}, at most {gap} from its edge."
    eigenvalues = count(summary["eigenvalues"], "eigenvalue")
    return f"{eigenvalues} reach {reached} of the cells of {region}; {beyond}."


def draw(result: "pa.Table", figure: "Figure") -> None:
    """Log-density of the eigenvalues other than 1; a frontier; a trained model by layer."""
    from birkhoff_cli.analyses.drawing import captions  # whoever draws nothing starts sooner

    meta = captions.title(result, figure)
    region = regions.load(meta["region"])(meta["d"])
    axes = figure.subplots()
    _outline(axes, region)
    if meta.get("probe") == "frontier":
        _reached(result, axes)
    else:
        _points(result, figure, axes)
    captions.legend_below(figure, axes)


def _reached(result: "pa.Table", axes: "Axes") -> None:
    """All intervals of all directions, filled from one direction to the next.

    A table of version 0.1 has one interval from 0 in every direction, and none of the columns.
    """
    from birkhoff_cli.analyses.drawing import plane
    from birkhoff_cli.analyses.geometry.sectors import Sectors

    if "interval" not in result.column_names:
        axes.fill(result["re"], result["im"], color=SKY, alpha=0.6, lw=0)
        axes.plot(result["re"], result["im"], color=BLUE, lw=1, label="reached")
        return
    names = ("sample", "interval", "angle", "inner", "re", "im")
    ray, interval, angle, inner, re, im = (result[name].to_numpy() for name in names)
    reached = Sectors.of_rows(ray, interval, angle, inner, np.hypot(re, im)).round()
    plane.cells(axes, reached.cells(), color=SKY)
    plane.lines(axes, *reached.lines(), color=BLUE, lw=1, label="reached")


def _points(result: "pa.Table", figure: "Figure", axes: "Axes") -> None:
    from birkhoff_cli.analyses.drawing import plane

    other = result["index"].to_numpy() > 0
    re, im = (result[name].to_numpy()[other] for name in ("re", "im"))
    if "layer" in result.column_names:
        layers = result["layer"].to_numpy()[other]
        if len(re) and np.hypot(re - 1, im).max() < NEAR_ONE:
            _enlarge(axes.inset_axes(INSET), 1 - re, im, layers)
        points = plane.by_layer(axes, re, im, layers)
        palette.colour_bar(figure, points, axes, "layer")
    elif mesh := plane.density(axes, re, im, bins=300, least=1.05):
        figure.colorbar(mesh, label="eigenvalues in a cell")


def _enlarge(inset: "Axes", re: Array, im: Array, layers: Array) -> None:
    """Distances from 1 on a scale of their own."""
    from birkhoff_cli.analyses.drawing import plane

    plane.by_layer(inset, re, im, layers)
    inset.set_title("$1-\\lambda$, enlarged", fontsize=SMALL)
    inset.spines[:].set_visible(True)
    half = 1.2 * max(np.abs(im).max(), np.ptp(re) / 2, 0.1 * np.abs(re).max(), SMALLEST)
    middle = (re.max() + re.min()) / 2
    inset.set(xlim=(middle - 1.2 * half, middle + 1.2 * half), ylim=(-half, half))
    inset.locator_params(nbins=3)
    inset.ticklabel_format(style="plain", useOffset=False)
    for text in (*inset.get_xticklabels(), *inset.get_yticklabels()):
        text.set_bbox({"fc": "white", "ec": "none", "pad": 0.4})  # an outline may pass below


SMALLEST = 1e-9
"""Half the side of the enlarged part at least."""

NEAR_ONE = 0.2
"""Eigenvalues that are all nearer to 1 are drawn once more, enlarged."""

INSET = (0.4, 0.33, 0.35, 0.34)
"""Where, as shares of the axes: within the region, where there is no eigenvalue then."""


def _outline(axes: "Axes", region: Region) -> None:
    from birkhoff_cli.analyses.drawing import plane

    plane.unit_circle(axes, color="0.45", lw=0.8, ls="--", label="unit circle")
    if not region.style.is_unit_circle:
        name = f"{region.style.label}, d = {region.d} ({region.proven})"
        plane.outline(axes, *region.boundary(), width=1.2, label=name)
    plane.name_eigenvalue_axes(axes)
