"""Saying no before memory runs out."""

from collections.abc import Iterator
from pathlib import Path

from birkhoff_cli.analyses.core.cgroups import own_groups
from birkhoff_cli.analyses.core.errors import TooLarge

UNASKED = 1 << 20
"""Bytes that any machine has: to ask takes longer than to use them."""

LARGEST_WRITTEN = 10**21
"""Numbers from here on are said by their magnitude."""

LOG10_OF_2 = 0.30102999566398114
"""Rounded down."""


def available() -> int:
    """Bytes this process can still take: of the machine, of its container, of its own limit.

    Memory that only caches files counts as available: the system gives it back.
    """
    import psutil

    machine = int(psutil.virtual_memory().available)
    return max(0, min([machine, *container_rooms(), *_own_rooms()]))


def require_memory(size: float, what: str) -> None:
    """Refuse work that would take more than half of the available memory.

    Raises:
        TooLarge: saying what is too large, what it would need and what there is.
    """
    if size <= UNASKED:
        return
    limit = available() / 2
    if size > limit:
        raise TooLarge(
            f"{what} would need {gibibytes(size)} and {gibibytes(limit)} may be used; "
            f"make it smaller"
        )


def gibibytes(size: float) -> str:
    """A number of bytes, however large, in words."""
    if size < LARGEST_WRITTEN:
        return f"{size / 2**30:,.1f} GiB"
    return f"{magnitude(int(size) >> 30)} GiB"


def magnitude(number: int) -> str:
    """A whole number, however large, in words: a factorial has more digits than a line."""
    if number < LARGEST_WRITTEN:
        return f"{number:,}"
    return f"more than 1e{int((number.bit_length() - 1) * LOG10_OF_2)}"


def container_rooms() -> Iterator[int]:
    """What is left of the limits of the process's control groups and of those around them.

    Source: Linux, Documentation/admin-guide/cgroup-v2.rst and cgroup-v1/memory.rst.
    """
    for group in own_groups("memory"):
        if group.version == 2:
            names = ("memory.max", "memory.current", "")
        else:
            names = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_")
        yield from _room(group.path, *names)


def _room(group: Path, limit: str, usage: str, prefix: str) -> Iterator[int]:
    """The limit less what is in use and caches no files; nothing where there is no limit."""
    try:
        most = (group / limit).read_text().strip()
        used = int((group / usage).read_text())
        numbers = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
    except OSError:
        return
    if most != "max":
        cached = sum(
            int(numbers.get(f"{prefix}{queue}_file", 0)) for queue in ("active", "inactive")
        )
        yield int(most) - max(0, used - cached)


def _own_rooms() -> Iterator[int]:
    """What is left of a limit on the address space, as ``ulimit -v`` sets it."""
    try:
        import resource
    except ImportError:  # Windows has none
        return
    import psutil

    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    if limit != resource.RLIM_INFINITY:
        yield limit - psutil.Process().memory_info().vms
