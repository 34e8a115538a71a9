"""Matrices at a path: of a checkpoint, of a trace, of an array."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from birkhoff_cli.analyses.core.array_trace import Axis
from birkhoff_cli.analyses.core.errors import UsageError
from birkhoff_cli.analyses.core.options import ArrayAxis
from birkhoff_cli.analyses.core.source import Source
from birkhoff_cli.analyses.core.trace import MixingTrace
from birkhoff_cli.converters import drawn, draws
from birkhoff_cli.converters._converter import Converter, Page
from birkhoff_cli.converters._options import GROUP, SERIES, SETTINGS
from birkhoff_cli.converters._plain import drawn_only
from birkhoff_cli.options import Option, dashes
from birkhoff_cli.request import Request
from birkhoff_cli.streams import KINDS, Inputs, Word
from birkhoff_cli.text import either

READS = ("MixingTrace", "Source")


def note() -> str:
    """What a path can be."""
    from birkhoff_cli import tables

    formats = either(tables.names())
    return f"a checkpoint, URL, or matrices as {formats}; - is standard input; {SERIES}"


PATH = Option("path", list[Path], note, group="Matrices", positional=True, required=True)
PATH_OR_METHOD = Option("path", list[Path] | None, note, group="Matrices", positional=True)


def input_words() -> tuple[str, ...]:
    """What a shell offers for ``--inputs``."""
    return ("static", "gaussian", "tokens=")


_INPUTS = draws.field_options(Inputs(), GROUP)
STREAMS = {
    "set": SETTINGS,
    "seed": draws.SEED,
    **_INPUTS,
    "inputs": dataclasses.replace(
        _INPUTS["inputs"], offers=lambda: ("static", "gaussian", "tokens=")
    ),
}
"""What may be said of any path: settings that were assumed, and what its streams carry."""


class Trace(Converter):
    """The matrices at the path that is the command's argument."""

    page: ClassVar[Page] = "model"

    def options(self) -> Mapping[str, Option]:
        """The path, and what may be said of it."""
        return {"path": PATH, **STREAMS}

    def paths(self, request: Request) -> list[Path]:
        """Every path of this argument."""
        return request["path"] or []

    def used(self, request: Request) -> set[str]:
        """Of checkpoints their options, those of streams as ``--inputs`` says; of matrices none."""
        used = {"seed", *(n for n, option in self.options().items() if option.positional)}
        if self._holds_matrices(request):
            from birkhoff_cli.reading import axes_of

            return used | {"set"} if axes_of(request) else used
        return used | {"set", "inputs", *inputs_word(request).options}

    def refusal(self, name: str, request: Request) -> str:
        """The path holds matrices, or these inputs have no such option."""
        if self._holds_matrices(request):
            path = self.paths(request)[0]
            return f"{dashes(name)} is for checkpoints and {path} holds matrices; leave it out"
        sentence = f"{dashes(name)} has no meaning with --inputs {inputs_word(request).kind}"
        others = [word for word in input_words() if name in KINDS[word.rstrip("=")].options]
        return f"{sentence}; it belongs to {others[0]}" if others else sentence

    def read(self, request: Request, d: int | None) -> Any:
        """The matrices."""
        from birkhoff_cli.reading import read_trace

        del d
        return read_trace(self.paths(request)[0], request, self._axes)

    @property
    def _axes(self) -> Axis | None:
        """What an array (n, d, d) is to this command."""
        marks = (mark for mark in self.parameter.marks if isinstance(mark, ArrayAxis))
        return next(marks, ArrayAxis()).name

    def _holds_matrices(self, request: Request) -> bool:
        """Whether there are paths, and all of them hold matrices."""
        from birkhoff_cli.reading import holds_matrices

        paths = self.paths(request)
        return bool(paths) and all(holds_matrices(path, request) for path in paths)


class NamedTrace(Trace):
    """The matrices at one of several paths, each an argument of its own."""

    page = None
    is_another = True

    def options(self) -> Mapping[str, Option]:
        """The path, and what may be said of any."""
        own = self.parameter
        path = Option(
            own.name,
            Path | None,
            own.note or note,
            group="Matrices",
            positional=True,
            required=own.required and own.annotation is MixingTrace,
        )
        return {own.name: path, **STREAMS}

    def paths(self, request: Request) -> list[Path]:
        """The one, if it is given."""
        path = request[self.parameter.name]
        return [] if path is None else [path]

    def used(self, request: Request) -> set[str]:
        """Nothing but the path without one."""
        return super().used(request) if self.paths(request) else {self.parameter.name}

    def refusal(self, name: str, request: Request) -> str:
        """There is no path, or it has no such option."""
        if not self.paths(request):
            return f"{dashes(name)} is for checkpoints and there is none; leave it out"
        return super().refusal(name, request)

    def read(self, request: Request, d: int | None) -> Any:
        """The matrices, or None where there is no path."""
        return super().read(request, d) if self.paths(request) else None


