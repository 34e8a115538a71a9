"""What a person reads on the terminal: notes, the answer, the numbers behind it."""

import contextlib
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TextIO

from birkhoff_cli import layout, summaries
from birkhoff_cli.analyses.core.lettering import label
from birkhoff_cli.analyses.core.quantities import STEP, by_name, steps_of
from birkhoff_cli.analyses.core.result import Result, Summary
from birkhoff_cli.files import STDOUT, writing
from birkhoff_cli.text import escape, finite, is_rows, plain, word

if TYPE_CHECKING:
    from birkhoff_cli.invocation import Invocation
    from birkhoff_cli.preview import Preview


def show(
    summary: Summary, result: Result, invocation: "Invocation", rows: "Preview | None" = None
) -> None:
    """The summary where it was asked for; notes and the legend always on standard error."""
    stream = sys.stderr if invocation.output == STDOUT else sys.stdout
    # all of it before the first line of it: a lack of memory leaves no half of a page
    lines = [] if stream is None else list(_lines(summary, invocation, stream, rows))
    heard = contextlib.suppress(OSError)  # what standard error does not take changes no exit code
    with heard:
        _notes(summary, result, invocation)
    if stream is None:
        return
    with heard if stream is sys.stderr else writing("standard output"):
        for line in lines:
            print(line, file=stream)
        stream.flush()


def _lines(
    summary: Summary, invocation: "Invocation", stream: TextIO, rows: "Preview | None"
) -> Iterator[str]:
    if not invocation.json:
        yield from _page(summary, invocation, layout.columns_of(stream), rows)
        return
    numbers = summaries.with_answer(summary, invocation.module)
    in_ascii = not (stream.encoding or "").lower().startswith("utf")
    yield json.dumps(finite(numbers), ensure_ascii=in_ascii, default=plain)


def _notes(summary: Summary, result: Result, invocation: "Invocation") -> None:
    if sys.stderr is None or invocation.quiet:
        return
    metas = (result.meta, *result.meta.get("series", {}).values())
    assumed = dict.fromkeys(a for meta in metas for a in meta.get("assumptions", ()))
    is_shown = not invocation.json and "assumptions" in summary  # the numbers say it already
    for assumption in () if is_shown else assumed:
        print(f"birkhoff: assumed: {escape(assumption)}", file=sys.stderr)
    if vars(invocation.module).get("WRITES_ROWS") and _keeps_nothing(invocation):
        print("birkhoff: no row was kept; say -o FILE, or -o - --format csv", file=sys.stderr)
    if invocation.verbose:
        for column in result.schema:
            print(f"{column.name}: {column.about} [{column.unit}]", file=sys.stderr)


def _keeps_nothing(invocation: "Invocation") -> bool:
    return invocation.output is None and not (invocation.table or invocation.json)


def _page(
    summary: Summary, invocation: "Invocation", width: int | None, rows: "Preview | None"
) -> Iterator[str]:
    """The answer, numbers, lists; with -v the meaning of every key; the rows of the table."""
    if not invocation.quiet:
        if sentence := summaries.answer(summary, invocation.module):
            yield layout.wrap(escape(sentence), width)
            yield ""
        yield from (
            _verbose(summary, invocation, width)
            if invocation.verbose
            else _numbers(summary, invocation, width)
        )
        yield from _lists(summary, invocation, width)
    if rows is not None:
        yield from _block("rows", rows.headings, rows.cells, width, "-o FILE has every column")
        if rows.more:
            yield f"{rows.more:,} more rows; -o FILE has them all"


STEPS = steps_of(()).name
"""Key of the rows of a series."""


def _numbers(summary: Summary, invocation: "Invocation", width: int | None) -> list[str]:
    """A line for every number that is known; those that are 1 by construction in one."""
    known = by_name(summaries.declared(invocation.module))
    flat = {
        key: value
        for key, value in summary.items()
        if not is_rows(value) and not (key in known and known[key].detail)
    }
    folded = summaries.fold(flat, known)
    lines = [(label(key), word(value)) for key, value in folded.shown.items()]
    if folded.exact:
        lines.append(("1 by construction", ", ".join(map(label, folded.exact))))
    return layout.pairs(lines, width)


