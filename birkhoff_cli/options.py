"""An option of a command: declared once, whatever types or shows it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, get_args

from typer.core import TyperArgument, TyperOption

from birkhoff_cli import values
from birkhoff_cli.parameters import TextArgument, TextOption, typed
from birkhoff_cli.text import either

Text = str | bool | tuple[str, ...]
"""What was typed: True for a flag, a tuple for an option that may be there several times."""

PREFIX = "BIRKHOFF_"
"""Of environment variables that set defaults."""

SHORT = {"samples": "-n", "output": "-o", "quiet": "-q", "verbose": "-v"}
"""Letters of options."""


@dataclass(frozen=True)
class Option:
    """One option, or one argument without a name.

    Attributes:
        name: as in Python; with hyphens on the command line.
        annotation: type of its value; a list may be repeated, a bool is a flag.
        note: one sentence for the help; a function of one that is only made if it is shown.
        default: value if nothing is given.
        group: heading in the help.
        positional: it is an argument.
        required: an argument that cannot be left out.
        environment: whether ``BIRKHOFF_NAME`` sets its default.
        choices: makes the words that it can be, if they are not in its type.
        offers: makes the words that a shell offers, if it can be others too.
        stands_for: what the help shows in place of a value.
        split: takes several values in one text apart, if commas alone do not.
    """

    name: str
    annotation: Any
    note: str | Callable[[], str]
    default: Any = None
    group: str = "Analysis"
    positional: bool = False
    required: bool = False
    environment: bool = True
    choices: Callable[[], Sequence[str]] | None = None
    offers: Callable[[], Sequence[str]] | None = None
    stands_for: str | None = None
    split: Callable[[str], list[str]] | None = None

    @property
    def label(self) -> str:
        """The option as it is typed."""
        return self.name.upper() if self.positional else dashes(self.name)

    @property
    def is_flag(self) -> bool:
        """Whether it takes no value."""
        return self.annotation is bool

    @property
    def variable(self) -> str | None:
        """The environment variable that sets its default."""
        return f"{PREFIX}{self.name.upper()}" if self.environment else None

    def read(self, text: Text) -> Any:
        """The value of what was typed.

        Raises:
            UsageError: it is none of this option's type.
        """
        if isinstance(text, bool):
            return text
        if self.choices is not None and isinstance(text, str):
            return values.choose(self.choices(), text, self.label)
        if isinstance(text, tuple):
            (annotation,) = get_args(values.plain(self.annotation))
            return [values.read(annotation, word, self.label) for word in text]
        return values.read(self.annotation, text, self.label)

    def parts(self, text: str) -> list[str]:
        """The texts of several values that stand in one, as ``--sweep`` takes them."""
        return text.split(",") if self.split is None else self.split(text)

    @property
    def alternatives(self) -> Sequence[str]:
        """The words that it can be; none if it can be anything."""
        return values.choices(self.annotation) if self.choices is None else self.choices()

    @property
    def spelling(self) -> str:
        """The option with its letter and what stands for its value."""
        if self.positional:
            return self.label
        letter = f"{SHORT[self.name]}, " if self.name in SHORT else ""
        value = "" if self.is_flag else f" {self.stands_for or values.metavar(self.annotation)}"
        return f"{letter}{self.label}{value}"

    @property
    def usage(self) -> str:
        """An argument in the first line of the help."""
        word = self.label if self.required else f"[{self.label}]"
        return f"{word}..." if values.many(self.annotation) else word

    @property
    def sentence(self) -> str:
        """What the help says: the note, the words that it can be, the default."""
        note = self.note if isinstance(self.note, str) else self.note()
        if alternatives := self.alternatives:
            note = f"{note}: {either(alternatives)}"
        shown = self.default is not None and not isinstance(self.default, bool)
        return f"{note} [{self.default}]" if shown else note

    def complete(self, ctx: Any, args: Any, incomplete: str) -> list[str]:
        """What a shell offers after the beginning of a value."""
        del ctx, args
        offered = self.offers() if self.offers else self.alternatives
        return [word for word in offered if word.startswith(incomplete)]

    def parameter(self) -> TyperOption | TyperArgument:
        """It as Typer wants it; values stay text, and are read by their type when asked for."""
        known = self.offers or self.choices or values.choices(self.annotation)
        offers = self.complete if known else None
        if self.positional:
            return TextArgument(
                param_decls=[self.name],
                **typed(str),
                nargs=-1 if values.many(self.annotation) else 1,
                required=self.required,
                metavar=self.label,
                autocompletion=offers,
            )
        return TextOption(
            param_decls=[*filter(None, [SHORT.get(self.name)]), self.label, self.name],
            **typed(bool if self.is_flag else str),
            is_flag=self.is_flag,
            multiple=values.many(self.annotation),
            envvar=self.variable,
            autocompletion=offers,
        )


def dashes(name: str) -> str:
    """``--max-steps`` of ``max_steps``."""
    return f"--{name.replace('_', '-')}"
