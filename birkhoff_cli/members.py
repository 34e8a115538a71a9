"""Every command: a file with ``run`` in one of two folders, or an analysis of another package."""

from types import ModuleType

from birkhoff_cli.analyses.core import discover
from birkhoff_cli.analyses.core.entry_points import require_module
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
    return next((package for package in PACKAGES if discover.has(package, name)), None)


def hidden() -> list[str]:
    """A sentence for every analysis of another package whose name was taken already."""
    return [
        f"'{entry.name}' of {entry.distribution} is not used: {owner} has that name."
        for package in PACKAGES
        for entry, owner in discover.hidden(package)
    ]


def module_of(name: str) -> ModuleType:
    """Import a command.

    Raises:
        UsageError: there is none of that name, or its file has no ``run``.
        Unusable: another package brings it, and it cannot be used.
    """
    package = package_of(name)
    module = package and discover.member(package, name)
    if package and (entry := discover.guest(package, name)):
        require_module(entry, module, WORDS)
    if not isinstance(module, ModuleType) or not hasattr(module, "run"):
        known = {n: discover.headline(p, n) for n, p in packages().items() if n != name}
        raise UsageError(discover.unknown(name, known, "commands", known))
    return module


WORDS = ("run", "SCHEMA", "EXAMPLES")
"""What the module of a command defines."""
