"""Members of a folder, by file name: what a reader types is the file they open.

Installed packages may bring more, by entry points; they are listed and asked for like the others.
Where two have one name, that of the house is meant, and then the first package's.

A member that cannot be used is refused with a sentence where it is asked for by name, and passed
over where all are asked for; one of the house fails a test, too.
"""

import difflib
import importlib.util
import os
import re
from abc import ABCMeta
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import Any, TypeVar

from birkhoff_cli.analyses.core import entry_points
from birkhoff_cli.analyses.core.entry_points import DEFINES, HOUSE, Entry, Unusable, require_module
from birkhoff_cli.analyses.core.errors import UsageError

T = TypeVar("T")


def members(package: str) -> tuple[str, ...]:
    """Names, with hyphens, of every member of ``package``, sorted; imports none."""
    return tuple(sorted((*house(package), *guests(package))))


@cache
def house(package: str) -> tuple[str, ...]:
    """Names, with hyphens, of the modules directly in ``package``, sorted; imports none.

    A name that begins with ``_`` is shared vocabulary of the members, and no member.
    """
    files = (f for f in os.listdir(_folder(package)) if f.endswith(".py") and f[0] != "_")  # noqa: PTH208
    return tuple(sorted(file.removesuffix(".py").replace("_", "-") for file in files))


def guests(package: str) -> dict[str, Entry]:
    """The members of ``package`` that other packages bring, by name."""
    entries: dict[str, Entry] = {}
    for entry in entry_points.of(package):
        if not any(entry.name in house(folder) for folder in (package, *BESIDE.get(package, ()))):
            entries.setdefault(entry.name, entry)
    return entries


BESIDE = {"birkhoff_cli.analyses": ("birkhoff_cli.commands",)}
"""Folders whose members are typed in the same place as those of another one."""


def hidden(package: str) -> list[tuple[Entry, str]]:
    """Every member of another package whose name was taken already, and by whom."""
    own = guests(package)
    return [
        (entry, own[entry.name].distribution if entry.name in own else "birkhoff")
        for entry in entry_points.of(package)
        if own.get(entry.name) != entry
    ]


def has(package: str, name: str) -> bool:
    """Whether there is such a member; for one of the house no other package is looked at."""
    return name in house(package) or name in guests(package)


def guest(package: str, name: str) -> Entry | None:
    """Who brings a member; None for one of the house."""
    return None if name in house(package) else guests(package).get(name)


def word_for(package: str, cls: type) -> str:
    """What is typed for a class: its file's name, its entry point's, or ``module:Class``."""
    if cls.__module__.startswith(f"{package}."):
        return cls.__module__.rpartition(".")[2].replace("_", "-")
    brought = (name for name, entry in guests(package).items() if entry.brings(cls))
    return next(brought, f"{cls.__module__}:{cls.__qualname__}")


def headline(package: str, name: str) -> str:
    """First line of a member, which is that of its docstring, read without importing it.

    After it, of a member that another package brings, the package.
    """
    file, entry = _file(package, name), guest(package, name)
    first = ""
    if file is not None:
        with file.open(encoding="utf-8", errors="replace") as lines:
            first = next(lines, "").strip().strip('"')
    return f"{first} [{entry.distribution}]".strip() if entry else first


@cache
def constant(package: str, name: str, constant: str) -> Any:
    """A literal that a member assigns on one line, read without importing it; None if it has none.

    What is known of a member before it is imported: some cost more to import than to ask. An
    assignment that is no literal is a fault of the member, which a test of members finds.
    """
    if (file := _file(package, name)) is None:
        return None
    try:
        return literal(file, constant)
    except (SyntaxError, ValueError):
        return None


def entry(package: str, name: str) -> Entry:
    """Where a member is.

    Raises:
        UsageError: ``package`` has none of that name; the nearest one is named.
    """
    if brought := guest(package, name):
        return brought
    if name not in house(package):
        known = {other: headline(package, other) for other in members(package)}
        raise UsageError(unknown(name, known, package.rpartition(".")[2], known))
    return Entry(name, f"{package}.{name.replace('-', '_')}", "", HOUSE)


