"""Typer's options and arguments whose values stay text, from Typer 0.28 on."""

from functools import cache
from inspect import signature
from typing import Any

import typer
from typer.core import TyperArgument, TyperOption
from typer.models import CommandInfo


class Text:
    """Takes what was typed as it is: an option of ours reads it by its own type."""

    def process_value(self, ctx: Any, value: Any) -> Any:
        """Text, a tuple of texts, or whether a flag is set.

        Typer 0.29 converts every value, also one that is not there, by pydantic, whose import
        costs half as much as a small command.

        Raises:
            UsageError: the environment sets a flag to a word that says neither yes nor no.
        """
        del ctx
        if isinstance(value, str) and getattr(self, "is_flag", False):
            from birkhoff_cli import values

            return values.read(bool, value, self.opts[-1])  # type: ignore[attr-defined]
        return tuple(value) if isinstance(value, list) else value


class TextOption(Text, TyperOption):
    """An option, or a flag."""


class TextArgument(Text, TyperArgument):
    """An argument."""


class PlainFlags:
    """A command whose flags are False where they are not typed, Typer's own among them.

    Typer makes them None, for which its version 0.29 loads pydantic.
    """

    def get_params(self, ctx: Any) -> list[Any]:
        """Options and arguments, ``--help`` among them."""
        parameters: list[Any] = super().get_params(ctx)  # type: ignore[misc]
        for parameter in parameters:
            if getattr(parameter, "is_flag", False):
                parameter.default = False
        return parameters


@cache
def typed(type_: type) -> dict[str, Any]:
    """Words of the constructors above that say the type of a value: text, or of a flag bool.

    Typer 0.28 takes the type, and 0.29 a descriptor of it, which it makes itself only.
    """
    if "type" in signature(TyperOption).parameters:
        return {"type": type_}
    return {"type_descriptor": _descriptors()[type_]}


@cache
def _descriptors() -> dict[type, Any]:
    """Typer's own descriptors, from two options that it makes of a function."""

    def example(flag: bool = False, text: str = "") -> None:
        del flag, text

    about = CommandInfo(callback=example)
    command = typer.main.get_command_from_info(
        about, pretty_exceptions_short=False, rich_markup_mode=None
    )
    made: list[Any] = command.params
    flag, text = (parameter.type_descriptor for parameter in made)
    return {bool: flag, str: text}
