"""Matrices that a method is to reach: those at a path, or uniform ones of the polytope."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from birkhoff_cli import methods, values
from birkhoff_cli.analyses.core.errors import UsageError
from birkhoff_cli.analyses.core.trace import Targets
from birkhoff_cli.converters import drawn, draws
from birkhoff_cli.converters._converter import Converter
from birkhoff_cli.converters._plain import drawn_only
from birkhoff_cli.converters.traces import PATH_OR_METHOD, STREAMS, Trace
from birkhoff_cli.options import Option, dashes
from birkhoff_cli.request import Request

READS = ("Targets",)

TARGETS, DEFAULT_D = 200, 4
"""Targets that are drawn, and their streams, where nothing else is said."""


class PathOrTargets(Trace):
    """The matrices at a path, or, for a method that is to reach them, uniform ones of its d."""

    page = None

    def options(self) -> Mapping[str, Option]:
        """Those of a path; without one, how many targets, and of what d."""
        note = "random streams of gaussian [1000]; without PATH targets [200]"
        samples = dataclasses.replace(STREAMS["samples"], note=note)
        method = drawn.method_option(str | None, drawn.ONE)
        own = {"samples": samples, "method": method, "d": drawn.D}
        return {"path": PATH_OR_METHOD, **STREAMS, **own}

    def used(self, request: Request) -> set[str]:
        """Those of a path; without one those of targets."""
        if self.paths(request):
            return super().used(request)
        return {"path", "seed", "samples", "d"}

    def refusal(self, name: str, request: Request) -> str:
        """It is for targets that are drawn, or for checkpoints, and there is none."""
        if self.paths(request):
            return drawn_only("--d", request) if name == "d" else super().refusal(name, request)
        return f"{dashes(name)} is for checkpoints and there is none; leave it out"

    def read(self, request: Request, d: int | None) -> Any:
        """A trace.

        Raises:
            UsageError: neither a path nor a method is named.
        """
        if self.paths(request):
            return super().read(request, d)
        text = request["method"]
        if text is None:
            raise UsageError(
                "no matrices were named; give a checkpoint or matrices, or --method and a name for "
                "the share of the polytope that it reaches"
            )
        from birkhoff_cli.analyses.geometry.targets import uniform_targets

        own = methods.parse(text).options.get("d")
        typed_d = request["d"] if own is None else values.read(int, own, f"{text}: d")
        samples = TARGETS if request["samples"] is None else request["samples"]
        return uniform_targets(typed_d or DEFAULT_D, samples, draws.seed(request))


CONVERTERS: Mapping[Any, type[Converter]] = {Targets: PathOrTargets}
