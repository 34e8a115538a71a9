"""The parameterizations: what is exact, how many parameters, what they cost, where they come from.

Parameters are those of one matrix; learned numbers those of a whole site, with its input-dependent
part, pre and post maps, for streams of the given width. FLOPs are the published estimate for one
matrix. The options of the methods that are named are listed too; without names all that other
installed packages bring, methods, analyses and checkpoint formats, and what is wrong with it.

Source: go-mHC, tables 1 and 4; each method's own paper, named in the table.
"""

import dataclasses
from collections.abc import Iterator
from typing import Annotated, Any

from birkhoff_cli import packages
from birkhoff_cli.analyses import parameterizations
from birkhoff_cli.analyses.core import discover
from birkhoff_cli.analyses.core.errors import BirkhoffError
from birkhoff_cli.analyses.core.parameterization import (
    DOUBLY_STOCHASTIC,
    METHODS,
    Parameterization,
)
from birkhoff_cli.analyses.core.quantities import METHOD, of_columns, quantity
from birkhoff_cli.analyses.core.result import Result, Summary, at_once
from birkhoff_cli.analyses.core.sentences import count
from birkhoff_cli.analyses.core.table import column
from birkhoff_cli.methods import fields, name_of, parse
from birkhoff_cli.options import dashes

EXAMPLES = (
    "birkhoff methods",
    "birkhoff methods go-mhc",
    "birkhoff methods --d 8 --width 768 -o methods.parquet",
)

SCHEMA = (
    column("method", "string", "the word for --method"),
    column("about", "string", "what it is"),
    column("exact", "string", "what holds to rounding for all parameters"),
    column("parameters", "int64", "numbers that make one matrix", nullable=True),
    column("learned", "int64", "learned numbers of one site at this width", nullable=True),
    column("flops", "int64", "published estimate for one matrix", unit="FLOP", nullable=True),
    column("draws", "string", "distributions that --draw knows, the default first"),
    column("options", "string", "options of the method, with their defaults"),
    column("source", "string", "paper or code"),
    column("package", "string", "who brings it: birkhoff, or another package and its version"),
)

ALL_EXACT = "doubly stochastic"

SUMMARY_COLUMNS = ("method", "exact", "parameters", "learned", "flops", "draws", "options")
"""Columns of the summary: distributions of the methods that are named, else options."""

SUMMARY = (
    quantity(
        "methods",
        "the parameterizations",
        rows=of_columns(c for c in SCHEMA if c.name in SUMMARY_COLUMNS),
    ),
    quantity(
        "options",
        "options of the methods that were named",
        rows=(
            METHOD,
            quantity("option", "as it is typed"),
            quantity("default", "its value if nothing is given"),
            quantity("about", "what it does"),
        ),
    ),
    quantity(
        "packages",
        "what other installed packages bring",
        rows=(
            quantity("member", "its name"),
            quantity("kind", "a method, an analysis or a checkpoint format"),
            quantity("package", "who brings it, with the version"),
            quantity("module", "where it is"),
            quantity("state", "ready, or why it cannot be used", good="ready"),
        ),
    ),
)


def run(
    names: Annotated[
        list[str] | None, "methods whose options are listed; all if none is named"
    ] = None,
    *,
    d: Annotated[int, "number of streams"] = 4,
    width: Annotated[int, "channels of a stream"] = 512,
) -> Result:
    """One row for every parameterization; null where it cannot have that d, or beyond 2^63.

    Raises:
        UsageError: a name that is none.
    """
    if names:
        known = {name_of(cls): cls for cls in (parse(name).method for name in names)}
    else:
        known = parameterizations.load_all()
    rows = [_row(name, cls, d, width) for name, cls in known.items()]
    columns = {c.name: [row[c.name] for row in rows] for c in SCHEMA}
    shown = [name for name in SUMMARY_COLUMNS if name != ("options" if names else "draws")]
    summary: dict[str, Any] = {"methods": [{key: row[key] for key in shown} for row in rows]}
    if names:
        summary["options"] = [row for cls in known.values() for row in _options(cls)]
    elif others := list(packages.members_of_others()):
        summary["packages"] = others
    return at_once(SCHEMA, columns, summary)


def answer(summary: Summary) -> str:
    """How many methods there are, and how many are exact."""
    rows = summary["methods"]
    exact = sum(row["exact"] == ALL_EXACT for row in rows)
    return f"{count(len(rows), 'method')}; {exact} exactly doubly stochastic for all parameters."


def _options(cls: type[Parameterization]) -> Iterator[dict[str, Any]]:
    """The options of a method as rows."""
    defaults = {f.name: f.default for f in dataclasses.fields(cls)}
    for name, option in fields(cls).items():
        yield {
            "method": name_of(cls),
            "option": option.spelling,
            "default": _plain(defaults[name]),
            "about": option.sentence,
        }


def _row(name: str, cls: type[Parameterization], d: int, width: int) -> dict[str, Any]:
    try:
        method = cls(d=d)
    except BirkhoffError:
        method = None
    shown = method or cls()
    defaults = {f.name: f.default for f in dataclasses.fields(cls)}
    return {
        "method": name,
        "about": _about(name, cls),
        "exact": _exact(shown.exact),
        "parameters": method and _counted(method.parameters),
        "learned": method and _counted(method.count(width)),
        "flops": method and _counted(method.flops()),
        "draws": ", ".join(shown.distributions),
        "options": ", ".join(f"{dashes(name)} {_plain(defaults[name])}" for name in fields(cls)),
        "source": cls.source,
        "package": packages.origin(METHODS, name),
    }


def _about(name: str, cls: type[Parameterization]) -> str:
    """The first line of its file, or the documentation of a class that is no member."""
    if parameterizations.has(name):
        return discover.headline(METHODS, name)
    return (cls.__doc__ or "").split("\n")[0]


def _counted(number: int) -> int | None:
    """What a table can hold; d! parameters are soon more."""
    return number if number < 1 << 63 else None


def _exact(exact: frozenset[str]) -> str:
    if exact == DOUBLY_STOCHASTIC:
        return ALL_EXACT
    return ", ".join(sorted(exact)) or "nothing"


def _plain(default: Any) -> str:
    return "auto" if default in (None, ()) else str(default)
