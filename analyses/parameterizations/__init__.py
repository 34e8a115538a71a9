"""Parameterizations: one file, one frozen dataclass, named as on the command line."""

from typing import Any

from birkhoff_cli.analyses.core import discover, entry_points
from birkhoff_cli.analyses.core.parameterization import Parameterization
from birkhoff_cli.analyses.core.shortage import is_short_of_memory


def load(name: str) -> type[Parameterization]:
    """The class that ``analyses/parameterizations/<name>.py`` defines, or another package brings.

    Raises:
        UsageError: there is no such method; the nearest name is given.
        Unusable: it cannot be used.
    """
    method: type[Parameterization] = discover.subclass(__name__, name, Parameterization)
    if lacking := lacks(method):
        raise discover.entry(__name__, name).refusal(lacking)
    return method


def load_all() -> dict[str, type[Parameterization]]:
    """Every method by name that can be used; ``birkhoff methods`` says why others cannot."""
    return dict(discover.usable(__name__, load))


def lacks(method: Any) -> str:
    """Why something is no method; empty if it is one.

    It can be made without any option, so that it can be listed.
    """
    if fault := discover.fault_of(method, Parameterization):
        return fault
    try:
        method()
    except Exception as error:  # code of others fails in any way at all
        if is_short_of_memory(error):
            raise MemoryError from error
        return f"{method.__name__}() fails: {entry_points.one_line(error)}"
    return ""


def names() -> tuple[str, ...]:
    """Every method, as on the command line."""
    return discover.members(__name__)


def has(name: str) -> bool:
    """Whether there is such a method; imports none."""
    return discover.has(__name__, name)
