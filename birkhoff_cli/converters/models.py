"""Checkpoints as they are."""

from collections.abc import Mapping
from typing import Any

from birkhoff_cli.checkpoints import Checkpoint
from birkhoff_cli.converters._converter import Converter
from birkhoff_cli.converters._options import PATH, SETTINGS
from birkhoff_cli.options import Option
from birkhoff_cli.request import Request
from birkhoff_cli.settings import read_checkpoint

READS = ("Checkpoint",)


class Model(Converter):
    """A checkpoint."""

    def options(self) -> Mapping[str, Option]:
        """The path, and its settings."""
        return {"path": PATH, "set": SETTINGS}

    def read(self, request: Request, d: int | None) -> Checkpoint:
        """The checkpoint."""
        del d
        return read_checkpoint(request["path"][0], request)


CONVERTERS: Mapping[Any, type[Converter]] = {Checkpoint: Model}
