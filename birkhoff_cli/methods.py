"""How a method is written: ``name:option=value,...``, wherever one is named.

``--s 2`` is shorthand for ``:s=2`` where one method is named. Case does not matter, and a tuple is
written ``2x2`` or ``2,2``.
"""

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any, get_args, get_type_hints

from birkhoff_cli import values
from birkhoff_cli.analyses import parameterizations
from birkhoff_cli.analyses.core.errors import UsageError
from birkhoff_cli.analyses.core.parameterization import Parameterization
from birkhoff_cli.options import Option, dashes

Method = type[Parameterization]


@dataclasses.dataclass(frozen=True)
class Specification:
    """A method and its options, as text.

    Attributes:
        text: as it was typed.
        method: the class.
        options: texts by name of a field, or of a word that the caller knows.
    """

    text: str
    method: Method
    options: Mapping[str, str]

    @property
    def name(self) -> str:
        """The word for ``--method``."""
        return name_of(self.method)

    def build(self, d: int | None, **others: Any) -> Parameterization:
        """The method with ``d`` streams if it does not say so itself, and other values.

        Raises:
            UsageError: an option that it does not have, or a value that it cannot have.
        """
        hints = get_type_hints(self.method)
        for option in self.options:
            if option not in (*fields(self.method), "d"):
                raise UsageError(has_no(self.method, option))
        own = {
            name: values.read(hints[name], text, f"{self.text}: {name}")
            for name, text in self.options.items()
        }
        return self.method(**({} if d is None else {"d": d}) | others | own)


def parse(text: str) -> Specification:
    """Read ``name:option=value,...``.

    Raises:
        UsageError: no such method, or a part that is no option and its value.
    """
    word, _, rest = text.partition(":")
    name = normalise(word)
    options: dict[str, str] = {}
    last = ""
    for part in filter(None, rest.split(",")):
        key, equals, value = part.partition("=")
        if equals:
            last = key.strip().replace("-", "_").lower()
            if last in options:
                raise UsageError(f"--method {text}: {last} is there twice; say it once")
            options[last] = value
        elif last:  # 2,2: the comma is of the value
            options[last] += f",{part}"
        else:
            raise UsageError(f"--method {text}: '{part}' is no option=value; say {name}:d=3")
    return Specification(text, parameterizations.load(name), options)


def normalise(word: str) -> str:
    """The name of a method as its file has it: lower case, with hyphens."""
    return word.strip().lower().replace("_", "-")


def name_of(method: Method) -> str:
    """The word for a method on the command line: the name of its file."""
    return method.__module__.rpartition(".")[2].replace("_", "-")


def fields(method: Method) -> dict[str, Option]:
    """The options of a method but d, each as an option of the command line."""
    hints = get_type_hints(method, include_extras=True)
    declared = [f for f in dataclasses.fields(method) if f.name != "d"]
    return {
        f.name: Option(
            f.name, get_args(hints[f.name])[0], get_args(hints[f.name])[1], group="Matrices"
        )
        for f in declared
    }


def named(texts: Iterable[str]) -> list[Method]:
    """The methods of ``--method``; a word that is none is passed over, and refused when read."""
    known = parameterizations.names()
    words = (normalise(text.partition(":")[0]) for text in texts)
    return [parameterizations.load(word) for word in dict.fromkeys(words) if word in known]


def owners(option: str) -> list[str]:
    """Names of all methods with an option."""
    loaded = parameterizations.load_all()
    return [name for name, method in loaded.items() if option in fields(method)]


def has_no(method: Method, option: str) -> str:
    """The sentence for an option that a method does not have."""
    own = ", ".join(map(dashes, sorted(fields(method)))) or "no options but --d"
    return f"{name_of(method)} has no {dashes(option)}; it has {own}"


def missing() -> str:
    """The sentence for a method that was not named."""
    return f"--method is missing; it is one of {', '.join(parameterizations.names())}"
