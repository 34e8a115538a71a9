"""Points of a plane: how dense they are, and outlines of the sets that they lie in."""

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from birkhoff_cli.analyses.core import palette
from birkhoff_cli.analyses.core.palette import VERMILION

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from birkhoff_cli.analyses.core.arrays import Array

LIGHT = 0.6
"""Share of its colour that an area keeps; the rest is white."""

ROOM = 1.02
"""How far beyond the farthest point the axes reach."""

POINTS = 3
"""Order of points: over all lines, so that no outline hides them."""


class Counts(NamedTuple):
    """Points in the cells of a square about 0."""

    edges: "Array"
    number: "Array"
    """``(re, im)``; NaN in an empty cell, which stays white."""


def counts(re: "Array", im: "Array", bins: int, least: float) -> Counts | None:
    """Count points in cells; None without points, which a logarithmic scale cannot show.

    Args:
        re: first coordinates.
        im: second ones.
        bins: cells along each side.
        least: half the side of the square, or more so that all points are in it.
    """
    if not len(re):
        return None
    limit = max(least, *(float(np.abs(v).max()) * ROOM for v in (re, im)))
    number, edges, _ = np.histogram2d(re, im, bins=bins, range=[[-limit, limit]] * 2)
    number[number == 0] = np.nan
    return Counts(edges, number)


def cells_of(axes: "Axes", count: Counts, most: float, is_upright: bool) -> Any:
    """Counts by their logarithm, over all lines: what was drawn hides an outline, not the reverse.

    Args:
        axes: where.
        count: the cells.
        most: count of the last colour.
        is_upright: the real part goes up.

    Returns:
        What a colour bar needs.
    """
    from matplotlib.colors import LogNorm

    number = count.number if is_upright else count.number.T
    scale = LogNorm(1, max(most, 2))
    return axes.pcolormesh(
        count.edges, count.edges, number, norm=scale, rasterized=True, zorder=POINTS
    )


def density(
    axes: "Axes", re: "Array", im: "Array", bins: int, least: float, is_upright: bool = False
) -> Any:
    """`counts` as colours of their own scale; None without points."""
    count = counts(re, im, bins, least)
    if count is None:
        return None
    return cells_of(axes, count, float(np.nanmax(count.number)), is_upright)


def by_layer(axes: "Axes", x: "Array", y: "Array", layers: "Array") -> Any:
    """Points coloured by layer, in an order in which no layer hides the others.

    Returns:
        What a colour bar needs.
    """
    order = np.random.default_rng(0).permutation(len(x))  # a layer's points are drawn at any time
    colours = palette.numbers(layers.min(initial=0), layers.max(initial=0))
    shown = colours.to_rgba(layers[order])
    axes.scatter(x[order], y[order], c=shown, s=10, alpha=0.8, zorder=POINTS, lw=0)
    return colours


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
