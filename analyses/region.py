"""Regions that hold the eigenvalues of stochastic and doubly stochastic matrices, drawn exactly.

karpelevic: the eigenvalues of all stochastic d x d matrices. perfect-mirsky: the union of the
regular k-gons on the roots of unity, k <= d. doubly-stochastic: the eigenvalues of doubly
stochastic matrices, which are the Perfect-Mirsky region for d <= 4 (proven), more for d = 5 (the
one curve that is known to leave it is included), and open beyond (the Perfect-Mirsky region is
conjectured).

Commas give several sides d, a panel each, and several kinds, drawn over one another.

Source: Karpelevic, Izv. Akad. Nauk SSSR 15 (1951); Perfect & Mirsky, Monatsh. Math. 69 (1965).
This is figure 2 of go-mHC, arXiv:2604.02309, with the regions by their names: what it calls the
Karpelevic region is the Perfect-Mirsky region.
"""

from collections.abc import Iterator
from math import ceil
from typing import TYPE_CHECKING, Annotated, Any, get_args

import numpy as np

from birkhoff_cli.analyses.core.discover import unknown
from birkhoff_cli.analyses.core.errors import UsageError
from birkhoff_cli.analyses.core.memory import require_memory
from birkhoff_cli.analyses.core.parameterization import require
from birkhoff_cli.analyses.core.result import Result, Summary
from birkhoff_cli.analyses.core.table import Columns, column
from birkhoff_cli.analyses.geometry.farey import fractions
from birkhoff_cli.analyses.geometry.regions import Kind, Region

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
    column("kind", "string", "karpelevic, perfect-mirsky or doubly-stochastic"),
    column("piece", "int32", "edge or arc of the boundary, counterclockwise from 1, from 0 on"),
    column("t", "float64", "place on the piece: 0 where it begins, 1 where the next one begins"),
    column("re", "float64", "real part of the boundary point"),
    column("im", "float64", "imaginary part of the boundary point"),
)

KINDS = tuple(kind for kind in get_args(Kind) if kind != "unit disk")
LARGEST = 100
"""Beyond, a region differs from the unit disk by less than 2e-4 of its area."""


def run(
    *,
    kind: Annotated[str, f"{', '.join(KINDS)}, or several with commas"] = "doubly-stochastic",
    d: Annotated[str, "side of the matrices, 1 to 100; several with commas: 2,3,4,5"] = "4",
    points: Annotated[int, "points of every edge or arc of the boundary"] = 33,
) -> Result:
    """The boundary as closed curves, and the area.

    Args:
        kind: one of `KINDS`, or several.
        d: one side, or several.
        points: on each piece, its ends included.

    Returns:
        ``points`` rows for every piece. The summary has ``kind``, ``d``, ``area`` (to rounding)
        and ``proven``: whether the region is known to be exactly the eigenvalues of its
        matrices. For several regions it is a list ``regions`` of these.

    Raises:
        UsageError: a kind that does not exist, or a d or points that cannot be.
        TooLarge: more rows than fit in memory.
    """
    require(points >= 2, f"--points {points}", "at least 2")
    kinds = _words(kind)
    for word in kinds:
        if word not in KINDS:
            raise UsageError(f"--kind {unknown(word, KINDS, 'regions')}")
    regions = [Region(word, side) for side in _sides(d) for word in kinds]  # type: ignore[arg-type]
    most = max(len(region.breaks) for region in regions)
    require_memory(2 * most * points * 80, f"{points:,} points on each of {2 * most:,} pieces")

    def summary() -> Summary:
        rows = [_facts(region) for region in regions]
        return rows[0] if len(rows) == 1 else {"regions": rows}

    return Result(SCHEMA, _steps(regions, points), summary, total=len(regions))


def _words(given: str) -> list[str]:
    return list(dict.fromkeys(word.strip() for word in given.split(",")))


def _sides(given: str) -> list[int]:
    try:
        sides = [int(word) for word in _words(given)]
    except ValueError:
        raise UsageError(
            f"--d {given!r} is no list of whole numbers; say --d 4, or --d 2,3,4,5"
        ) from None
    for side in sides:
        require(1 <= side <= LARGEST, f"--d {side}", f"1 to {LARGEST}")
    return sides


