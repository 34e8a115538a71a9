"""A method that is no member: ``package.module:Class``, of a package or of the current directory.

Called with what was typed or passed in Python, and never with what a file holds.
"""

import importlib
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

from birkhoff_cli.analyses.core import discover, entry_points
from birkhoff_cli.analyses.core.errors import Unsupported, UsageError
from birkhoff_cli.analyses.core.parameterization import Parameterization
from birkhoff_cli.analyses.parameterizations import lacks
from birkhoff_cli.text import escape

LOADED: set[str] = set()
"""First words of the modules that were asked for."""


def load_class(module: str, name: str) -> type[Parameterization]:
    """Import a class that is a method.

    Args:
        module: its module, with dots.
        name: of the class.

    Raises:
        UsageError: no such module, or no such class in it, or one that is no method.
        Unsupported: the module cannot be imported.
    """
    word = f"{module}:{name}"
    LOADED.add(module.partition(".")[0])
    value = _import(word, module)
    if not hasattr(value, name):
        classes = [n for n, v in vars(value).items() if isinstance(v, type) and not lacks(v)]
        if not classes:
            raise UsageError(f"--method {word}: {module} has no '{name}', and defines no method")
        raise UsageError(f"--method {word}: {discover.unknown(name, classes, 'methods there')}")
    method: type[Parameterization] = getattr(value, name)
    if lacking := lacks(method):
        raise UsageError(f"--method {word}: {escape(lacking)}; see 'A method' in CONTRIBUTING.md")
    return method


def hint(text: str) -> str:
    """How a class is named, for a text that names a module, or a file, without one; else nothing.

    Nothing is imported.
    """
    word = text.partition(":")[0].strip()
    module = word.removesuffix(".py").removeprefix("./").replace("/", ".")
    if not re.fullmatch(r"[A-Za-z_][\w.]*", module, re.ASCII):
        return ""
    here = Path(*module.split("."))
    if "." not in module and word == module and not _is_module(here):
        return ""
    return f"a class of your own is named as package.module:Class, such as {module}:MyMethod"


def _is_module(path: Path) -> bool:
    """Whether the current directory has a module or a package of that name."""
    return any(map(os.path.lexists, (path.with_suffix(".py"), path / "__init__.py")))


def _import(word: str, module: str) -> ModuleType:
    with _from_here():
        try:
            return importlib.import_module(module)
        except (Exception, SystemExit) as error:  # code of others fails in any way at all
            if isinstance(error, ModuleNotFoundError) and module.startswith(str(error.name)):
                raise UsageError(
                    f"--method {word}: there is no module '{error.name}' in this directory, and "
                    f"none is installed; go where it is, or install it"
                ) from error
            raise Unsupported(
                f"--method {word}: {module} cannot be imported: "
                f"{escape(entry_points.one_line(error))}; mend it"
            ) from error


@contextmanager
def _from_here() -> Iterator[None]:
    """The current directory first among the places of modules, as with ``python -m``; then last.

    What the module imports later is still found there, and nothing there hides what others import.
    """
    here = entry_points.current_directory()
    if here in sys.path or "" in sys.path:
        yield
        return
    sys.path.insert(0, here)
    try:
        yield
    finally:
        sys.path.remove(here)
        sys.path.append(here)
