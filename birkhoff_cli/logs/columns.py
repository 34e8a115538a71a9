"""The columns of a log as Python lists: of tables, CSV, a JSON object per line, or event files."""

import csv
import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from birkhoff_cli import members, tables
from birkhoff_cli.analyses.core import metadata
from birkhoff_cli.analyses.core.errors import BadInput
from birkhoff_cli.containers import escape, where
from birkhoff_cli.content import COPIES, Content
from birkhoff_cli.logs.events import EVENT_FILE, is_events, scalars
from birkhoff_cli.logs.names import STEP
from birkhoff_cli.tables._format import TableFormat

CUT = "the last line is complete, though it has no end"
ENDS = "the log is complete; nothing in it marks its end"
MAX_LINE = 16 << 20
"""Bytes of a line: a million numbers."""

LISTED = 6
"""Names in a message."""


class Columns(NamedTuple):
    """Names of all columns, and a function that gives the values of some; None where there is none.

    Attributes:
        names: in the file's order.
        read: the values of a column by its name, as many as there are rows.
        author: the command that wrote the table, if it is one of ours.
        assumptions: what nothing in the file says.
    """

    names: Sequence[str]
    read: Callable[[Sequence[str]], Mapping[str, list[Any]]]
    author: str | None = None
    assumptions: Sequence[str] = ()


def columns_of(content: Content) -> Columns:
    """The columns of a file, told by its first bytes.

    Raises:
        BadInput: no table.
    """
    head = content.head()
    if is_events(head):
        return _of_events(content)
    format = tables.recognise(head)
    if format is not None and format.keeps_metadata:
        return _of_table(content, format)
    if head.lstrip().startswith(b"{"):
        return _of_objects(content)
    if b"\0" in head or not head.strip():
        raise BadInput(f"{where(content.label)}: is no log; give Parquet, Arrow, CSV or NDJSON")
    return _of_csv(content)


def _of_table(content: Content, format: TableFormat) -> Columns:
    table = format.read(content)

    def read(names: Sequence[str]) -> Mapping[str, list[Any]]:
        from birkhoff_cli.tables._columns import refuse_repeats

        chosen = {*names}
        refuse_repeats(content.label, [n for n in table.names if n in chosen])
        columns: dict[str, list[Any]] = {name: [] for name in names}
        for batch in table.batches([*names], tables.ROWS):
            for name in names:
                columns[name] += batch[name].to_pylist()
        return columns

    author = str(metadata.load(table.schema.metadata).get("schema"))
    return Columns(table.names, read, author if members.package_of(author) else None)


def _of_events(content: Content) -> Columns:
    """A row for every scalar of a TensorBoard event file: its step, and the number by its tag."""
    events = scalars(content)

    def read(names: Sequence[str]) -> Mapping[str, list[Any]]:
        columns: dict[str, list[Any]] = {name: [None] * len(events) for name in names}
        for row, event in enumerate(events):
            if event.tag in columns:
                columns[event.tag][row] = event.value
        if STEP in columns:
            columns[STEP] = [event.step for event in events]
        return columns

    names = list(dict.fromkeys([STEP, *(s.tag for s in events)]))
    return Columns(names, read, assumptions=(ENDS,))


def _of_objects(content: Content) -> Columns:
    """A JSON object per line; keys that a line lacks are None there."""
    names = list(dict.fromkeys(name for row in _objects(content) for name in row))

    def read(chosen: Sequence[str]) -> Mapping[str, list[Any]]:
        columns: dict[str, list[Any]] = {name: [] for name in chosen}
        for row in _objects(content):
            for name, cells in columns.items():
                cells.append(row.get(name))
        return columns

    return Columns(names, read, assumptions=(ENDS,))


def _objects(content: Content) -> Iterator[dict[str, Any]]:
    """The object of every line.

    Raises:
        BadInput: a line is none, or has a key twice.
    """
    for number, line in enumerate(_lines(content), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line, object_pairs_hook=_unique)
        except KeyError as twice:
            name = escape(twice.args[0], 30)
            raise BadInput(
                f"{where(content.label)}: line {number:,} has {name} twice; leave one of them out"
            ) from None
        except (ValueError, RecursionError):
            row = None
        if not isinstance(row, dict):
            raise BadInput(
                f"{where(content.label)}: line {number:,} is no JSON object; a run that still "
                f"writes? give the log when the line is complete"
            )
        yield row


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object; raises KeyError with a key that it has twice, of which one would be taken."""
    entries = dict(pairs)
    if len(entries) < len(pairs):
        keys = [key for key, _ in pairs]
        raise KeyError(next(key for key in keys if keys.count(key) > 1))
    return entries


def _of_csv(content: Content) -> Columns:
    names = next(csv.reader(_lines(content)))
    cut = CUT
    for line in _lines(content):
        cut = "" if line.endswith(("\n", "\r")) else CUT

    def read(chosen: Sequence[str]) -> Mapping[str, list[Any]]:
        counts = Counter(names)
        if twice := [name for name in chosen if counts[name] > 1]:
            raise BadInput(f"{where(content.label)}: has {twice[0]} twice; leave one of them out")
        every = {name: place for place, name in enumerate(names)}
        places = {name: every[name] for name in chosen}
        columns: dict[str, list[Any]] = {name: [] for name in chosen}
        for row in _rows(content, len(names)):
            for name, place in places.items():
                columns[name].append(row[place] or None)
        return columns

    return Columns(names, read, assumptions=(cut or ENDS,))


def _rows(content: Content, width: int) -> Iterator[list[str]]:
    """Every row behind the header but empty ones; raises BadInput where one is not as wide."""
    number = 1
    for row in islice(csv.reader(_lines(content)), 1, None):
        if row:
            number += 1
            if len(row) != width:
                raise BadInput(
                    f"{where(content.label)}: line {number:,} has {len(row)} fields and the header "
                    f"{width}; give a complete CSV file"
                )
            yield row


def _lines(content: Content) -> Iterator[str]:
    """Line by line: of a large file only what is asked for is kept.

    Raises:
        BadInput: no text, or a line that is longer than any of a log.
        TooLarge: what is asked for may not fit in memory.
    """
    content.require_room(COPIES * content.size)
    encoding = "utf-8-sig"
    with content.open() as file:
        while line := file.readline(MAX_LINE):
            if len(line) == MAX_LINE:
                raise BadInput(
                    f"{where(content.label)}: has a line of over {MAX_LINE >> 20} MB; "
                    f"give the log of a run"
                )
            try:
                yield line.decode(encoding)
            except UnicodeDecodeError:
                raise BadInput(f"{where(content.label)}: is no UTF-8 text; convert it") from None
            encoding = "utf-8"


def listed(names: Sequence[str]) -> str:
    """The first names, for a message."""
    return ", ".join(escape(name, 30) for name in names[:LISTED]) or "none"


def label_of(path: Path) -> str:
    """What a run is called by its path: its directory, or the file without its suffix."""
    own = path.resolve()
    generic = own.stem in ("log", "train_log", "metrics") or own.match(EVENT_FILE)
    return own.parent.name if generic else own.stem
