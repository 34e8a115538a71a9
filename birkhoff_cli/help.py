"""The help of a command: examples first, then what it does, its options by group, exit codes."""

import inspect
import shutil
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from birkhoff_cli.options import Option

GROUPS = ("Analysis", "Matrices", "Checkpoints", "Output", "Sweep")
"""Headings, in order."""

MORE = "Options of a --method, or of another option, are shown once it is typed."
EXIT_CODES = "Exit: 0 done, 1 --fail-on, 2 usage, 3 input, 4 unsupported, 5 output, 6 size."
MAX_WIDTH = 100
"""Longer lines are hard to read."""

INDENT, GAP = "  ", 2
MAX_LABEL = 26
"""Width of the column of names; a longer one has its sentence on the next line."""


def page(name: str, module: ModuleType, options: Sequence["Option"], hidden: bool) -> str:
    """The whole help of a command.

    Args:
        name: of the command.
        module: its file, whose docstring and examples are shown.
        options: those that are shown.
        hidden: whether there are others.
    """
    width = min(shutil.get_terminal_size().columns, MAX_WIDTH)
    headline, *paragraphs = inspect.cleandoc(module.__doc__ or "").split("\n\n")
    examples = [f"{INDENT}{example}" for example in module.EXAMPLES]
    parts = [
        _usage(name, options),
        _wrap(headline, width),
        "\n".join(["Examples:", *examples]),
        *(_wrap(paragraph, width) for paragraph in paragraphs),
        *(_table(heading, rows, width) for heading, rows in _grouped(module, options)),
        "\n".join(_wrap(line, width) for line in ((MORE, EXIT_CODES) if hidden else (EXIT_CODES,))),
    ]
    return "\n\n".join(parts)


Rows = Sequence[tuple[str, str]]
"""Names, and what they are."""


def front_page(
    text: str, examples: Sequence[str], commands: Rows, options: Rows, notes: Sequence[str] = ()
) -> str:
    """The help of ``birkhoff`` itself.

    Args:
        text: what it is.
        examples: command lines.
        commands: every command with its headline.
        options: those before a command.
        notes: sentences about commands that are not there.
    """
    width = min(shutil.get_terminal_size().columns, MAX_WIDTH)
    parts = [
        "Usage: birkhoff [OPTIONS] COMMAND ...",
        *(_wrap(paragraph, width) for paragraph in inspect.cleandoc(text).split("\n\n")),
        "\n".join(["Examples:", *(f"{INDENT}{example}" for example in examples)]),
        _table("Commands", commands, width),
        _table("Options", options, width),
        *(_wrap(note, width) for note in notes),
        _wrap(f"birkhoff COMMAND --help shows the options. {EXIT_CODES}", width),
    ]
    return "\n\n".join(parts)


def _usage(name: str, options: Iterable["Option"]) -> str:
    arguments = [option.usage for option in options if option.positional]
    return " ".join(["Usage: birkhoff", name, "[OPTIONS]", *arguments])


def _wrap(paragraph: str, width: int) -> str:
    """A paragraph as wide as the terminal; a word that is longer stays whole."""
    line = " ".join(paragraph.split())
    if len(line) <= width:
        return line
    return textwrap.fill(line, max(width, 1), break_long_words=False, break_on_hyphens=False)


def _grouped(module: ModuleType, options: Sequence["Option"]) -> Iterator[tuple[str, Rows]]:
    """Headings and their options, arguments first."""
    for heading in GROUPS:
        own = [option for option in options if option.group == heading]
        own.sort(key=lambda option: not option.positional)
        if own:
            ours = module.__name__.startswith("birkhoff_cli.commands.")
            title = "Options" if ours and heading == GROUPS[0] else heading
            yield title, [(o.spelling, o.sentence) for o in own]


def _table(heading: str, rows: Rows, width: int) -> str:
    """Names on the left, sentences on the right."""
    column = min(MAX_LABEL, max(len(label) for label, _ in rows)) + GAP
    lines = [f"{heading}:"]
    for label, sentence in rows:
        text = _wrap(sentence, width - column - len(INDENT)).split("\n")
        if len(label) + GAP > column:
            lines.append(f"{INDENT}{label}")
            label = ""
        lines.append(f"{INDENT}{label:{column}}{text[0]}")
        lines += [f"{INDENT}{'':{column}}{line}" for line in text[1:]]
    return "\n".join(lines)
