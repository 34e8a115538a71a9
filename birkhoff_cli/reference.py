"""The reference of commands, columns, keys and methods, made from their declarations.

``python -m birkhoff_cli.reference > docs/reference.md`` writes it anew; a test holds that the file
is what this makes.
"""

import inspect
from collections.abc import Iterable, Iterator
from types import ModuleType

from birkhoff_cli import members, methods
from birkhoff_cli.analyses import parameterizations
from birkhoff_cli.analyses.core.quantities import Quantities
from birkhoff_cli.analyses.core.table import Schema
from birkhoff_cli.command import Subcommand
from birkhoff_cli.options import Option

TITLE = """# Reference

Commands with their options, the columns of their tables, the keys of `--json`, and the options of
every method. This page is made from the declarations that the program itself uses:
`python -m birkhoff_cli.reference > docs/reference.md`.
"""

COMMON = (
    "output",
    "format",
    "plot",
    "json",
    "quiet",
    "verbose",
    "debug",
    "sweep",
    "part",
    "engine",
)
"""Options that are described once, for all commands."""


def page() -> str:
    """The whole reference, as Markdown."""
    names = [name for name, package in members.packages().items() if package in members.PACKAGES]
    commands = [Subcommand(name, members.module_of(name), ()) for name in names]
    common = {o.name: o for c in commands for o in c.options.values() if o.name in COMMON}
    parts = [
        TITLE,
        "## Options of every command that can have them\n",
        _options(common[name] for name in COMMON),
        *(part for command in commands for part in _command(command)),
        "## Methods\n",
        *(part for name in parameterizations.names() for part in _method(name)),
    ]
    return "\n".join(parts)


def _command(command: Subcommand) -> Iterator[str]:
    """A section: what it does, its options, columns and keys."""
    module: ModuleType = command.binding.module
    yield f"## birkhoff {command.name}\n"
    yield f"{inspect.cleandoc(module.__doc__ or '')}\n"
    yield "\n".join(["```sh", *module.EXAMPLES, "```\n"])
    own = [option for name, option in command.options.items() if name not in COMMON]
    if own:
        yield _options(sorted(own, key=lambda option: not option.positional))
    if module.SCHEMA:
        yield "Columns:\n"
        yield _columns(module.SCHEMA)
    for file, schema in getattr(module, "TABLES", {}).items():
        yield f"Columns of `{file}` in the directory that it writes:\n"
        yield _columns(schema)
    if module.SUMMARY:
        yield "Keys of `--json`:\n"
        yield _keys(module.SUMMARY)


def _method(name: str) -> Iterator[str]:
    """A section: what it is, and its options."""
    method = parameterizations.load(name)
    yield f"### {name}\n"
    yield f"{inspect.cleandoc(method.__doc__ or '').partition(chr(10) + chr(10))[0]}\n"
    if options := methods.fields(method):
        yield _options(options.values())


def _options(options: Iterable[Option]) -> str:
    rows = ((f"`{option.spelling}`", option.sentence) for option in options)
    return _table(("option", "meaning"), rows)


def _columns(schema: Schema) -> str:
    rows = ((f"`{c.name}`", c.dtype, c.about, _unit(c.unit)) for c in schema)
    return _table(("column", "type", "meaning", "unit"), rows)


def _keys(quantities: Quantities) -> str:
    return _table(("key", "meaning"), _flat(quantities, ""))


def _flat(quantities: Quantities, indent: str) -> Iterator[tuple[str, str]]:
    """Keys in order, those of the rows of a list behind it."""
    for each in quantities:
        yield f"{indent}`{each.name}`", each.legend
        yield from _flat(each.rows, f"{indent}{each.name}: ")


def _unit(unit: str) -> str:
    return "" if unit == "1" else unit


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "".join(f"| {' | '.join(map(_cell, line))} |\n" for line in lines)


def _cell(text: str) -> str:
    """Text that ends no cell."""
    return " ".join(text.split()).replace("|", "\\|")


if __name__ == "__main__":
    print(page(), end="")
