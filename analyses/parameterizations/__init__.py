"""Parameterizations: one file, one frozen dataclass, named as on the command line."""

import inspect
from collections.abc import Iterator
from types import ModuleType
from typing import Any

from birkhoff_cli.analyses.core import discover, entry_points
from birkhoff_cli.analyses.core.entry_points import Unusable
from birkhoff_cli.analyses.core.errors import UsageError
from birkhoff_cli.analyses.core.parameterization import Parameterization


def load(name: str) -> type[Parameterization]:
    """The class that ``analyses/parameterizations/<name>.py`` defines, or another package brings.

    Raises:
        UsageError: there is no such method; the nearest name is given.
        Unusable: another package brings it, and it cannot be used.
    """
    member = discover.member(__name__, name)
    if entry := discover.guest(__name__, name):
        method: Any = method_in(member) if isinstance(member, ModuleType) else member
        if lacking := lacks(method):
            raise entry.refusal(lacking)
        found: type[Parameterization] = method
        return found
    if own := method_in(member):
        return own
    raise UsageError(discover.unknown(name, load_all(), "methods"))


def load_all() -> dict[str, type[Parameterization]]:
    """Every method by name that can be used.

    A file that defines none is passed over, and fails a test; so is what another package brings
    and cannot be used: ``birkhoff methods`` says why.
    """
    return dict(_every())


def _every() -> Iterator[tuple[str, type[Parameterization]]]:
    for name in names():
        if discover.guest(__name__, name) is None:
            if own := method_in(discover.member(__name__, name)):
                yield name, own
            continue
        try:
            yield name, load(name)
        except Unusable:
            continue


def method_in(module: ModuleType) -> type[Parameterization] | None:
    """The parameterization that a module itself defines."""
    classes = (c for c in vars(module).values() if inspect.isclass(c))
    own = (c for c in classes if c.__module__ == module.__name__)
    return next((c for c in own if issubclass(c, Parameterization)), None)


def lacks(method: Any) -> str:
    """Why something that is not of the house is no method; empty if it is one.

    It can be made without any option, so that it can be listed.
    """
    if not inspect.isclass(method):
        return f"is of type {type(method).__name__}, and no class derived from Parameterization"
    if not issubclass(method, Parameterization):
        return f"the class {method.__name__} is not derived from Parameterization"
    if lacking := sorted(method.__abstractmethods__):
        return f"{method.__name__} does not define {', '.join(lacking)}"
    try:
        method()
    except Exception as error:  # code of others fails in any way at all
        return f"{method.__name__}() fails: {entry_points.one_line(error)}"
    return ""


def names() -> tuple[str, ...]:
    """Every method, as on the command line."""
    return discover.members(__name__)


def has(name: str) -> bool:
    """Whether there is such a method; imports none."""
    return discover.has(__name__, name)
