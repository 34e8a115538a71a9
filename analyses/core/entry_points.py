"""Members, and what cannot be used of them; those of other packages are found by entry points.

An entry point names a module, or a class in one: ``theirs = "package.theirs"``. Nothing of a
package is imported before its member is used. A file of the house is an entry like the others.
"""

import importlib
import importlib.util
import os
import sys
from collections.abc import Collection, Iterator
from functools import cache
from importlib.machinery import PathFinder
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any, NamedTuple

from birkhoff_cli.analyses.core.errors import BirkhoffError, Unsupported

GROUPS = {
    "birkhoff_cli.analyses.parameterizations": "birkhoff.methods",
    "birkhoff_cli.analyses": "birkhoff.analyses",
    "birkhoff_cli.checkpoints": "birkhoff.checkpoints",
}
"""Entry point group of the members of a folder; other folders have members of the house only."""

DEFINES = {
    "birkhoff_cli.analyses": ("run", "SCHEMA", "EXAMPLES"),
    "birkhoff_cli.commands": ("run", "SCHEMA", "EXAMPLES"),
    "birkhoff_cli.checkpoints": ("MARKS", "claims", "read"),
    "birkhoff_cli.recording.libraries": ("ATTRIBUTES", "owns", "attach", "feed"),
}
"""What a module defines that is a member of a folder."""

HOUSE = "birkhoff"
"""Whose the files of our own folders are."""

MARK = b"birkhoff."
"""What the file of a distribution's entry points holds if one of them is of a group of ours."""


class Unusable(Unsupported):
    """A member that cannot be imported, or is none.

    Attributes:
        reason: the fact alone.
    """

    def __init__(self, entry: "Entry", reason: str) -> None:
        """Say whose it is, what is wrong and what to do."""
        whose, todo = f" of {entry.distribution}", f"uninstall {entry.distribution.split()[0]}"
        if entry.distribution == HOUSE:
            whose, todo = "", "begin its name with _"
        super().__init__(
            f"'{entry.name}'{whose} ({entry.value}) cannot be used: {reason}; mend or {todo}"
        )
        self.reason = reason


class Entry(NamedTuple):
    """One member, as an entry point names it.

    Attributes:
        name: of the member, as it is typed.
        module: where it is.
        attribute: the class; empty if the module is the member.
        distribution: name and version of the package that brings it; `HOUSE` for a file here.
    """

    name: str
    module: str
    attribute: str
    distribution: str

    @property
    def value(self) -> str:
        """Module and class, as the entry point has them."""
        return f"{self.module}:{self.attribute}" if self.attribute else self.module

    def source(self) -> Path | None:
        """The module's file, found without importing even the packages it is in; None if hidden."""
        top, *rest = self.module.split(".")
        try:
            spec = importlib.util.find_spec(top)
            for k in range(len(rest)):
                folders = spec and spec.submodule_search_locations
                spec = PathFinder.find_spec(".".join([top, *rest[: k + 1]]), folders or [])
        except (ImportError, ValueError):
            return None
        file = Path(spec.origin) if spec and spec.origin else None
        return file if file and file.suffix == ".py" and file.is_file() else None

    def load(self) -> Any:
        """The module, or the class.

        Raises:
            Unusable: it cannot be imported.
        """
        try:
            module = importlib.import_module(self.module)
            return getattr(module, self.attribute) if self.attribute else module
        except (Exception, SystemExit) as error:  # code of others fails in any way at all
            if self.distribution == HOUSE and _is_of_installation(error):
                raise
            raise self.refusal(one_line(error)) from error

    def refusal(self, reason: str) -> "Unusable":
        """The error about a member that fails."""
        return Unusable(self, reason)

    def brings(self, cls: type) -> bool:
        """Whether a class that is loaded is this member; imports nothing."""
        if not self.attribute:
            return cls.__module__ == self.module
        loaded = sys.modules.get(self.module)
        return loaded is not None and vars(loaded).get(self.attribute) is cls


def _is_of_installation(error: BaseException) -> bool:
    """Whether a file of the house is sound, and a library or memory is missing."""
    if isinstance(error, ModuleNotFoundError):
        return str(error.name).partition(".")[0] != "birkhoff_cli"
    if isinstance(error, ImportError):
        return not str(error).startswith("cannot import name")
    from birkhoff_cli.analyses.core.shortage import is_short_of_memory  # of use after an error

    is_ours = isinstance(error, BirkhoffError) or is_short_of_memory(error)
    return is_ours or library_of(error) not in {None, *OURS}


OURS = {"__main__", "__mp_main__", "birkhoff_cli"}
"""Packages whose modules are no library."""


