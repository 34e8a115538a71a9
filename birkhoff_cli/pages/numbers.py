"""The headline numbers of one analysis as a page shows them: lines, tables, steps of a series."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from birkhoff_cli import summaries
from birkhoff_cli.analyses.core.quantities import Quantities, Quantity, by_name
from birkhoff_cli.pages.glossary import Glossary, Meaning
from birkhoff_cli.text import is_rows, word

MAX_ROWS = 200
"""Rows of a list that a page shows."""

MAX_OPEN_ROWS = 24
"""Rows of a list that is open when the page is."""

ACROSS = 6
"""Columns of a table beside its first: more do not fit on paper or on a telephone."""

Line = tuple[Meaning, str]


@dataclass(frozen=True)
class Table:
    """Rows of a list in a summary, cut into parts that fit.

    Attributes:
        title: what it lists.
        parts: headings and rows of each part; the columns that name a row are in all.
        count: rows that there are.
        more: rows that are not shown.
    """

    title: Meaning
    parts: Sequence[tuple[Sequence[Meaning], Sequence[Sequence[str]]]]
    count: int
    more: int

    @property
    def open(self) -> bool:
        """Whether it is short enough to be open at once."""
        return self.count <= MAX_OPEN_ROWS


@dataclass(frozen=True)
class Numbers:
    """What a page shows of a summary.

    Attributes:
        lines: names and values.
        exact: names of what is 1 by construction.
        unknown: names of what is null.
        changes: of a series, what changes: names with the first and the last value.
        ends: the first and the last step, in words.
        tables: lists of rows; of a series the steps last.
    """

    lines: Sequence[Line]
    exact: Sequence[Meaning]
    unknown: Sequence[Meaning]
    changes: Sequence[tuple[Meaning, str, str]]
    ends: tuple[str, str]
    tables: Sequence[Table]


def arrange(summary: Mapping[str, Any], module: ModuleType, glossary: Glossary) -> Numbers:
    """Sort the keys of a summary by how they are shown."""
    known = by_name(summaries.declared(module))
    steps: Sequence[Mapping[str, Any]] = summary.get("steps") or ()
    moving = [key for key in _varying(steps) if key != "step"]
    flat = {k: v for k, v in summary.items() if not is_rows(v) and k not in moving}
    flat = {k: v for k, v in flat.items() if k != "steps" and not (steps and k == "step")}
    folded = summaries.fold(flat, known)

    def name(key: str) -> Meaning:
        return _meaning(key, known, glossary)

    first, last = (steps[0], steps[-1]) if steps else ({}, {})
    changes = [(name(key), word(first.get(key)), word(last.get(key))) for key in moving]
    return Numbers(
        lines=[(name(key), word(value)) for key, value in folded.shown.items()],
        exact=[name(key) for key in folded.exact],
        unknown=[name(key) for key in folded.unknown],
        changes=changes,
        ends=(word(first.get("step")), word(last.get("step"))),
        tables=list(_tables(summary, known, moving, glossary)),
    )


def _meaning(key: str, known: Mapping[str, Quantity], glossary: Glossary) -> Meaning:
    return glossary.refer(key, known[key].legend if key in known else "not declared")


def _varying(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Keys whose values do not read the same in all rows; lists of rows are none."""
    keys = dict.fromkeys(key for row in rows for key in row)
    values = {key: [row.get(key) for row in rows] for key in keys}
    return [
        key
        for key, column in values.items()
        if not any(map(is_rows, column)) and len(set(map(word, column))) > 1
    ]


def _tables(
    summary: Mapping[str, Any],
    known: Mapping[str, Quantity],
    moving: Sequence[str],
    glossary: Glossary,
) -> Iterator[Table]:
    for key, rows in summary.items():
        if not is_rows(rows):
            continue
        keys = list(dict.fromkeys(k for row in rows for k in row))
        if key == "steps":
            keys = ["step", *moving]
        else:
            keys = [k for k in keys if any(row.get(k) is not None for row in rows)]
        inner: Quantities = known[key].rows if key in known else ()
        if rows and keys[1:]:
            yield _table(_meaning(key, known, glossary), rows, keys, by_name(inner), glossary)


def _table(
    title: Meaning,
    rows: Sequence[Mapping[str, Any]],
    keys: Sequence[str],
    known: Mapping[str, Quantity],
    glossary: Glossary,
) -> Table:
    shown = rows[:MAX_ROWS]
    parts = []
    names = _naming(rows, keys)
    for start in range(names, len(keys), ACROSS):
        own = [*keys[:names], *keys[start : start + ACROSS]]
        heads = [_meaning(key, known, glossary) for key in own]
        parts.append((heads, [[word(row.get(key)) for key in own] for row in shown]))
    return Table(title, parts, len(rows), len(rows) - len(shown))


def _naming(rows: Sequence[Mapping[str, Any]], keys: Sequence[str]) -> int:
    """How many of the first columns, words all of them, tell rows apart; 1 if none do."""
    for count in range(1, len(keys)):
        if not all(isinstance(row.get(keys[count - 1]), str) for row in rows):
            return 1
        if len({tuple(row[key] for key in keys[:count]) for row in rows}) == len(rows):
            return count
    return 1
