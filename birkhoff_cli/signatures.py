"""What Python shows of a command's function: its signature and its documentation."""

import inspect
from collections.abc import Iterator
from typing import Any

from birkhoff_cli.binding import Binding


def parameters(module: Any) -> Iterator[inspect.Parameter]:
    """Arguments of the function: those of ``run``, and the options that these are read from."""
    parameter = inspect.Parameter
    binding = Binding(module)
    own = [c.parameter for c in binding.converters]
    for p in (p for p in own if p.positional):
        default = parameter.empty if p.required else p.default
        yield parameter(
            p.name, parameter.POSITIONAL_OR_KEYWORD, annotation=p.annotation, default=default
        )
    names = {p.name for p in own if p.positional}
    for p in (p for p in own if not p.positional):
        names.add(p.name)
        default = parameter.empty if p.required else p.default
        yield parameter(p.name, parameter.KEYWORD_ONLY, annotation=p.annotation, default=default)
    for name, option in binding.options.items():
        if name not in names | {"path"}:
            yield parameter(
                name, parameter.KEYWORD_ONLY, annotation=option.annotation, default=option.default
            )
    if "method" in binding.options:
        yield parameter("options", parameter.VAR_KEYWORD)


def document(module: Any) -> Iterator[str]:
    """Lines that say what the function does, and a sentence for every option."""
    yield inspect.getdoc(module.run) or ""
    yield "\nOptions, as on the command line:"
    for name, option in Binding(module).options.items():
        yield f"    {name}: {option.sentence}"
