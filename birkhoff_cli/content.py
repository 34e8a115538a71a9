"""The bytes of a file or a pipe, read as often as somebody asks, and the same every time."""

import io
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, TypeVar

from birkhoff_cli import deferred, places
from birkhoff_cli.analyses.core.errors import BadInput, TooLarge, Unreadable
from birkhoff_cli.analyses.core.memory import require_memory
from birkhoff_cli.containers import where
from birkhoff_cli.containers.store import DAMAGED
from birkhoff_cli.deferred import DeferredDigest
from birkhoff_cli.tables import HEAD

if TYPE_CHECKING:
    from birkhoff_cli.digest import Digest, Running

T = TypeVar("T")

STEP = 1 << 20
"""Bytes that are read at a time."""

LARGE = 1 << 20
"""Bytes of a file from which on its digest is put off, where digests are: see `deferred`."""

COPIES = 4
"""Times that what is read whole may be in memory, with all that is made of it."""

MAX_GROWTH, FREE_GROWTH = 1000, 64 << 20
"""A file may become so many times its bytes at once, and so many bytes whatever its size.

Compressed traces become 10 times as large; a few hundred bytes can be made to become gigabytes.
"""


Fact = tuple[tuple[int, ...], str]
"""The state of a file, and what was found out about its bytes."""

_own_facts: dict[Fact, Any] = {}
"""What this process found out about files, for others of the same command."""

_trusted: dict[Fact, Any] = {}
"""What another process found out about files; this one need not read them for it."""


def facts() -> dict[Fact, Any]:
    """What was found out about files so far, see `trust`."""
    return {**_own_facts}


def trust(others: Mapping[Fact, Any]) -> None:
    """Take over what another process of the same command found out about files.

    It holds as long as device, inode, size and time of a file are those that it saw.
    """
    _trusted.update(others)


@dataclass(frozen=True)
class Content:
    """What is in a file, or came through a pipe.

    Attributes:
        label: what messages call it.
        size: in bytes.
        open: opens it at its beginning.
        state: device, inode, size and time of a file; none of a pipe.
        running: its digests, where they are found out while it is read, and held at the end.
    """

    label: Path
    size: int
    open: Callable[[], AbstractContextManager[BinaryIO]]
    state: tuple[int, ...] = ()
    running: "Running | None" = None

    def once(self, what: str, find: Callable[[], T]) -> T:
        """What there is to find out by reading all of it, unless another process has told it."""
        key = self.state, what
        if self.state and key in _trusted:
            answer: T = _trusted[key]
            return answer
        if not self.state:
            return find()
        answer = _own_facts[key] = deferred.once(key, find)
        return answer

    def head(self) -> bytes:
        """The first bytes."""
        with self.open() as file:
            return file.read(HEAD)

    def whole(self) -> bytes:
        """All of it.

        Raises:
            TooLarge: it does not fit in memory with what becomes of it.
        """
        self.require_room(COPIES * self.size)
        with self.open() as file:
            return file.read()

    def require_room(self, size: int) -> None:
        """Hold that ``size`` bytes of this file fit in memory.

        Raises:
            TooLarge: they do not.
        """
        require_memory(size, where(self.label))

    def require_growth(self, size: int) -> None:
        """Hold that a part of this file may become ``size`` bytes.

        Raises:
            TooLarge: so many from so few that no one can mean it.
        """
        if size > max(FREE_GROWTH, MAX_GROWTH * self.size):
            raise TooLarge(
                f"{where(self.label)}: its {self.size:,} bytes would become "
                f"{size / 2**30:,.1f} GiB at once; if that is meant, save it with numpy.save"
            )

    def check_digest(self) -> None:
        """Hold that the file is what its own digest says, if it has one; later if that is put off.

        Raises:
            BadInput: it is not.
        """
        if self.running is None:
            self.settle()

    def settle(self) -> None:
        """Hold it now.

        Raises:
            BadInput: it is not.
        """
        if self.digest.own == "wrong":
            raise BadInput(
                f"{where(self.label)}: is not as birkhoff wrote it, by its digest; {DAMAGED}"
            )

    @cached_property
    def digest(self) -> "Digest":
        """Its sha256, and whether that which the file holds of itself is right."""
        return self.once("digest", self._read_digest)

    def _read_digest(self) -> "Digest":
        from birkhoff_cli.digest import read_digest

        with self.open() as file:
            return read_digest(file) if self.running is None else self.running.finish(file)

    @property
    def sha256(self) -> str | DeferredDigest:
        """Of all bytes; where it is put off, found out when somebody looks at it."""
        if self.running is None:
            return self.digest.sha256

        def find() -> str:
            self.settle()
            return self.digest.sha256

        return DeferredDigest(find, self.state)

    @property
    def assumptions(self) -> tuple[str, ...]:
        """What has to be assumed of a table whose format keeps a digest."""
        if self.running is None:
            return self.digest.assumptions
        from birkhoff_cli.digest import ASSUMED

        return () if self.running.is_marked else (ASSUMED,)


def of_bytes(label: Path, data: bytes) -> Content:
    """What was read from a pipe."""
    return Content(label, len(data), lambda: io.BytesIO(data))


def of_file(path: Path) -> Content:
    """A file, held to be the one that it was at first: the digest must be of what is read.

    A digest and the blocks of a trace are read at different times, and a trace is perhaps still
    being written.
    """
    first = path.stat()

    def hold(file: BinaryIO) -> None:
        if _state(places.status_of(file)) != _state(first):
            raise Unreadable(
                f"{where(path)}: was changed while it was read; "
                f"wait until it is complete and run again"
            )

    @contextmanager
    def opened() -> Iterator[BinaryIO]:
        with path.open("rb") as file:
            hold(file)
            yield file
            hold(file)

    if first.st_size < LARGE or places.is_remote(path) or deferred.mode() is None:
        return Content(path, first.st_size, opened, _state(first))
    key = (path, _state(first))
    return deferred.only(
        key, lambda: _deferred(Content(path, first.st_size, opened, _state(first)))
    )


def _deferred(content: Content) -> Content:
    """The same file, whose digest is found out while its bytes are read, here or elsewhere."""
    from birkhoff_cli.digest import Running, Watched

    with content.open() as file:
        running = Running(file)
    if deferred.mode() == "elsewhere":
        return replace(content, running=running)

    @contextmanager
    def opened() -> Iterator[BinaryIO]:
        with content.open() as file:
            watched: Any = Watched(file, running)
            yield watched

    return replace(content, open=opened, running=running)


def _state(status: os.stat_result) -> tuple[int, int, int, int]:
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns
