"""Where bytes go: a file that appears whole or not at all, a pipe, a device, standard output."""

import contextlib
import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from birkhoff_cli.analyses.core.errors import CannotWrite

STDOUT = Path("-")

BINARY = getattr(os, "O_BINARY", 0)
"""On Windows a descriptor would turn line ends around without it."""

TEMPORARY = ".tmp"
MAX_MARK = 200
"""Bytes of a file's name in that of its temporary file."""

NO_FOLDER_SYNC = {errno.EINVAL, errno.ENOTSUP, errno.EBADF}
"""What file systems say that cannot synchronise a folder: network and FUSE ones."""


class PipeClosed(Exception):
    """Whoever read our output has had enough: the end, and no error."""

    exit_code = 141


def check(path: Path, inputs: tuple[Path, ...] = ()) -> None:
    """Refuse early what could not be written after the work is done.

    Raises:
        CannotWrite: the path is a directory, is in none, is read-only, or is an input.
    """
    if path == STDOUT:
        return
    try:
        with writing(str(path)):
            _check(path, inputs)
    except RuntimeError as error:  # what pathlib raises for it
        raise CannotWrite(f"{path}: is a loop of links; give another name") from error


def _check(path: Path, inputs: tuple[Path, ...]) -> None:
    if path.is_dir():
        raise CannotWrite(f"{path}: is a directory; give a file name in it")
    folder = path.resolve().parent
    if not folder.is_dir():
        raise CannotWrite(f"{path}: there is no directory {folder}; make it first")
    if not (_is_special(path) or os.access(folder, os.W_OK)):
        raise CannotWrite(f"{path}: the directory {folder} is read-only; write elsewhere")
    files = (_without_entry(other) for other in inputs)
    if any(path.exists() and other.exists() and path.samefile(other) for other in files):
        raise CannotWrite(f"{path}: is the input as well; give the output another name")


def _without_entry(path: Path) -> Path:
    """The file of ``FILE#entry``; a file of exactly that name is one file."""
    file = str(path).rpartition("#")[0]
    return Path(file) if file and not path.exists() else path


@contextlib.contextmanager
def opened(path: Path) -> Iterator[BinaryIO]:
    """A binary file to write; renamed to ``path`` only when the block ends without an error.

    Raises:
        CannotWrite: with the system's reason.
        PipeClosed: nobody reads any more.
    """
    with (
        writing("standard output" if path == STDOUT else str(path)),
        _straight(path) if path == STDOUT or _is_special(path) else _renamed(path) as file,
    ):
        yield file


@contextlib.contextmanager
def writing(where: str) -> Iterator[None]:
    """Whatever the system says against a write, as an error of ours."""
    try:
        yield
    except BrokenPipeError as error:
        raise PipeClosed from error
    except OSError as error:
        reason = error.strerror or str(error)
        raise CannotWrite(f"{where}: {reason}; the output is not complete") from error


def _is_special(path: Path) -> bool:
    """A device, a named pipe or a socket: it has no old content to keep."""
    with contextlib.suppress(OSError):
        mode = path.stat().st_mode
        return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))
    return False


@contextlib.contextmanager
def _straight(path: Path) -> Iterator[BinaryIO]:
    where = 1 if path == STDOUT else os.open(path, os.O_WRONLY | BINARY)
    with open(where, "wb", closefd=path != STDOUT) as file:  # noqa: PTH123 (a descriptor)
        yield file


@contextlib.contextmanager
def _renamed(path: Path) -> Iterator[BinaryIO]:
    final = path.resolve()  # through a link: what it points to is replaced, not the link
    remove_stale(final)
    temporary = temporary_path(final)
    try:
        with _created(temporary) as file:
            with contextlib.suppress(FileNotFoundError):
                mode = stat.S_IMODE(final.stat().st_mode)
                if mode != stat.S_IMODE(os.fstat(file.fileno()).st_mode):
                    temporary.chmod(mode)  # who may read the old file may read the new one
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(final)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    _sync_folder(final.parent)


@contextlib.contextmanager
def replaced(folder: Path) -> Iterator[Path]:
    """A new directory that takes the place of ``folder`` when the block ends without an error.

    Raises:
        CannotWrite: with the system's reason.
    """
    import shutil

    final = folder.resolve()
    new, old = temporary_path(final), temporary_path(final)
    with writing(str(folder)):
        new.mkdir()
    try:
        yield new
        with writing(str(folder)):
            if final.exists():
                final.rename(old)
            new.rename(final)
            _sync_folder(final.parent)
    finally:
        shutil.rmtree(new, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)


def temporary_path(final: Path) -> Path:
    """A name beside a file or a folder that nobody else has.

    It holds random letters and no process id, which is the same in every container.
    """
    return final.with_name(f"{_mark(final)}{os.urandom(8).hex()}{TEMPORARY}")


def remove_stale(final: Path) -> None:
    """Remove what killed commands left beside a file: temporary files that nobody holds locked."""
    with contextlib.suppress(OSError):
        for entry in os.scandir(final.parent):
            ours = entry.name.startswith(_mark(final)) and entry.name.endswith(TEMPORARY)
            if ours and entry.is_file(follow_symlinks=False) and _is_abandoned(Path(entry.path)):
                Path(entry.path).unlink(missing_ok=True)


def _mark(final: Path) -> str:
    """How the temporary names of a file begin; a long name is cut, for names have a limit."""
    return f".{final.name.encode()[:MAX_MARK].decode(errors='ignore')}."


def _created(path: Path) -> BinaryIO:
    """A new file, locked as long as it is open."""
    while True:
        file = path.open("xb")
        _lock(file.fileno(), wait=True)
        with contextlib.suppress(FileNotFoundError):  # taken for stale before it was locked
            if os.path.samestat(os.fstat(file.fileno()), path.stat()):
                return file
        file.close()


def _lock(handle: int, *, wait: bool) -> bool:
    """Lock a file as long as it is open; False where somebody else does, or none can."""
    try:
        import fcntl
    except ImportError:  # Windows
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _is_abandoned(path: Path) -> bool:
    """Whether nobody writes a temporary file any more."""
    handle = os.open(path, os.O_RDONLY)
    try:
        return _lock(handle, wait=False)
    finally:
        os.close(handle)


def _sync_folder(folder: Path) -> None:
    """Make a new name in a folder last, where folders can be opened and synchronised."""
    try:
        handle = os.open(folder, os.O_RDONLY)
    except PermissionError:  # Windows opens no folder; a folder may be writable and not readable
        return
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in NO_FOLDER_SYNC:
            raise
    finally:
        os.close(handle)