def _steps(regions: list[Region], points: int) -> Iterator[Columns]:
    for region in regions:
        curve = region.pieces(points)
        yield {
            "d": region.d,
            "kind": region.kind,
            "piece": np.arange(len(curve))[:, None],
            "t": np.linspace(0, 1, points),
            "re": curve.real,
            "im": curve.imag,
        }


def _facts(region: Region) -> dict[str, Any]:
    return {"kind": region.kind, "d": region.d, "area": region.area, "proven": region.proven}


LOOK = {
    "karpelevic": ("Karpelevic", "-", "#0072b2", "#d3e6f3"),
    "doubly-stochastic": ("doubly stochastic", "-", "#009e73", "#c9ebe0"),
    "perfect-mirsky": ("Perfect-Mirsky", "--", "#d55e00", "#fbe9dc"),
}
"""Name, dashes, colour of the line and of the inside; a region comes before those inside it."""

PANELS = 4
"""Panels in a row."""

CROWDED = 12
"""From this d on the roots of unity would hide the circle."""

EXCEPTION = ((-0.36, -0.2), (0.735, 0.805))
"""Where the regions for d = 5 differ by less than a line's width."""


def draw(result: "pa.Table", figure: "Figure") -> None:
    """A panel for every d: the boundaries, the unit circle and the roots of unity."""
    sides, kinds = (np.asarray(result[name]) for name in ("d", "kind"))
    z = np.asarray(result["re"]) + 1j * np.asarray(result["im"])
    panels = list(dict.fromkeys(sides.tolist()))
    drawn = [kind for kind in LOOK if kind in kinds]
    columns = min(PANELS, len(panels))
    rows = ceil(len(panels) / columns)
    if columns > 1:
        figure.set_size_inches(2.6 * columns, (2.75 + 0.2 * len(drawn)) * rows)
    grid = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes, d in zip(grid, panels, strict=False):
        curves = {kind: z[(sides == d) & (kinds == kind)] for kind in drawn}
        _panel(axes, d, curves)
    for axes in grid[len(panels) :]:
        axes.set_axis_off()


def _panel(axes: "Axes", d: int, curves: dict[str, Any]) -> None:
    angle = np.linspace(0, 2 * np.pi, 361)
    axes.plot(np.cos(angle), np.sin(angle), color="0.6", lw=0.8)
    _outlines(axes, d, curves)
    if d < CROWDED:
        p, q = fractions(d)
        root = np.exp(2j * np.pi * np.concatenate([p / q, -p / q]))
        axes.plot(root.real, root.imag, ".", color="0.1", ms=4, zorder=3)
    axes.set(title=f"d = {d}", aspect="equal", xticks=[-1, 0, 1], yticks=[-1, 0, 1])
    axes.set(xlabel="Re $\\lambda$", ylabel="Im $\\lambda$")
    below = (0.5, -0.22)
    axes.legend(loc="upper center", bbox_to_anchor=below, fontsize="x-small", frameon=False)
    if d == 5 and {"doubly-stochastic", "perfect-mirsky"} <= curves.keys():
        x, y = EXCEPTION
        inset = axes.inset_axes((0.3, 0.36, 0.45, 0.25), xlim=x, ylim=y, xticks=[], yticks=[])
        inset.spines[:].set_visible(True)
        _outlines(inset, d, curves)
        axes.indicate_inset_zoom(inset, edgecolor="0.2")


def _outlines(axes: "Axes", d: int, curves: dict[str, Any]) -> None:
    for kind, z in curves.items():
        name, dashes, colour, inside = LOOK[kind]
        region = Region(kind, d)  # type: ignore[arg-type]
        label = f"{name}: area {region.area:.6g}, {region.proven}"
        axes.fill(z.real, z.imag, color=inside, lw=0)
        axes.plot(z.real, z.imag, color=colour, ls=dashes, lw=1.3, label=label)
