"""Words of the command line become domain objects."""

import dataclasses
import os
from functools import cache
from pathlib import Path
from typing import Any, NewType, get_args, get_origin, get_type_hints

import numpy as np

from birkhoff_cli import checkpoints, matrices, streams
from birkhoff_cli.analyses import parameterizations
from birkhoff_cli.analyses.core.ensemble import Sampler
from birkhoff_cli.analyses.core.errors import BadInput, UsageError
from birkhoff_cli.analyses.core.parameterization import Parameterization
from birkhoff_cli.analyses.core.source import Draws, Source
from birkhoff_cli.analyses.core.trace import MixingTrace
from birkhoff_cli.analyses.networks.token_run import TokenRun
from birkhoff_cli.checkpoints import Checkpoint
from birkhoff_cli.series import set_steps
from birkhoff_cli.steps import training_step
from birkhoff_cli.streams import Inputs
from birkhoff_cli.text import escape

METHODS = parameterizations.names()
DRAWS = tuple(field.name for field in dataclasses.fields(Draws))
Words = NewType("Words", dict[str, Any])
"""What was said on the command line, by the names of options."""

STREAMS = ("inputs", *(option for option in streams.OPTIONS if option not in DRAWS))


@cache
def method_fields() -> dict[str, list[type[Parameterization]]]:
    """Every option that some method has, except d, with the methods that have it."""
    owners: dict[str, list[type[Parameterization]]] = {}
    for cls in parameterizations.load_all().values():
        for field in dataclasses.fields(cls):
            if field.name != "d":
                owners.setdefault(field.name, []).append(cls)
    return owners


def source(words: dict[str, Any]) -> Source:
    """A path's trace or a method's map; exactly one of the two must be named."""
    if not words["path"]:
        if words["method"] is None:
            raise UsageError("no matrices were named; give a checkpoint, or --method and a name")
        if idle := [n for n in ("set", *STREAMS) if _said(n, words)]:
            raise UsageError(f"{_dashes(idle[0])} is for checkpoints, not for --method")
        return method(words)
    idle = [n for n in ("method", "d", *method_fields(), *DRAWS) if _said(n, words)]
    if idle and idle != ["samples"]:
        raise UsageError(
            f"{_dashes(idle[0])} is for drawn matrices and {words['path'][0]} is a file; "
            f"leave one of them out"
        )
    return _matrices(words, words["path"][0])


def trace(words: dict[str, Any]) -> MixingTrace:
    """The matrices at a path; ``--d`` of a method to compare them with is theirs if not said."""
    found = _matrices(words, words["path"][0])
    if "d" in words and not _said("d", words):
        words["d"] = found.d
    return found


def trace_at(words: dict[str, Any], name: str) -> MixingTrace | None:
    """The matrices at the path that is given under a name of its own, if it is."""
    found = _matrices(words, words[name]) if words[name] else None
    if found and words.get("d", 0) is None:
        words["d"] = found.d
    return found


def about(words: dict[str, Any]) -> Words:
    """Everything that was said about paths, for a command that runs others on them."""
    return Words({name: words[name] for name in ("path", "set", "seed", "samples", *STREAMS)})


def series(words: dict[str, Any]) -> tuple[MixingTrace, ...]:
    """The matrices at every path, in order of training steps."""
    return set_steps([_matrices(words, path) for path in words["path"]], words["path"])


def runs(words: dict[str, Any]) -> tuple[TokenRun, ...]:
    """The model at every path with the tokens to run, in order of training steps."""
    paths = words["path"]
    return set_steps([_token_run(words, path) for path in paths], paths)


def _token_run(words: dict[str, Any], path: Path) -> TokenRun:
    if matrices.recognises(path):
        raise BadInput(f"{escape(path)}: holds matrices; to run tokens, give a checkpoint")
    chosen = _inputs(words)
    return streams.token_run(checkpoints.read(path, _settings(words)), chosen, _seed(words))


def _inputs(words: dict[str, Any]) -> Inputs:
    """What was said of streams; defaults of the environment only where they have a meaning."""
    given = {n: words[n] for n in ("samples", *STREAMS) if words.get(n) is not None}
    own = Inputs(given.get("inputs", "static")).options
    return Inputs(**{n: v for n, v in given.items() if n in ("inputs", *own) or _said(n, words)})