def library_of(error: BaseException) -> str | None:
    """The library that was being imported when an error came; None if none was.

    Its module was being executed, or could not even be read: a file that is cut, of zeros, or of
    other bytes. Such a module may be ours.
    """
    trace, last = error.__traceback__, None
    while trace is not None:
        package = str(trace.tb_frame.f_globals.get("__name__")).partition(".")[0]
        if trace.tb_frame.f_code.co_name == "<module>" and package not in OURS:
            return package
        trace, last = trace.tb_next, trace
    return last and _unreadable(last)


def _unreadable(last: TracebackType) -> str | None:
    """The package of a module that an error's last frame wanted to import, if it is an import.

    Python removes its own frames from some of these errors, and not from others.
    """
    frame = last.tb_frame
    while frame is not None and frame.f_globals.get("__name__") in IMPORTING:
        name = frame.f_locals.get("name")
        if isinstance(name, str) and frame.f_code.co_name in ("_find_and_load", "import_module"):
            return name.partition(".")[0]
        frame = frame.f_back  # type: ignore[assignment]
    if frame is not last.tb_frame:
        return None
    import dis  # an error is rare

    own = str(frame.f_globals.get("__name__"))
    steps = [i for i in dis.get_instructions(frame.f_code) if i.offset <= last.tb_lasti]
    if not steps or steps[-1].opname != "IMPORT_NAME" or steps[-1].offset != last.tb_lasti:
        return None
    is_relative = bool(steps[-3].argval)  # the level, then what is taken, then the name
    return (own if is_relative else str(steps[-1].argval)).partition(".")[0]


IMPORTING = {
    *("importlib", "importlib._bootstrap", "importlib._bootstrap_external"),
    *("_frozen_importlib", "_frozen_importlib_external"),
}
"""Modules of Python that import."""


def require_module(entry: Entry, member: Any, names: Collection[str]) -> None:
    """Hold that a member is a module which defines what every member of its kind does.

    Raises:
        Unusable: naming what is not there.
    """
    if not isinstance(member, ModuleType):
        raise entry.refusal("it is no module")
    if lacking := [name for name in names if name not in vars(member)]:
        raise entry.refusal(f"it defines no {' and no '.join(lacking)}")


def one_line(error: BaseException) -> str:
    """Kind and message of an exception, short."""
    text = " ".join(f"{type(error).__name__}: {error}".split())
    return text if len(text) <= MAX_MESSAGE else f"{text[:MAX_MESSAGE]}..."


MAX_MESSAGE = 200
"""Characters of another package's message that are shown."""


def of(package: str) -> tuple[Entry, ...]:
    """Entry points of the group of a folder, by name; those that the first distribution has."""
    group = GROUPS.get(package)
    return tuple(entry for own, entry in _every(tuple(_path())) if own == group)


@cache
def _every(path: tuple[str, ...]) -> tuple[tuple[str, Entry], ...]:
    """Group and entry point, sorted; of a distribution that is there twice only the first."""
    if not any(map(_has_mark, path)):
        return ()
    from importlib.metadata import distributions  # takes half as long as --help

    entries_of: dict[str, list[tuple[str, Entry]]] = {}
    for distribution in distributions(path=list(path)):
        about = f"{distribution.name} {distribution.version}"
        entries_of.setdefault(
            distribution.name,
            [
                (e.group, Entry(e.name.strip().lower().replace("_", "-"), e.module, e.attr, about))
                for e in distribution.entry_points
                if e.group in GROUPS.values()
            ],
        )
    every = (pair for entries in entries_of.values() for pair in entries)
    return tuple(sorted(every, key=lambda pair: (pair[0], pair[1].name, pair[1].distribution)))


def _path() -> Iterator[str]:
    """Where packages are installed: not the current directory, which ``python -m`` puts first.

    A folder of data that somebody is in may hold anything, and what it holds is not installed.
    """
    first, *others = sys.path or [""]
    if first not in ("", current_directory()):
        yield first
    yield from others


def current_directory() -> str:
    """The directory that we are in; empty if it is no longer there."""
    try:
        return os.getcwd()  # noqa: PTH109 (pathlib would take its share of --help)
    except OSError:
        return ""


def _has_mark(folder: str) -> bool:
    """Whether a distribution in a folder may bring members: two milliseconds for a hundred."""
    try:
        names = [n for n in os.listdir(folder) if n.endswith((".dist-info", ".egg-info"))]  # noqa: PTH208
    except OSError:
        return False
    return any(_holds_mark(os.path.join(folder, n, "entry_points.txt")) for n in names)  # noqa: PTH118


def _holds_mark(file: str) -> bool:
    try:
        with open(file, "rb") as text:  # noqa: PTH123
            return MARK in text.read()
    except OSError:
        return False
