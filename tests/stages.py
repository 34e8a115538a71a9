"""A signal, a full disk, no memory or another input at every stage of a command, in turn.

    python tests/stages.py --command report --signal TERM --places 1

What may happen, and what a stage of it is, is in `happenings`: just before a call, or just after it
and before the caller knows what came of it. ``--places K`` takes of every place in the code, told
by the calls that lead to it, K stages: others of the same place do the same once more. With
``--done FILE`` a run that was stopped goes on, and commands share the places that they share.
"""

import argparse
import mmap
import os
import shutil
import signal
import struct
import sys
import tempfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1]))

import forked
import happenings
import small_commands
from happenings import EVENTS, SIGNALS, Event
from small_commands import hub, inputs

MAX_STAGES = 1 << 17
"""Stages whose places are told."""

MAX_CALLERS = 1 << 10
"""Bytes of what is said about the stage where the event happened."""


def hook(number: int, happening: Event, found: mmap.mmap, folder: Path) -> Callable[[], None]:
    """What is to be called in the process: it lets an event happen at the stage of that number.

    Args:
        number: of the stage; beyond the last one nothing happens.
        happening: the event.
        found: how many stages there were, a number for the place of each, and at the end who
            called what the event happened in; it is shared.
        folder: of the command.
    """

    def reach(place: str) -> None:
        (stages,) = struct.unpack("q", found[:8])
        found[:8] = struct.pack("q", stages + 1)
        if stages < MAX_STAGES:
            at = 8 + 4 * stages
            found[at : at + 4] = struct.pack("I", zlib.crc32(place.encode()))
        if stages == number:
            happenings.forget()
            found[-MAX_CALLERS:] = happenings.callers().encode()[:MAX_CALLERS].ljust(MAX_CALLERS)
            happening.happen(folder)

    return lambda: happening.count(reach, folder)


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
        notes: what it says on standard error all the same.
        callers: of what the last event happened in, if one did.
    """

    def __init__(self, name: str) -> None:
        """Run it once."""
        self.command = small_commands.command(name)
        self.callers, self.notes = "", frozenset[str]()
        self.new = self._made(EVENTS["TERM"])

    def _made(self, event: Event) -> dict[str, Any]:
        with tempfile.TemporaryDirectory() as place:
            ended, _ = self._run(Path(place), -1, event, already=event.changes)
            assert ended.code == 0, ended
            self.notes |= {*ended.err.splitlines()}
            return self._outputs(Path(place))

    @cache  # noqa: B019 (there are as many as commands)
    def _of_changed(self, word: str) -> dict[str, Any] | None:
        """What its outputs hold if its inputs were changed before; None if it then refuses."""
        try:
            return self._made(EVENTS[word])
        except AssertionError:
            return None

    @cache  # noqa: B019
    def places(self, word: str) -> tuple[int, ...]:
        """A number for the place of every stage that it has for an event."""
        with tempfile.TemporaryDirectory() as place:
            return self._run(Path(place), -1, EVENTS[word])[1]

    def _outputs(self, folder: Path) -> dict[str, Any]:
        found = {name: content(folder / name) for name in self.command.old}
        if self.command.varies:
            return {n: c if c == self.command.old[n] else c.count(b",") for n, c in found.items()}
        return found

    def _fill(self, folder: Path, copies: bool) -> None:
        """Everything that it reads, and its old outputs."""
        if copies:
            shutil.copytree(inputs(), folder, dirs_exist_ok=True)
        for path in () if copies else inputs().iterdir():
            (folder / path.name).symlink_to(path)
        other = folder / happenings.OTHER
        for path in [*other.rglob("*")] if copies else ():
            if path.is_file() and path.relative_to(other).as_posix() not in self.command.reads:
                path.unlink()
        for name, old in self.command.old.items():
            if isinstance(old, bytes):
                (folder / name).write_bytes(old)
            for inner, data in old.items() if isinstance(old, dict) else ():
                (folder / name).mkdir(exist_ok=True)
                (folder / name / inner).write_bytes(data)

    def _run(
        self, folder: Path, number: int, event: Event, already: bool = False
    ) -> tuple[forked.Ended, tuple[int, ...]]:
        """How it ended, and the places of the stages until then."""
        (folder / "tmp").mkdir()
        self._fill(folder, event.changes)
        if already:
            event.happen(folder)
        if "hf://" in self.command.words:
            os.environ |= hub().environment
        found = mmap.mmap(-1, 8 + 4 * MAX_STAGES + MAX_CALLERS)
        own = hook(number, event, found, folder)
        words, inline = self.command.words.split(), self.command.inline
        ended = forked.call(words, folder, lambda: (self.command.before(), own())[1], inline)
        (stages,) = struct.unpack("q", found[:8])
        stages = min(stages, MAX_STAGES)
        self.callers = found[-MAX_CALLERS:].decode(errors="replace").strip("\0 ")
        return ended, struct.unpack(f"{stages}I", found[8 : 8 + 4 * stages])

    def fault(self, number: int, word: str) -> str | None:
        """What is wrong after an event at one stage; None if nothing is."""
        with tempfile.TemporaryDirectory() as place:
            folder = Path(place)
            ended, found = self._run(folder, number, EVENTS[word])
            if len(found) <= number:
                return f"ends before that stage: {ended}"
            callers, wrong = self.callers, self._judged(folder, ended, word)
            return f"{wrong} (in {callers})" if wrong else None

    def _killed(self, folder: Path) -> str | None:
        """What is wrong after a signal that nobody can handle: the next command puts it right."""
        found = self._outputs(folder)
        for name, now in {} if self.command.resumes else found.items():
            # a folder can be away between two renames
            if not isinstance(now, dict) and now not in (self.command.old[name], self.new[name]):
                return f"{name} is neither the old nor the new one"
        return self._resumed(folder) or self._stray(folder)

    def _stray(self, folder: Path) -> str | None:
        found = self._outputs(folder)
        known = {p.name for p in inputs().iterdir()} | {*found, "tmp"}
        stray = [p.name for p in folder.iterdir() if p.name not in known]
        stray += [p.name for p in (folder / "tmp").iterdir() if "torchinductor" not in p.name]
        inner = [name for now in found.values() if isinstance(now, dict) for name in now]
        stray += [name for name in inner if name.endswith(".tmp")]
        return f"leaves {stray}" if stray else None

    def _judged(self, folder: Path, ended: forked.Ended, word: str) -> str | None:
        event = EVENTS[word]
        if word == "KILL":
            return self._killed(folder)
        if ended.code not in event.codes:
            return f"exit {ended.code}: {ended.err[-300:]}"
        lines = [line for line in ended.err.splitlines() if line not in self.notes]
        ours = all(line.startswith("birkhoff: ") for line in lines)
        if ended.code and not (len(lines) == event.lines and ours):
            return f"says {ended.err[-300:]}"
        found = self._outputs(folder)
        if stray := self._stray(folder):
            return stray
        before = self._of_changed(word) if event.changes and found != self.new else self.new
        if ended.code == 0 and found != before:
            return "exit 0 and not all is written"
        if event.changes:
            if ended.code and not self.command.resumes and found != {**self.command.old}:
                return "is refused and has written"
            return None
        return self._resumed(folder) if self.command.resumes else self._mixed(found)

    def _mixed(self, found: Mapping[str, Any]) -> str | None:
        for name, now in found.items():
            if now not in (self.command.old[name], self.new[name]):
                return f"{name} is neither the old nor the new one"
        if len({found[name] == self.new[name] for name in found}) > 1:
            return f"of {' and '.join(found)} one is old and one is new"
        return None

    def _resumed(self, folder: Path) -> str | None:
        words, inline = self.command.words.split(), self.command.inline
        again = forked.call(words, folder, self.command.before, inline)
        if again.code:
            return f"cannot be run again: {again.err}"
        return None if self._outputs(folder) == self.new else "goes on to something else"


@cache
def stages(name: str) -> Stages:
    """Those of a command."""
    return Stages(name)


def numbers(name: str, word: str, count: int = 0, places: int = 0) -> Iterator[int]:
    """Stages of a command for an event, in order.

    Args:
        name: of the command.
        word: the event.
        count: about how many, spread over all of them; 0: all.
        places: at most so many of every place in the code, the first and the last among them.
    """
    every = stages(name).places(word)
    chosen = list(range(len(every)))
    if places:
        of_place: dict[int, list[int]] = {}
        for number, place in enumerate(every):
            of_place.setdefault(place, []).append(number)
        chosen = sorted({k for own in of_place.values() for k in _spread(own, places)})
    yield from chosen[:: max(1, len(chosen) // count) if count else 1]


def _spread(own: list[int], count: int) -> Iterator[int]:
    """At most so many, the first and the last among them."""
    for k in range(min(count, len(own))):
        yield own[k * (len(own) - 1) // max(1, min(count, len(own)) - 1)]


def main() -> int:
    """Stages of the commands that are named, by each event; prints each fault."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--command", choices=small_commands.names(), action="append")
    parser.add_argument("--signal", choices=[*EVENTS], action="append")
    parser.add_argument("--count", type=int, default=0, help="stages of a command; all are 0")
    parser.add_argument("--places", type=int, default=0, help="stages of a place in the code")
    parser.add_argument("--turns", action="store_true", help="events take turns over the stages")
    parser.add_argument("--part", default="1/1", help="I/N: every N-th stage")
    said = "a file of the places that were tried, which are left out, of whatever command"
    parser.add_argument("--done", type=Path, help=said)
    asked = parser.parse_args()
    words = asked.signal or SIGNALS
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(2))
    forked.warm_up()
    faults = 0
    for name in asked.command or small_commands.names():
        for several in [words] if asked.turns else [[word] for word in words]:
            if EVENTS[several[0]].changes and not small_commands.command(name).reads:
                continue
            faults += _try_all(name, several, asked)
    shutil.rmtree(inputs())
    return 1 if faults else 0


