"""Where bytes go: a file that appears whole or not at all, a pipe, a device, standard output."""

import contextlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from birkhoff_cli import extras, process
from birkhoff_cli.analyses.core.errors import CannotWrite
from birkhoff_cli.process import PipeClosed

if TYPE_CHECKING:
    from birkhoff_cli.temporaries import NewFile, NewFolder

STDOUT = Path("-")
NAMES_OF_STDOUT = {"/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"}

BINARY = getattr(os, "O_BINARY", 0)
"""On Windows a descriptor would turn line ends around without it."""


def check(path: Path, inputs: tuple[Path, ...] = ()) -> None:
    """Refuse early what could not be written after the work is done.

    Raises:
        CannotWrite: the path is a directory, is in none, is read-only, or is an input.
    """
    if path == STDOUT:
        return
    if "://" in str(path):
        raise CannotWrite(f"{path}: is a URL, which is read and not written; give a file name")
    with writing(str(path)):
        _check(path, inputs)


def _check(path: Path, inputs: tuple[Path, ...]) -> None:
    if path.is_dir():
        raise CannotWrite(f"{path}: is a directory; give a file name in it")
    folder = path.resolve().parent
    if not folder.is_dir():
        raise CannotWrite(f"{path}: there is no directory {folder}; make it first")
    if not (_is_special(path) or os.access(folder, os.W_OK)):
        raise CannotWrite(f"{path}: the directory {folder} is read-only; write elsewhere")
    if path.is_file() and not os.access(path, os.W_OK):
        raise CannotWrite(f"{path}: is read-only; allow writing, or give another name")
    files = (_without_entry(other) for other in inputs if "://" not in str(other))
    if any(_are_there_as_one(path, other) for other in files):
        raise CannotWrite(f"{path}: is the input as well; give the output another name")


def are_one(path: Path, other: Path) -> bool:
    """Whether two outputs are one file, however each is named."""
    return STDOUT not in (path, other) and path.resolve() == other.resolve()


def _are_there_as_one(path: Path, other: Path) -> bool:
    """Whether two names are of one file; whoever reads says what is wrong with an input."""
    with contextlib.suppress(OSError):
        return path.samefile(other)
    return False


def _without_entry(path: Path) -> Path:
    """The file of ``FILE#entry``; a file of exactly that name is one file."""
    file = str(path).rpartition("#")[0]
    return Path(file) if file and not os.path.lexists(path) else path


def named(path: Path | None) -> Path | None:
    """The output that is meant: of a name of the system's for standard output that itself."""
    return STDOUT if str(path) in NAMES_OF_STDOUT else path


class Together:
    """Files and folders that appear at once when all are written, or none of them."""

    def __init__(self) -> None:
        """Start with none."""
        self._new: list[NewFile | NewFolder] = []

    @contextlib.contextmanager
    def file(self, path: Path) -> Iterator[BinaryIO]:
        """A binary file to write; a device, a pipe or standard output is written at once.

        Raises:
            CannotWrite: with the system's reason.
            PipeClosed: nobody reads any more.
        """
        if path == STDOUT or _is_special(path):
            label = "standard output" if path == STDOUT else str(path)
            with writing(label), _straight(path) as file:
                yield file
            return
        from birkhoff_cli.temporaries import NewFile  # small commands write none

        with writing(str(path)):
            new = NewFile(path)
            self._new.append(new)  # before it is made: a signal may come in between
            new.create()
            yield new.file
            new.settle()

    def folder(self, path: Path) -> Path:
        """A new directory that will take the place of ``path``, to be filled.

        Raises:
            CannotWrite: with the system's reason.
        """
        from birkhoff_cli.temporaries import NewFolder

        with writing(str(path)):
            new = NewFolder(path)
            self._new.append(new)
            new.create()
        return new.path

    def appear(self) -> None:
        """Everything takes its place; if one cannot, everything is as it was.

        Raises:
            CannotWrite: with the system's reason.
        """
        for new in self._new if len(self._new) > 1 else ():
            new.keep_old()
        begun: list[NewFile | NewFolder] = []
        try:
            for new in self._new:
                begun.append(new)
                with writing(new.label):
                    new.appear()
        except BaseException:
            for new in reversed(begun):
                new.restore()
            raise
        self.discard()

    def discard(self) -> None:
        """What has not appeared is removed, and what was replaced."""
        for new in self._new:
            new.discard()


@contextlib.contextmanager
def together() -> Iterator[Together]:
    """Files and folders that appear when the block ends without an error; a signal waits for it.

    Raises:
        CannotWrite: with the system's reason.
    """
    every = Together()
    try:
        yield every
        process.heed()
        with process.unstopped():
            every.appear()
    except BaseException:
        with process.unstopped():
            every.discard()
        raise


@contextlib.contextmanager
def opened(path: Path) -> Iterator[BinaryIO]:
    """A binary file to write; renamed to ``path`` only when the block ends without an error.

    Raises:
        CannotWrite: with the system's reason.
        PipeClosed: nobody reads any more.
    """
    with together() as every, every.file(path) as file:
        yield file


@contextlib.contextmanager
def writing(where: str) -> Iterator[None]:
    """Whatever the system says against a write, as an error of ours."""
    try:
        yield
    except OSError as error:
        if lack := extras.of_import(error):
            raise lack from error
        if isinstance(error, BrokenPipeError):
            raise PipeClosed from error
        reason = error.strerror or str(error)
        raise CannotWrite(f"{where}: {reason}; the output is not complete") from error
    except RuntimeError as error:
        if not str(error).startswith(LOOP):
            raise
        raise CannotWrite(f"{where}: is a loop of links; give another name") from error


LOOP = "Symlink loop"
"""What pathlib raises for one begins so."""


def _is_special(path: Path) -> bool:
    """A device, a named pipe or a socket: it has no old content to keep."""
    with contextlib.suppress(OSError):
        mode = path.stat().st_mode
        return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))
    return False


@contextlib.contextmanager
def _straight(path: Path) -> Iterator[BinaryIO]:
    if path == STDOUT and not process.is_blocking(1):
        with process.patient(1) as file:
            yield file
        return
    where = 1 if path == STDOUT else os.open(path, os.O_WRONLY | BINARY)
    with open(where, "wb", closefd=path != STDOUT) as file:  # noqa: PTH123 (a descriptor)
        yield file
