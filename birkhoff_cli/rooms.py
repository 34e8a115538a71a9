"""Whether a large library has room, before it is loaded.

Loaded where there is too little, a library ends the process in ways of its own: by abort, by an
exception of another kind, or killed by the system. A command that needs none of them runs with
what Python and NumPy take.
"""

import os
import sys
from typing import Any, NamedTuple

from birkhoff_cli.analyses.core.errors import NoRoom

RESIDENT = 32 << 20
"""Bytes that Python and NumPy touch in the smallest command, beside those touched before."""

ADDRESS_SPACE = 600 << 20
"""Bytes that Python, NumPy, Arrow and Matplotlib reserve, most of which they never touch."""


class Need(NamedTuple):
    """What a library takes before it does anything.

    Attributes:
        resident: bytes that it touches, beside those of its files, which the system can drop.
        reserved: bytes of address space.
    """

    resident: int
    reserved: int


NEEDS = {
    "pyarrow": Need(16 << 20, 120 << 20),
    "scipy": Need(16 << 20, 120 << 20),
    "matplotlib": Need(64 << 20, 200 << 20),
    "torch": Need(140 << 20, 520 << 20),
    "torch._dynamo": Need(70 << 20, 100 << 20),  # which its optimizers import
}
"""Measured of commands that import each, and do little with it."""


def require(*libraries: str, work: int = 0) -> None:
    """Hold that there is room for libraries, but for those that are there already, and for work.

    Args:
        libraries: all that a command will need, so that it ends before it has begun.
        work: bytes that it takes beside them.

    Raises:
        NoRoom: the container, or the limit of the process, leaves too little.
    """
    missing = [library for library in libraries if library not in sys.modules]
    if not missing and not work:
        return
    needs = [NEEDS[library] for library in missing]
    need = Need(sum(n.resident for n in needs) + work, sum(n.reserved for n in needs) + work)
    names = dict.fromkeys(name.partition(".")[0] for name in missing)
    what = " and ".join([*names, *(["the work"] if work else [])])
    verb = "need" if " and " in what else "needs"
    if (room := container_room()) is not None and room < need.resident:
        raise NoRoom(
            f"the container leaves {max(0, room) >> 20} MB of memory and {what} {verb} "
            f"{'about' if work else 'at least'} {need.resident >> 20}; allow it more"
        )
    if (limit := address_limit()) is None:
        return
    if (left := max(0, limit - _reserved())) < need.reserved:
        raise NoRoom(
            f"this process may use {left >> 20} MB more of address space and {what} {verb} "
            f"{need.reserved >> 20}; raise the limit, such as by ulimit -v unlimited"
        )


def require_to_start() -> None:
    """Hold that there is room for the libraries that every command needs.

    Raises:
        NoRoom: the container, or the limit of the process, leaves too little.
    """
    if (room := container_room()) is not None and room < RESIDENT:
        raise NoRoom(
            f"the container leaves {max(0, room) >> 20} MB of memory and a command needs at least "
            f"{RESIDENT >> 20}; allow it more"
        )
    if (limit := address_limit()) is not None and limit < ADDRESS_SPACE:
        raise NoRoom(
            f"this process may use {limit >> 20} MB of address space and a command needs "
            f"{ADDRESS_SPACE >> 20}; raise the limit, such as by ulimit -v unlimited"
        )


class Guard:
    """Asks for room before one of `NEEDS` is imported, wherever that is; it finds no module."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> None:
        """Nothing, and so the import goes on.

        Raises:
            NoRoom: there is no room.
        """
        del path, target
        if name in NEEDS:
            require(name)


def guard_imports() -> None:
    """Let no large library be loaded where there is no room for it."""
    if not any(isinstance(finder, Guard) for finder in sys.meta_path):
        sys.meta_path.insert(0, Guard())
    if address_limit() is not None:  # Arrow's own takes all that is left, and others find none
        os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")


def container_room() -> int | None:
    """Bytes that the control groups leave; None where they set no limit."""
    from birkhoff_cli.analyses.core.memory import container_rooms  # help needs none of it

    return min(container_rooms(), default=None)


def address_limit() -> int | None:
    """Bytes of address space that this process may have; None where there is no limit."""
    try:
        import resource
    except ImportError:  # Windows has none
        return None
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    return None if limit == resource.RLIM_INFINITY else limit


def _reserved() -> int:
    """Bytes of address space that this process has."""
    import psutil

    return int(psutil.Process().memory_info().vms)
