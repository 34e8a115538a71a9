"""Every command: a file in one of two folders."""

from types import ModuleType

from birkhoff_cli.analyses.core import discover

PACKAGES = ("birkhoff_cli.analyses", "birkhoff_cli.commands")


def names() -> list[str]:
    """Every command, sorted."""
    return sorted(name for package in PACKAGES for name in discover.members(package))


def package_of(name: str) -> str | None:
    """The folder of a command; None if there is no such command."""
    return next((p for p in PACKAGES if name in discover.members(p)), None)


def module_of(name: str) -> ModuleType:
    """Import a command.

    Raises:
        UsageError: there is none of that name.
    """
    return discover.member(package_of(name) or PACKAGES[0], name)
