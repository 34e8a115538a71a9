"""Command line of birkhoff: words in, tables and figures out; no mathematics.

``from birkhoff_cli import record`` records what a torch model in your own process does.
"""

import os
from importlib import import_module
from typing import Any

if not os.path.isdir(os.path.join(os.path.dirname(__file__), "analyses")):  # noqa: PTH112, PTH118, PTH120
    # pathlib would take a tenth of the time that --help has
    raise ImportError(
        "birkhoff_cli/analyses: is no directory; it is a symbolic link to ../analyses, which this "
        "checkout did not keep. Run 'git config core.symlinks true', then 'git checkout .'"
    )

RECORDING = {"Recorder": "recorder", "record": "record"}
"""Module of `birkhoff_cli.recording` by the name that it lends to this package."""


def __getattr__(name: str) -> Any:
    """Import the recorder when it is asked for: no command needs it."""
    if name not in RECORDING:
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    module = import_module(f"birkhoff_cli.recording.{RECORDING[name]}")
    return getattr(module, name)
