"""What a converter is: from the options of a request to one argument of ``run``."""

import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal, NamedTuple, TypeAlias, get_args, get_origin

from birkhoff_cli.methods import Method
from birkhoff_cli.options import Option, dashes
from birkhoff_cli.request import Request


class Parameter(NamedTuple):
    """A parameter of ``run``.

    Attributes:
        name: its name.
        annotation: its type.
        note: the sentence of its annotation.
        marks: whatever else is in the annotation.
        default: its default; `inspect.Parameter.empty` is none.
        positional: it stands before the star.
    """

    name: str
    annotation: Any
    note: str
    marks: tuple[Any, ...]
    default: Any
    positional: bool

    @property
    def required(self) -> bool:
        """Whether it has no default."""
        return self.default is inspect.Parameter.empty


def parameters_of(run: Callable[..., Any]) -> list[Parameter]:
    """The parameters of ``run``, in order."""
    parameters = []
    for parameter in inspect.signature(run, eval_str=True).parameters.values():
        annotation, note, *marks = parameter.annotation, ""
        if get_origin(annotation) is Annotated:
            annotation, *marks = get_args(annotation)
            note = str(marks.pop(0)) if isinstance(marks[0], str) else ""
        positional = parameter.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD
        parameters.append(
            Parameter(parameter.name, annotation, note, tuple(marks), parameter.default, positional)
        )
    return parameters


Page: TypeAlias = Literal["model", "tokens"] | None
"""Always; if tokens are run through the model; never."""


@dataclass(frozen=True)
class Converter(ABC):
    """How one parameter of ``run`` is read.

    Attributes:
        parameter: the parameter.
        methods: those that the command line names, whose options it has.
    """

    parameter: Parameter
    methods: tuple[Method, ...] = ()

    takes_series = False
    """Whether all paths are one argument; else ``run`` is called for each path."""

    names_models = False
    """Whether every path is a model, or a series, of its own."""

    is_plain = False
    """Whether it is an option of the parameter's own name."""

    page: ClassVar[Page] = None
    """When a page on a model hands over what it reads."""

    is_another = False
    """Whether it reads what a page on one model lacks: another model, or methods."""

    needs_d = False
    """Whether its streams are as many as those of the matrices that are read beside it."""

    @abstractmethod
    def options(self) -> Mapping[str, Option]:
        """Its options by name."""

    def used(self, request: Request) -> set[str]:
        """Names of its options that have an effect in this request."""
        del request
        return set(self.options())

    def refusal(self, name: str, request: Request) -> str:
        """Why an option that was typed has no effect, and the way out."""
        del request
        return f"{dashes(name)} has no effect here; leave it out"

    @abstractmethod
    def read(self, request: Request, d: int | None) -> Any:
        """The argument.

        Args:
            request: with the options of this converter alone.
            d: number of streams of the matrices that are read beside it, if there are any.
        """
