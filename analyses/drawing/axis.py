"""Axes that many pictures have: depth, training steps, numbers near 1."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis

DEPTH = "site in order of depth"

MAX_LINEAR_DEPTH = 100
"""Sites up to which an axis of depth is linear."""


def integers(axis: "Axis", **more: Any) -> None:
    """Ticks at whole numbers only; ``more`` goes to the locator."""
    locator: Any = axis.get_major_locator()
    locator.set_params(integer=True, **more)


def depth(axes: "Axes", label: str = DEPTH, **more: Any) -> None:
    """Sites to the right; ``more`` goes to the locator of ticks."""
    axes.set(xlabel=label)
    integers(axes.xaxis, **more)


def long_depth(axes: "Axes", sites: int, label: str, linear: bool = False) -> None:
    """Numbers of sites from 1 on to the right: by their logarithm where there are many."""
    axes.set(xlabel=label)
    if sites > MAX_LINEAR_DEPTH and not linear:
        axes.set_xscale("log")
    elif sites == 1:
        axes.set_xticks([1])
    else:
        integers(axes.xaxis)


def steps(axes: "Axes") -> None:
    """Training steps to the right."""
    axes.set(xlabel="training step")


def reference(axes: "Axes", height: float) -> None:
    """A thin line at a height to compare with."""
    axes.axhline(height, color="0.5", lw=0.6, ls=":")


def around_one(axes: "Axes", apart: float, rounding: float) -> None:
    """The line at 1; where nothing leaves it, an axis that does not magnify rounding.

    Args:
        axes: where.
        apart: the largest distance from 1 of what is drawn.
        rounding: distances below this are none.
    """
    reference(axes, 1)
    axes.ticklabel_format(axis="y", useOffset=False)
    if apart < rounding:
        axes.set_ylim(0.9, 1.1)
