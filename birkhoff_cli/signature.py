"""The signature of ``run`` is the option list: from types to words, and from words to arguments.

A parameter whose type is a domain type (a source of matrices, a method, a checkpoint, a random
generator) becomes the words that name one; a dataclass of options becomes one option per field;
everything else is an option with the note of its annotation as help. Nothing is written twice.
"""

import dataclasses
import inspect
import types
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

import numpy as np
import typer

from birkhoff_cli import inputs, series, tables
from birkhoff_cli.analyses.core.ensemble import Sampler
from birkhoff_cli.analyses.core.parameterization import Parameterization
from birkhoff_cli.analyses.core.result import Result
from birkhoff_cli.analyses.core.source import Draws, Source
from birkhoff_cli.analyses.core.trace import MixingTrace
from birkhoff_cli.analyses.networks.token_run import TokenRun
from birkhoff_cli.checkpoints import Checkpoint
from birkhoff_cli.streams import Inputs
from birkhoff_cli.text import either

WHOLE = {inputs.series, inputs.runs, inputs.about}
"""Readers that take a series as a whole."""

Reader = Callable[[dict[str, Any]], Any]
"""From all given words, by option name, to the object that ``run`` wants."""


def signed(module: ModuleType) -> tuple[dict[str, Any], dict[str, Reader]]:
    """The options of ``run``, and how to read its arguments from them."""
    options: dict[str, Any] = {}
    readers: dict[str, Reader] = {}
    for parameter in inspect.signature(module.run, eval_str=True).parameters.values():
        readers[parameter.name] = _parameter(parameter, options)
    return options, readers


def takes_models(module: ModuleType) -> bool:
    """Whether ``run`` looks at the matrices of a model or a series, and needs nothing else."""
    kinds = _kinds(module)
    models = (Source, MixingTrace, tuple[MixingTrace, ...])
    more = (MixingTrace, MixingTrace | None, tuple[Parameterization, ...])
    return kinds[0] in models and not any(kind in more for kind in kinds[1:])


def takes_tokens(module: ModuleType) -> bool:
    """Whether ``run`` runs tokens through a model or a series, and needs nothing else."""
    return bool(_kinds(module)[0] == tuple[TokenRun, ...])


def _kinds(module: ModuleType) -> list[Any]:
    parameters = inspect.signature(module.run, eval_str=True).parameters.values()
    return [_split(parameter.annotation)[0] for parameter in parameters]


def result(module: ModuleType, said: Mapping[str, Any]) -> Result:
    """What ``run`` gives for words about a path, and defaults for everything else."""
    options, readers = signed(module)
    words = {k: o.default if isinstance(o, inspect.Parameter) else None for k, o in options.items()}
    return prepared(module, readers, words | {k: v for k, v in said.items() if k in words})()


def prepared(
    module: ModuleType, readers: dict[str, Reader], words: dict[str, Any]
) -> Callable[[], Result]:
    """Read everything that was named; once for every member of a series, if ``run`` wants one."""
    if words.get("path"):
        words["path"] = series.expand(words["path"])
    if len(words.get("path") or ()) < 2 or WHOLE & {*readers.values()}:
        arguments = {key: read(words) for key, read in readers.items()}
        return lambda: module.run(**arguments)
    paths = words["path"]
    each = [{key: read(words | {"path": [p]}) for key, read in readers.items()} for p in paths]
    models = [next(v for v in arguments.values() if hasattr(v, "step")) for arguments in each]
    arguments_of = dict(zip(map(id, models), each, strict=True))
    runs = [(step, arguments_of[id(m)]) for step, m in series.order_by_step(models, paths)]
    return lambda: series.stack([(step, module.run(**arguments)) for step, arguments in runs])


def _parameter(parameter: inspect.Parameter, options: dict[str, Any]) -> Reader:
    """Add the options of one parameter of ``run``; return how to read it from them."""
    kind, note = _split(parameter.annotation)
    if kind == Source:
        options |= {"path": PATHS_OR_METHOD} | _streams() | method_options()
        return inputs.source
    if kind is MixingTrace and parameter.name == "trace":
        options |= {"path": MATRICES} | _streams()
        return inputs.trace
    if kind in (MixingTrace, MixingTrace | None):  # one of several, each an argument of its own
        path = Path if kind is MixingTrace else Path | None
        options |= {parameter.name: _argument(path, f"{note or FILE}.")} | _streams()
        return lambda given: inputs.trace_at(given, parameter.name)
    if kind == tuple[MixingTrace, ...]:
        options |= {"path": MATRICES} | _streams()
        return inputs.series
    if kind == tuple[TokenRun, ...]:
        options |= {"path": PATH} | _streams()
        return inputs.runs
    if kind is Parameterization:
        options |= method_options()
        return inputs.method
    if kind == Parameterization | None:
        options |= method_options()
        return inputs.optional_method
    if kind == tuple[Parameterization, ...]:
        options |= {"method": METHODS, "d": _option(int | None, None, D_HELP, "d", "Method")}
        return inputs.methods
    if kind == Sampler | None:
        options["sampler"] = SAMPLER
        return inputs.sampler
    if kind is Checkpoint:
        options |= {"path": PATH, "set": SETTINGS}
        return inputs.checkpoint
    if kind is inputs.Words:
        options |= {"path": MATRICES} | _streams()
        return inputs.about
    if kind is np.random.Generator:
        options["seed"] = SEED
        return inputs.generator
    if kind is Draws:
        options |= _fields(parameter.default, "Draws")
        return lambda given: inputs.draws(parameter.default, given)
    if parameter.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD:
        options[parameter.name] = _argument(kind, note)
    else:
        options[parameter.name] = _option(kind, parameter.default, note, parameter.name)
    return lambda given: given[parameter.name]


