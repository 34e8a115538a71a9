"""Options that every path to a checkpoint has."""

from pathlib import Path

from birkhoff_cli.options import Option

GROUP = "Checkpoints"
SERIES = "several: series"

PATH = Option(
    "path",
    list[Path],
    f"a checkpoint, file, folder or URL; {SERIES}",
    group="Matrices",
    positional=True,
    required=True,
)
SETTINGS = Option(
    "set",
    list[str] | None,
    "another value of a setting that was assumed",
    group=GROUP,
    stands_for="NAME=VALUE",
)
