"""A signal, a full disk or a lack of memory at every stage of a command, in turn.

    python tests/stages.py --command report --signal TERM --count 200

What is called is seen by Python's profiler, in the process itself, so that nothing depends on
time: the n-th open, write, rename, removal, lock or start of a process raises the signal just
before it happens, or just after it has happened and before the caller knows what came of it.
"""

import argparse
import errno
import mmap
import os
import shutil
import signal
import struct
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1]))

import forked
import option_pairs

CALLS = {
    *("open", "write", "writelines", "close", "flush", "fsync", "replace", "rename", "unlink"),
    *("remove", "mkdir", "rmdir", "flock", "chmod", "fork_exec", "spawnv_passfds", "fork", "dup2"),
    *("write_batch", "write_table", "print", "next"),
}
"""Names of functions of C that change what others see, or hand over what has to be put away."""

CALLERS = {"birkhoff_cli", "contextlib", "pathlib", "shutil", "tempfile", "zipfile", "typer"}
"""Packages whose calls are counted."""

SIGNALS = ("INT", "TERM", "HUP", "PIPE", "KILL")
WRITES = {"open", "write", "writelines", "flush", "fsync", "replace", "rename", "mkdir"}
WRITES |= {"write_batch", "write_table"}
"""Calls that a full disk fails."""


class Command(NamedTuple):
    """A small command.

    Attributes:
        words: as they are typed.
        old: what is there before, by the names of what it writes; of a folder its files.
        resumes: whether it goes on with what a stopped one has left.
        inline: whether cells of a sweep run in the process itself.
    """

    words: str
    old: Mapping[str, Any]
    resumes: bool = False
    inline: bool = True


COMMANDS: Mapping[str, Command] = {
    "drawn": Command(
        "spectrum --method go-mhc --d 3 -n 4 --resolution 8 -o out.parquet --plot out.svg",
        {"out.parquet": b"old", "out.svg": b"old"},
    ),
    "checkpoint": Command("depth-drift ckpt.pt -o out.csv", {"out.csv": b"old"}),
    "sweep": Command(
        "region --kind karpelevic --points 5 --sweep d=3,4 -o out.parquet",
        {"out.parquet": b"old", "out.parquet.cells": None},
        resumes=True,
    ),
    "workers": Command(
        "region --kind karpelevic --points 5 --sweep d=3,4 --engine 2 -o out.parquet",
        {"out.parquet": b"old", "out.parquet.cells": None},
        resumes=True,
        inline=False,
    ),
    "report": Command(
        "report g.npy -o out.html", {"out.html": b"old", "out_files": {"check.png": b"old"}}
    ),
    "trace": Command("trace ckpt.pt -o out.arrow", {"out.arrow": b"old"}),
    "train": Command(
        "train --method mhc --d 2 -o out --text text.txt --updates 2 --every 1 --layers 1 "
        "--width 8 --heads 1 --length 8 --batch 2",
        {"out": None},
        resumes=True,
    ),
    "plot": Command("plot drift.parquet --plot out.png", {"out.png": b"old"}),
    "merge": Command("merge shard.parquet -o out.parquet", {"out.parquet": b"old"}),
}


READERS = {"read_bytes", "read_text"}
"""Functions of pathlib that open a file and change nothing."""


def _counts(frame: FrameType, function: Any) -> bool:
    """Whether a call is a stage: ours, and no call of the same name that only computes."""
    if function.__name__ not in CALLS or isinstance(function.__self__, str):  # str.replace
        return False
    if function.__name__ == "next":  # a context of contextlib is entered or left
        if frame.f_globals["__name__"] != "contextlib" or frame.f_back is None:
            return False
        frame = frame.f_back
    above = frame.f_back.f_code.co_name if frame.f_back else ""
    ours = frame.f_globals.get("__name__", "").partition(".")[0] in CALLERS
    return ours and above not in READERS


def _is_stage(frame: FrameType, event: str, function: Any) -> bool:
    return event in ("c_call", "c_return") and _counts(frame, function)


def _is_write(frame: FrameType, event: str, function: Any) -> bool:
    return event == "c_call" and function.__name__ in WRITES and _counts(frame, function)


