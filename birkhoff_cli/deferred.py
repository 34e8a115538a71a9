"""Digests of large files, which are found out while their rows are read.

A file of a hundred gigabytes is not to be read twice. So a command that goes over its rows puts
the digest off: whoever reads bytes in order hands them to `digest.Running`, and `settle` reads what
is left. A command settles before anything that it made appears, so that a file which is not as
birkhoff wrote it is refused as one that was looked at before.
"""

from collections import UserString
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from threading import Thread
from typing import Any, Literal, Protocol, TypeVar

Mode = Literal["here", "elsewhere"]
"""Who finds the digests out: this process, or the one that it works for."""


class Deferred(Protocol):
    """A file whose digest is put off."""

    def settle(self) -> None:
        """Find it out, and hold the file to it."""


File = TypeVar("File", bound=Deferred)
Answer = TypeVar("Answer")

_mode: list[Mode] = []
_files: dict[Hashable, Any] = {}
"""Files whose digests are put off, by what tells each, in the order in which they were met."""

_answers: dict[Hashable, Any] = {}
"""What was found out about files, while digests are put off."""


class DeferredDigest(UserString):
    """The sha256 of a file, found out when somebody looks at it.

    Attributes:
        state: what tells the file, and this state of it, from others on this machine.
    """

    def __init__(self, find: Callable[[], str], state: tuple[int, ...]) -> None:
        self._find, self.state = find, state

    @property
    def data(self) -> str:  # type: ignore[override]
        """The digits."""
        return self._find()

    def __repr__(self) -> str:
        """The state of the file: nothing is found out for it."""
        return f"{type(self).__name__}{self.state}"

    def __reduce__(self) -> tuple[type[str], tuple[str]]:
        """Another process gets the digits."""
        return str, (self.data,)


@contextmanager
def deferring(mode: Mode = "here") -> Iterator[None]:
    """Put off digests of the files that are met inside."""
    _mode.append(mode)
    try:
        yield
    finally:
        _mode.pop()
        if not _mode:
            _files.clear()
            _answers.clear()


def mode() -> Mode | None:
    """Who finds out the digest of a file that is met now; None: it is not put off."""
    return _mode[-1] if _mode else None


def only(key: Hashable, make: Callable[[], File]) -> File:
    """The one file of a key: its bytes are taken once, however often it is opened."""
    if key not in _files:
        _files[key] = make()
    file: File = _files[key]
    return file


def once(key: Hashable, find: Callable[[], Answer]) -> Answer:
    """What is found out, for a command only once: it holds its files to be as they were."""
    if not _mode:
        return find()
    if key not in _answers:
        _answers[key] = find()
    answer: Answer = _answers[key]
    return answer


def settle() -> None:
    """Find out every digest that was put off.

    Raises:
        BadInput: a file is not what its own digest says, or has changed.
    """
    for file in [*_files.values()]:
        file.settle()


@contextmanager
def settling() -> Iterator[None]:
    """Settle in a thread, while other processes go over the rows inside.

    Raises:
        BadInput: as `settle`.
    """
    errors: list[Exception] = []

    def work() -> None:
        try:
            settle()
        except Exception as error:  # raised again in the thread that waits
            errors.append(error)

    thread = Thread(target=work, daemon=True)
    thread.start()
    yield
    thread.join()
    for error in errors:
        raise error
