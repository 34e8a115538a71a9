"""Parameterizations: one file, one frozen dataclass, named as on the command line."""

import inspect

from birkhoff_cli.analyses.core import discover
from birkhoff_cli.analyses.core.parameterization import Parameterization


def load(name: str) -> type[Parameterization]:
    """The class that ``analyses/parameterizations/<name>.py`` defines.

    Raises:
        UsageError: there is no such method; the nearest name is given.
    """
    module = discover.member(__name__, name)
    own = (
        c for _, c in inspect.getmembers(module, inspect.isclass) if c.__module__ == module.__name__
    )
    return next(c for c in own if issubclass(c, Parameterization))


def names() -> tuple[str, ...]:
    """Every method, as on the command line."""
    return discover.members(__name__)
