"""Places of files: this machine, a model hub, a web server, an object store.

Every reader takes a `pathlib.Path`. That of a URL is a path with the same methods, whose bytes
travel when they are read; local files need no more than `pathlib`. A module here without an
underscore is one kind of place, and ``SCHEMES`` says which URLs are its own. Nothing goes over a
network unless a URL was typed, and no library for it is imported before.
"""

import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any, BinaryIO

from birkhoff_cli.places import _path
from birkhoff_cli.places._path import (
    RemotePath,
    forget,
    path_of,
    refuse_conflicts,
    schemes,
)
from birkhoff_cli.places._url import cut_secrets, has_typed, typed

__all__ = [
    "begin",
    "beside",
    "cut_secrets",
    "divide",
    "fetch",
    "fetch_heads",
    "forget",
    "full",
    "has_typed",
    "is_far",
    "is_remote",
    "is_there",
    "label",
    "path_of",
    "readers",
    "refuse_conflicts",
    "schemes",
    "status_of",
    "take",
    "word",
]


def is_remote(path: Any) -> bool:
    """Whether reading it goes over a network."""
    return isinstance(path, RemotePath)


def is_far(file: BinaryIO) -> bool:
    """Whether reading an open file goes over a network."""
    return hasattr(file, "status")


def is_there(path: Path) -> bool:
    """Whether there is anything of that name, be it a link to nothing."""
    return path.exists() if isinstance(path, RemotePath) else os.path.lexists(path)


def status_of(file: BinaryIO) -> os.stat_result:
    """What kind of file an open one is, and its size."""
    remote: Any = file
    status: os.stat_result = remote.status() if is_far(file) else os.fstat(file.fileno())
    return status


def label(path: Path) -> str:
    """What metadata call a file or a folder: its name, of a model on a hub with its revision."""
    if isinstance(path, RemotePath):
        entry = str(path).partition("#")[1:]
        return path.place.label(path.in_place) + "".join(entry)
    return path.name or path.resolve().name


def word(path: Path) -> str:
    """What metadata show of a path in a command line."""
    if isinstance(path, RemotePath):
        return path.place.word(path.in_place) + "".join(str(path).partition("#")[1:])
    return path.name


def full(path: Path) -> str:
    """The word by which another process, in another folder, reads the same: secrets included.

    A link keeps its name, which metadata show, and from which a training step may be read.
    """
    if not isinstance(path, RemotePath):
        return str(path.absolute())
    whole, mark, entry = str(path).partition("#")
    url = typed(whole)
    own = path.place.pinned(path.in_place) or (whole if url is None else url.typed)
    return own + mark + entry


def fetch(spans: Iterable[tuple[Path, int, int]]) -> None:
    """Read spans of remote files that are about to be needed, together; local ones stay."""
    remote = [(path, a, b) for path, a, b in spans if isinstance(path, RemotePath)]
    if remote:
        from birkhoff_cli.places import _fetch

        _fetch.fetch((path.blob, a, b) for path, a, b in remote)


def fetch_heads(paths: Iterable[Path], size: int | None = None) -> None:
    """Read the beginnings of remote files that are about to be opened, together.

    Args:
        paths: files; what is no remote file is passed over.
        size: bytes of each; as many as most headers have if not given.
    """
    remote = [path for path in paths if isinstance(path, RemotePath)]
    if remote:
        from birkhoff_cli.places import _fetch

        place = remote[0].place
        place.look(path.in_place for path in remote)
        fetch((path, 0, size or _fetch.HEAD) for path in remote if path.is_file())


def beside(path: Path) -> str:
    """What is to be said of a file that may lie beside another one, and that is not there."""
    return path.place.beside(path.in_place) if isinstance(path, RemotePath) else ""


def divide(processes: int) -> Any:
    """What each of so many processes may read of far files; None where nothing is far."""
    if not has_typed():
        return None
    from birkhoff_cli.places import _fetch

    return _fetch.traffic.divide(processes)


def readers(most: int) -> int:
    """How many more processes, at most so many, may each read as much as this one has."""
    if not has_typed():
        return most
    from birkhoff_cli.places import _fetch

    return _fetch.traffic.readers(most)


def take(share: Any) -> None:
    """Read no more than a share of what the command may."""
    if share is not None:
        from birkhoff_cli.places import _fetch

        _fetch.traffic.share = share


def begin() -> None:
    """A new command: bytes are counted from here, and branches of models may have moved."""
    _path.begin()
    if fetching := sys.modules.get(f"{__name__}._fetch"):
        fetching.traffic.begin()
