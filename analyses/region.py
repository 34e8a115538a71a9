"""Regions that hold the eigenvalues of stochastic and doubly stochastic matrices, drawn exactly.

The eigenvalues of doubly stochastic matrices are the Perfect-Mirsky region for d <= 4 (proven),
more for d = 5 (the one curve that is known to leave it is included), and open beyond (the
Perfect-Mirsky region is conjectured). Those of stochastic matrices, the Karpelevic region, are
known for every d.

Commas give several sides d, a panel each, and several kinds, drawn over one another.

Source: Karpelevic, Izv. Akad. Nauk SSSR 15 (1951); Perfect & Mirsky, Monatsh. Math. 69 (1965).
This is figure 2 of go-mHC, arXiv:2604.02309, with the regions by their names: what it calls the
Karpelevic region is the Perfect-Mirsky region.
"""

from collections.abc import Iterable, Iterator
from math import ceil
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np

from birkhoff_cli.analyses import regions
from birkhoff_cli.analyses.core.analysis import analysis
from birkhoff_cli.analyses.core.discover import unknown
from birkhoff_cli.analyses.core.errors import UsageError
from birkhoff_cli.analyses.core.memory import require_memory
from birkhoff_cli.analyses.core.options import Offers
from birkhoff_cli.analyses.core.parameterization import require
from birkhoff_cli.analyses.core.quantities import AT_LEAST_0, AT_LEAST_1, quantity
from birkhoff_cli.analyses.core.result import Result, Summary
from birkhoff_cli.analyses.core.sentences import short
from birkhoff_cli.analyses.core.table import Columns, column
from birkhoff_cli.analyses.drawing import captions, plane
from birkhoff_cli.analyses.geometry.farey import fractions
from birkhoff_cli.analyses.geometry.region import Region

if TYPE_CHECKING:
    import pyarrow as pa
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

EXAMPLES = (
    "birkhoff region --kind doubly-stochastic --d 5 --plot region.png",
    "birkhoff region --kind karpelevic,doubly-stochastic,perfect-mirsky --d 2,3,4,5"
    " --plot regions.png",
    "birkhoff region --kind karpelevic --d 4 --points 2 -o - --format csv",
)

SCHEMA = (
    column("d", "int32", "side of the matrices"),
    column("kind", "string", "name of the region"),
    column("piece", "int32", "edge or arc of the boundary, counterclockwise from 1, from 0 on"),
    column("t", "float64", "place on the piece: 0 where it begins, 1 where the next one begins"),
    column("re", "float64", "real part of the boundary point"),
    column("im", "float64", "imaginary part of the boundary point"),
)

REGION = (
    quantity("kind", "name of the region"),
    quantity("d", "side of the matrices", range=AT_LEAST_1),
    quantity("area", "its area, to rounding", range=AT_LEAST_0),
    quantity("proven", "whether it is known to be exactly the eigenvalues of its matrices"),
    quantity("proven_by", "why, or what is known"),
)
SUMMARY = (*REGION, quantity("regions", "these of every region, if there are several", rows=REGION))

KINDS = "; ".join(f"{name}: {regions.headline(name)[:-1]}" for name in regions.names())
"""Every region with what it is: the first line of its file."""

MAX_SIDE = 100
"""Beyond, a region differs from the unit disk by less than 2e-4 of its area."""


@analysis
def run(
    *,
    kind: Annotated[
        str, f"{KINDS}; several with commas", Offers(regions.names())
    ] = "doubly-stochastic",
    d: Annotated[str, "side of the matrices, 1 to 100; several with commas: 2,3,4,5"] = "4",
    points: Annotated[int, "points of every edge or arc of the boundary"] = 33,
) -> Result:
    """The boundary as closed curves, and the area.

    Args:
        kind: name of a region, or several with commas.
        d: one side, or several.
        points: on each piece, its ends included.

    Returns:
        ``points`` rows for every piece. The summary has ``kind``, ``d``, ``area`` (to rounding)
        and ``proven``: whether the region is known to be exactly the eigenvalues of its
        matrices, and ``proven_by``, the sentence to it. For several regions it is a list
        ``regions`` of these.

    Raises:
        UsageError: a kind that does not exist, or a d or points that cannot be.
        TooLarge: more rows than fit in memory.
    """
    require(points >= 2, f"--points {points}", "at least 2")
    kinds = [_member(word) for word in _split(kind)]
    chosen = [member(side) for side in _sides(d) for member in kinds]
    most = max(len(region.breaks) for region in chosen)
    require_memory(2 * most * points * 80, f"{points:,} points on each of {2 * most:,} pieces")

    def summary() -> Summary:
        rows = [_facts(region) for region in chosen]
        return rows[0] if len(rows) == 1 else {"regions": rows}

    return Result(SCHEMA, _steps(chosen, points), summary, total=len(chosen))


def _split(text: str) -> list[str]:
    """Words between commas, each once."""
    return list(dict.fromkeys(word.strip() for word in text.split(",")))


