"""What a command declares of its summary, and of one that stands for several runs."""

from collections.abc import Iterator, Mapping, Sequence
from types import ModuleType
from typing import Any, NamedTuple

from birkhoff_cli.analyses.core.quantities import (
    AT_LEAST_0,
    STEP,
    Quantities,
    Quantity,
    by_name,
    quantity,
    steps_of,
)
from birkhoff_cli.analyses.core.sentences import answer
from birkhoff_cli.binding import Binding

__all__ = ["answer", "declared", "explain", "with_answer"]

ANSWER = quantity("answer", "the sentence that answers the command's question")
CELLS = (
    quantity("cells", "runs of the sweep", range=AT_LEAST_0),
    quantity("results", "what was varied and the summary, for each of them"),
)


def declared(module: ModuleType) -> Quantities:
    """Every key that a command's summary can have; over a series those of every checkpoint too."""
    own: Quantities = getattr(module, "SUMMARY", ())  # of another package it may declare none
    if not getattr(module, "SCHEMA", ()):
        return own
    binding = Binding(module)
    if "path" not in binding.options or any(c.names_models for c in binding.converters):
        return own
    first = () if any(q.name == STEP.name for q in own) else (STEP,)
    return (*first, *own, steps_of(own))


def with_answer(summary: Mapping[str, Any], module: ModuleType) -> dict[str, Any]:
    """The summary with its sentence, the sentence first."""
    sentence = answer(summary, module)
    return {**({ANSWER.name: sentence} if sentence else {}), **summary}


EXACT = 5e-7
"""Distance from 1 that six digits do not show."""


class Folded(NamedTuple):
    """Keys of a summary by how much there is to say of them.

    Attributes:
        shown: those with a value of their own.
        exact: those that are 1 by construction.
        unknown: those that are null.
    """

    shown: Mapping[str, Any]
    exact: Sequence[str]
    unknown: Sequence[str]


def fold(flat: Mapping[str, Any], known: Mapping[str, Quantity]) -> Folded:
    """Sort keys without rows by how much there is to say of them.

    Args:
        flat: a summary, or part of one.
        known: declarations by key.
    """
    unknown = [key for key, value in flat.items() if value is None]
    exact = [
        key
        for key, value in flat.items()
        if value is not None and key in known and known[key].unity and abs(value - 1) <= EXACT
    ]
    shown = {k: v for k, v in flat.items() if v is not None and k not in exact}
    return Folded(shown, exact, unknown)


def explain(
    summary: Mapping[str, Any], module: ModuleType
) -> Iterator[tuple[str, Sequence[Any], Quantity]]:
    """Every key of a summary with its values and its declaration.

    Keys of rows follow the key of their list and have a value in every row.
    """
    own = declared(module)
    known = (*own, *CELLS) if "results" in summary else own  # some have cells of their own
    return _explain([with_answer(summary, module)], (ANSWER, *known), "")


def _explain(
    rows: Sequence[Mapping[str, Any]], known: Quantities, prefix: str
) -> Iterator[tuple[str, Sequence[Any], Quantity]]:
    names = dict.fromkeys(name for row in rows for name in row)
    declarations = by_name(known)
    for name in names:
        q = declarations.get(name, Quantity(name, "not declared"))
        values = [row[name] for row in rows if name in row]
        yield f"{prefix}{q.name}", values, q
        if q.rows:
            inner = [row for value in values for row in value or ()]
            yield from _explain(inner, q.rows, f"{prefix}{q.name}.")
