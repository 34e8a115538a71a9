"""The permutation that the mean matrix of every site is nearest to."""

from collections import Counter
from typing import Any

from birkhoff_cli.analyses.core.quantities import AT_LEAST_0, quantity
from birkhoff_cli.analyses.core.result import Summary
from birkhoff_cli.analyses.core.sentences import count
from birkhoff_cli.analyses.core.table import column
from birkhoff_cli.analyses.geometry.assignment import Permutation

COLUMN = column(
    "dominant_permutation",
    "string",
    "permutation p nearest to the mean matrix, of several the first, as p[0] p[1] ...: "
    "P[i, p[i]] = 1; null if the mean is not finite",
    nullable=True,
)
DOMINANT = quantity(
    "dominant_permutations",
    "permutations nearest to the mean matrix of a site, the most frequent first",
    rows=(
        quantity("permutation", "the permutation p, P[i, p[i]] = 1"),
        quantity("sites", "sites whose mean matrix it is nearest to", range=AT_LEAST_0),
    ),
)


def word_of(permutation: Permutation | None) -> str | None:
    """As `COLUMN` has it, which text formats can hold."""
    return None if permutation is None else " ".join(map(str, permutation))


def rows_of(nearest: list[Permutation | None]) -> list[dict[str, Any]]:
    """Rows of `DOMINANT`, of the permutation of every site."""
    counts = Counter(filter(None, nearest))
    order = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return [{"permutation": [*permutation], "sites": sites} for permutation, sites in order]


def phrase(summary: Summary) -> str:
    """Which permutation most sites are nearest to; empty if none is known."""
    if not summary[DOMINANT.name]:
        return ""
    first = summary[DOMINANT.name][0]
    identity = first["permutation"] == [*range(summary["d"])]
    named = "I" if identity else f"({', '.join(map(str, first['permutation']))})"
    sites = count(summary["sites"], "site")
    return f"; the nearest permutation is {named} at {first['sites']:,} of {sites}"
