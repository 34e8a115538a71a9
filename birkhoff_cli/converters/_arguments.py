"""What a caller in Python hands over itself, in place of what options would be read to."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from birkhoff_cli.analyses.core.arguments import alone, take
from birkhoff_cli.analyses.core.models import Model, models_of
from birkhoff_cli.analyses.core.parameterization import Parameterization
from birkhoff_cli.analyses.core.source import Drawn, Draws
from birkhoff_cli.converters._converter import Converter, Parameter
from birkhoff_cli.converters.draws import (
    GROUP,
    SEED,
    changed,
    draws_of,
    field_options,
    seed,
)
from birkhoff_cli.methods import Method
from birkhoff_cli.options import Option
from birkhoff_cli.request import Request


class FixedOption(Option):
    """An option whose value is there already, so that others can belong to it."""

    def read(self, text: Any) -> Any:
        """The value itself."""
        return text


@dataclass(frozen=True)
class Argument(Converter):
    """An argument that is there already: a trace, an array, methods.

    Attributes:
        value: the argument.
    """

    value: Any = None

    def options(self) -> Mapping[str, Option]:
        """The argument itself, and the seed, which every command accepts."""
        name = self.parameter.name
        return {name: FixedOption(name, self.parameter.annotation, ""), "seed": SEED}

    def read(self, request: Request, d: int | None) -> Any:
        """It, an array as a trace."""
        del request, d
        return take(Annotated[self.parameter.annotation, "", *self.parameter.marks], self.value, {})


class MethodArgument(Argument):
    """A method whose draws are the matrices."""

    def options(self) -> Mapping[str, Option]:
        """How to draw."""
        draws = draws_of(self.parameter)
        return {**super().options(), **field_options(draws, GROUP)}

    def read(self, request: Request, d: int | None) -> Any:
        """Its draws."""
        del d
        draws = changed(draws_of(self.parameter), request)
        return alone(self.parameter.annotation, Drawn(self.value, draws, seed(request)))


class ModelsArgument(Argument):
    """Models side by side, of which methods are drawn."""

    def options(self) -> Mapping[str, Option]:
        """How to draw."""
        draws = draws_of(self.parameter)
        return {**super().options(), **field_options(draws, GROUP)}

    def read(self, request: Request, d: int | None) -> tuple[Model, ...]:
        """All of them, with names."""
        del d
        draws = changed(draws_of(self.parameter), request)
        return models_of(self.value, draws, seed(request))


def converter_of(parameter: Parameter, methods: tuple[Method, ...], value: Any) -> Converter:
    """The converter of a value that is there."""
    if parameter.annotation == tuple[Model, ...]:
        return ModelsArgument(parameter, methods, value)
    draws = any(isinstance(mark, Draws) for mark in parameter.marks)
    converter = MethodArgument if draws and isinstance(value, Parameterization) else Argument
    return converter(parameter, methods, value)
