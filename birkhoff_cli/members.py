"""Every command: a file with ``run`` in one of two folders, or an analysis of another package."""

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
        UsageError: there is none of that name.
        Unusable: it cannot be used.
    """
    if (package := package_of(name)) is None:
        known = {n: discover.headline(p, n) for n, p in packages().items()}
        raise UsageError(discover.unknown(name, known, "commands", known))
    module: ModuleType = discover.member(package, name)
    return module
