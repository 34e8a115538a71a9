"""The front door in Python: every analysis as a function, and what there is to give it.

    import birkhoff_cli as birkhoff

    birkhoff.spectrum(birkhoff.method("go-mhc", s=2), samples=1000, seed=1).summary
    birkhoff.depth_drift(birkhoff.load("out/ckpt.pt", inputs="gaussian")).plot()

A function has the options of its command, and the same seed gives the command's numbers.
"""

import inspect
import os
from collections.abc import Callable, Mapping, Sequence
from os import PathLike
from types import SimpleNamespace
from typing import Annotated, Any, TypeAlias

from birkhoff_cli import members, methods, places, signatures, values
from birkhoff_cli.analyses import parameterizations
from birkhoff_cli.analyses.core.array_trace import AXES, OTHER, along, array_trace, is_array
from birkhoff_cli.analyses.core.arrays import Array
from birkhoff_cli.analyses.core.discover import unknown
from birkhoff_cli.analyses.core.errors import UsageError
from birkhoff_cli.analyses.core.options import ArrayAxis
from birkhoff_cli.analyses.core.result import Result
from birkhoff_cli.analyses.core.trace import MixingTrace
from birkhoff_cli.binding import Binding
from birkhoff_cli.converters import Converter
from birkhoff_cli.methods import make as method
from birkhoff_cli.options import Option, Text
from birkhoff_cli.request import Request

__all__ = ["analysis", "load", "method"]

Path: TypeAlias = str | PathLike[str]
Traces: TypeAlias = MixingTrace | tuple[MixingTrace, ...]


def load(
    source: "Path | Sequence[Path] | Array | Any",
    *,
    inputs: Path = "static",
    set: Mapping[str, Any] | None = None,
    seed: int = 0,
    samples: int | None = None,
    sequences: int | None = None,
    length: int | None = None,
    random: bool = False,
) -> Traces:
    """The mixing matrices of a model, a file or an array, as every analysis takes them.

    Args:
        source: what a command takes as its path: a checkpoint, a trace, an array in a file. Or a
            ``torch.nn.Module`` with hyper-connections of a known library, whose static matrices
            these are; or an array ``(d, d)``, ``(n, d, d)`` or ``(samples, sites, d, d)``. What n
            is says the analysis: sites to `depth_drift`, samples to all others.
        inputs: what the streams of a checkpoint carry: ``static``, ``gaussian`` or
            ``tokens=FILE``.
        set: other values of settings that were assumed, by name; of an array (n, d, d)
            ``{"axes": "samples"}`` or ``{"axes": "sites"}``.
        seed: of gaussian streams, and of places in a text.
        samples: streams of ``gaussian``; 1000 if not given.
        sequences: sequences of ``tokens`` to run; 4 if not given.
        length: tokens in a sequence; as the model was trained if not given.
        random: whether sequences are from random places.

    Returns:
        A trace; of several checkpoints, or a folder of them, one for each in order of their
        training steps. It can be read again and again, and may be larger than memory.

    Raises:
        UsageError: an option that has no effect on this source.
        BadInput: a file that is damaged, or checkpoints that are no series.
        Unsupported: a format, a variant or inputs that are not known here.
    """
    options = {"inputs": inputs if inputs != "static" else None, "set": set, "seed": seed}
    options |= {"samples": samples, "sequences": sequences, "length": length, "random": random}
    if _is_word(source):
        places.begin()
        traces = _read({"path": source, **options})
        return traces if len(traces) > 1 else traces[0]
    axes = (set or {}).get(AXES) if is_array(source) else None
    options |= {"set": None} if axes else {}
    if idle := [name for name, value in options.items() if value not in (None, False, 0)]:
        raise UsageError(f"{idle[0]} is for checkpoints in files; leave it out")
    model: Any = source
    if hasattr(model, "named_modules"):
        from birkhoff_cli.recording.static import static_trace

        return static_trace(model)
    return array_trace(model) if axes is None else _along(array_trace(model), axes)


def _along(trace: MixingTrace, axes: str) -> MixingTrace:
    """An array with what its first axis was set to."""
    for axis in OTHER.values():
        if axis == axes and AXES in trace.meta:
            return along(trace, axis)
    raise UsageError(f"axes={axes} is for an array (n, d, d), and samples or sites; give that")


def _read(options: Mapping[str, Any]) -> tuple[MixingTrace, ...]:
    """The traces at paths."""

    def run(series: Annotated[tuple[MixingTrace, ...], "", ArrayAxis(None)]) -> None:
        """Read them, and nothing else."""

    module: Any = SimpleNamespace(run=run)
    binding = Binding(module)
    request = binding.narrow(Request(binding.options, _texts(binding, options), {}))
    traces: tuple[MixingTrace, ...] = binding.arguments(request)["series"]
    return traces


def analysis(name: str) -> Callable[..., Result]:
    """An analysis as a function, with the options of its command as keyword arguments.

    Args:
        name: of the command, with hyphens or underscores.

    Raises:
        UsageError: there is no such analysis.
    """
    module = members.module_of(name.replace("_", "-"))

    def call(*args: Any, **options: Any) -> Result:
        return _call(module, args, options)

    call.__name__ = call.__qualname__ = name.replace("-", "_")
    call.__module__ = "birkhoff_cli"
    call.__doc__ = "\n".join(signatures.document(module))
    vars(call)["__signature__"] = inspect.Signature([*signatures.parameters(module)])
    return call


