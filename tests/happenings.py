"""What may happen at a stage of a command: a signal, a full disk, no memory, another input.

Stages are told in the process itself, so that nothing depends on time: by Python's profiler what is
called, and by files that count how often they are read.
"""

import errno
import io
import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple

CALLS = {
    *("open", "write", "writelines", "close", "flush", "fsync", "replace", "rename", "unlink"),
    *("remove", "mkdir", "rmdir", "link", "flock", "chmod", "fork_exec", "spawnv_passfds", "fork"),
    *("dup2", "write_batch", "write_table", "print", "next"),
}
"""Names of functions of C that change what others see, or hand over what has to be put away."""

CALLERS = {"birkhoff_cli", "contextlib", "pathlib", "shutil", "tempfile", "zipfile", "typer"}
"""Packages whose calls are counted."""

WRITES = {"open", "write", "writelines", "flush", "fsync", "replace", "rename", "mkdir", "link"}
WRITES |= {"write_batch", "write_table"}
"""Calls that a full disk fails."""

BEGINNING = {"birkhoff_cli.__main__", "birkhoff_cli.process"}
"""Modules whose first functions run before anything can be said."""

Reach = Callable[[str], None]
"""Is told of every stage, with what tells its place in the code."""


def _counts(frame: FrameType, function: Any) -> bool:
    """Whether a call is a stage: ours, and no call of the same name that only computes."""
    if function.__name__ not in CALLS or isinstance(function.__self__, str):  # str.replace
        return False
    if function.__name__ == "next":  # a context of contextlib is entered or left
        if frame.f_globals["__name__"] != "contextlib" or frame.f_back is None:
            return False
        frame = frame.f_back
    if frame.f_globals.get("__name__", "").partition(".")[0] not in CALLERS:
        return False
    return function.__name__ != "open" or _writes(frame)


def _writes(frame: FrameType) -> bool:
    """Whether a call of ``open`` is to write; one that reads changes nothing."""
    if frame.f_code.co_name in ("open", "open_code") and "mode" in frame.f_locals:  # of pathlib
        return not str(frame.f_locals["mode"]).startswith("r")
    return frame.f_globals.get("__name__") != "birkhoff_cli.analyses.core.entry_points"


def _is_stage(frame: FrameType, event: str, function: Any) -> bool:
    return event in ("c_call", "c_return") and _counts(frame, function)


def _is_write(frame: FrameType, event: str, function: Any) -> bool:
    if event != "c_call" or function.__name__ not in WRITES:
        return False
    reads = function.__name__ == "open" and function.__module__ == "posix"  # of folders, to sync
    return not reads and _counts(frame, function)


def _allocates(frame: FrameType, event: str, function: Any) -> bool:
    """Whether a function of ours is called, or one of NumPy or Arrow that is written in C."""
    if event == "call":
        name = frame.f_globals.get("__name__") or ""
        return name.startswith("birkhoff_cli.") and name not in BEGINNING
    if frame.f_code.co_name == "array_equal" and getattr(function, "__name__", "") == "asarray":
        return False  # of an array it allocates nothing, and any error would mean that they differ
    module = getattr(function, "__module__", None) if event == "c_call" else None
    return isinstance(module, str) and module.startswith(("numpy", "pyarrow"))


DEPTH = 3
"""Callers that tell one place of a stage from another."""

READ_DEPTH = 5
"""The same for reads, which go through other libraries."""


def _place(frame: FrameType | None, event: str, function: Any, depth: int) -> str:
    words = [event, getattr(function, "__name__", "")]
    for _ in range(depth):
        if frame is None:
            break
        words.append(f"{frame.f_globals.get('__name__')}:{frame.f_lineno}")
        frame = frame.f_back
    return " ".join(words)


def calls(
    counts: Callable[[FrameType, str, Any], bool], depth: int, reach: Reach, _folder: Path
) -> None:
    """Let every call that counts be a stage."""

    def profile(frame: FrameType, event: str, function: Any) -> None:
        if counts(frame, event, function):
            reach(_place(frame, event, function, depth))

    sys.setprofile(profile)


