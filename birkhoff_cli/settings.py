"""The checkpoint at a path, with the settings of ``--set``."""

from pathlib import Path

from birkhoff_cli import checkpoints
from birkhoff_cli.analyses.core.errors import UsageError
from birkhoff_cli.checkpoints import TENSORS, Checkpoint
from birkhoff_cli.request import Request
from birkhoff_cli.steps import split_step
from birkhoff_cli.text import escape


def settings_of(request: Request) -> dict[str, str]:
    """The words of ``--set``, by name; several patterns of tensors are one.

    Raises:
        UsageError: a setting without its value, or with two.
    """
    settings: dict[str, str] = {}
    for text in request["set"] or ():
        key, equals, value = text.partition("=")
        if not (key and equals):
            raise UsageError(f"--set {text} is not of the form name=value; say --set iters=20")
        if key in settings and key != TENSORS:
            raise UsageError(f"--set {escape(key)} is there twice; say it once")
        settings[key] = f"{settings[key]},{value}" if key in settings else value
    return settings


def read_checkpoint(path: Path, request: Request) -> Checkpoint:
    """A checkpoint with the settings that override what was assumed.

    Raises:
        UsageError: a setting without its value.
    """
    file, _ = split_step(path)  # of a trace of a series, which is no checkpoint
    return checkpoints.read(file, settings_of(request))