def _call(module: Any, args: tuple[Any, ...], options: Mapping[str, Any]) -> Result:
    places.begin()
    converters = {c.parameter.name: c for c in Binding(module).converters}
    values = _by_name(module, converters, args, options)
    ready: dict[str, Any] = {}
    texts: dict[str, Any] = {}
    for name, value in values.items():
        converter = converters.get(_parameter_of(name, value, converters))
        if converter is None or converter.is_plain:
            texts[name] = value
        elif converter.names_models and _is_word(value):
            texts |= _models(value)
        elif _is_word(value):
            texts[_option_of(converter)] = value
        else:
            ready[converter.parameter.name] = _ready(converter, value)
    for name, several in ready.items():
        if _are_traces(several) and not converters[name].takes_series:
            return _series(module, values, name, several)
    result = _bound(module, texts, ready)
    result.module = result.module or module.__name__
    return result


def _are_traces(value: Any) -> bool:
    return isinstance(value, tuple) and all(isinstance(item, MixingTrace) for item in value)


def _bound(module: Any, texts: Mapping[str, Any], ready: Mapping[str, Any]) -> Result:
    """Run with what is there and what is read from words."""
    chosen = texts.get("method", ())
    named = methods.named([chosen] if isinstance(chosen, str) else chosen)
    binding = Binding(module, named, ready)
    # a seed that is ready is also the text that other parameters read their draws' seed from
    typed = {name: str(value) if type(value) is int else value for name, value in ready.items()}
    request = Request(binding.options, {**_texts(binding, texts), **typed}, {})
    return binding.prepare(binding.narrow(request))()


def _series(
    module: Any, values: Mapping[str, Any], name: str, traces: Sequence[MixingTrace]
) -> Result:
    """The tables of several checkpoints of one run, one below the other."""
    from birkhoff_cli import series

    results = [(t.step, _call(module, (), {**values, name: t})) for t in traces]
    stacked = series.stack(results)
    stacked.module = results[0][1].module
    return stacked


def _by_name(
    module: Any,
    converters: Mapping[str, Converter],
    args: tuple[Any, ...],
    options: Mapping[str, Any],
) -> dict[str, Any]:
    """What was given, by name; None and False are as if nothing was.

    Raises:
        TypeError: too many arguments, or one twice.
    """
    positional = [name for name, c in converters.items() if c.parameter.positional]
    name = module.__name__.rpartition(".")[2]
    if len(args) > len(positional):
        raise TypeError(
            f"{name}() takes {len(positional)} arguments by place, and {len(args)} are given"
        )
    placed = dict(zip(positional, args, strict=False))
    if twice := placed.keys() & options.keys():
        raise TypeError(f"{name}() got {min(twice)} twice")
    return {n: v for n, v in {**placed, **options}.items() if v is not None and v is not False}


def _parameter_of(name: str, value: Any, converters: Mapping[str, Converter]) -> str:
    """The parameter that an argument is for: ``method=`` may be a map whose draws are measured."""
    if name != "method" or name in converters or _is_word(value):
        return name
    return next((p for p, c in converters.items() if "method" in c.options()), name)


def _option_of(converter: Converter) -> str:
    """The option that a word for a parameter is the value of."""
    options = converter.options()
    own = converter.parameter.name
    return own if own in options else next(n for n in ("path", "method") if n in options)


def _ready(converter: Converter, value: Any) -> Any:
    """A value that is there; of a list with methods, those that are named are made."""
    if not isinstance(value, list | tuple) or _are_traces(value):
        return value
    made = "method" in converter.options()
    return tuple(_made(v, converter.names_models) if made and _is_word(v) else v for v in value)


def _made(value: Path, may_be_path: bool) -> Any:
    """A method by its name; where paths are models too, what is at a path."""
    return load(value) if may_be_path and not _is_method(value) else method(str(value))


def _is_method(value: Path) -> bool:
    """Whether there is a method of that name and no such file."""
    word = methods.word_of(str(value))
    return parameterizations.has(word) and not os.path.lexists(value)


def _models(value: Path | Sequence[Path]) -> dict[str, Any]:
    """Words for models: methods by name, everything else a path."""
    several: Sequence[Any] = value if isinstance(value, list | tuple) else [value]
    named = [str(word) for word in several if _is_method(word)]
    paths = [word for word in several if not _is_method(word)]
    return {name: values for name, values in (("method", named), ("path", paths)) if values}


def _is_word(value: Any) -> bool:
    """Whether a value is read: a path, the name of a method, or several."""
    several = value if isinstance(value, list | tuple) and value else [value]
    return all(isinstance(item, str | PathLike) for item in several)


def _texts(binding: Binding, options: Mapping[str, Any]) -> dict[str, Text]:
    """Options as they are typed.

    Raises:
        UsageError: one that the command does not have.
    """
    typed = {name: v for name, v in options.items() if v is not None and v is not False}
    for name in typed:
        if name not in binding.options:
            raise UsageError(unknown(name, binding.options, "options here"))
    return {name: _text(binding.options[name], value) for name, value in typed.items()}


def _text(option: Option, value: Any) -> Text:
    if isinstance(value, bool):
        return value
    if not values.many(option.annotation):
        return values.text(value)
    if isinstance(value, Mapping):
        return tuple(f"{name}={values.text(item)}" for name, item in value.items())
    several = value if isinstance(value, list | tuple) else (value,)
    return tuple(map(values.text, several))
