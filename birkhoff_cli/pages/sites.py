"""The table of sites: what analyses say of each, and which values are conspicuous."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING, Any

from birkhoff_cli.analyses.core.questions import SiteColumn
from birkhoff_cli.analyses.core.table import Column
from birkhoff_cli.pages.glossary import Glossary, Meaning
from birkhoff_cli.text import word

if TYPE_CHECKING:
    import pyarrow as pa

PLACE = ("site", "layer", "branch")
"""Columns that say which site it is."""

MAX_SITES = 400
"""Rows of the table; of a deeper model the conspicuous ones come first."""


@dataclass(frozen=True)
class Cell:
    """A value in words, what it is sorted by, and whether it is conspicuous."""

    text: str
    value: str
    beyond: bool = False


@dataclass(frozen=True)
class Sites:
    """A row for every site.

    Attributes:
        heads: names of the columns.
        rows: cells of each.
        limits: names of columns that have conspicuous values, and which these are.
        beyond: rows that have one.
        count: sites that there are.
    """

    heads: Sequence[Meaning]
    rows: Sequence[Sequence[Cell]]
    limits: Sequence[tuple[Meaning, str]]
    beyond: int
    count: int

    @property
    def more(self) -> int:
        """Sites that are not shown."""
        return self.count - len(self.rows)


def collect(
    parts: Iterable[tuple[ModuleType, Mapping[str, Any], "pa.Table"]], glossary: Glossary
) -> Sites | None:
    """The table of sites at the last step, of analyses that have a row for each; None if none has.

    Args:
        parts: analyses with their summary and their table.
        glossary: takes the meanings of the columns.
    """
    heads: list[Meaning] = []
    columns: list[list[Cell]] = []
    limits: list[tuple[Meaning, str]] = []
    for module, summary, table in parts:
        rows = _at_last_step(table).to_pydict()
        if heads and len(rows["site"]) != len(columns[0]):
            continue
        known = {column.name: column for column in module.SCHEMA}
        for shown in _columns(module, first=not heads):
            head = _meaning(known[shown.name], glossary)
            heads.append(head)
            columns.append([_cell(value, shown, summary) for value in rows[shown.name]])
            if limit := shown.limit(summary):
                limits.append((head, limit))
    if not heads:
        return None
    lines = list(zip(*columns, strict=True))
    odd = [any(cell.beyond for cell in line) for line in lines]
    order = list(range(len(lines)))
    if len(lines) > MAX_SITES:
        order = sorted(sorted(order, key=lambda k: not odd[k])[:MAX_SITES])
    return Sites(heads, [lines[k] for k in order], limits, sum(odd), len(lines))


def _columns(module: ModuleType, first: bool) -> Iterator[SiteColumn]:
    if first:
        yield from map(SiteColumn, PLACE)
    yield from module.SITE_COLUMNS


def _at_last_step(table: "pa.Table") -> "pa.Table":
    import pyarrow.compute as pc

    if "step" not in table.column_names or table["step"].null_count:
        return table
    return table.filter(pc.equal(table["step"], pc.max(table["step"])))


def _cell(value: Any, shown: SiteColumn, summary: Mapping[str, Any]) -> Cell:
    if value is None:
        return Cell(word(value), "")
    order = str(int(value) if isinstance(value, bool) else value)
    return Cell(word(value), order, shown.is_conspicuous(value, summary))


def _meaning(column: Column, glossary: Glossary) -> Meaning:
    unit = f" [{column.unit}]" if column.unit != "1" else ""
    return glossary.refer(column.name, column.about + unit)
