"""Several models side by side: paths, each with a name if it is given one, and methods."""

import os
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from birkhoff_cli import values
from birkhoff_cli.analyses.core.errors import UsageError
from birkhoff_cli.analyses.core.models import (
    Model,
    Unnamed,
    drawn_models,
    names_of_path,
    side_by_side,
)
from birkhoff_cli.converters import drawn
from birkhoff_cli.converters.draws import (
    GROUP,
    changed,
    draw_options,
    draws_of,
    field_options,
    seed,
)
from birkhoff_cli.converters.traces import STREAMS, Trace
from birkhoff_cli.options import Option, dashes
from birkhoff_cli.request import Request

READS = ("Model",)

NAMED = re.compile(r"([^=/\\]+)=(.+)", re.DOTALL)
"""``NAME=PATH``; what has a folder before the sign is a path."""


class NamedPath(str):
    """``NAME=PATH``, or a path alone; a file of exactly that name is a path."""

    @property
    def name(self) -> str | None:
        """What it is called, if that is said."""
        return self._parts[0]

    @property
    def path(self) -> Path:
        """The path."""
        return values.path_of(self._parts[1])

    @property
    def _parts(self) -> tuple[str | None, str]:
        match = None if _is_path(self) else NAMED.fullmatch(self)
        return (match[1], match[2]) if match else (None, str(self))

    def moved(self, move: Callable[[Path], Path | str]) -> "NamedPath":
        """The same with another path."""
        path = str(self.path) if str(self.path) == "-" else str(move(self.path))
        return NamedPath(path if self.name is None else f"{self.name}={path}")


def _is_path(word: str) -> bool:
    """Whether a word is a path though there may be ``=`` in it: of a file, or a URL."""
    return os.path.lexists(word) or re.match(r"[A-Za-z][A-Za-z0-9+.-]*://", word) is not None


def note() -> str:
    """What a path can be."""
    return "a checkpoint, URL, matrices, or a folder that is a series; NAME=PATH names it"


PATHS = Option("path", list[NamedPath] | None, note, group="Matrices", positional=True)


class SideBySide(Trace):
    """Models at paths, then those that are drawn from methods."""

    takes_series = True
    names_models = True
    needs_d = True
    page = None

    @property
    def _methods(self) -> drawn.Methods:
        return drawn.Methods(self.parameter, self.methods)

    def options(self) -> Mapping[str, Option]:
        """Those of paths and of draws; ``--samples`` has a meaning for either."""
        return {"path": PATHS, **STREAMS, **self._drawing()}

    def _drawing(self) -> Mapping[str, Option]:
        """Those of draws."""
        draws = draws_of(self.parameter)
        return {**self._methods.options(), **draw_options(draws, self.methods)}

    def paths(self, request: Request) -> list[Path]:
        """Every path, without its name."""
        return [named.path for named in request["path"] or ()]

    def used(self, request: Request) -> set[str]:
        """Those of what is named; if nothing is, all."""
        methods, paths = bool(request["method"]), bool(self.paths(request))
        if not methods and not paths:
            return set(self.options())
        used = {"path", "method", "seed"} | (super().used(request) if paths else set())
        if methods:
            draws = field_options(draws_of(self.parameter), GROUP)
            used |= {*draws, *self._methods.used(request)}
        return used

    def refusal(self, name: str, request: Request) -> str:
        """It is for what is not there, or of one method of several."""
        if name in self._drawing():
            if request["method"]:
                return self._methods.refusal(name, request)
            if name not in STREAMS:
                return f"{dashes(name)} is for drawn matrices; say --method too, or leave it out"
        if not self.paths(request):
            return f"{dashes(name)} is for checkpoints, not for --method"
        return super().refusal(name, request)

    def read(self, request: Request, d: int | None) -> tuple[Model, ...]:
        """All of them; a method has as many streams as the first path, if nothing is said."""
        read = list(self._read(request.only(super().used(request))))
        if request["method"]:
            known = next((m.model[-1].d for m in read if isinstance(m.model, tuple)), d)
            methods = self._methods.read(request, known)
            draws = changed(draws_of(self.parameter), request)
            read += drawn_models(methods, draws, seed(request))
        return side_by_side(read)

    def _read(self, request: Request) -> Iterator[Unnamed]:
        """The model or the series at every path.

        Raises:
            UsageError: two of one name.
        """
        from birkhoff_cli import series
        from birkhoff_cli.reading import read_series

        names: set[str] = set()
        for named in request["path"] or ():
            if named.name in names:
                raise UsageError(f"{named.name} is the name of two models; give each its own")
            traces = read_series(series.expand([named.path]), request, self._axes)
            if named.name is None:
                yield Unnamed(names_of_path(str(named.path)), traces)
            else:
                names.add(named.name)
                yield Unnamed([named.name], traces)


CONVERTERS: Mapping[Any, type[SideBySide]] = {tuple[Model, ...]: SideBySide}
