"""Checkpoints as they are, models to run, and a request that is passed on."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from birkhoff_cli.analyses.networks.token_run import TokenRun
from birkhoff_cli.checkpoints import Checkpoint
from birkhoff_cli.converters._converter import Converter
from birkhoff_cli.converters.traces import SERIES, SETTINGS, STREAMS, Series, Trace, inputs_word
from birkhoff_cli.options import Option
from birkhoff_cli.request import Request

PATH = Option(
    "path",
    list[Path],
    f"a checkpoint, file, folder or URL; {SERIES}",
    group="Matrices",
    positional=True,
    required=True,
)


class Model(Converter):
    """A checkpoint."""

    def options(self) -> Mapping[str, Option]:
        """The path, and its settings."""
        return {"path": PATH, "set": SETTINGS}

    def read(self, request: Request, d: int | None) -> Checkpoint:
        """The checkpoint."""
        from birkhoff_cli.reading import read_checkpoint

        del d
        return read_checkpoint(request["path"][0], request)


class TokenRuns(Trace):
    """The model at every path with the tokens to run, in order of training steps."""

    takes_series = True

    def options(self) -> Mapping[str, Option]:
        """The paths, and what their streams carry."""
        return {"path": PATH, **STREAMS}

    def used(self, request: Request) -> set[str]:
        """Options of tokens, even of a file that turns out to hold none to run them through."""
        return {"path", "set", "seed", "inputs", *inputs_word(request).options}

    def read(self, request: Request, d: int | None) -> tuple[TokenRun, ...]:
        """All of them."""
        from birkhoff_cli.reading import read_token_runs

        del d
        return read_token_runs(self.paths(request), request)


class Whole(Series):
    """The request itself, for a command that runs others on the same paths."""

    def read(self, request: Request, d: int | None) -> Any:
        """It."""
        del d
        return request


CONVERTERS: Mapping[Any, type[Converter]] = {
    Checkpoint: Model,
    tuple[TokenRun, ...]: TokenRuns,
    Request: Whole,
}
