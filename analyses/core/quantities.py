"""Headline numbers that carry their own legend: a sentence, a unit, a range, what is good.

A command declares every key of its summary in ``SUMMARY``, beside ``SCHEMA``. Whatever several
commands measure lends its declarations, as it lends columns.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple, TypeAlias

from birkhoff_cli.analyses.core.table import Column

Range: TypeAlias = tuple[float | None, float | None]
"""Least and greatest value; None where there is no bound."""

ANY: Range = (None, None)
AT_LEAST_0: Range = (0, None)
AT_LEAST_1: Range = (1, None)
SHARE: Range = (0, 1)


class Quantity(NamedTuple):
    """One key of a summary, or of the rows of a list in it.

    Attributes:
        name: the key, an identifier.
        about: what it is, in one sentence.
        unit: of a number.
        range: of a number, whatever is measured.
        good: which values are wanted, in words; empty if none are better than others.
        detail: whether only -v shows it.
        unity: whether it is exactly 1 where rows and columns sum to 1.
        rows: keys of the rows, if it is a list of these.
    """

    name: str
    about: str
    unit: str = "1"
    range: Range = ANY
    good: str = ""
    unity: bool = False
    detail: bool = False
    rows: "Quantities" = ()

    @property
    def legend(self) -> str:
        """Meaning, unit, range and what is good, in one line."""
        facts = [self.unit if self.unit != "1" else "", _spell(self.range)]
        facts.append(f"good: {self.good}" if self.good else "")
        text = "; ".join(filter(None, facts))
        return f"{self.about} [{text}]" if text else self.about


Quantities: TypeAlias = tuple[Quantity, ...]


def quantity(
    name: str,
    about: str,
    *,
    unit: str = "1",
    range: Range = ANY,
    good: str = "",
    unity: bool = False,
    detail: bool = False,
    rows: Quantities = (),
) -> Quantity:
    """The declaration of one key."""
    return Quantity(name, about, unit, range, good, unity, detail, rows)


def _spell(range: Range) -> str:
    low, high = range
    if low is None:
        return "" if high is None else f"at most {high:g}"
    return f"{low:g} or more" if high is None else f"{low:g} to {high:g}"


def prefixed(prefix: str, quantities: Iterable[Quantity], of: str) -> Quantities:
    """The same quantities of something else: ``composite_row_sum_min`` of ``row_sum_min``.

    Args:
        prefix: put before every name.
        quantities: what is declared already.
        of: put after every sentence.
    """
    return tuple(q._replace(name=prefix + q.name, about=f"{q.about}, {of}") for q in quantities)


def by_name(quantities: Iterable[Quantity]) -> Mapping[str, Quantity]:
    """The declarations by their keys."""
    return {q.name: q for q in quantities}


def judged(about: str, good: str, threshold: str, unit: str = "1") -> Quantities:
    """A verdict in one word, and the number that it was found by."""
    return (quantity("verdict", about, good=good), quantity("threshold", threshold, unit=unit))


def of_columns(columns: Iterable[Column]) -> Quantities:
    """Those of rows that repeat columns of a table."""
    return tuple(Quantity(c.name, c.about, c.unit) for c in columns)


def steps_of(quantities: Quantities) -> Quantity:
    """A summary again for every checkpoint of a series."""
    own = tuple(q for q in quantities if q.name != STEP.name)
    return quantity("steps", "the same of every checkpoint of a series", rows=(STEP, *own))


METHOD = quantity("method", "the parameterization and its options, as --method takes it")
D = quantity("d", "number of streams", range=AT_LEAST_1)
SAMPLES = quantity("samples", "matrices or stacks that were measured", range=AT_LEAST_0)
SITES = quantity("sites", "places where streams are mixed", range=AT_LEAST_0)
LAYERS = quantity("layers", "number of layers", range=AT_LEAST_0)
STEP = quantity("step", "training step of the checkpoint; null if not known")
