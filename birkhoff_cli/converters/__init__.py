"""From the options of a command to the arguments of ``run``: one converter for each type.

A plain type is an option of the parameter's own name. For all others the modules here that have
``CONVERTERS`` are asked, first those whose ``READS`` has the name of the type, which is known
without importing them: a command imports no more than it needs.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib import import_module
from itertools import chain
from types import MappingProxyType
from typing import Any, get_args

from birkhoff_cli import values
from birkhoff_cli.analyses.core import discover
from birkhoff_cli.analyses.core.trace import MixingTrace
from birkhoff_cli.converters._converter import Converter, Parameter, parameters_of
from birkhoff_cli.converters._plain import Plain
from birkhoff_cli.methods import Method

__all__ = ["Converter", "Plain", "converters_of"]

MODULES = ("drawn", "stacks", "logs", "traces", "models", "token_runs", "side_by_side", "targets")
"""In the order in which they are asked for a type that has no name, such as one of several."""


def converters_of(
    run: Callable[..., Any],
    methods: Sequence[Method] = (),
    ready: Mapping[str, Any] = MappingProxyType({}),
) -> list[Converter]:
    """A converter for every parameter of ``run``, in order.

    Args:
        run: of a command.
        methods: those that are named, whose options it has.
        ready: arguments that are there already, by name.
    """
    parameters = parameters_of(run)
    return [
        _take(parameter, tuple(methods), ready[parameter.name])
        if parameter.name in ready
        else _find(parameter, parameters)(parameter, tuple(methods))
        for parameter in parameters
    ]


def _take(parameter: Parameter, methods: tuple[Method, ...], value: Any) -> Converter:
    from birkhoff_cli.converters._arguments import converter_of  # of use in Python only

    return converter_of(parameter, methods, value)


def _find(parameter: Parameter, beside: Sequence[Parameter]) -> type[Converter]:
    if _is_trace(parameter) and (parameter.annotation is not MixingTrace or _several(beside)):
        from birkhoff_cli.converters.traces import NamedTrace, SideTrace

        return SideTrace if _several(beside) else NamedTrace
    if values.is_plain(parameter.annotation):
        return Plain
    classes = {*classes_in(parameter.annotation)}
    named = (name for name in MODULES if not classes.isdisjoint(_reads(name)))
    for name in chain(named, MODULES):
        known = import_module(f"{__name__}.{name}").CONVERTERS
        if parameter.annotation in known:
            converter: type[Converter] = known[parameter.annotation]
            return converter
    raise TypeError(f"no converter reads {parameter.name}: {parameter.annotation}")


def classes_in(annotation: Any) -> Iterator[str]:
    """Names of the classes in a type, such as those of the items of a tuple."""
    if arguments := get_args(annotation):
        for argument in arguments:
            yield from classes_in(argument)
    else:
        yield getattr(annotation, "__name__", "")


def _reads(name: str) -> tuple[str, ...]:
    names: tuple[str, ...] = discover.constant(__name__, name, "READS")
    return names


def _is_trace(parameter: Parameter) -> bool:
    return parameter.annotation in (MixingTrace, MixingTrace | None)


def _several(parameters: Sequence[Parameter]) -> bool:
    """Whether traces are told apart by the names of their arguments."""
    return sum(map(_is_trace, parameters)) > 1
