"""Keys of rows that are JSON objects: every row is held to what the first one has."""

import json
import re
from collections import Counter
from collections.abc import Collection, Iterable
from pathlib import Path

from birkhoff_cli.analyses.core.errors import BadInput
from birkhoff_cli.containers import escape, where
from birkhoff_cli.containers.store import DAMAGED
from birkhoff_cli.tables._columns import near_to, refuse_near

KEY = re.compile(rb'"((?:[^"\\\n]|\\.)*+)"\s*:')
"""Text before a colon: a key of a row, or of an object in it."""

EACH = re.compile(rb'"((?:[^"\\\n]|\\.)*+)("\s*:|"|)')
"""Every text, with what is behind it: of texts with quotes inside none is begun in the middle."""

MAX_KEYS = 1000
"""Keys that are looked at: a table of many columns is not a misspelt trace."""


class Keys:
    """What the first row has, and what later rows may have.

    Args:
        label: of the file.
        first: keys of the first row.
        known: columns that are read where they are there.
    """

    def __init__(self, label: Path, first: Collection[str], known: Collection[str]) -> None:
        """No row was looked at yet."""
        self._label, self._first, self._known = label, first, known
        self._seen = {name.encode() for name in first if name not in known}

    def check(self, lines: bytes) -> None:
        """Hold that no row has a column that would be left out in silence, or one twice.

        Raises:
            BadInput: one has.
        """
        counts = Counter(_keys_in(lines))
        rows = sum(map(bool, lines.split(b"\n")))
        late: list[str] = []
        for raw, count in counts.items():
            name = _text(raw)
            if name in self._first and name in self._known:
                if count > rows:
                    self._require_once(lines, name)
            elif raw not in self._seen and len(self._seen) < MAX_KEYS:
                self._seen.add(raw)
                if name in self._known or near_to(name):
                    late.append(name)
        if late:
            self._refuse_late(lines, late)

    def _require_once(self, lines: bytes, name: str) -> None:
        """Hold that no row has a key twice: one of the two would be taken in silence."""
        for line in filter(bytes.strip, lines.split(b"\n")):
            if keys_of(line).count(name) > 1:
                raise BadInput(
                    f"{where(self._label)}: has the column '{escape(name, 30)}' twice; {DAMAGED}"
                )

    def _refuse_late(self, lines: bytes, names: Collection[str]) -> None:
        """Refuse a key that a row has itself, and not an object in it."""
        for line in filter(bytes.strip, lines.split(b"\n")):
            own = {*keys_of(line)}
            for name in (name for name in names if name in own):
                if name in self._known:
                    raise BadInput(
                        f"{where(self._label)}: has a column '{name}' in a later row and not in "
                        f"the first; write the table again"
                    )
                refuse_near(self._label, [*self._first, name])


def _keys_in(lines: bytes) -> Iterable[bytes]:
    """Texts before a colon, as often as they are there."""
    if b"\\" not in lines:
        return KEY.findall(lines)
    return (text for text, end in EACH.findall(lines) if end.endswith(b":"))


def _text(raw: bytes) -> str:
    try:
        return str(json.loads(b'"' + raw + b'"'))
    except ValueError:  # whoever reads the row says what is wrong with it
        return ""


def keys_of(line: bytes) -> list[str]:
    """Keys of an object, a repeated one as often as it is there."""
    keys: list[list[str]] = []

    def note(pairs: list[tuple[str, object]]) -> None:
        keys.append([key for key, _ in pairs])

    json.loads(line, object_pairs_hook=note)
    return keys[-1]  # the outermost object ends last