def literal(file: Path, constant: str) -> Any:
    """What a file of source assigns to a name on one line; None if it does not.

    Raises:
        SyntaxError, ValueError: it is no literal, or goes on in the next line.
    """
    import ast  # takes longer than --help may

    text = file.read_text(encoding="utf-8", errors="replace")
    assignment = re.search(rf"^{constant} = (.*)$", text, re.MULTILINE)
    return ast.literal_eval(assignment[1]) if assignment else None


def member(package: str, name: str) -> Any:
    """Import one member: a module, or a class where an entry point names one.

    Raises:
        UsageError: ``package`` has none of that name; the nearest one is named.
        Unusable: it cannot be imported, or does not define what its folder's members do.
    """
    own = entry(package, name)
    loaded = own.load()
    if package in DEFINES:
        require_module(own, loaded, DEFINES[package])
    return loaded


def subclass(package: str, name: str, base: type) -> Any:
    """Import one member that is a class, or a module which defines one.

    Args:
        package: the folder.
        name: of the member.
        base: what members there are derived from.

    Raises:
        UsageError: ``package`` has none of that name; the nearest one is named.
        Unusable: it cannot be imported, is no such class, or does not define all that is abstract.
    """
    loaded = member(package, name)
    if isinstance(loaded, ModuleType):
        loaded = class_in(loaded, base) or loaded
    if fault := fault_of(loaded, base):
        raise entry(package, name).refusal(fault)
    return loaded


def class_in(module: ModuleType, base: type) -> type | None:
    """The subclass of ``base`` that a module itself defines."""
    classes = (c for c in vars(module).values() if isinstance(c, type))
    own = (c for c in classes if c.__module__ == module.__name__)
    return next((c for c in own if issubclass(c, base)), None)


def fault_of(member: Any, base: type) -> str:
    """Why something is no subclass of ``base`` that can be made; empty if it is one."""
    if not isinstance(member, type):
        return f"is of type {type(member).__name__}, and no class derived from {base.__name__}"
    if not issubclass(member, base):
        return f"the class {member.__name__} is not derived from {base.__name__}"
    lacking = sorted(member.__abstractmethods__) if isinstance(member, ABCMeta) else []
    return f"{member.__name__} does not define {', '.join(lacking)}" if lacking else ""


def usable(package: str, load: Callable[[str], T]) -> Iterator[tuple[str, T]]:
    """Every member that can be used, by name; others are passed over.

    Args:
        package: the folder.
        load: loads one by name; it may ask for more than `member` does.
    """
    for name in members(package):
        try:
            loaded = load(name)
        except (Unusable, ModuleNotFoundError):
            continue
        yield name, loaded


def unknown(
    word: str, known: Iterable[str], what: str, headlines: Mapping[str, str] = MappingProxyType({})
) -> str:
    """The sentence for a word that is not in a list.

    Args:
        word: as it was typed.
        known: the list.
        what: it is of.
        headlines: of what is in it, in which the word may be too.
    """
    known = list(known)
    near = difflib.get_close_matches(word, known, n=1) or _by_headline(word, headlines)
    guess = f"did you mean '{near[0]}'? " if near else ""
    return f"'{word}' is not among the {what}; {guess}known: {', '.join(known)}"


def _by_headline(word: str, known: Mapping[str, str]) -> list[str]:
    """Names whose headline has a word, or its singular; the one that begins with it first."""
    if len(word) < LEAST:
        return []
    stem = re.escape(word.lower().removesuffix("s"))
    matches = {n: re.search(rf"\b{stem}s?\b", line.lower()) for n, line in known.items()}
    return [n for _, n in sorted((m.start() > 0, n) for n, m in matches.items() if m)]


LEAST = 4
"""Letters of a word that is looked for in headlines."""


def _file(package: str, name: str) -> Path | None:
    """Source of a member; None where another package has it in another form."""
    if entry := guest(package, name):
        return entry.source()
    return _folder(package) / f"{name.replace('-', '_')}.py"


@cache
def _folder(package: str) -> Path:
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError(package)
    return Path(next(iter(spec.submodule_search_locations)))
