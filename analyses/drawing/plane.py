"""Points of a plane: how dense they are, and outlines of the sets that they lie in."""

from typing import TYPE_CHECKING, Any

import numpy as np

from birkhoff_cli.analyses.drawing.palette import VERMILION

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from birkhoff_cli.analyses.core.arrays import Array

LIGHT = 0.6
"""Share of its colour that an area keeps; the rest is white."""

ROOM = 1.02
"""How far beyond the farthest point the axes reach."""


def density(axes: "Axes", x: "Array", y: "Array", bins: int, least: float) -> Any:
    """Counts in the cells of a square about 0, colours by their logarithm; empty cells are white.

    Args:
        axes: where.
        x: first coordinates.
        y: second ones.
        bins: cells along each side.
        least: half the side of the square, or more so that all points are in it.

    Returns:
        What a colour bar needs; None without points, which a logarithmic scale cannot show.
    """
    if not len(x):
        return None
    limit = max(least, *(float(np.abs(v).max()) * ROOM for v in (x, y)))
    counts, edges, _ = np.histogram2d(x, y, bins=bins, range=[[-limit, limit]] * 2)
    counts[counts == 0] = np.nan
    return axes.pcolormesh(edges, edges, counts.T, norm="log", rasterized=True)


def by_layer(axes: "Axes", x: "Array", y: "Array", layers: "Array") -> Any:
    """Points coloured by layer; returns what a colour bar needs."""
    return axes.scatter(x, y, c=layers, s=9, zorder=3, lw=0)


def outline(axes: "Axes", x: "Array", y: "Array", width: float, **more: Any) -> None:
    """The boundary of a set; ``more`` may be a label and a marker."""
    axes.plot(x, y, color=VERMILION, lw=width, **more)


def cells(axes: "Axes", corners: "Array", color: str) -> None:
    """Areas of one colour, lightened; ``corners`` are complex, ``(cells, corners)``.

    Opaque, with edges: transparent cells that touch show every seam.
    """
    from matplotlib.collections import PolyCollection
    from matplotlib.colors import to_rgb

    light = tuple(1 - LIGHT * (1 - part) for part in to_rgb(color))
    areas = list(np.stack([corners.real, corners.imag], -1))
    axes.add_collection(PolyCollection(areas, facecolors=light, edgecolors=light, lw=0.3))


def lines(axes: "Axes", begin: "Array", end: "Array", **style: Any) -> None:
    """Straight lines between complex points ``(n,)``."""
    from matplotlib.collections import LineCollection

    ends = np.stack([begin, end], -1)
    axes.add_collection(LineCollection(list(np.stack([ends.real, ends.imag], -1)), **style))


def unit_circle(axes: "Axes", **style: Any) -> None:
    """The circle of radius 1 about 0."""
    angle = np.linspace(0, 2 * np.pi, 361)
    axes.plot(np.cos(angle), np.sin(angle), **style)


def name_eigenvalue_axes(axes: "Axes") -> None:
    """Real part to the right, imaginary part up."""
    axes.set(xlabel="Re $\\lambda$", ylabel="Im $\\lambda$", aspect="equal")
