"""When an option of an analysis has an effect: written beside its type and its sentence.

``Annotated[int, "Gauss-Newton steps at most", With("probe", "targets")]``. An option that was typed
and has no effect is refused.
"""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class With:
    """An option that belongs to values of another one; to any value if none is named."""

    option: str
    value: str | None = None


@dataclass(frozen=True)
class Idle:
    """Options of an argument that have no effect beside a value of another option."""

    option: str
    value: str
    names: tuple[str, ...]


@dataclass(frozen=True)
class ArrayAxis:
    """What the first axis of an array ``(n, d, d)`` is to an analysis; None leaves it open."""

    name: Literal["samples", "sites"] | None = "samples"


@dataclass(frozen=True)
class Offers:
    """Words that a shell offers for an option that takes several of them, or others."""

    choices: tuple[str, ...]

    def all(self) -> tuple[str, ...]:
        """The words."""
        return self.choices
