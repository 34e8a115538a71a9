"""A parameter of a plain type is an option of its own name."""

from collections.abc import Mapping
from typing import Any

from birkhoff_cli.analyses.core.options import Offers, With
from birkhoff_cli.converters._converter import Converter
from birkhoff_cli.options import Option, dashes
from birkhoff_cli.request import Request


class Plain(Converter):
    """A number, a word, a path, a flag, or several of them."""

    is_plain = True

    def options(self) -> Mapping[str, Option]:
        """One."""
        own = self.parameter
        return {
            own.name: Option(
                own.name,
                own.annotation,
                own.note,
                default=None if own.required else own.default,
                group="Analysis",
                positional=own.positional,
                required=own.required,
                offers=next((mark.all for mark in own.marks if isinstance(mark, Offers)), None),
            )
        }

    def used(self, request: Request) -> set[str]:
        """It, if what it belongs to is asked for."""
        return {self.parameter.name} if all(_holds(m, request) for m in self._marks()) else set()

    def refusal(self, name: str, request: Request) -> str:
        """What it belongs to."""
        mark = next(m for m in self._marks() if not _holds(m, request))
        other = f"{dashes(mark.option)} {mark.value or ''}".strip()
        return f"{dashes(name)} belongs to {other}; say that too, or leave {dashes(name)} out"

    def read(self, request: Request, d: int | None) -> Any:
        """Its value."""
        del d
        return request[self.parameter.name]

    def _marks(self) -> list[With]:
        return [m for m in self.parameter.marks if isinstance(m, With)]


def _holds(mark: With, request: Request) -> bool:
    if mark.value is None:
        return request.get(mark.option) not in (None, False)
    return bool(request.get(mark.option) == mark.value)


def drawn_only(label: str, request: Request) -> str:
    """The sentence for an option of drawn matrices beside a file."""
    path = request["path"][0]
    from birkhoff_cli import places  # of use to a sentence only

    if not places.is_there(path) and not set("#:") & {*str(path)} and str(path) != "-":
        from birkhoff_cli import mistakes

        advice = mistakes.option_for(str(path), request.options) or mistakes.missing_file(path)
        return f"'{path}' is no file; {advice}"
    return f"{label} is for drawn matrices and {path} is a file; leave one of them out"