def _member(word: str) -> type[Region]:
    name = word.replace(" ", "-")
    if name not in regions.names():
        raise UsageError(f"--kind {unknown(word, regions.names(), 'regions')}")
    return regions.load(name)


def _sides(text: str) -> list[int]:
    try:
        sides = [int(word) for word in _split(text)]
    except ValueError:
        raise UsageError(
            f"--d {text!r} is no list of whole numbers; say --d 4, or --d 2,3,4,5"
        ) from None
    for side in sides:
        require(1 <= side <= MAX_SIDE, f"--d {side}", f"1 to {MAX_SIDE}")
    return sides


def _steps(chosen: list[Region], points: int) -> Iterator[Columns]:
    for region in chosen:
        curve = region.pieces(points)
        yield {
            "d": region.d,
            "kind": region.name,
            "piece": np.arange(len(curve))[:, None],
            "t": np.linspace(0, 1, points),
            "re": curve.real,
            "im": curve.imag,
        }


def _facts(region: Region) -> dict[str, Any]:
    return {
        "kind": region.name,
        "d": region.d,
        "area": region.area,
        "proven": region.proven,
        "proven_by": region.proven_by,
    }


def answer(summary: Summary) -> str:
    """The area, and whether the region is proven."""
    rows = summary.get("regions") or [summary]
    each = (
        f"{row['kind']} of d = {row['d']} has the area {short(row['area'])}, "
        f"{'proven' if row['proven'] else 'conjectured'}"
        for row in rows[:MAX_REGIONS]
    )
    more = f"; and {len(rows) - MAX_REGIONS} more" if len(rows) > MAX_REGIONS else ""
    return f"The region {'; '.join(each)}{more}."


MAX_REGIONS = 3
"""Regions in a sentence."""

PANELS, WIDTH = 4, 8.3
"""Panels in a row, and the width of a row in inches."""

MAX_MARKED_SIDE = 11
"""Beyond this d the roots of unity would hide the circle."""

DISTINCT_SIDE = 5
"""For matrices of this side all regions differ in area."""


def draw(result: "pa.Table", figure: "Figure") -> None:
    """A panel for every d: the boundaries, the unit circle and the roots of unity."""
    sides, kinds = (np.asarray(result[name]) for name in ("d", "kind"))
    z = np.asarray(result["re"]) + 1j * np.asarray(result["im"])
    panels = list(dict.fromkeys(sides.tolist()))
    drawn = _outer_first(set(kinds.tolist()))
    columns = min(PANELS, len(panels))
    rows = ceil(len(panels) / columns)
    if columns > 1:
        figure.set_size_inches(WIDTH / PANELS * columns, (2.5 + 0.32 * len(drawn)) * rows)
    grid = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes, d in zip(grid, panels, strict=False):
        curves = {kind: z[(sides == d) & (kinds == kind)] for kind in drawn}
        _panel(axes, d, curves)
    for axes in grid[len(panels) :]:
        axes.set_axis_off()


def draw_sweep(result: "pa.Table", figure: "Figure") -> None:
    """The same: a sweep over regions is several regions."""
    draw(result, figure)


def _outer_first(kinds: Iterable[str]) -> list[str]:
    """A region before those inside it, which would be hidden otherwise."""
    return sorted(sorted(kinds), key=lambda kind: -regions.load(kind)(DISTINCT_SIDE).area)


def _panel(axes: "Axes", d: int, curves: dict[str, Any]) -> None:
    plane.unit_circle(axes, color="0.6", lw=0.8)
    _outlines(axes, d, curves)
    if d <= MAX_MARKED_SIDE:
        p, q = fractions(d)
        root = np.exp(2j * np.pi * np.concatenate([p / q, -p / q]))
        axes.plot(root.real, root.imag, ".", color="0.1", ms=4, zorder=3)
    plane.name_eigenvalue_axes(axes)
    axes.set(title=f"d = {d}", xticks=[-1, 0, 1], yticks=[-1, 0, 1])
    captions.legend_under(axes)
    details = (regions.load(kind)(d).detail(curves.keys()) for kind in curves)
    for x, y in filter(None, details):
        inset = axes.inset_axes((0.3, 0.36, 0.45, 0.25), xlim=x, ylim=y, xticks=[], yticks=[])
        inset.spines[:].set_visible(True)
        _outlines(inset, d, curves)
        axes.indicate_inset_zoom(inset, edgecolor="0.2")


def _outlines(axes: "Axes", d: int, curves: dict[str, Any]) -> None:
    for kind, z in curves.items():
        region = regions.load(kind)(d)
        style = region.style
        label = f"{style.label}:\narea {region.area:.6g}, {region.proven}"
        axes.fill(z.real, z.imag, color=style.fill, lw=0)
        axes.plot(z.real, z.imag, color=style.line, ls=style.dashes, lw=1.3, label=label)
