"""What every name on a page means: said once, at its end, and pointed to from everywhere."""

from collections.abc import Iterator
from typing import NamedTuple


class Meaning(NamedTuple):
    """A name with what it means, and where that stands."""

    name: str
    legend: str
    id: str


class Glossary:
    """Meanings in the order in which they are first asked for."""

    def __init__(self) -> None:
        """Start without any."""
        self._meanings: dict[tuple[str, str], Meaning] = {}

    def __iter__(self) -> Iterator[Meaning]:
        """All of them, sorted by name."""
        return iter(sorted(self._meanings.values(), key=lambda meaning: meaning.name))

    def refer(self, name: str, legend: str) -> Meaning:
        """The meaning of a name; the same name may mean something else in another command."""
        new = Meaning(name, legend, f"m{len(self._meanings)}")
        return self._meanings.setdefault((name, legend), new)
