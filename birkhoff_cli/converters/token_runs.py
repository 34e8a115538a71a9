"""Models to run, and a request that is passed on to other commands."""

from collections.abc import Mapping
from typing import Any

from birkhoff_cli.analyses.networks.token_run import TokenRun
from birkhoff_cli.converters._converter import Converter
from birkhoff_cli.converters._options import PATH
from birkhoff_cli.converters.traces import STREAMS, Series, Trace, inputs_word
from birkhoff_cli.options import Option
from birkhoff_cli.request import Request

READS = ("TokenRun", "Request")


class TokenRuns(Trace):
    """The model at every path with the tokens to run, in order of training steps."""

    takes_series = True
    page = "tokens"

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

    page = None

    def read(self, request: Request, d: int | None) -> Any:
        """It."""
        del d
        return request


CONVERTERS: Mapping[Any, type[Converter]] = {tuple[TokenRun, ...]: TokenRuns, Request: Whole}
