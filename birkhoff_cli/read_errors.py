"""What the system says against reading, where no reader has made a sentence of it.

Whatever is written is written inside of `files.writing`; so an error of the system that comes out
of a command is about what it reads: a file that went away after it was looked at, or a disk that
fails.
"""

import errno
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from birkhoff_cli import extras
from birkhoff_cli.analyses.core.errors import NoRoom, Unreadable
from birkhoff_cli.text import either, escape

FAILING = {errno.EIO, errno.ESTALE, errno.ETIMEDOUT}
"""What it says of a disk, or of a server of files, that fails."""


def require_sound(error: OSError, path: Path) -> None:
    """Hold that a file was not read for a reason of its own.

    Args:
        error: of the system.
        path: what was read.

    Raises:
        MemoryError: there is no memory for it.
        NoRoom: more files are open than may be.
        Unreadable: a disk fails.
        BirkhoffError: a library that reads could not be loaded.
    """
    if lack := extras.of_import(error):
        raise lack from error
    if error.errno == errno.ENOMEM:
        raise MemoryError from error
    if error.errno in extras.TOO_MANY:
        raise NoRoom(
            f"{escape(path)}: cannot be opened ({error.strerror}); "
            f"allow more, such as by ulimit -n 4096"
        ) from error
    if error.errno in FAILING:
        raise Unreadable(
            f"{escape(path)}: cannot be read ({error.strerror}); check the disk that it is on"
        ) from error


@contextmanager
def reading(paths: Callable[[], Iterable[Path]]) -> Iterator[None]:
    """Turn an error of the system into a sentence about what was read.

    Args:
        paths: gives what a command reads.

    Raises:
        BirkhoffError: an input cannot be read.
        OSError: as it was, where none of them is meant.
    """
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        from birkhoff_cli.containers.store import unreadable

        if lack := extras.of_import(error):
            raise lack from error
        if path := _path_of(error, [*paths()]):
            raise unreadable(path, error) from error
        raise


def _path_of(error: OSError, paths: list[Path]) -> Path | None:
    """The path that an error is about: what it names, or else whatever is read."""
    if error.errno is None:  # no error of the system, but what some library calls one
        return None
    if not isinstance(error.filename, str):
        names = dict.fromkeys(map(str, paths))
        return Path(either([*names])) if names else None
    path = Path(error.filename)
    inside = {path, *path.parents, path.absolute(), *path.absolute().parents}
    return path if inside & {*paths} or inside & {p.absolute() for p in paths} else None
