"""Headline numbers of many runs in one picture: over training steps, or over what is swept."""

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from birkhoff_cli.analyses.core import palette
from birkhoff_cli.analyses.core.lettering import SMALL, TITLE, label, write_numbers

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Rows = Sequence[Mapping[str, Any]]

MAX_PANELS, ACROSS = 9, 3
"""Panels at most, and in a row."""

PANEL = (2.75, 2.1)
"""Size of a panel in inches."""

MIN_WIDTH = 5.0
"""Of a picture in inches, so that its title fits."""

ENDS = re.compile(r"_(min|max|mean|median|first|last|p10|p50|p90)$")
"""Statistics of one quantity share a panel."""

INNER = re.compile(r"_\d+_")
"""Within a key of rows within a run."""

ROUNDING = 1e-12
"""Difference of two numbers, relative to them or to 1, that is none."""

WIDE_RANGE = 100
"""Positive numbers that span a larger factor are drawn by their logarithms."""

MARKERS = "ov^sDPX*"


def families(rows: Rows, x: str) -> dict[str, list[str]]:
    """Keys of numbers that vary, the statistics of one quantity together, `MAX_PANELS` of them.

    Args:
        rows: a summary for every run.
        x: the key that they are drawn over.
    """
    members: dict[str, list[str]] = {}
    for key in dict.fromkeys(key for row in rows for key in row):
        if key not in (x, "cell") and _varies([row.get(key) for row in rows]):
            members.setdefault(ENDS.sub("", key), []).append(key)
    whole = {name: keys for name, keys in members.items() if not INNER.search(name)}
    return dict([*{**whole, **members}.items()][:MAX_PANELS])


def _varies(values: Sequence[Any]) -> bool:
    """Whether values are numbers and differ by more than rounding."""
    numbers = [v for v in values if v is not None]
    if not numbers or any(isinstance(v, bool) or not isinstance(v, float | int) for v in numbers):
        return False
    apart = max(numbers) - min(numbers)
    return bool(apart > ROUNDING * max(1.0, *map(abs, numbers)))


