"""Tables as lines of text: a token is never broken, and what does not fit is left out and said."""

import os
import textwrap
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

GAP = "  "
"""Between two columns."""

MIN_TEXT = 16
"""Letters that a column of sentences has at least, if it is shown at all."""


class Grid(NamedTuple):
    """The lines of a table, the headings that did not fit, and the width at which all would."""

    lines: list[str]
    left_out: list[str]
    width: int


def columns_of(stream: Any) -> int | None:
    """How wide lines may be: as COLUMNS says, or the terminal is; None in a pipe."""
    if (text := os.environ.get("COLUMNS", "")).isdecimal() and int(text):
        return int(text)
    if not stream.isatty():
        return None
    try:
        return os.get_terminal_size(stream.fileno()).columns or None
    except OSError:
        return None


def wrap(text: str, width: int | None, indent: str = "") -> str:
    """Text broken between words; lines after the first one begin with ``indent``."""
    if width is None or len(text) <= width:
        return text
    return textwrap.fill(
        text,
        max(width, 1),
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )


def pairs(rows: Sequence[tuple[str, str]], width: int | None) -> list[str]:
    """Names on the left, values on the right."""
    left = max((_cells(name) for name, _ in rows), default=0)
    indent = " " * left + GAP
    return [wrap(_pad(name, left) + GAP + value, width, indent) for name, value in rows]


def grid(headings: Sequence[str], rows: Sequence[Sequence[str]], width: int | None) -> Grid:
    """A line for the headings and for each row, or several where cells are wrapped.

    Columns are taken from the left as long as one still fits; numbers stand at the right.

    Args:
        headings: a heading for every column; it breaks between words.
        rows: cells; a line break in one is kept.
        width: letters in a line; None for as many as it takes.
    """
    columns = [_Column(head, [row[k] for row in rows]) for k, head in enumerate(headings)]
    shown, left_out = _fitting(columns, width)
    sizes = _sizes(shown, width)
    lines = [*_lines([c.heading for c in shown], shown, sizes)]
    for k in range(len(rows)):
        lines += _lines([c.cells[k] for c in shown], shown, sizes)
    whole = sum(c.natural for c in columns) + len(GAP) * (len(columns) - 1)
    return Grid(lines, [c.heading for c in left_out], whole)


class _Column:
    """Cells below a heading, how wide they are and how narrow they can be."""

    def __init__(self, heading: str, cells: Sequence[str]) -> None:
        self.heading, self.cells = heading, cells
        self.is_number = all(map(_is_number, cells)) and any(cell != "-" for cell in cells)
        head = max(map(_cells, heading.split()), default=0)
        lines = [line for cell in cells for line in cell.split("\n")]
        body = max(map(_cells, lines), default=0)
        token = max((_cells(word) for line in lines for word in line.split()), default=0)
        is_block = any("\n" in cell for cell in cells)
        self.natural, self.least = max(head, body), max(head, body if is_block else token)
        self.narrow = max(head, body if is_block else max(token, min(body, MIN_TEXT)))


def _fitting(columns: Sequence[_Column], width: int | None) -> tuple[list[_Column], list[_Column]]:
    if width is None:
        return [*columns], []
    shown: list[_Column] = []
    left_out: list[_Column] = []
    used = -len(GAP)
    for column in columns:
        if shown and used + len(GAP) + column.narrow > width:
            left_out.append(column)
        else:
            shown.append(column)
            used += len(GAP) + column.narrow
    return shown, left_out


def _sizes(columns: Sequence[_Column], width: int | None) -> list[int]:
    """Natural widths; what is too much is taken from the widest."""
    sizes = [c.natural for c in columns]
    least = [c.narrow if len(columns) > 1 else c.least for c in columns]
    while width is not None and sum(sizes) + len(GAP) * (len(sizes) - 1) > width:
        slack = [(size, k) for k, size in enumerate(sizes) if size > least[k]]
        if not slack:
            break
        sizes[max(slack)[1]] -= 1
    return sizes


def _lines(cells: Sequence[str], columns: Sequence[_Column], sizes: Sequence[int]) -> Iterator[str]:
    """The lines of one row."""
    parts = [
        [piece for line in cell.split("\n") for piece in wrap(line, size).split("\n")]
        for cell, size in zip(cells, sizes, strict=True)
    ]
    for k in range(max(map(len, parts), default=0)):
        aligned = (
            _pad(part[k] if k < len(part) else "", size, column.is_number)
            for part, size, column in zip(parts, sizes, columns, strict=True)
        )
        yield GAP.join(aligned).rstrip()


def _pad(text: str, width: int, right: bool = False) -> str:
    room = " " * max(0, width - _cells(text))
    return room + text if right else text + room


def _cells(text: str) -> int:
    """Columns of a terminal that a line takes: most letters of Asia take two."""
    if text.isascii():
        return len(text)
    from rich.cells import cell_len

    return cell_len(text)


def _is_number(cell: str) -> bool:
    return cell == "-" or cell.lstrip("-").replace(",", "")[:1].isdigit() and " " not in cell
