"""Distributions along an axis: a line within bands of its percentiles and of its range."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from birkhoff_cli.analyses.core.arrays import Array

RANGE, MIDDLE = 0.18, 0.35
"""Opacity of the band from the smallest to the largest value, and of that of the middle 80 %."""

EDGES = {"min": ":", "p10": "--", "p90": "--", "max": ":"}
"""How the ends of both bands are drawn where they are lines."""


def band(
    axes: "Axes", x: "Array", low: "Array", high: "Array", colour: str, opacity: float, **more: Any
) -> None:
    """A band without an outline; ``more`` may be its label."""
    axes.fill_between(x, low, high, color=colour, alpha=opacity, lw=0, **more)


def distribution(
    axes: "Axes",
    x: "Array",
    rows: "dict[str, Array]",
    colour: str,
    labels: tuple[str | None, str | None, str | None] = (None, None, None),
    **line: Any,
) -> None:
    """Range, 10 to 90 %, and median.

    Args:
        axes: where.
        x: places along the axis.
        rows: columns ``min, p10, p50, p90, max`` of numbers, one for every place.
        colour: of all of it.
        labels: of the range, of the middle 80 %, and of the median; None for no entry.
        line: style of the median.
    """
    outer, inner, middle = labels
    band(axes, x, rows["min"], rows["max"], colour, RANGE, label=outer)
    band(axes, x, rows["p10"], rows["p90"], colour, MIDDLE, label=inner)
    axes.plot(x, rows["p50"], color=colour, lw=1.2, label=middle, **line)


def edges(
    axes: "Axes", x: "Array", rows: "dict[str, Array]", colour: str, label: str, **line: Any
) -> None:
    """A distribution over another one: lines at the ends of its bands, as colours would mix.

    Args:
        axes: where.
        x: places along the axis.
        rows: as in `distribution`.
        colour: of all of it.
        label: of the median.
        line: style of the median.
    """
    for name, dashes in EDGES.items():
        axes.plot(x, rows[name], color=colour, lw=0.8, ls=dashes)
    axes.plot(x, rows["p50"], color=colour, lw=1.6, label=label, **line)
