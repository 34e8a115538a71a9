"""Environment variables with our prefix that set nothing: misspelt ones would be silent."""

import os
import sys
from collections.abc import Collection, Iterator, Mapping

from birkhoff_cli.options import PREFIX, Option


def say_unknown(options: Mapping[str, Option]) -> None:
    """Say on standard error which variables no command has, and what may be meant.

    Args:
        options: of this command; others are looked at only where a variable is none of these, and
            most often there is none.
    """
    own = {*_variables(options)}
    strange = sorted(n for n in os.environ if n.startswith(PREFIX) and n not in own)
    if not strange or sys.stderr is None:
        return
    known = {*_known()}
    for name in (name for name in strange if name not in known):
        print(f"birkhoff: {_sentence(name, known)}", file=sys.stderr)


def _known() -> Iterator[str]:
    """Variables of every command and of every method, and the one of remote reading."""
    from birkhoff_cli import members, methods
    from birkhoff_cli.analyses import parameterizations
    from birkhoff_cli.command import Subcommand
    from birkhoff_cli.places._fetch import VARIABLE

    yield VARIABLE
    for name in members.names():
        yield from _variables(Subcommand(name, members.module_of(name), ()).options)
    for method in parameterizations.load_all().values():
        yield from _variables(methods.fields(method))


def _variables(options: Mapping[str, Option]) -> Iterator[str]:
    return (option.variable for option in options.values() if option.variable)


def _sentence(name: str, known: Collection[str]) -> str:
    import difflib

    from birkhoff_cli.containers import escape

    near = difflib.get_close_matches(name.upper(), sorted(known), n=1)
    meant = f"did you mean {near[0]}?" if near else "it sets nothing"
    return f"the environment variable {escape(name, 60)} is of no option; {meant}"