def _split(annotation: Any) -> tuple[Any, str]:
    if get_origin(annotation) is Annotated:
        kind, note = get_args(annotation)[:2]
        return kind, note
    return annotation, ""


SERIES = "several are a series over training steps"
PATH = Annotated[
    list[Path],
    typer.Argument(help=f"A checkpoint, file or directory; {SERIES}.", show_default=False),
]
FILE = (
    "A checkpoint (file or directory), a trace, or matrices as "
    f"{either(tables.names())}; - is standard input; {SERIES}"
)
MATRICES = Annotated[list[Path], typer.Argument(help=f"{FILE}.", show_default=False)]
PATHS_OR_METHOD = Annotated[
    list[Path] | None, typer.Argument(help=f"{FILE}; or give --method.", show_default=False)
]

D_HELP = "Number of streams: 4 if not given."

SAMPLER = Annotated[
    str | None,
    typer.Option(
        help="Draw from a method, go-mhc:s=1,draw=haar: its options, --draw and --scale.",
        show_default=False,
    ),
]

METHODS = Annotated[
    list[str] | None,
    typer.Option(
        "--method", help="A method with its options, go-mhc:s=1; once for each.", show_default=False
    ),
]

SETTINGS = Annotated[
    list[str] | None, typer.Option("--set", help="Override a setting that was assumed: iters=20.")
]


def method_options() -> dict[str, Any]:
    """``--method``, ``--d`` and one option for each field that any method has.

    A field's type and help come from the first method that has it; that all agree is tested.
    """
    panel = "Method"
    options = {
        "method": _option(
            str | None, None, f"One of {', '.join(inputs.METHODS)}.", "method", panel
        ),
        "d": _option(int | None, None, D_HELP, "d", panel),
    }
    for field, owners in inputs.method_fields().items():
        kind, note = _split(get_type_hints(owners[0], include_extras=True)[field])
        who = ", ".join(owner.__module__.rpartition(".")[2].replace("_", "-") for owner in owners)
        options[field] = _option(_optional(kind), None, f"{note} [{who}]", field, panel)
    return options


def _streams() -> dict[str, Any]:
    """What may be said of a path: settings that were assumed, and what its streams carry."""
    return {"set": SETTINGS, "seed": SEED} | _fields(Inputs(), "Checkpoints")


def _fields(default: Draws | Inputs, panel: str) -> dict[str, Any]:
    """The options of a dataclass; unset ones keep the default that the analysis chose."""
    hints = get_type_hints(type(default), include_extras=True)
    built = {}
    for field in dataclasses.fields(default):
        kind, note = _split(hints[field.name])
        value = getattr(default, field.name)
        note += f" (default: {value:,})" if type(value) is int else ""
        built[field.name] = _option(_optional(kind), None, note, field.name, panel)
    return built


def _optional(kind: Any) -> Any:
    """Words for a type: a tuple is one word with commas."""
    if get_origin(kind) is tuple:
        kind = str
    return kind if types.NoneType in get_args(kind) else Union[kind, None]  # noqa: UP007


SHORT = {
    "samples": ("-n", "--samples"),
    "output": ("-o", "--output"),
    "random": ("--random",),
}


def _option(kind: Any, default: Any, note: str, name: str, panel: str | None = None) -> Any:
    words = SHORT.get(name, (f"--{name.replace('_', '-')}",))
    help_text = note.replace("[", "\\[")  # rich would take [word] for markup
    variable = f"BIRKHOFF_{name.upper()}"
    option = typer.Option(
        *words,
        help=help_text,
        envvar=variable,
        show_envvar=False,
        rich_help_panel=panel,
        show_default=default is not None,
    )
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=Annotated[kind, option]
    )


SEED = _option(int, 0, "Seed of every random draw.", "seed")


def _argument(kind: Any, note: str) -> Any:
    return Annotated[kind, typer.Argument(help=note, show_default=False)]
