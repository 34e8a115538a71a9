"""A result in a notebook: its headline numbers, and what every number and every column means."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from birkhoff_cli.analyses.core.quantities import STEP, Quantities, by_name, quantity, steps_of
from birkhoff_cli.analyses.core.sentences import count

if TYPE_CHECKING:
    from birkhoff_cli.analyses.core.result import Result

PAGE = """
{% if answer %}<p>{{ answer }}</p>{% endif %}
<table>
<caption>{{ name }}: {{ rows }}</caption>
<thead><tr><th>number</th><th>value</th><th>meaning</th></tr></thead>
<tbody>
{% for line in numbers %}
<tr><td>{{ line.name }}</td><td>{{ line.value }}</td>
<td style="text-align: left">{{ line.meaning }}</td></tr>
{% endfor %}
</tbody>
</table>
<details><summary>columns of the table</summary>
<table>
<thead><tr><th>column</th><th>type</th><th>unit</th><th>meaning</th></tr></thead>
<tbody>
{% for column in columns %}
<tr><td>{{ column.name }}</td><td>{{ column.dtype }}</td><td>{{ column.unit }}</td>
<td style="text-align: left">{{ column.about }}</td></tr>
{% endfor %}
</tbody>
</table>
</details>
"""


MAX_ROWS = 12
"""Rows of a list that are all shown."""


class Line(NamedTuple):
    """One headline number."""

    name: str
    value: str
    meaning: str


def page(result: "Result") -> str:
    """The result as HTML; it is computed for this if it was not yet."""
    from jinja2 import Environment

    table = result.table
    template = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True).from_string(PAGE)
    return template.render(
        answer=result.answer,
        name=result.name,
        rows=f"{len(table):,} rows",
        numbers=[*_lines(result.summary, _meanings(result))],
        columns=result.schema,
    )


def _meanings(result: "Result") -> Quantities:
    """Declarations of the summary, of a series too."""
    declared: Quantities = vars(result.author).get("SUMMARY", ()) if result.author else ()
    return (*declared, STEP, steps_of(declared))


def _lines(summary: Mapping[str, Any], known: Quantities, prefix: str = "") -> Iterator[Line]:
    """A line for every number; those of rows are named by the place of their row.

    Of many rows only the first and the last are there.
    """
    meanings = by_name(known)
    for key, value in summary.items():
        meaning = meanings.get(key, quantity(key, "", unit=""))
        if isinstance(value, list) and value and all(isinstance(row, Mapping) for row in value):
            yield Line(prefix + key, count(len(value), "row"), meaning.legend)
            rows = list(enumerate(value))
            for k, row in rows if len(rows) <= MAX_ROWS else (rows[0], rows[-1]):
                yield from _lines(row, meaning.rows, f"{prefix}{key}[{k}].")
        else:
            yield Line(prefix + key, _word(value), meaning.legend)


def _word(value: Any) -> str:
    if value is None:
        return "not defined"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.6g}" if isinstance(value, float) else str(value)
