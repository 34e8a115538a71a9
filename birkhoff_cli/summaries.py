"""What a command declares of its summary, and of one that stands for several runs."""

from collections.abc import Iterator, Mapping, Sequence
from types import ModuleType
from typing import Any

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


def explain(
    summary: Mapping[str, Any], module: ModuleType
) -> Iterator[tuple[str, Sequence[Any], Quantity]]:
    """Every key of a summary with its values and its declaration.

    Keys of rows follow the key of their list and have a value in every row.
    """
    return _explain([with_answer(summary, module)], (ANSWER, *declared(module), *CELLS), "")


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
