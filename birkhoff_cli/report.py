"""What a person reads on the terminal: progress, notes, the summary."""

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from birkhoff_cli.analyses.core.result import Result, Summary
from birkhoff_cli.analyses.core.table import Columns
from birkhoff_cli.files import STDOUT, writing
from birkhoff_cli.text import escape, finite, plain

if TYPE_CHECKING:
    from rich.console import Console

    from birkhoff_cli.invocation import Invocation


def progress(steps: Iterator[Columns], total: int, invocation: "Invocation") -> Iterator[Columns]:
    """The same steps, with a bar on standard error while they run, if that is a terminal."""
    if invocation.quiet or total < 2 or sys.stderr is None or not sys.stderr.isatty():
        yield from steps
        return
    from rich.progress import track

    yield from track(
        steps,
        total=total,
        description=invocation.name,
        console=_console(sys.stderr),
        transient=True,
    )


def show(summary: Summary, result: Result, invocation: "Invocation") -> None:
    """The summary where it was asked for; notes and the legend always on standard error."""
    _notes(result, invocation)
    stream = sys.stderr if invocation.output == STDOUT else sys.stdout
    if stream is None:
        return
    with writing("standard output"):
        if invocation.json:
            print(json.dumps(finite(dict(summary)), ensure_ascii=False, default=plain))
        elif not invocation.quiet:
            _print(summary, invocation.name, _console(stream))
            if invocation.verbose:
                _explain(summary, invocation, stream)
        stream.flush()


def _notes(result: Result, invocation: "Invocation") -> None:
    if sys.stderr is None or invocation.quiet:
        return
    metas = (result.meta, *result.meta.get("series", {}).values())
    for assumption in dict.fromkeys(a for meta in metas for a in meta.get("assumptions", ())):
        print(f"birkhoff: assumed: {escape(assumption)}", file=sys.stderr)
    if invocation.verbose:
        for column in result.schema:
            print(f"{column.name}: {column.about} [{column.unit}]", file=sys.stderr)


def _explain(summary: Summary, invocation: "Invocation", stream: Any) -> None:
    """A line for every key of ``--json``: the key, its value, its meaning; null ones too."""
    from birkhoff_cli.summaries import explain

    lines = [
        (key, _shown(values), q.legend) for key, values, q in explain(summary, invocation.module)
    ]
    widths = [max(map(len, cells)) for cells in [*zip(*lines, strict=True)][:2]]
    for key, value, legend in lines:
        print(f"{key:{widths[0]}}  {value:{widths[1]}}  {legend}", file=stream)


MAX_VALUE = 32
"""Letters of a value before its meaning."""


def _shown(values: Sequence[Any]) -> str:
    """A value; of rows the first and the last."""
    if any(_is_rows(value) and value for value in values):
        return f"{sum(map(len, values))} rows"
    ends = values[:1] if len(values) == 1 else (values[0], values[-1])
    text = " ... ".join(str(_word(value)) for value in ends)
    return text if len(text) <= MAX_VALUE else f"{text[: MAX_VALUE - 4]} ..."


def _print(summary: Summary, title: str, console: "Console") -> None:
    from rich.table import Table

    scalars = {k: v for k, v in summary.items() if not _is_rows(v)}
    if scalars:
        table = Table("", title, box=None, header_style="bold", pad_edge=False)
        for key, value in scalars.items():
            table.add_row(key.replace("_", " "), _word(value))
        console.print(table)
    for key, rows in summary.items():
        if _is_rows(rows):
            console.print(_rows(key, rows))


WIDE = 8


def _rows(title: str, rows: list[Mapping[str, Any]]) -> Any:
    """A line per row; of rows with many numbers, which no terminal can hold, a column per row."""
    from rich.table import Table

    table = Table(title=title, title_justify="left", box=None, header_style="bold", pad_edge=False)
    keys = list(rows[0]) if rows else []
    cells = [
        [key.replace("_", " ") for key in keys],
        *([_word(row[k]) for k in keys] for row in rows),
    ]
    if len(keys) > WIDE and len(rows) <= WIDE:
        cells = [list(line) for line in zip(*cells, strict=True)]
    for head in cells[0] if cells else ():
        table.add_column(head, overflow="fold")
    for line in cells[1:]:
        table.add_row(*line)
    return table


def _is_rows(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(row, Mapping) for row in value)


def _word(value: Any) -> Any:
    from rich.text import Text

    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, list | tuple):
        value = ", ".join(str(v) for v in value)
    return Text(escape(str(value)))  # never markup: it may come from a file


def _console(stream: Any) -> "Console":
    from rich.console import Console

    return Console(file=stream, highlight=False, soft_wrap=False)
