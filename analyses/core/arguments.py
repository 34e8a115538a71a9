"""What ``run`` of an analysis is given in Python, as the arguments that it takes.

A parameter that takes matrices takes a method too, whose draws they are, or an array. What the
command line reads from a path is read by `birkhoff_cli.load`.
"""

import dataclasses
import inspect
from collections.abc import Callable, Mapping
from functools import cache
from os import PathLike
from typing import Annotated, Any, TypeVar, get_args, get_origin

from birkhoff_cli.analyses.core.array_trace import Axis, array_trace, is_array, settled
from birkhoff_cli.analyses.core.ensemble import Sampler
from birkhoff_cli.analyses.core.errors import UsageError
from birkhoff_cli.analyses.core.models import Model, models_of
from birkhoff_cli.analyses.core.options import ArrayAxis
from birkhoff_cli.analyses.core.parameterization import Parameterization
from birkhoff_cli.analyses.core.result import Result
from birkhoff_cli.analyses.core.source import Drawn, Draws, Source
from birkhoff_cli.analyses.core.stack import Stack
from birkhoff_cli.analyses.core.trace import MixingTrace, Targets

Mark = TypeVar("Mark")

TRACES = (MixingTrace, MixingTrace | None, Source, Targets)
SEVERAL_SOURCES = tuple[Source, ...]
SEVERAL_TRACES = (tuple[MixingTrace, ...], SEVERAL_SOURCES)
STACKS = (Stack, Stack | None)
SAMPLER = Sampler | None
SEVERAL_METHODS = tuple[Parameterization, ...]
MODELS = tuple[Model, ...]

DRAWS = tuple(f.name for f in dataclasses.fields(Draws))


def arguments(
    run: Callable[..., Result], args: tuple[Any, ...], options: Mapping[str, Any]
) -> dict[str, Any]:
    """The arguments of ``run`` as it is written.

    Raises:
        TypeError: no such argument, or one twice, as of any function.
        UsageError: a path, or how to draw beside matrices that are not drawn.
    """
    hints = {name: p.annotation for name, p in _signature(run).parameters.items()}
    draw_names = (*DRAWS, "seed") if any(_mark(hint, Draws) for hint in hints.values()) else ()
    how = {n: v for n, v in options.items() if n in draw_names and n not in hints}
    rest = {n: v for n, v in options.items() if n not in how}
    bound = _signature(run).bind(*args, **rest).arguments
    drawn = any(_is_drawn(v) and _mark(hints[n], Draws) for n, v in bound.items())
    if idle := how.keys() - {"seed"} if not drawn else None:
        raise UsageError(f"{min(idle)} is for drawn matrices; leave it out, or give a method")
    return {name: take(hints[name], value, how) for name, value in bound.items()}


def _is_drawn(value: Any) -> bool:
    """Whether it is a method, or holds one."""
    items = [*value.values()] if isinstance(value, Mapping) else value
    several = items if isinstance(items, list | tuple) else [items]
    return any(isinstance(item, Parameterization) for item in several)


def take(hint: Any, value: Any, how: Mapping[str, Any]) -> Any:
    """An argument of the type that a parameter has.

    Args:
        hint: of the parameter, with the marks beside its type.
        value: matrices, methods or arrays; anything else stays as it is.
        how: to draw, if it is a method: fields of `Draws`, and ``seed``.

    Raises:
        UsageError: a path, which a function cannot read.
        BadInput: an array that holds no square matrices.
    """
    annotation, *_ = get_args(hint) if get_origin(hint) is Annotated else (hint,)
    if annotation in (*TRACES, *SEVERAL_TRACES) and isinstance(value, str | PathLike):
        raise UsageError(f"'{value}' is a path; give birkhoff_cli.load('{value}')")
    if draws := _mark(hint, Draws):
        own = {name: value for name, value in how.items() if name != "seed"}
        changed = dataclasses.replace(draws, **own)
        if annotation == MODELS:
            return models_of(value, changed, how.get("seed", 0))
        if isinstance(value, Parameterization):
            return alone(annotation, Drawn(value, changed, how.get("seed", 0)))
    if annotation == SAMPLER and isinstance(value, Parameterization):
        return value.draw
    if annotation in STACKS and is_array(value):
        return _stack(value)
    axis = (_mark(hint, ArrayAxis) or ArrayAxis()).name
    if annotation in (*SEVERAL_TRACES, SEVERAL_METHODS):
        several = value if isinstance(value, list | tuple) else (value,)
        return tuple(_settled(v, axis) for v in several)
    return _settled(value, axis) if annotation in TRACES else value


def alone(annotation: Any, drawn: Drawn) -> Any:
    """Drawn matrices as a parameter of this type takes them."""
    return (drawn,) if annotation == SEVERAL_SOURCES else drawn


def _settled(value: Any, axis: Axis | None) -> Any:
    """A trace whose axes are known, of a trace or an array; anything else as it is."""
    trace = array_trace(value) if is_array(value) else value
    return settled(trace, axis) if axis and isinstance(trace, MixingTrace) else trace


def _mark(hint: Any, type_: type[Mark]) -> Mark | None:
    """What is written of a type beside that of a parameter."""
    marks = get_args(hint)[1:] if get_origin(hint) is Annotated else ()
    return next((mark for mark in marks if isinstance(mark, type_)), None)


@cache
def _signature(run: Callable[..., Result]) -> inspect.Signature:
    return inspect.signature(run, eval_str=True)


def _stack(array: Any) -> Stack:
    whole = array_trace(array).matrices
    return Stack(whole.reshape(-1, *whole.shape[-2:]), "array", str(array.dtype).split(".")[-1])