BEGINNING = {"birkhoff_cli.__main__", "birkhoff_cli.process"}
"""Modules whose first functions run before anything can be said."""


def _allocates(frame: FrameType, event: str, function: Any) -> bool:
    """Whether a function of ours is called, or one of NumPy or Arrow that is written in C."""
    if event == "call":
        name = frame.f_globals.get("__name__", "")
        return name.startswith("birkhoff_cli.") and name not in BEGINNING
    module = getattr(function, "__module__", None) if event == "c_call" else None
    return (module or "").startswith(("numpy", "pyarrow"))


def _raise(error: Exception) -> None:
    raise error


def _send(signum: int) -> None:
    if signum == signal.SIGPIPE:
        _lose_reader()
    os.kill(os.getpid(), signum)


class Event(NamedTuple):
    """What happens at a stage.

    Attributes:
        counts: whether a call, as Python's profiler tells of it, is a stage.
        happen: lets it happen.
        codes: with which a command may end.
        lines: what it then prints, if it does not end well.
    """

    counts: Callable[[FrameType, str, Any], bool]
    happen: Callable[[], None]
    codes: tuple[int, ...]
    lines: int


def _signal(name: str) -> Event:
    number = getattr(signal, f"SIG{name}")
    return Event(_is_stage, lambda: _send(number), (0, 128 + number), 0)


FULL = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
LACKS: Mapping[str, Event] = {
    "DISK": Event(_is_write, lambda: _raise(FULL), (0, 5), 1),
    "MEMORY": Event(_allocates, lambda: _raise(MemoryError()), (0, 6), 1),
}
EVENTS: Mapping[str, Event] = {name: _signal(name) for name in SIGNALS} | LACKS


def hook(number: int, happening: Event, count: mmap.mmap) -> Callable[[], None]:
    """What is to be called in the process: it lets an event happen at the stage of that number.

    Args:
        number: of the stage; beyond the last one nothing happens.
        happening: the event.
        count: how many stages there were, as a number of eight bytes that is shared.
    """

    def profile(frame: FrameType, event: str, function: Any) -> None:
        if not happening.counts(frame, event, function):
            return
        (stages,) = struct.unpack("q", count[:8])
        count[:8] = struct.pack("q", stages + 1)
        if stages == number:
            sys.setprofile(None)
            happening.happen()

    return lambda: sys.setprofile(profile)


def _lose_reader() -> None:
    """Let standard output be a pipe that nobody reads."""
    reader, writer = os.pipe()
    os.close(reader)
    os.dup2(writer, 1)
    os.close(writer)


def content(path: Path) -> Any:
    """The bytes of a file; of a folder those of each of its files."""
    if path.is_dir():
        every = [p for p in sorted(path.rglob("*")) if not p.is_dir()]
        # a pickle depends on which of its words are one object: equal states may differ
        found = [p for p in every if p.name != "state.pt"]
        return {str(p.relative_to(path)): p.read_bytes() for p in found}
    return path.read_bytes() if path.exists() else None