def _try_all(name: str, words: Sequence[str], asked: argparse.Namespace) -> int:
    """How many stages of a command are wrong, of those that were asked for."""
    part, parts = map(int, asked.part.split("/"))
    numbered = enumerate(numbers(name, words[0], asked.count, asked.places))
    chosen = [(number, words[k % len(words)]) for k, number in numbered][part - 1 :: parts]
    every, done = stages(name).places(words[0]), Done(asked.done)
    chosen = [(k, word) for k, word in chosen if not done.has(word, every[k])]
    tried = faults = 0
    try:
        for number, word in chosen:
            if wrong := stages(name).fault(number, word):
                faults += 1
                print(f"{name} {number} {word}: {wrong}", flush=True)
            done.add(word, every[number])
            tried += 1
    finally:  # also where the time for it is over
        said = f"{tried} of {len(chosen)} chosen of {len(every)} stages"
        print(f"{name:13}{'/'.join(words)}: {said}, {faults} faults", flush=True)
    return faults


class Done:
    """Places where an event was let happen, in a file: another run goes on behind them."""

    def __init__(self, path: Path | None) -> None:
        """Read the file, if there is one."""
        self.path = path
        self.lines = {*path.read_text().splitlines()} if path and path.exists() else set()

    def has(self, word: str, place: int) -> bool:
        """Whether an event has happened at a place."""
        return f"{word} {place:08x}" in self.lines

    def add(self, word: str, place: int) -> None:
        """Take note of an event at a place."""
        if self.path:
            with self.path.open("a") as file:
                file.write(f"{word} {place:08x}\n")


if __name__ == "__main__":
    os.environ["COLUMNS"] = "100"
    raise SystemExit(main())
