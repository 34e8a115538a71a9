"""Parameterizations: one file, one frozen dataclass, named as on the command line."""

import inspect
from types import ModuleType

from birkhoff_cli.analyses.core import discover
from birkhoff_cli.analyses.core.errors import UsageError
from birkhoff_cli.analyses.core.parameterization import Parameterization


def load(name: str) -> type[Parameterization]:
    """The class that ``analyses/parameterizations/<name>.py`` defines.

    Raises:
        UsageError: there is no such method; the nearest name is given.
    """
    if method := _method_in(discover.member(__name__, name)):
        return method
    raise UsageError(discover.unknown(name, load_all(), "methods"))


def load_all() -> dict[str, type[Parameterization]]:
    """Every method by name; a file that defines none is passed over, and fails a test."""
    modules = {name: discover.member(__name__, name) for name in names()}
    return {name: m for name, module in modules.items() if (m := _method_in(module))}


def _method_in(module: ModuleType) -> type[Parameterization] | None:
    """The parameterization that a module itself defines."""
    classes = (c for c in vars(module).values() if inspect.isclass(c))
    own = (c for c in classes if c.__module__ == module.__name__)
    return next((c for c in own if issubclass(c, Parameterization)), None)


def names() -> tuple[str, ...]:
    """Every method, as on the command line."""
    return discover.members(__name__)
