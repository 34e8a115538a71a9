"""Members of a folder, by file name: what a reader types is the file they open."""

import difflib
import importlib
import importlib.util
import pkgutil
import re
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

from birkhoff_cli.analyses.core.errors import UsageError


@cache
def members(package: str) -> tuple[str, ...]:
    """Names, with hyphens, of the modules directly in ``package``, sorted; imports none.

    A name that begins with ``_`` is shared vocabulary of the members, and no member.
    """
    modules = pkgutil.iter_modules([str(_folder(package))])
    names = (m.name for m in modules if not m.ispkg and not m.name.startswith("_"))
    return tuple(sorted(name.replace("_", "-") for name in names))


def headline(package: str, name: str) -> str:
    """First line of a member, which is that of its docstring, read without importing it."""
    file = _folder(package) / f"{name.replace('-', '_')}.py"
    with file.open(encoding="utf-8") as lines:
        return next(lines, "").strip().strip('"')


@cache
def constant(package: str, name: str, constant: str) -> Any:
    """A literal that a member assigns on one line, read without importing it; None if it has none.

    What is known of a member before it is imported: some cost more to import than to ask.
    """
    import ast  # takes longer than --help may

    file = _folder(package) / f"{name.replace('-', '_')}.py"
    found = re.search(rf"^{constant} = (.*)$", file.read_text(encoding="utf-8"), re.MULTILINE)
    return ast.literal_eval(found[1]) if found else None


def member(package: str, name: str) -> ModuleType:
    """Import one member.

    Raises:
        UsageError: ``package`` has no file of that name; the nearest one is named.
    """
    if name not in members(package):
        what = package.rpartition(".")[2]
        raise UsageError(unknown(name, members(package), what))
    return importlib.import_module(f"{package}.{name.replace('-', '_')}")


def unknown(word: str, known: Iterable[str], what: str) -> str:
    """The sentence for a word that is not in a list."""
    known = list(known)
    near = difflib.get_close_matches(word, known, n=1)
    guess = f"did you mean '{near[0]}'? " if near else ""
    return f"'{word}' is not among the {what}; {guess}known: {', '.join(known)}"


def _folder(package: str) -> Path:
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError(package)
    return Path(next(iter(spec.submodule_search_locations)))
