"""A path on another machine, with the methods of a local one that readers use.

Readers take a `pathlib.Path` and ask it for files beside it, sizes and bytes. This is one whose
answers come from a place. Whatever would hand it to the system as a name is refused, so that
nothing looks for a URL among local files.
"""

import hashlib
import io
import os
import re
import stat
from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path, PosixPath
from typing import IO, TYPE_CHECKING, Any

from birkhoff_cli.analyses.core import discover
from birkhoff_cli.analyses.core.errors import BadInput, Unsupported, UsageError
from birkhoff_cli.places import _url
from birkhoff_cli.places._place import Place

if TYPE_CHECKING:
    from birkhoff_cli.places._fetch import Blob

PACKAGE = "birkhoff_cli.places"
SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
"""Where a URL begins in a word such as ``name=https://host/file``."""


@cache
def _member(scheme: str) -> type[Place] | None:
    """The kind of place that has URLs of this scheme."""
    for name in discover.members(PACKAGE):
        if scheme in (discover.constant(PACKAGE, name, "SCHEMES") or ()):
            cls: type[Place] = discover.subclass(PACKAGE, name, Place)
            return cls
    return None


@cache
def schemes() -> tuple[str, ...]:
    """Those of all kinds of places."""
    known = (discover.constant(PACKAGE, name, "SCHEMES") for name in discover.members(PACKAGE))
    return tuple(scheme for some in known for scheme in some or ())


@cache
def _place_at(cls: type[Place], root: str, secrets: str) -> Place:
    """The one of a root; with other secrets, such as another commit, it is another one."""
    del secrets
    return cls(root)


_checked: set[int] = set()
"""Places, by `id`, that this command knows to be as they are now."""


def begin() -> None:
    """A new command: what is known of places need not hold any more."""
    _checked.clear()


def _current(cls: type[Place], root: str, secrets: str) -> Place:
    """The place, made anew if it has changed since another command looked at it."""
    place = _place_at(cls, root, secrets)
    if id(place) not in _checked:
        if not place.is_current():
            forget()
            place = _place_at(cls, root, secrets)
        _checked.add(id(place))
    return place


def forget() -> None:
    """What is where is asked anew: something was changed since."""
    _place_at.cache_clear()
    _checked.clear()


@cache
def _split(text: str) -> tuple[type[Place], str, str]:
    """The kind of place, its root and the name there of a URL without secrets."""
    url = _url.split(text)
    cls = None if url is None else _member(url.scheme)
    if url is None or cls is None:
        raise UsageError(f"{text}: is no URL that is read; those begin {', '.join(schemes())}")
    return cls, *cls.split(url)


def _located(text: str) -> tuple[Place, str]:
    """The place and the name there of a URL without secrets."""
    cls, root, name = _split(text)
    url = _url.typed(root)
    return _current(cls, root, "" if url is None else f"{url.user}?{url.query}"), name


