"""When an option of an analysis has an effect: written beside its type and its sentence.

``Annotated[int, "Gauss-Newton steps at most", With("probe", "targets")]``. An option that was typed
and has no effect is refused. These are named tuples, as every command makes their classes at its
start: a frozen dataclass takes eight times as long to make.
"""

from typing import Literal, NamedTuple


class With(NamedTuple):
    """An option that belongs to values of another one; to any value if none is named."""

    option: str
    value: str | None = None


class Idle(NamedTuple):
    """Options of an argument that have no effect beside a value of another option."""

    option: str
    value: str
    names: tuple[str, ...]


class ArrayAxis(NamedTuple):
    """What the first axis of an array ``(n, d, d)`` is to an analysis; None leaves it open."""

    name: Literal["samples", "sites"] | None = "samples"


class Offers(NamedTuple):
    """Words that a shell offers for an option that takes several of them, or others."""

    choices: tuple[str, ...]

    def all(self) -> tuple[str, ...]:
        """The words."""
        return self.choices
