"""Every command: a file with ``run`` in one of two folders."""

from types import ModuleType

from birkhoff_cli.analyses.core import discover
from birkhoff_cli.analyses.core.errors import UsageError

PACKAGES = ("birkhoff_cli.analyses", "birkhoff_cli.commands")


def packages() -> dict[str, str]:
    """The folder of every command, sorted by name."""
    return dict(sorted((name, p) for p in PACKAGES for name in discover.members(p)))


def names() -> list[str]:
    """Every command, sorted."""
    return [*packages()]


def package_of(name: str) -> str | None:
    """The folder of a command; None if there is no such command."""
    return packages().get(name)


def module_of(name: str) -> ModuleType:
    """Import a command.

    Raises:
        UsageError: there is none of that name, or its file has no ``run``.
    """
    package = package_of(name)
    module = package and discover.member(package, name)
    if not isinstance(module, ModuleType) or not hasattr(module, "run"):
        known = [command for command in names() if command != name]
        raise UsageError(discover.unknown(name, known, "commands"))
    return module