class RemotePath(PosixPath):
    """A file or a folder in a place, by its URL without secrets."""

    __slots__ = ()

    def __str__(self) -> str:
        return super().__str__().replace(":/", "://", 1)

    def __fspath__(self) -> str:
        raise Unsupported(f"{self}: is a URL, and here a local file is needed; download it first")

    def __eq__(self, other: object) -> bool:
        """As paths are, but a local one with these parts, ``hf:/org/model``, is another."""
        return isinstance(other, RemotePath) and super().__eq__(other)

    def __hash__(self) -> int:
        return hash(str(self))

    @property
    def place(self) -> Place:
        """Where it is."""
        return _located(self._whole)[0]

    @property
    def in_place(self) -> str:
        """Its name there."""
        return _located(self._whole)[1]

    @property
    def _whole(self) -> str:
        """The URL without the entry of a file behind ``#``."""
        return str(self).partition("#")[0]

    @property
    def parent(self) -> "RemotePath":
        """The folder that it is in; of the root of a place, the root."""
        return super().parent if self.in_place else self

    def stat(self, *, follow_symlinks: bool = True) -> os.stat_result:
        """Kind and size.

        Raises:
            FileNotFoundError: there is nothing.
            BadInput: nobody can say.
        """
        del follow_symlinks
        entry = None if "#" in str(self) else self.place.entry(self.in_place)
        if entry is None:
            raise FileNotFoundError(2, "No such file", str(self))
        mode = stat.S_IFREG if entry.size is not None else stat.S_IFDIR
        whole = self.place.pinned(self.in_place) or str(self)
        numbers = (mode | 0o444, _number(whole), 0, 1, 0, 0, entry.size or 0, 0, 0, 0)
        return os.stat_result(numbers, {"st_mtime_ns": _number(entry.version)})

    lstat = stat

    def exists(self, *, follow_symlinks: bool = True) -> bool:
        """Whether there is anything."""
        del follow_symlinks
        try:
            self.stat()
        except FileNotFoundError:
            return False
        return True

    def is_dir(self) -> bool:
        """Whether it is a folder."""
        return self.exists() and stat.S_ISDIR(self.stat().st_mode)

    def is_file(self) -> bool:
        """Whether it is a file."""
        return self.exists() and stat.S_ISREG(self.stat().st_mode)

    def iterdir(self) -> Iterator["RemotePath"]:  # type: ignore[override]
        """What is in a folder."""
        return iter([self / name for name in self.place.children(self.in_place)])

    def glob(self, pattern: str) -> Iterator["RemotePath"]:  # type: ignore[override]
        """What is in a folder under names of a pattern, which has no slash."""
        return (path for path in self.iterdir() if fnmatchcase(path.name, pattern))

    def resolve(self, strict: bool = False) -> "RemotePath":
        """It: there are no links."""
        del strict
        return self

    absolute = resolve

    @property
    def blob(self) -> "Blob":
        """Its bytes, as far as they are known.

        Raises:
            FileNotFoundError: there is no such file.
        """
        from birkhoff_cli.places._fetch import blob

        return blob(self.place, self.in_place, self.stat().st_size)

    def open(self, mode: str = "r", *args: Any, **kwargs: Any) -> IO[Any]:  # type: ignore[override]
        """A file to read.

        Raises:
            Unsupported: to write.
        """
        if set(mode) - set("rbt"):
            raise Unsupported(f"{self}: is a URL, which is read and not written; give a file name")
        if self.is_dir():
            raise IsADirectoryError(21, "Is a directory", str(self))
        from birkhoff_cli.places._file import RemoteFile

        file = RemoteFile(self.blob, self.stat())
        return file if "b" in mode else io.TextIOWrapper(file, *args[1:], **kwargs)

    def read_bytes(self) -> bytes:
        """All of it."""
        with self.open("rb") as file:
            data: bytes = file.read()
            return data

    def read_text(self, encoding: str | None = None, errors: str | None = None) -> str:
        """All of it as text."""
        return self.read_bytes().decode(encoding or "utf-8", errors or "strict")


def _number(text: str) -> int:
    """A number of a text, by which processes tell one file, or one state of it, from another."""
    return int.from_bytes(hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()[:7])


def refuse_conflicts(values: Iterable[str]) -> None:
    """Hold that no place is given with two users, and none, or no file of it, with two queries.

    Requests are made by the last that was typed: files would be read as somebody else.

    Raises:
        BadInput: naming the place or the file.
    """
    known: dict[tuple[str, str], str] = {}
    for value in values:
        start = SCHEME.search(value)
        url = _url.split(value[start.start() :]) if start else None
        if url is None or (cls := _member(url.scheme)) is None:
            continue
        root = cls.split(url)[0]
        of_query = root if cls.shares_query else url.clean.partition("#")[0]
        given = ((root, "users or passwords", url.user), (of_query, "queries", url.query))
        for of, what, secret in given:
            if secret and known.setdefault((of, what), secret) != secret:
                raise BadInput(
                    f"{of}: is given with two {what}, and one command reads it by one; run a "
                    f"command for each"
                )


def path_of(text: str) -> Path:
    """The path that a word of a command line names: a local one, or that of a URL.

    The secrets of a URL are remembered for its requests, and are not part of the path.

    Raises:
        UsageError: a URL that names nothing.
    """
    url = _url.split(text)
    cls = None if url is None else _member(url.scheme)
    if url is None or cls is None:
        return Path(text)
    root, _ = cls.split(url)
    path = RemotePath(url.clean)
    _url.remember(url, str(path).partition("#")[0], root, cls.shares_query)
    return path
