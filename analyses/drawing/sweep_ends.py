"""What the fits of a sweep end at, over the number that is swept.

Source: go-mHC, arXiv:2604.02309, figure 8.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from birkhoff_cli.analyses.core.lettering import SMALL
from birkhoff_cli.analyses.core.palette import Look
from birkhoff_cli.analyses.drawing import axis
from birkhoff_cli.analyses.fitting.curves import convergence


def numbers(columns: Mapping[str, Any], swept: Sequence[str], first: Any) -> list[float]:
    """The values of a sweep of one number.

    Args:
        columns: of the table.
        swept: names of what was varied.
        first: a row of every cell.

    Returns:
        None of them where words or several options are swept.
    """
    values = [columns[name][first] for name in swept]
    is_number = len(values) == 1 and values[0].dtype.kind in "if" and len(values[0]) > 1
    return values[0].tolist() if is_number else []


def draw(
    panels: Any,
    columns: Mapping[str, Any],
    name: str,
    values: Sequence[float],
    looks: Mapping[str, Look],
) -> None:
    """The last loss, and the epochs to convergence where a curve converges.

    Args:
        panels: two axes.
        columns: of the table.
        name: of what was varied.
        values: of it.
        looks: of the lines of every method.
    """
    loss, epochs = panels
    for label, look in looks.items():
        ends = [_end(columns, (columns["method"] == label) & (columns[name] == v)) for v in values]
        style: dict[str, Any] = {"color": look.colour, "ls": look.dashes, "marker": look.marker}
        loss.plot(values, [end for end, _ in ends], ms=4, lw=1.1, **style)
        epochs.plot(values, [epoch for _, epoch in ends], ms=4, lw=1.1, **style)
    if not any(np.isfinite(line.get_ydata()).any() for line in epochs.lines):
        note: dict[str, Any] = {"ha": "center", "fontsize": SMALL, "color": "0.4"}
        epochs.text(0.5, 0.5, "none stays there", transform=epochs.transAxes, **note)
        epochs.set_yticks([])
    floors = [columns["floor"][columns[name] == value].mean() for value in values]
    if min(floors) > 0:
        loss.plot(values, floors, color="0.3", lw=0.9, ls=(0, (4, 2)))
    for axes, title in ((loss, "loss at the end"), (epochs, "epochs until within 5 %")):
        axes.set_title(title, fontsize=SMALL)
        axes.set_xlabel(name.removeprefix("swept_").replace("_", " "))
        axis.logarithmic(axes)
        axis.swept(axes, values)


def _end(columns: Mapping[str, Any], rows: Any) -> tuple[float, float]:
    """The mean loss after the last epoch, and the epoch of convergence; NaN where there is none."""
    if not rows.any():
        return np.nan, np.nan
    epoch, where = np.unique(columns["epoch"][rows], return_inverse=True)
    mean = np.bincount(where, columns["loss"][rows]) / np.bincount(where)
    converged = convergence(epoch, mean)
    return float(mean[-1]), np.nan if converged is None else converged