def _verbose(summary: Summary, invocation: "Invocation", width: int | None) -> list[str]:
    """A line for every key of ``--json``: the key, its value, its meaning; null ones too."""
    rows = [
        (key, _ends(values), q.legend)
        for key, values, q in summaries.explain(summary, invocation.module)
    ]
    left = max(len(key) for key, *_ in rows)
    lines = [(f"{key:{left}}  {value}", legend) for key, value, legend in rows]
    return layout.pairs(lines, width)


MAX_VALUE = 32
"""Letters of a value before its meaning."""


def _ends(values: Sequence[Any]) -> str:
    """A value; of rows the first and the last."""
    if any(is_rows(value) and value for value in values):
        return f"{sum(map(len, values))} rows"
    text = " ... ".join(word(value) for value in (values[0], *values[1:][-1:]))
    return text if len(text) <= MAX_VALUE else f"{text[: MAX_VALUE - 4]} ..."


MAX_ACROSS = 8
"""Rows that are shown as columns, where they have more keys than this."""


MAX_STEPS = 8
"""Checkpoints of a series that a table shows, the first and the last among them."""


def _lists(summary: Summary, invocation: "Invocation", width: int | None) -> Iterator[str]:
    """A table for every list of rows, without what is null in all of them, and without details.

    With ``--table`` long series are shown whole.
    """
    known = by_name(summaries.declared(invocation.module))
    every = invocation.table
    for title, rows in summary.items():
        if not is_rows(rows) or not rows:
            continue
        details = {q.name for q in known[title].rows if q.detail} if title in known else ()
        keys = [
            k
            for k in dict.fromkeys(k for row in rows for k in row)
            if k not in details and _varies(k, rows, summary)
        ]
        count, is_series = len(rows), title == STEPS
        if is_series and keys == [STEP.name]:
            ends = f"{word(rows[0][STEP.name])} to {word(rows[-1][STEP.name])}"
            yield from ("", f"steps {ends}: {count} checkpoints, alike in every number")
            continue
        if is_series and count > MAX_STEPS and not every:
            rows = [rows[round(k * (count - 1) / (MAX_STEPS - 1))] for k in range(MAX_STEPS)]
        cells = [[word(row.get(key)) for key in keys] for row in rows]
        heads = list(map(label, keys))
        if len(keys) > MAX_ACROSS and len(rows) <= MAX_ACROSS:
            across = layout.grid(
                [heads[0], *(line[0] for line in cells)],
                [[head, *column] for head, *column in zip(heads[1:], *_rest(cells), strict=True)],
                width,
            )
            if not across.left_out:
                yield from ("", label(title), *across.lines)
                continue
        yield from _block(label(title), heads, cells, width, "--json has every key")
        if len(rows) < count:
            yield layout.wrap(f"{len(rows)} of {count} steps; --json has all of them", width)


def _rest(cells: Sequence[Sequence[str]]) -> Iterator[Sequence[str]]:
    return (line[1:] for line in cells)


def _varies(key: str, rows: Sequence[Mapping[str, Any]], summary: Summary) -> bool:
    """Whether a key of rows says more than the summary above them."""
    values = [row.get(key) for row in rows]
    if all(value is None or is_rows(value) for value in values):
        return False
    return not (len(rows) > 1 and key in summary and all(v == summary[key] for v in values))


def _block(
    title: str,
    heads: Sequence[str],
    cells: Sequence[Sequence[str]],
    width: int | None,
    elsewhere: str,
) -> Iterator[str]:
    """A title, a table, and how many of its columns do not fit."""
    table = layout.grid(heads, cells, width)
    yield from ("", title, *table.lines)
    if table.left_out:
        names = ", ".join(table.left_out)
        yield layout.wrap(
            f"{len(table.left_out)} of {len(heads)} columns do not fit: {names}; "
            f"COLUMNS={table.width} shows them, {elsewhere}",
            width,
        )
