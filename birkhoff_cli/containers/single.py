"""A file as programs leave it: a model, an index of its shards, or one of its parts.

What only several files need is imported where a name says that there are several.
"""

import re
from pathlib import Path

from birkhoff_cli import places
from birkhoff_cli.containers.kinds import check_regular, opener
from birkhoff_cli.containers.store import Store

INDEX, DISTRIBUTED = ".index.json", ".metadata"
INDEX_NAME = re.compile(r".*\.index(?:\.[^.]+)?\.json", re.DOTALL)
"""Name of an index of shards; of a variant of a model it stands behind ``index``."""

PART = re.compile(r"(?P<stem>.*)-(?P<part>[0-9]{5})-of-(?P<parts>[0-9]{5})(?P<suffix>\.[^.]*)")
"""Name of one of several files, which are one model together."""


def open_file(path: Path) -> Store:
    """Open a file, and all parts of the model that its name says it is a part of."""
    if INDEX_NAME.fullmatch(path.name):
        from birkhoff_cli.containers.parts import open_index

        return open_index(path)
    if path.suffix == ".distcp" and places.is_there(path.with_name(DISTRIBUTED)):
        from birkhoff_cli.containers.folders import open_folder

        return open_folder(path.parent)
    match = PART.fullmatch(path.name)
    if match is None or match["suffix"] == ".gguf":
        return open_alone(path)
    from birkhoff_cli.containers.parts import open_numbered

    return open_numbered(path, match)


def open_alone(path: Path) -> Store:
    """Open one file, which may be none: opening a pipe would wait for ever."""
    check_regular(path)
    return opener(path)(path)
