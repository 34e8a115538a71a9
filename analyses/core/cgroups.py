"""Which control groups of Linux this process is in: what a container, or a job's share, allows it.

Source: Linux, Documentation/admin-guide/cgroup-v2.rst, cgroup-v1/memory.rst;
Documentation/scheduler/sched-bwc.rst.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

CGROUPS = Path("/sys/fs/cgroup")
OWN_CGROUPS = Path("/proc/self/cgroup")
"""Where Linux says in which groups of processes this one is, and what they may use."""


class Group(NamedTuple):
    """A group of processes.

    Attributes:
        path: the folder of its limits.
        version: of the interface, 1 or 2.
    """

    path: Path
    version: int


def own_groups(controller: str) -> Iterator[Group]:
    """The process's own groups and those around them: the limits of all of them hold.

    Args:
        controller: what they limit, ``memory`` or ``cpu``.
    """
    try:
        lines = OWN_CGROUPS.read_text().splitlines()
    except OSError:  # no Linux
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if not controllers:
            base, version = CGROUPS, 2
        elif controller in controllers.split(","):
            base, version = CGROUPS / controller, 1
            if not base.is_dir():  # where there is no link from a controller's name
                base = CGROUPS / controllers
        else:
            continue
        parts = [part for part in path.split("/") if part not in ("", "..")]
        for depth in range(len(parts) + 1):  # a container sees its own group as the root
            yield Group(base.joinpath(*parts[:depth]), version)


def processors() -> float:
    """How many processors' time the groups allow, all of it: infinity where nothing is limited."""
    return min(map(_processors, own_groups("cpu")), default=float("inf"))


def _processors(group: Group) -> float:
    try:
        if group.version == 2:
            quota, period = (group.path / "cpu.max").read_text().split()
        else:
            quota, period = (
                (group.path / f"cpu.cfs_{name}_us").read_text().strip()
                for name in ("quota", "period")
            )
        return int(quota) / int(period) if int(quota) > 0 else float("inf")
    except (OSError, ValueError, ZeroDivisionError):  # max, or no such controller here
        return float("inf")
