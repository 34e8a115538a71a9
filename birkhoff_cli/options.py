"""An option of a command: declared once, whatever types or shows it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, get_args

from typer.core import TyperArgument, TyperOption

from birkhoff_cli import values

Text = str | bool | tuple[str, ...]
"""What was typed: True for a flag, a tuple for an option that may be there several times."""

SHORT = {"samples": "-n", "output": "-o", "quiet": "-q", "verbose": "-v"}
"""Letters of options."""


@dataclass(frozen=True)
class Option:
    """One option, or one argument without a name.

    Attributes:
        name: as in Python; with hyphens on the command line.
        kind: type of its value; a list may be repeated, a bool is a flag.
        note: one sentence for the help; a function of one that is only made if it is shown.
        default: value if nothing is given.
        group: heading in the help.
        positional: it is an argument.
        required: an argument that cannot be left out.
        environment: whether ``BIRKHOFF_NAME`` sets its default.
        choices: makes the words that it can be, if they are not in its type.
    """

    name: str
    kind: Any
    note: str | Callable[[], str]
    default: Any = None
    group: str = "Options"
    positional: bool = False
    required: bool = False
    environment: bool = True
    choices: Callable[[], Sequence[str]] | None = None

    @property
    def label(self) -> str:
        """The option as it is typed."""
        return self.name.upper() if self.positional else dashes(self.name)

    @property
    def is_flag(self) -> bool:
        """Whether it takes no value."""
        return self.kind is bool

    @property
    def variable(self) -> str | None:
        """The environment variable that sets its default."""
        return f"BIRKHOFF_{self.name.upper()}" if self.environment else None

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
            (kind,) = get_args(values.plain(self.kind))
            return [values.read(kind, word, self.label) for word in text]
        return values.read(self.kind, text, self.label)

    def parameter(self, shown: bool = True) -> TyperOption | TyperArgument:
        """It as Typer wants it; values stay text, and are read by their type when asked for.

        Args:
            shown: with the texts of the help.
        """
        texts = self._texts() if shown else {}
        if self.positional:
            return TyperArgument(
                param_decls=[self.name],
                type=str,
                nargs=-1 if values.many(self.kind) else 1,
                required=self.required,
                **texts | {"metavar": self.label},
            )
        return TyperOption(
            param_decls=[*filter(None, [SHORT.get(self.name)]), self.label, self.name],
            type=bool if self.is_flag else str,
            is_flag=self.is_flag,
            multiple=values.many(self.kind),
            envvar=self.variable,
            show_default=_shown(self.default),
            rich_help_panel=self.group,
            **texts,
        )

    def _texts(self) -> dict[str, Any]:
        note = self.note if isinstance(self.note, str) else self.note()
        words = values.metavar(self.kind) if self.choices is None else "|".join(self.choices())
        return {
            "help": note.replace("[", "\\["),  # rich would take [word] for markup
            "metavar": None if self.is_flag else words,
        }


def dashes(name: str) -> str:
    """``--max-steps`` of ``max_steps``."""
    return f"--{name.replace('_', '-')}"


def _shown(default: Any) -> bool | str:
    """A default in the help; a flag's and none at all are not shown."""
    return False if default is None or isinstance(default, bool) else str(default)
