"""Several models side by side, each with a name of its own."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePath
from typing import Any

from birkhoff_cli.analyses.core.array_trace import array_trace, is_array, settled
from birkhoff_cli.analyses.core.describe import specification
from birkhoff_cli.analyses.core.errors import UsageError
from birkhoff_cli.analyses.core.parameterization import Parameterization
from birkhoff_cli.analyses.core.random_numbers import Seed, generator
from birkhoff_cli.analyses.core.source import Drawn, Draws, Source
from birkhoff_cli.analyses.core.trace import MixingTrace


@dataclass(frozen=True)
class Model:
    """One of several models.

    Attributes:
        name: differs from those of the others.
        source: its matrices; of a series those of the last step.
        series: the matrices of every step, where it is a series of checkpoints.
    """

    name: str
    source: Source
    series: tuple[MixingTrace, ...] = ()


@dataclass(frozen=True)
class Unnamed:
    """A model before it is known which others stand beside it.

    Attributes:
        names: what it may be called, the shortest first.
        model: the matrices of every step, or those that are drawn.
    """

    names: Sequence[str]
    model: Drawn | tuple[MixingTrace, ...]


def drawn_models(methods: Iterable[Parameterization], draws: Draws, seed: Seed) -> list[Unnamed]:
    """Draws of every method, each with a seed of its own, made from ``seed``."""
    if draws.layers == 1:  # as if nothing was said of depth: blocks of single matrices
        draws = replace(draws, layers=None)
    every = tuple(methods)
    seeds = generator(seed).integers(1 << 62, size=len(every))
    return [
        Unnamed(_names_of(method), Drawn(method, draws, int(own)))
        for method, own in zip(every, seeds, strict=True)
    ]


def _names_of(method: Parameterization) -> tuple[str, str]:
    """As it is typed, without d and with it."""
    short = specification(method)
    return short, f"{short}{',' if ':' in short else ':'}d={method.d}"


def names_of_path(path: str) -> list[str]:
    """The name of a file, then with the folders that it is in."""
    parts = PurePath(path).parts or (path,)
    return ["/".join(parts[-k:]) for k in range(1, len(parts) + 1)]


def side_by_side(models: Sequence[Unnamed]) -> tuple[Model, ...]:
    """The models with names that tell them apart."""
    names = _tell_apart([model.names for model in models])
    return tuple(_named(name, each.model) for name, each in zip(names, models, strict=True))


def _named(name: str, model: Drawn | tuple[MixingTrace, ...]) -> Model:
    if not isinstance(model, tuple):
        return Model(name, model)
    return Model(name, model[-1], model if len(model) > 1 else ())


def _tell_apart(candidates: Sequence[Sequence[str]]) -> list[str]:
    """The shortest names of which no two are alike; those that stay alike are numbered."""
    lengths = [1] * len(candidates)
    while True:
        names = [c[n - 1] for c, n in zip(candidates, lengths, strict=True)]
        count = Counter(names)
        short = [k for k, c in enumerate(candidates) if count[names[k]] > 1 and lengths[k] < len(c)]
        if not short:
            break
        for k in short:
            lengths[k] += 1
    seen: Counter[str] = Counter()
    for k, name in enumerate(names):
        seen[name] += 1
        names[k] = f"{name} ({seen[name]})" if seen[name] > 1 else name
    return names


def models_of(value: Any, draws: Draws, seed: Seed) -> tuple[Model, ...]:
    """Models of what Python has: methods, traces, arrays, and tuples of traces that are series.

    Args:
        value: one of these, a list of them, or a mapping of names to them.
        draws: how to draw from methods.
        seed: of the draws.

    Raises:
        UsageError: something else.
    """
    if isinstance(value, tuple | list) and all(isinstance(item, Model) for item in value):
        return tuple(value)
    if isinstance(value, Mapping):
        names, items = [[str(name)] for name in value], list(value.values())
    else:
        items = list(value) if isinstance(value, tuple | list) else [value]
        names = [[] for _ in items]
    methods = [item for item in items if isinstance(item, Parameterization)]
    drawn = iter(drawn_models(methods, draws, seed))
    every = [next(drawn) if isinstance(i, Parameterization) else _recorded(i) for i in items]
    return side_by_side(
        [replace(m, names=own) if own else m for own, m in zip(names, every, strict=True)]
    )


def _recorded(item: Any) -> Unnamed:
    steps = item if isinstance(item, tuple) else (item,)
    traces = [array_trace(step) if is_array(step) else step for step in steps]
    for trace in traces:
        if not isinstance(trace, MixingTrace):
            raise UsageError(
                f"{type(trace).__name__} is no model; give methods, arrays, or what load() returns"
            )
    every = tuple(settled(trace, "samples") for trace in traces)
    return Unnamed(names_of_path(every[0].source), every)