class SideTrace(NamedTrace):
    """One of several, whose settings may differ from those of the others: ``--set-a``."""

    @property
    def own(self) -> str:
        """The option for settings of this path alone."""
        return f"set_{self.parameter.name}"

    def options(self) -> Mapping[str, Option]:
        """With its own settings."""
        note = f"--set for {self.parameter.name.upper()} alone"
        return {
            **super().options(),
            self.own: dataclasses.replace(SETTINGS, name=self.own, note=note),
        }

    def used(self, request: Request) -> set[str]:
        """Its own settings wherever settings have an effect."""
        used = super().used(self._merged(request))
        return used | {self.own} if "set" in used else used

    def refusal(self, name: str, request: Request) -> str:
        """As without settings of its own."""
        return super().refusal(name, self._merged(request))

    def read(self, request: Request, d: int | None) -> Any:
        """The matrices under the settings of all, where it has none of that name itself."""
        return super().read(self._merged(request), d)

    def _merged(self, request: Request) -> Request:
        own = request[self.own] or []
        names = {text.partition("=")[0] for text in own}
        every = (request["set"] or []) if own else []
        shared = (text for text in every if text.partition("=")[0] not in names)
        return request.typing(set=(*shared, *own)) if own else request


class Series(Trace):
    """The matrices at every path, in order of training steps."""

    takes_series = True

    def read(self, request: Request, d: int | None) -> tuple[MixingTrace, ...]:
        """All of them."""
        from birkhoff_cli.reading import read_series

        del d
        return read_series(self.paths(request), request, self._axes)


class PathOrMethod(Trace):
    """The matrices at a path, or those that are drawn from a method."""

    @property
    def method(self) -> drawn.DrawnMatrices:
        """The half of it that draws."""
        return drawn.DrawnMatrices(self.parameter, self.methods)

    def options(self) -> Mapping[str, Option]:
        """Those of both; ``--samples`` has a meaning for either."""
        return {"path": PATH_OR_METHOD, **STREAMS, **self.method.options()}

    def used(self, request: Request) -> set[str]:
        """Those of the one that is named; if neither is, that is what has to be said."""
        if self.paths(request):
            return super().used(request)
        if request["method"] is None:
            return super().used(request) | {*self.method.options()}
        return self.method.used(request)

    def refusal(self, name: str, request: Request) -> str:
        """It is for the other one, or the one that is named does not have it."""
        if self.paths(request):
            own = name in self.method.options().keys() - STREAMS.keys()
            return drawn_only(dashes(name), request) if own else super().refusal(name, request)
        if request["method"] is None:
            return super().refusal(name, request)
        if name in STREAMS.keys() - self.method.options().keys():
            return f"{dashes(name)} is for checkpoints, not for --method"
        return self.method.refusal(name, request)

    def read(self, request: Request, d: int | None) -> Source:
        """A trace, or draws.

        Raises:
            UsageError: neither is named.
        """
        if self.paths(request):
            trace: MixingTrace = super().read(request, d)
            return trace
        if request["method"] is None:
            raise UsageError("no matrices were named; give a checkpoint, or --method and a name")
        source: Source = self.method.read(request, d)
        return source


class SeriesOrMethod(PathOrMethod):
    """The matrices at every path, in order of training steps, or those that are drawn."""

    takes_series = True

    def read(self, request: Request, d: int | None) -> Any:
        """All traces, or the draws alone.

        Raises:
            UsageError: nothing is named.
        """
        from birkhoff_cli.reading import read_series

        paths = self.paths(request)
        return read_series(paths, request, self._axes) if paths else (super().read(request, d),)


def inputs_word(request: Request) -> Word:
    """What ``--inputs`` says."""
    return request["inputs"] or Word("static")


CONVERTERS: Mapping[Any, type[Converter]] = {
    MixingTrace: Trace,
    tuple[MixingTrace, ...]: Series,
    Source: PathOrMethod,
    tuple[Source, ...]: SeriesOrMethod,
}