class Stages:
    """The stages of one command.

    Attributes:
        command: it.
        new: what its outputs hold after it was not disturbed, by name.
    """

    def __init__(self, name: str) -> None:
        """Run it once."""
        self.command = COMMANDS[name]
        with tempfile.TemporaryDirectory() as place:
            ended, _ = self._run(Path(place), -1, EVENTS["TERM"])
            assert ended.code == 0, ended
            self.new = self._outputs(Path(place))

    @cache  # noqa: B019 (there are as many as commands)
    def total(self, word: str) -> int:
        """How many stages it has for an event."""
        with tempfile.TemporaryDirectory() as place:
            return self._run(Path(place), -1, EVENTS[word])[1]

    def _outputs(self, folder: Path) -> dict[str, Any]:
        return {name: content(folder / name) for name in self.command.old}

    def _run(self, folder: Path, number: int, event: Event) -> tuple[forked.Ended, int]:
        """How it ended, and how many stages there were until then."""
        for path in option_pairs.inputs().iterdir():
            (folder / path.name).symlink_to(path)
        for name, old in self.command.old.items():
            if isinstance(old, bytes):
                (folder / name).write_bytes(old)
            for inner, data in old.items() if isinstance(old, dict) else ():
                (folder / name).mkdir(exist_ok=True)
                (folder / name / inner).write_bytes(data)
        count = mmap.mmap(-1, 8)
        words, inline = self.command.words.split(), self.command.inline
        ended = forked.call(words, folder, hook(number, event, count), inline)
        return ended, *struct.unpack("q", count[:8])

    def fault(self, number: int, word: str) -> str | None:
        """What is wrong after an event at one stage; None if nothing is."""
        with tempfile.TemporaryDirectory() as place:
            folder = Path(place)
            ended, count = self._run(folder, number, EVENTS[word])
            if count <= number:
                return f"ends before that stage: {ended}"
            return self._judged(folder, ended, word)

    def _killed(self, folder: Path) -> str | None:
        """What is wrong after a signal that nobody can handle: the next command puts it right."""
        found = self._outputs(folder)
        for name, now in {} if self.command.resumes else found.items():
            if isinstance(now, bytes) and now not in (self.command.old[name], self.new[name]):
                return f"{name} is neither the old nor the new one"
        return self._resumed(folder) or self._stray(folder)

    def _stray(self, folder: Path) -> str | None:
        found = self._outputs(folder)
        known = {p.name for p in option_pairs.inputs().iterdir()} | {*found, "tmp"}
        stray = [p.name for p in folder.iterdir() if p.name not in known]
        stray += [p.name for p in (folder / "tmp").iterdir() if "torchinductor" not in p.name]
        inner = [name for now in found.values() if isinstance(now, dict) for name in now]
        stray += [name for name in inner if name.endswith(".tmp")]
        return f"leaves {stray}" if stray else None

    def _judged(self, folder: Path, ended: forked.Ended, word: str) -> str | None:
        if word == "KILL":
            return self._killed(folder)
        if ended.code not in EVENTS[word].codes:
            return f"exit {ended.code}: {ended.err[-300:]}"
        lines = ended.err.splitlines()
        ours = all(line.startswith("birkhoff: ") for line in lines)
        if ended.code and not (len(lines) == EVENTS[word].lines and ours):
            return f"says {ended.err[-300:]}"
        found = self._outputs(folder)
        if stray := self._stray(folder):
            return stray
        if ended.code == 0 and found != self.new:
            return "exit 0 and not all is written"
        return self._resumed(folder) if self.command.resumes else self._mixed(found)

    def _mixed(self, found: Mapping[str, Any]) -> str | None:
        for name, now in found.items():
            if now not in (self.command.old[name], self.new[name]):
                return f"{name} is neither the old nor the new one"
        if len({found[name] == self.new[name] for name in found}) > 1:
            return f"of {' and '.join(found)} one is old and one is new"
        return None

    def _resumed(self, folder: Path) -> str | None:
        again = forked.call(self.command.words.split(), folder, inline=self.command.inline)
        if again.code:
            return f"cannot be run again: {again.err}"
        return None if self._outputs(folder) == self.new else "goes on to something else"


@cache
def stages(name: str) -> Stages:
    """Those of a command."""
    return Stages(name)


def main() -> int:
    """Every stage of the commands that are named, by each event; prints each fault."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--command", choices=[*COMMANDS], action="append")
    parser.add_argument("--signal", choices=[*EVENTS], action="append")
    parser.add_argument("--count", type=int, default=0, help="stages of a command; all are 0")
    asked = parser.parse_args()
    forked.warm_up()
    faults = 0
    for name in asked.command or COMMANDS:
        for word in asked.signal or SIGNALS:
            tried = 0
            for number in numbers(name, word, asked.count):
                tried += 1
                if wrong := stages(name).fault(number, word):
                    faults += 1
                    print(f"{name} {number} {word}: {wrong}", flush=True)
            print(f"{name:12}{word:6}{tried:6} stages", flush=True)
    shutil.rmtree(option_pairs.inputs())
    return 1 if faults else 0


def numbers(name: str, word: str, count: int) -> Iterator[int]:
    """Stages of a command for an event, spread over all of them."""
    total = stages(name).total(word)
    yield from range(0, total, max(1, total // count) if count else 1)


if __name__ == "__main__":
    raise SystemExit(main())
