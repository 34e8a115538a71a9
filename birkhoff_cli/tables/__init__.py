"""Table formats: one file = one format, which knows its suffixes and magic, reads and writes.

A file is told by its first bytes, never by its name; the name of an output says what to write.
``BEGINS`` of a format is a regular expression for these bytes, known without importing it: a
format is only asked, and imported, where it fits.
Nothing is used before it is checked: pages against their checksums, buffers by full validation,
every column's type before its values.
"""

import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from birkhoff_cli.analyses.core import discover
from birkhoff_cli.analyses.core.entry_points import Unusable
from birkhoff_cli.analyses.core.errors import BadInput, UsageError
from birkhoff_cli.containers import where
from birkhoff_cli.containers.kinds import check_regular
from birkhoff_cli.containers.store import refusing
from birkhoff_cli.text import either

if TYPE_CHECKING:
    import pyarrow as pa

    from birkhoff_cli.tables._format import TableFormat

__all__ = ["by_suffix", "formats", "load", "names", "read", "recognise", "writable"]

DEFAULT = "parquet"
"""What standard output gets if nothing else was asked for."""

HEAD = 4096
"""Bytes from which the format of a file is told."""

ROWS = 1 << 16
"""Rows that are read together."""


def formats() -> "tuple[TableFormat, ...]":
    """Every format that can be used, in order of names."""
    return tuple(filter(None, map(_usable, discover.members(__name__))))


@cache
def _usable(name: str) -> "TableFormat | None":
    """The format of this name; None if it cannot be used."""
    from birkhoff_cli.tables._format import TableFormat

    try:
        format: TableFormat = discover.subclass(__name__, name, TableFormat)()
    except (Unusable, ModuleNotFoundError):
        return None
    return format


def names() -> tuple[str, ...]:
    """Names of all formats."""
    return tuple(format.name for format in formats())


def writable() -> "tuple[TableFormat, ...]":
    """Those that ``--format`` takes."""
    return tuple(format for format in formats() if format.writes)


def load(name: str) -> "TableFormat":
    """The format of this name, which is there."""
    return next(format for format in formats() if format.name == name)


def by_suffix(path: Path, arrays: bool = False) -> "TableFormat":
    """What to write into a file, by its name.

    Args:
        path: the file.
        arrays: whether a format that holds named arrays and no table will do too.

    Raises:
        UsageError: the name says nothing; those are listed that do.
    """
    known = {suffix: format for format in writable() for suffix in format.suffixes}
    others = (format for format in formats() if arrays and format.writes_arrays)
    every = {suffix: format for format in others for suffix in format.suffixes} | known
    if format := every.get(path.suffix.lower()):
        return format
    raise UsageError(f"{path}: '{path.suffix}' names no table format; use {', '.join(known)}")


def recognise(head: bytes) -> "TableFormat | None":
    """The format of a file that begins like this."""
    for name in discover.members(__name__):
        begins = discover.constant(__name__, name, "BEGINS")
        if begins is not None and not re.match(begins, head, re.DOTALL):
            continue
        if (format := _usable(name)) is not None and format.recognises(head):
            return format
    return None


def read(path: Path) -> "tuple[pa.Table, tuple[str, ...]]":
    """A table with all that it says about itself, whole, and what is assumed of it.

    Raises:
        BadInput: no such file, damaged, or of a format that keeps no metadata.
        TooLarge: more than fits in memory.
    """
    from birkhoff_cli.content import COPIES, of_file

    check_regular(path)
    with refusing(path):
        content = of_file(path)
        format = _keeping(path, recognise(content.head()))
        from birkhoff_cli.tables._columns import gathered, refuse_repeats

        table = format.read(content)
        refuse_repeats(path, table.names)
        content.require_room(COPIES * table.size)
        content.require_growth(table.size)
        names = list(table.names)
        whole = gathered(content, table.batches(names, ROWS), table.schema, names)
        return whole, format.assumptions(content)


def _keeping(path: Path, format: "TableFormat | None") -> "TableFormat":
    """A format of which a file says what it is."""
    if format is not None and format.keeps_metadata:
        return format
    what = "is no table" if format is None else f"is {format.name}, which keeps no metadata"
    keeping = either([format.suffixes[0] for format in writable() if format.keeps_metadata])
    raise BadInput(
        f"{where(path)}: {what}; give a table that 'birkhoff ... -o' wrote as {keeping}: "
        f"only these say what they hold"
    )
