"""Axes that many pictures have: depth, training steps, logarithms, numbers near 1."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis

    from birkhoff_cli.analyses.core.arrays import Array

DEPTH = "site in order of depth"

MAX_MARKED_DEPTH = 100
"""Sites up to which each has a mark of its own on a line."""

MAX_TICKS = 7
"""Ticks of an axis of powers of 10."""

PLAIN = 3
"""Powers of 10 up to this are written out: 0.001 to 1000."""

ROUNDING = 1e-9
"""Of a whole exponent."""


def integers(axis: "Axis", **more: Any) -> None:
    """Ticks at whole numbers only; ``more`` goes to the locator."""
    locator: Any = axis.get_major_locator()
    locator.set_params(integer=True, **more)


def depth(axes: "Axes", label: str = DEPTH, **more: Any) -> None:
    """Sites to the right; ``more`` goes to the locator of ticks."""
    axes.set(xlabel=label)
    integers(axes.xaxis, **more)


def composite_depth(axes: "Axes", sites: int, label: str) -> None:
    """Numbers of sites from 1 on to the right."""
    axes.set(xlabel=label)
    if sites == 1:
        axes.set_xticks([1])
    else:
        integers(axes.xaxis)


def steps(axes: "Axes") -> None:
    """Training steps to the right."""
    axes.set(xlabel="training step")


def reference(axes: "Axes", height: float, **more: Any) -> None:
    """A thin line at a height to compare with; ``more`` may be its label."""
    axes.axhline(height, color="0.4", lw=0.8, ls=":", zorder=1, **more)


def around_one(axes: "Axes") -> None:
    """The line at 1, and ticks that are numbers and not distances from another number."""
    reference(axes, 1)
    axes.ticklabel_format(axis="y", useOffset=False)


def powers_of_ten(axis: "Axis", low: float, high: float, is_exponent: bool = False) -> None:
    """Ticks at powers of 10, or at 1, 2 and 5 times them if few are in sight; all written alike.

    Args:
        axis: of logarithmic scale, or of the exponents themselves.
        low: lower end of what is shown, as a power of 10.
        high: its upper end.
        is_exponent: the axis is linear in the exponent.
    """
    exponents = _exponents(low, high)
    plain = max(np.abs(np.floor(exponents)), default=0) <= PLAIN
    labels = [f"{10.0**e:,.6g}" if plain else _power(e) for e in exponents]
    ticks = exponents if is_exponent else 10.0**exponents
    axis.set_ticks(list(ticks), labels)
    axis.set_ticks([], minor=True)


def _exponents(low: float, high: float) -> "Array":
    """Whole exponents within two ends; where there are fewer than two, those of 1, 2 and 5 too."""
    whole = np.arange(np.ceil(low), np.floor(high) + 1)
    if len(whole) >= 2:
        stride = next(s for s in _strides() if (whole[-1] - whole[0]) / s < MAX_TICKS)
        return np.asarray(whole[whole % stride == 0])
    between = np.arange(np.floor(low), np.ceil(high) + 1)[:, None] + np.log10([1, 2, 5])
    fine = between[(between >= low) & (between <= high)]
    return fine if len(fine) >= 2 else np.log10(_round_numbers(10**low, 10**high))


def _round_numbers(low: float, high: float) -> "Array":
    """A few round numbers between two positive ones."""
    from matplotlib.ticker import MaxNLocator

    ticks = np.asarray(MaxNLocator(4).tick_values(low, high))
    return ticks[(ticks >= low) & (ticks <= high) & (ticks > 0)]


def _strides() -> Any:
    """1, 2, 5, 10, 20, 50 and so on."""
    return (digit * 10**power for power in range(4) for digit in (1, 2, 5))


def _power(exponent: float) -> str:
    power = int(np.floor(exponent + ROUNDING))
    digits = f"{10 ** (exponent - power):.6g}"
    factor = "" if digits == "1" else f"{digits} \\times "
    return f"${factor}10^{{{power}}}$"


def logarithmic(axes: "Axes", side: str = "y") -> None:
    """A logarithmic scale of what axes show by now, if anything, with ticks at powers of 10."""
    axis = axes.yaxis if side == "y" else axes.xaxis
    if not np.isfinite(axis.get_minpos()):  # nothing to take a logarithm of
        return
    axes.set(**{f"{side}scale": "log"})
    low, high = np.log10(axis.get_view_interval())
    powers_of_ten(axis, low, high)


def swept(axes: "Axes", values: "Sequence[float]") -> None:
    """A tick for every value of what is swept; by their logarithms where they span a wide range."""
    if min(values) > 0 and max(values) > WIDE_RANGE * min(values):
        axes.set_xscale("log")
    exponents = np.log10(values) if min(values) > 0 else np.array([0.5])
    labels = [f"{value:g}" for value in values]
    if max(map(len, labels)) > PLAIN and np.allclose(exponents, np.round(exponents)):
        labels = [_power(e) for e in exponents]
    axes.set_xticks(list(values), _apart(list(values), labels, axes.get_xscale() == "log"))
    axes.set_xticks([], minor=True)


def _apart(values: "list[float]", labels: list[str], is_log: bool) -> list[str]:
    """Words of ticks, empty where one would touch another; the first and the last stay."""
    at = np.log10(values) if is_log else np.array(values, float)
    at = (at - at.min()) / max(np.ptp(at), TINY)
    shown: list[int] = []
    for k in (0, len(at) - 1, *range(1, len(at) - 1)):
        room = LETTER_SHARE * len(labels[k].translate(UNSEEN))
        if all(abs(at[k] - at[other]) > room for other in shown):
            shown.append(k)
    return [word if k in shown else "" for k, word in enumerate(labels)]


LETTER_SHARE = 0.055
"""Of a letter in the width of a small panel."""

UNSEEN = str.maketrans("", "", "${}^")
"""What a formula does not show."""

TINY = 1e-300
"""Keeps a single value from a division by 0."""

WIDE_RANGE = 3
"""Factor between values from which on they are drawn by their logarithms."""
