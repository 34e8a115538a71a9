"""Rows of a log become steps: one for each, with the last number that it has of everything."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from birkhoff_cli.analyses.core.arrays import Array
from birkhoff_cli.analyses.core.errors import BadInput, TooLarge
from birkhoff_cli.analyses.core.training_log import LAYERS
from birkhoff_cli.containers import escape, where
from birkhoff_cli.content import Content

MAX_NORMS = 1 << 22
"""Steps times layers that any log may have; a larger log one for each of its bytes."""

MAX_STEP = 2**53
"""Beyond it a float64 does not hold every whole number."""


def whole_steps(path: Path, name: str, cells: Sequence[Any]) -> Array:
    """Whole numbers, one for every row."""
    steps, there = numbers(path, name, cells)
    whole = there & np.isfinite(steps) & (np.abs(steps) < MAX_STEP)
    whole[whole] = steps[whole] == np.floor(steps[whole])
    if not whole.all():
        row = int(np.flatnonzero(~whole)[0])
        raise BadInput(
            f"{where(path)}: row {row + 1:,} has no whole number as its {escape(name, 30)} "
            f"({escape(cells[row], 30)}); leave such rows out"
        )
    return steps.astype(np.int64)


def numbers(path: Path, name: str, cells: Sequence[Any]) -> tuple[Array, Array]:
    """A number for every row, and whether it has one."""
    values = np.full(len(cells), np.nan)
    there = np.array([cell is not None for cell in cells], bool)
    for row in np.flatnonzero(there).tolist():
        try:
            values[row] = _number(cells[row])
        except (TypeError, ValueError, OverflowError):
            raise BadInput(
                f"{where(path)}: row {row + 1:,} of {escape(name, 30)} is no number "
                f"({escape(cells[row], 30)}); give a number, or nothing"
            ) from None
    return values, there


def _number(cell: Any) -> float:
    """A number as logs have it; raises ValueError of truths, and of what only Python reads as one.

    That is digits with underscores between them, and those of other scripts.
    """
    if isinstance(cell, bool) or (isinstance(cell, str) and ("_" in cell or not cell.isascii())):
        raise ValueError("no number")
    return float(cell)


def by_step(cells: Array, there: Array, index: Array, steps: int) -> tuple[Array, Array, Array]:
    """The last number of every step, whether it has one, and whether it has two that differ.

    Args:
        cells: a number for every row.
        there: whether the row has it.
        index: which step the row is of.
        steps: how many there are.
    """
    values, logged = np.full(steps, np.nan), np.zeros(steps, bool)
    at, cell_values = index[there], cells[there]
    first = np.full(steps, np.nan)
    first[at[::-1]] = cell_values[::-1]  # the first of each, as later assignments win
    values[at] = cell_values
    logged[at] = True
    again = logged & ~((values == first) | (np.isnan(values) & np.isnan(first)))
    return values, logged, again


def layer_norms(content: Content, rows: Sequence[Any], index: Array, steps: int) -> Array | None:
    """Gradient norms ``(steps, layers)`` of a list for every row; None if there are none.

    NaN where a step has none, infinite where one is NaN.

    Raises:
        TooLarge: far more layers than most of many steps have.
    """
    if not any(rows):
        return None
    path, width = content.label, max(len(row) for row in rows if row)
    require_norms(content, width, steps)
    norms_of_steps = np.full((steps, width), np.nan)
    for at, row in zip(index, rows, strict=True):
        if row:
            norms, there = numbers(path, LAYERS, row)
            norms_of_steps[at, : len(row)] = np.where(there & np.isnan(norms), np.inf, norms)
    return norms_of_steps


def require_norms(content: Content, layers: int, rows: int) -> None:
    """Hold that a log has gradient norms of so many layers in most of so many rows.

    Raises:
        TooLarge: it is too small for that.
    """
    if layers * rows > max(MAX_NORMS, content.size):
        raise TooLarge(
            f"{where(content.label)}: has gradient norms of {layers:,} layers in one of {rows:,} "
            f"steps, and most steps lack most of them; leave {LAYERS} out"
        )