def reads(reach: Reach, folder: Path) -> None:
    """Let every opening of a file in the folder to read it, and every read of it, be a stage."""
    real = io.open

    class Counted(io.BufferedReader):
        """A file that tells of reads."""

        def read(self, size: int | None = -1, /) -> bytes:
            reach(_caller("read"))
            return super().read(size)

        def readinto(self, buffer: Any, /) -> int:
            reach(_caller("readinto"))
            return super().readinto(buffer)

        def readline(self, size: int | None = -1, /) -> bytes:
            reach(_caller("readline"))
            return super().readline(size)

    def opened(path: Any, mode: str = "r", *more: Any, **named: Any) -> Any:
        inside = isinstance(path, (str, os.PathLike)) and folder in (folder / path).parents
        if not inside or not mode.startswith("r") or "+" in mode:
            return real(path, mode, *more, **named)
        reach(_caller("open"))
        if "b" not in mode:
            return real(path, mode, *more, **named)
        return Counted(io.FileIO(path, "r"))

    io.open = opened


def _caller(word: str) -> str:
    """The place in the code from which a file is read."""
    return _place(sys._getframe(2), word, None, READ_DEPTH)


def callers() -> str:
    """Where the stage is that was reached: who calls whom, the last one first."""
    frames = traceback.extract_stack(limit=14)[:-3]  # without what lets the event happen
    return " < ".join(f"{Path(f.filename).name}:{f.lineno} {f.name}" for f in reversed(frames))


def forget() -> None:
    """Count no more."""
    sys.setprofile(None)


class Event(NamedTuple):
    """What happens at a stage.

    Attributes:
        count: lets stages be told of.
        happen: lets it happen, in the folder of the command.
        codes: with which a command may end.
        lines: what it then prints, if it does not end well.
        changes: whether what the command reads becomes another thing.
    """

    count: Callable[[Reach, Path], None]
    happen: Callable[[Path], None]
    codes: tuple[int, ...]
    lines: int
    changes: bool = False


def _lose_reader() -> None:
    """Let standard output be a pipe that nobody reads."""
    reader, writer = os.pipe()
    os.close(reader)
    os.dup2(writer, 1)
    os.close(writer)


def _send(signum: int, _folder: Path) -> None:
    if signum == signal.SIGPIPE:
        _lose_reader()
    os.kill(os.getpid(), signum)


def _raise(error: Exception, _folder: Path) -> None:
    raise error


def _says(number: int) -> Callable[[Path], None]:
    return partial(_raise, OSError(number, os.strerror(number)))


def _signal(name: str) -> Event:
    number = getattr(signal, f"SIG{name}")
    return Event(partial(calls, _is_stage, DEPTH), partial(_send, number), (0, 128 + number), 0)


def _disk(number: int) -> Event:
    return Event(partial(calls, _is_write, DEPTH), _says(number), (0, 5), 1)


OTHER = "other"
"""Folder of inputs that take the place of those with the same names."""


def _inputs(folder: Path) -> Iterator[tuple[Path, Path]]:
    """What a command reads, and its other version."""
    for path in (folder / OTHER).rglob("*"):
        if path.is_file():
            yield folder / path.relative_to(folder / OTHER), path


def _cut(folder: Path) -> None:
    for path, _ in _inputs(folder):
        os.truncate(path, path.stat().st_size // 2)


def _vanish(folder: Path) -> None:
    for path, _ in _inputs(folder):
        path.unlink()


def _exchange(folder: Path) -> None:
    for path, other in _inputs(folder):
        other.replace(path)


SIGNALS = ("INT", "TERM", "HUP", "PIPE", "KILL")
DISKS = {"DISK": errno.ENOSPC, "QUOTA": errno.EDQUOT, "BROKEN": errno.EIO}
EVENTS = {
    **{name: _signal(name) for name in SIGNALS},
    **{name: _disk(number) for name, number in DISKS.items()},
    "MEMORY": Event(partial(calls, _allocates, 1), partial(_raise, MemoryError()), (0, 6), 1),
    "READ": Event(reads, _says(errno.EIO), (0, 3), 1),
    "CUT": Event(reads, _cut, (0, 3), 1, changes=True),
    "VANISH": Event(reads, _vanish, (0, 3), 1, changes=True),
    "EXCHANGE": Event(reads, _exchange, (0, 3), 1, changes=True),
}