def size(panels: int) -> tuple[float, float]:
    """Inches that so many panels take."""
    panels = max(panels, 1)
    down = -(-panels // ACROSS)
    return max(PANEL[0] * min(panels, ACROSS), MIN_WIDTH), PANEL[1] * down + 0.6


def draw_numbers(figure: Any, rows: Rows, x: str, beside: str | None = None) -> None:
    """A panel for every family of numbers, over ``x``; colour says it too, or what is beside.

    Args:
        figure: a figure or a part of one.
        rows: a summary for every run.
        x: key of what is to the right.
        beside: key of what lines are told apart by, if two things vary.
    """
    chosen = families(rows, x)
    down = -(-len(chosen) // ACROSS)
    panels = figure.subplots(max(down, 1), min(max(len(chosen), 1), ACROSS), squeeze=False)
    if not chosen:
        panels[0, 0].set_axis_off()
        panels[0, 0].set_title("no number changes", fontsize=SMALL)
        return
    names = _names(rows, x)
    colours = _Colours([row[beside or x] for row in rows])
    for axes, (name, keys) in zip(panels.flat, chosen.items(), strict=False):
        for marker, key in zip(MARKERS, keys, strict=False):
            end = key.removeprefix(name).strip("_") or None
            _lines(axes, rows, x, key, beside, colours, marker, end)
        _scale(axes, [row[key] for row in rows for key in keys if row.get(key) is not None])
        heading = label(name)
        if len(keys) > 1:
            axes.legend(title=heading, ncols=len(keys), **LEGEND)
        else:
            axes.set_title(heading, fontsize=SMALL, loc="left")
        if names:
            axes.set_xticks(range(len(names)), names)
    for axes in panels.flat[len(chosen) :]:
        axes.set_axis_off()
    figure.supxlabel(label(x.removeprefix("swept_")), fontsize=TITLE)
    colours.explain(figure, panels, label((beside or x).removeprefix("swept_")))


def _names(rows: Rows, x: str) -> list[str]:
    """What is to the right, if it is no number."""
    values = [row[x] for row in rows]
    if all(isinstance(v, float | int) for v in values):
        return []
    return list(dict.fromkeys(map(str, values)))


def _lines(
    axes: "Axes",
    rows: Rows,
    x: str,
    key: str,
    beside: str | None,
    colours: "_Colours",
    marker: str,
    end: str | None,
) -> None:
    """A line for every value of what is beside, or a single one, and a point for every run."""
    names = _names(rows, x)
    groups = dict.fromkeys(row[beside] if beside else None for row in rows)
    for group in groups:
        own = [row for row in rows if beside is None or row[beside] == group]
        at = [names.index(str(row[x])) if names else row[x] for row in own]
        values = np.array([np.nan if row.get(key) is None else row[key] for row in own], float)
        line = "0.7" if beside is None else colours.of([group])[0]
        axes.plot(at, values, color=line, lw=0.8, zorder=1)
        shades = colours.of([row[beside or x] for row in own])
        axes.scatter(at, values, c=shades, s=14, marker=marker, label=end, zorder=2, lw=0)
        end = None


def _scale(axes: "Axes", values: Sequence[float]) -> None:
    """By logarithms where positive numbers span a wide range; else without an offset."""
    if len(values) and min(values) > 0 and max(values) > WIDE_RANGE * min(values):
        axes.set_yscale("log")
    else:
        write_numbers(axes.yaxis)


class _Colours:
    """Dark to light by number, or in the order of names."""

    def __init__(self, values: Sequence[Any]) -> None:
        self.names = list(dict.fromkeys(map(str, values)))
        self.numeric = all(isinstance(v, float | int) for v in values)
        self.low = float(min(values)) if self.numeric else 0.0
        self.high = float(max(values)) if self.numeric else float(len(self.names))
        self.scale = palette.numbers(self.low, self.high)

    def of(self, values: Sequence[Any]) -> Any:
        """A colour for every value."""
        at = values if self.numeric else [self.names.index(str(v)) for v in values]
        return self.scale.to_rgba(np.array(at, float))

    def explain(self, figure: Any, panels: Any, name: str) -> None:
        """A colour bar, or a legend of the names."""
        import matplotlib as mpl

        if self.numeric:
            figure.colorbar(self.scale, ax=panels, label=name, shrink=0.8)
            return
        marks = [
            mpl.lines.Line2D([], [], color=self.of([word])[0], marker="o", ls="", label=word)
            for word in self.names
        ]
        figure.legend(handles=marks, loc="outside right center", fontsize=SMALL, title=name)


LEGEND: Any = {
    "loc": "lower left",
    "bbox_to_anchor": (0, 1),
    "alignment": "left",
    "borderaxespad": 0,
    "borderpad": 0.2,
    "handlelength": 0.8,
    "handletextpad": 0.3,
    "columnspacing": 0.8,
    "frameon": False,
    "fontsize": SMALL,
    "title_fontsize": SMALL,
}
"""Of the statistics in a panel: above it, where it hides none."""

Curves = Mapping[str, tuple[Any, Any]]
"""Places to the right and values, by what the values are."""

CURVES_HEIGHT = 2.9
"""Height of a row of curves in inches."""


def draw_curves(figure: Any, curves: Mapping[int, Curves], right: str) -> None:
    """A curve for every training step, dark to light; the first and the last are marked.

    Args:
        figure: a figure or a part of one.
        curves: of every step, a panel for each name.
        right: what is to the right.
    """
    first, *_, last = curves
    names = [*curves[first]]
    panels = figure.subplots(1, len(names), squeeze=False)[0]
    scale = palette.numbers(first, last)
    for axes, name in zip(panels, names, strict=True):
        for step, own in curves.items():
            ends = MARKED.get({first: "first", last: "last"}.get(step, ""), {"lw": 0.9})
            named = f"step {step:,}" if step in (first, last) else None
            axes.plot(*own[name], color=scale.to_rgba(np.array(step)), label=named, **ends)
        _scale(axes, [v for own in curves.values() for v in own[name][1] if np.isfinite(v)])
        axes.set(xlabel=right)
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.legend(title=name, ncols=2, **LEGEND | {"handlelength": 1.6})
    bar = figure.colorbar(scale, ax=panels, label="training step", aspect=30)
    bar.ax.yaxis.get_major_locator().set_params(integer=True)


MARKED: Any = {
    "first": {"lw": 1.6, "ls": "--", "marker": "s", "ms": 3, "zorder": 3},
    "last": {"lw": 1.6, "marker": "o", "ms": 3.5, "zorder": 3},
}
"""Looks of the curves at both ends of a series."""