def _matrices(words: dict[str, Any], path: Path) -> MixingTrace:
    trace = _at(words, path)
    return dataclasses.replace(trace, step=training_step(path, trace.step))


def _at(words: dict[str, Any], path: Path) -> MixingTrace:
    if not matrices.recognises(path):
        chosen = _inputs(words)
        return streams.trace(checkpoints.read(path, _settings(words)), chosen, _seed(words))
    for option in ("set", "samples", *STREAMS):
        if _said(option, words):
            raise UsageError(
                f"{_dashes(option)} is for checkpoints and {path} holds matrices; leave it out"
            )
    return matrices.read(path)


def optional_method(words: dict[str, Any]) -> Parameterization | None:
    """`method`, or None where none is named.

    Raises:
        UsageError: an option of a method without the method, or what `method` raises.
    """
    if words["method"] is not None:
        return method(words)
    for option in method_fields():
        if _said(option, words):
            raise UsageError(f"{_dashes(option)} is an option of methods; say --method too")
    return None


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


def methods(words: dict[str, Any]) -> tuple[Parameterization, ...]:
    """Every ``--method name:option=value,...``, with ``--d`` for all of them if it is one d."""
    d = words["d"] if isinstance(words["d"], int) else None
    return tuple(_described(word, d) for word in words["method"] or ())


def sampler(words: dict[str, Any]) -> Sampler | None:
    """``--sampler name:option=value,...`` with ``draw=`` and ``scale=`` of that method, if given.

    Raises:
        UsageError: no such method, option or distribution.
    """
    if (word := words["sampler"]) is None:
        return None
    name, _, rest = word.partition(":")
    parts = [part.partition("=") for part in rest.split(",") if part]
    how = {key: value for key, _, value in parts if key in ("draw", "scale")}
    own = ",".join(key + equals + value for key, equals, value in parts if key not in how)
    found = _described(f"{name}:{own}", words["d"] if isinstance(words["d"], int) else None)
    scale = _value(how["scale"], float, word) if "scale" in how else None
    return lambda n, rng: found.draw(n, rng, how.get("draw"), scale)


def _described(word: str, d: int | None) -> Parameterization:
    name, _, rest = word.partition(":")
    hints = get_type_hints(parameterizations.load(name))
    given: dict[str, Any] = {"method": name, "d": d}
    for part in filter(None, rest.split(",")):
        option, equals, value = part.partition("=")
        option = option.replace("-", "_")
        if not equals or option not in {*method_fields(), "d"}:
            raise UsageError(f"--method {word}: '{part}' is no option=value; say {name}:d=3")
        given[option] = _value(value, hints.get(option, str), word)
    return method(given)


def _value(text: str, hint: Any, word: str) -> Any:
    """Text to int, float, str or a tuple (written 2x3), whichever the field takes."""
    kinds = [kind for kind in (hint, *get_args(hint)) if kind in (int, float)]
    if get_origin(hint) is tuple:
        return text.replace("x", ",")
    try:
        return kinds[0](text) if kinds else text
    except ValueError:
        raise UsageError(f"--method {word}: '{text}' is not a number") from None


def checkpoint(words: dict[str, Any]) -> Checkpoint:
    """A path and the settings that override what was assumed."""
    return checkpoints.read(words["path"][0], _settings(words))


def _settings(words: dict[str, Any]) -> dict[str, str]:
    settings: dict[str, str] = {}
    for word in words.get("set") or ():
        key, equals, value = word.partition("=")
        if not (key and equals):
            raise UsageError(f"--set {word} is not of the form name=value; say --set iters=20")
        settings[key] = value
    return settings


def draws(default: Draws, words: dict[str, Any]) -> Draws:
    """The draw options that were given over the analysis's defaults."""
    given = {n: words[n] for n in DRAWS if words.get(n) is not None}
    return dataclasses.replace(default, **given)


def generator(words: dict[str, Any]) -> np.random.Generator:
    """The one source of randomness, from ``--seed``: the fastest of NumPy's bit generators."""
    return np.random.Generator(np.random.SFC64(_seed(words)))


def _seed(words: dict[str, Any]) -> int:
    seed: int = words["seed"]
    if seed < 0:
        raise UsageError(f"--seed {seed} cannot be; expected 0 or more")
    return seed


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
