"""Words of the command line become domain objects."""

import dataclasses
import os
from functools import cache
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

import numpy as np

from analyses import parameterizations
from analyses.core.errors import UsageError
from analyses.core.parameterization import Parameterization
from analyses.core.source import Draws, Source
from birkhoff_cli import checkpoints
from birkhoff_cli.checkpoints import Checkpoint

METHODS = parameterizations.names()
DRAWS = tuple(field.name for field in dataclasses.fields(Draws))


@cache
def method_fields() -> dict[str, list[type[Parameterization]]]:
    """Every option that some method has, except d, with the methods that have it."""
    owners: dict[str, list[type[Parameterization]]] = {}
    for name in METHODS:
        cls = parameterizations.load(name)
        for field in dataclasses.fields(cls):
            if field.name != "d":
                owners.setdefault(field.name, []).append(cls)
    return owners


def source(words: dict[str, Any]) -> Source:
    """A path's trace or a method's map; exactly one of the two must be named."""
    if (path := words["path"]) is None:
        if words["method"] is None:
            raise UsageError("no matrices were named; give a checkpoint, or --method and a name")
        return method(words)
    idle = [n for n in ("method", "d", *method_fields(), *DRAWS) if _said(n, words)]
    if idle:
        raise UsageError(
            f"{_dashes(idle[0])} is for drawn matrices and {path} is a file; leave one of them out"
        )
    return checkpoints.read(path).trace()


def method(words: dict[str, Any]) -> Parameterization:
    """``--method``, ``--d`` and the options of that method.

    Raises:
        UsageError: no such method, or an option that it does not have.
    """
    if (name := words["method"]) is None:
        raise UsageError(f"--method is missing; it is one of {', '.join(METHODS)}")
    cls = parameterizations.load(name)
    hints = get_type_hints(cls)
    own = {field.name for field in dataclasses.fields(cls)}
    for option in method_fields():
        if _said(option, words) and option not in own:
            has = ", ".join(_dashes(o) for o in sorted(own - {"d"})) or "no options but --d"
            raise UsageError(f"{name} has no {_dashes(option)}; it has {has}")
    given = {n: words[n] for n in own if words.get(n) is not None}
    return cls(**{n: _convert(v, hints[n], n) for n, v in given.items()})


def checkpoint(words: dict[str, Any]) -> Checkpoint:
    """A path and the settings that override what was assumed."""
    settings: dict[str, str] = {}
    for word in words.get("set") or ():
        key, equals, value = word.partition("=")
        if not (key and equals):
            raise UsageError(f"--set {word} is not of the form name=value; say --set iters=20")
        settings[key] = value
    return checkpoints.read(Path(words["path"]), settings)


def draws(default: Draws, words: dict[str, Any]) -> Draws:
    """The draw options that were given over the analysis's defaults."""
    given = {n: words[n] for n in DRAWS if words.get(n) is not None}
    return dataclasses.replace(default, **given)


def generator(words: dict[str, Any]) -> np.random.Generator:
    """The one source of randomness, from ``--seed``: the fastest of NumPy's bit generators."""
    if words["seed"] < 0:
        raise UsageError(f"--seed {words['seed']} cannot be; expected 0 or more")
    return np.random.Generator(np.random.SFC64(words["seed"]))


def _said(name: str, words: dict[str, Any]) -> bool:
    """Given on the command line: a default from the environment is not meant for this command."""
    return words.get(name) is not None and f"BIRKHOFF_{name.upper()}" not in os.environ


def _dashes(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _convert(value: Any, hint: Any, name: str) -> Any:
    """A word with commas becomes a tuple; Typer has converted everything else."""
    if get_origin(hint) is not tuple or not isinstance(value, str):
        return value
    kind = get_args(hint)[0]
    try:
        return tuple(kind(part) for part in value.split(","))
    except ValueError:
        raise UsageError(
            f"{_dashes(name)} {value} is not a list of whole numbers; say {_dashes(name)} 2,2"
        ) from None
