"""How matrices are drawn: how many, of which distribution, in which precision; and the seed."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, get_args, get_type_hints

from birkhoff_cli import methods
from birkhoff_cli.analyses import parameterizations
from birkhoff_cli.analyses.core.errors import UsageError
from birkhoff_cli.analyses.core.source import Draws
from birkhoff_cli.converters._converter import Converter, Parameter
from birkhoff_cli.converters._plain import drawn_only
from birkhoff_cli.options import Option, dashes
from birkhoff_cli.request import Request

GROUP = "Matrices"
SEED = Option("seed", int, "of every random draw", default=0, group=GROUP)


def draws_of(parameter: Parameter) -> Draws:
    """The draws that an analysis makes if nothing is given: a mark of its source."""
    draws: Draws = next(mark for mark in parameter.marks if isinstance(mark, Draws))
    return draws


def changed(draws: Draws, request: Request) -> Draws:
    """Draws with the options that are given."""
    own = {name for name in field_options(draws, GROUP) if request.is_set(name)}
    return dataclasses.replace(draws, **{name: request[name] for name in own})


def draw_options(draws: Draws, named: Sequence[methods.Method]) -> dict[str, Option]:
    """One for each field; a shell offers the distributions of the methods that are named."""

    def distributions() -> list[str]:
        known = named or parameterizations.load_all().values()
        return sorted({name for method in known for name in method().distributions})

    every = field_options(draws, GROUP)
    return every | {"draw": dataclasses.replace(every["draw"], offers=distributions)}


class DrawOptions(Converter):
    """A dataclass of how to draw: one option for each field."""

    def options(self) -> Mapping[str, Option]:
        """Those that are not given keep the default that the analysis chose."""
        return draw_options(self.parameter.default, self.methods)

    def used(self, request: Request) -> set[str]:
        """None beside a file, whose matrices are as they are."""
        return set() if request.get("path") else set(self.options())

    def refusal(self, name: str, request: Request) -> str:
        """They are not drawn."""
        return drawn_only(dashes(name), request)

    def read(self, request: Request, d: int | None) -> Draws:
        """The defaults of the analysis, changed by what is given."""
        del d
        return changed(self.parameter.default, request)


class SeedNumber(Converter):
    """``--seed``, of which an analysis makes its random numbers."""

    def options(self) -> Mapping[str, Option]:
        """One number."""
        return {"seed": SEED}

    def read(self, request: Request, d: int | None) -> int:
        """The number."""
        del d
        return seed(request)


def seed(request: Request) -> int:
    """The number of ``--seed``.

    Raises:
        UsageError: it is below 0.
    """
    value: int = request["seed"]
    if value < 0:
        raise UsageError(f"--seed {value} cannot be; expected 0 or more")
    return value


def field_options(default: Any, group: str) -> dict[str, Option]:
    """An option for each field of a dataclass; None if it is not given.

    Draws of single matrices have no layers.
    """
    hints = get_type_hints(type(default), include_extras=True)
    built = {}
    for field in dataclasses.fields(default):
        annotation, note = get_args(hints[field.name])[:2]
        value = getattr(default, field.name)
        if field.name == "layers" and value is None:
            continue
        note += f" [{value}]" if type(value) is int else ""
        built[field.name] = Option(field.name, annotation, note, group=group)
    return built
