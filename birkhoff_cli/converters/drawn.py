"""Methods, and matrices that are drawn from them."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from birkhoff_cli import methods, values
from birkhoff_cli.analyses import parameterizations
from birkhoff_cli.analyses.core.ensemble import Sampler
from birkhoff_cli.analyses.core.errors import UsageError
from birkhoff_cli.analyses.core.options import Idle
from birkhoff_cli.analyses.core.parameterization import Parameterization, require_scale
from birkhoff_cli.analyses.core.random_numbers import Seed
from birkhoff_cli.analyses.core.source import Drawn, Draws
from birkhoff_cli.converters._converter import Converter
from birkhoff_cli.converters.draws import (
    GROUP,
    SEED,
    DrawOptions,
    SeedNumber,
    changed,
    draw_options,
    draws_of,
    field_options,
    seed,
)
from birkhoff_cli.options import Option, dashes
from birkhoff_cli.request import Origin, Request

READS = ("Parameterization", "Draws", "Drawn")

D = Option("d", int | None, "number of streams [4]", group=GROUP)
ONE = "go-mhc:s=2, or go-mhc and --s 2; see birkhoff methods NAME"
SEVERAL = "go-mhc:s=2, once for each; see birkhoff methods NAME"


def method_option(annotation: Any, note: str) -> Option:
    """An option that names a method."""
    return Option(
        "method",
        annotation,
        note,
        group=GROUP,
        offers=parameterizations.names,
        stands_for="NAME",
        split=methods.several,
    )


class Method(Converter):
    """``--method``, ``--d``, and the options of the method."""

    needs_d = True

    def options(self) -> Mapping[str, Option]:
        """Of all methods that the command line names."""
        own = {name: o for m in reversed(self.methods) for name, o in methods.fields(m).items()}
        return {"method": method_option(str | None, ONE), "d": D, **own}

    def used(self, request: Request) -> set[str]:
        """``--d`` and the options of the method that is named."""
        text = request.get("method")
        return {"method", "d", *(methods.fields(methods.parse(text).method) if text else ())}

    def refusal(self, name: str, request: Request) -> str:
        """The method has no such option."""
        return methods.has_no(methods.parse(request["method"]).method, name)

    def read(self, request: Request, d: int | None) -> Parameterization:
        """The method.

        Raises:
            UsageError: none was named, or one that is none, or with an option that is there twice.
        """
        if (text := request["method"]) is None:
            raise UsageError(methods.missing())
        return build(methods.parse(text), request, d)


class OptionalMethod(Method):
    """A method, or none."""

    def used(self, request: Request) -> set[str]:
        """Nothing else without a method."""
        return super().used(request) if request["method"] is not None else {"method"}

    def refusal(self, name: str, request: Request) -> str:
        """There is no method, or it has no such option."""
        if request["method"] is None:
            return f"{dashes(name)} belongs to --method; say that too, or leave {dashes(name)} out"
        return super().refusal(name, request)

    def read(self, request: Request, d: int | None) -> Any:
        """The method if one is named."""
        return super().read(request, d) if request["method"] is not None else None


class Methods(Converter):
    """``--method`` once for every method."""

    needs_d = True
    is_another = True

    def options(self) -> Mapping[str, Option]:
        """Of all methods that the command line names."""
        own = {name: o for m in reversed(self.methods) for name, o in methods.fields(m).items()}
        return {"method": method_option(list[str] | None, SEVERAL), "d": D, **own}

    def used(self, request: Request) -> set[str]:
        """Options of a method only if there is one."""
        texts = request["method"] or []
        return {"method", "d", *(methods.fields(self._first(request)) if len(texts) == 1 else ())}

    def refusal(self, name: str, request: Request) -> str:
        """Which of several methods is meant is not clear."""
        texts = request["method"]
        if len(texts) == 1:
            return methods.has_no(self._first(request), name)
        return (
            f"{dashes(name)} is of one method and {len(texts)} are named; say "
            f"{methods.word_of(texts[0])}:{name.replace('_', '-')}=... of one"
        )

    def read(self, request: Request, d: int | None) -> tuple[Parameterization, ...]:
        """Every method."""
        texts = request["method"] or []
        if len(texts) == 1:
            return (build(methods.parse(texts[0]), request, d),)
        parsed = [methods.parse(text) for text in texts]
        if parsed and all("d" in spec.options for spec in parsed) and _is_typed("d", request):
            raise UsageError("--d has no effect, as every --method says its own d; leave it out")
        return tuple(spec.build(streams(request, d)) for spec in parsed)

    def _first(self, request: Request) -> methods.Method:
        return methods.parse(request["method"][0]).method


def build(spec: methods.Specification, request: Request, d: int | None) -> Parameterization:
    """A method from its specification and the options beside it, which are shorthand.

    Raises:
        UsageError: an option that is there twice.
    """
    own = [name for name in methods.fields(spec.method) if name in request.options]
    for name in ("d", *own):
        if name in spec.options and _is_typed(name, request):
            raise UsageError(f"{dashes(name)} and {spec.text} say {name} twice; say it once")
    beside = {name: request[name] for name in own if request.is_set(name)}
    return spec.build(streams(request, d), **beside)


def streams(request: Request, d: int | None) -> int | None:
    """Number of streams: as typed, else of the matrices beside it, else as a variable says."""
    return request.get("d") if d is None or _is_typed("d", request) else d


def _is_typed(name: str, request: Request) -> bool:
    return name in request and request.origin(name) is Origin.TYPED


class OptionalSampler(Converter):
    """``--sampler name:option=value,draw=...,scale=...``."""

    needs_d = True

    def options(self) -> Mapping[str, Option]:
        """One word, with ``--d``."""
        note = "draw from a method, go-mhc:s=1,draw=haar: its options, draw and scale"
        return {
            "sampler": dataclasses.replace(method_option(str | None, note), name="sampler"),
            "d": D,
        }

    def read(self, request: Request, d: int | None) -> Sampler | None:
        """Draws from the method, if it is given."""
        if (text := request["sampler"]) is None:
            return None
        spec = methods.parse(text)
        how = {name: spec.options.get(name) for name in ("draw", "scale")}
        own = {name: text for name, text in spec.options.items() if name not in how}
        method = dataclasses.replace(spec, options=own).build(streams(request, d))
        scale = None if how["scale"] is None else values.read(float, how["scale"], f"{text}: scale")
        require_scale(scale, f"{text}: scale")
        return Targets(method, how["draw"], scale, text)


@dataclasses.dataclass(frozen=True)
class Targets:
    """Draws from a method, and the text that asked for them."""

    method: Parameterization
    draw: str | None
    scale: float | None
    specification: str

    def __call__(self, n: int, rng: np.random.Generator) -> Any:
        """Matrices ``(n, d, d)``."""
        return self.method.draw(n, rng, self.draw, self.scale)


class DrawnMatrices(Method):
    """Matrices that are drawn: the method, how many, how, and the seed."""

    def options(self) -> Mapping[str, Option]:
        """Those of the method, and of `Draws`."""
        own = draw_options(draws_of(self.parameter), self.methods)
        return {**super().options(), "seed": SEED, **own}

    def used(self, request: Request) -> set[str]:
        """With every option of the draws, but those that are idle.

        Raises:
            UsageError: the method itself says one of those, as in ``mhc:d=3``.
        """
        every = {"seed", *field_options(draws_of(self.parameter), GROUP)} | super().used(request)
        idle = {name for mark in self._idle(request) for name in mark.names}
        for name in methods.parse(request["method"]).options if idle and request["method"] else ():
            if name in idle:
                raise UsageError(self.refusal(name, request))
        return every - idle

    def refusal(self, name: str, request: Request) -> str:
        """It is idle, or the method has no such option."""
        for mark in self._idle(request):
            if name in mark.names:
                return f"{dashes(name)} has no effect with {dashes(mark.option)} {mark.value}"
        return super().refusal(name, request)

    def _idle(self, request: Request) -> list[Idle]:
        marks = [m for m in self.parameter.marks if isinstance(m, Idle)]
        return [m for m in marks if request.get(m.option) == m.value]

    def read(self, request: Request, d: int | None) -> Any:
        """The draws of a method."""
        draws = changed(draws_of(self.parameter), request)
        return Drawn(super().read(request, d), draws, seed(request))


CONVERTERS: Mapping[Any, type[Converter]] = {
    Parameterization: Method,
    Parameterization | None: OptionalMethod,
    tuple[Parameterization, ...]: Methods,
    Sampler | None: OptionalSampler,
    Draws: DrawOptions,
    Drawn: DrawnMatrices,
    Seed: SeedNumber,
}
