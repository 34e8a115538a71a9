"""Geometry of the mixing matrices in hyper-connection networks: a command line, and this package.

    import birkhoff_cli as birkhoff

    birkhoff.spectrum(birkhoff.method("go-mhc", s=2), samples=1000).plot()
    birkhoff.depth_drift(birkhoff.load("out/ckpt.pt")).summary

Every analysis is a function here. `record` records what a torch model in your own process does.
"""

from __future__ import annotations

import os
from importlib import import_module

TYPE_CHECKING = False
"""True to a type checker. To import typing takes ten times as long as all else of a command, until
signals are handled."""

if not os.path.isdir(os.path.join(os.path.dirname(__file__), "analyses")):  # noqa: PTH112, PTH118, PTH120
    # pathlib would take a tenth of the time that --help has
    raise ImportError(
        "birkhoff_cli/analyses: is no directory; it is a symbolic link to ../analyses, which this "
        "checkout did not keep. Run 'git config core.symlinks true', then 'git checkout .'"
    )

if TYPE_CHECKING:
    from typing import Any

    from birkhoff_cli.front_door import load as load
    from birkhoff_cli.front_door import method as method
    from birkhoff_cli.recording.callback import MonitorCallback as MonitorCallback
    from birkhoff_cli.recording.monitor import monitor as monitor
    from birkhoff_cli.recording.record import record as record
    from birkhoff_cli.recording.recorder import Recorder as Recorder

LENT = {
    "MonitorCallback": "recording.callback",
    "monitor": "recording.monitor",
    "Recorder": "recording.recorder",
    "record": "recording.record",
    "load": "front_door",
    "method": "front_door",
}
"""Module here by the name that it lends to this package."""


def __getattr__(name: str) -> Any:
    """Import what is asked for: no command needs it, and importing this package costs nothing."""
    if name in LENT:
        return getattr(import_module(f"birkhoff_cli.{LENT[name]}"), name)
    if name.startswith("_") or _is_module(name) or not _is_analysis(name):
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    from birkhoff_cli.front_door import analysis

    globals()[name] = member = analysis(name)
    return member


def __dir__() -> list[str]:
    """What there is for a user: the front door and every analysis."""
    from birkhoff_cli.analyses.core import discover

    analyses = discover.members("birkhoff_cli.analyses")
    return sorted([*LENT, *(name.replace("-", "_") for name in analyses)])


def _is_module(name: str) -> bool:
    """Whether it is a module of this package that is being imported, which is asked for first."""
    path = os.path.join(os.path.dirname(__file__), name)  # noqa: PTH118, PTH120
    return os.path.isfile(f"{path}.py") or os.path.isdir(path)  # noqa: PTH112, PTH113


def _is_analysis(name: str) -> bool:
    from birkhoff_cli.analyses.core import discover

    return discover.has("birkhoff_cli.analyses", name.replace("_", "-"))
