"""How a method is written: ``name:option=value,...``, wherever one is named.

``--s 2`` is shorthand for ``:s=2`` where one method is named. Case does not matter, and a tuple is
written ``2x2`` or ``2,2``. ``package.module:Class:option=value,...`` is a class that no package
declares: whoever types it asks for that code to be run, and only what is typed is read here. A name
in a file is looked up among the members, and is never a module.
"""

import contextlib
import dataclasses
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Annotated, Any, get_args, get_origin, get_type_hints

from birkhoff_cli import values
from birkhoff_cli.analyses import parameterizations
from birkhoff_cli.analyses.core.arrays import Array
from birkhoff_cli.analyses.core.discover import word_for
from birkhoff_cli.analyses.core.errors import BirkhoffError, UsageError
from birkhoff_cli.analyses.core.parameterization import METHODS, Parameterization
from birkhoff_cli.options import Option, dashes
from birkhoff_cli.text import escape

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
    """Read ``name:option=value,...``, as it was typed.

    Raises:
        UsageError: no such method, or a part that is no option and its value.
        Unsupported: a method of another package, or a class, that cannot be used.
    """
    word, rest = _split(text)
    if ":" not in word and not parameterizations.has(word):
        from birkhoff_cli.named_class import hint  # what is a member's name is no class

        if advice := hint(text):
            raise UsageError(f"--method {escape(text)}: no method has that name; {advice}")
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
            raise UsageError(f"--method {text}: '{part}' is no option=value; say {word}:d=3")
    return Specification(text, _load(word), options)


def several(text: str) -> list[str]:
    """Methods with commas between them, ``mhc,go-mhc:s=1,draw=haar``.

    A comma before ``option=value``, or before a number, is of the options of the method before it.
    """
    texts: list[str] = []
    for part in text.split(","):
        if texts and (NUMBER.fullmatch(part) or "=" in part.partition(":")[0]):
            texts[-1] += f",{part}"
        else:
            texts.append(part)
    return texts


NUMBER = re.compile(r"[\s\d.x]+")
"""The rest of a value such as 2,2."""


def make(
    spec: "str | Parameterization | Method | Callable[[Array], Array]",
    *,
    d: int | None = None,
    parameters: int | None = None,
    **options: Any,
) -> Parameterization:
    """A map from parameters to mixing matrices.

    ``method("go-mhc", s=2)``, ``method("go-mhc:s=2", d=3)``; and of a function of your own
    ``method(function, parameters=9, d=3)``. A map has ``draw(n, seed=0)``, which gives the matrices
    of ``birkhoff sample``; and ``map(theta)`` of parameters ``(..., map.parameters)``, numpy's or
    torch's, gives matrices ``(..., d, d)``.

    Args:
        spec: as ``--method`` takes it; a class of parameterizations; or a function from
            parameters ``(p,)`` or ``(n, p)`` to matrices ``(d, d)`` or ``(n, d, d)``.
        d: number of streams; 4 for a method that is named.
        parameters: p, of a function.
        options: of the method, in Python or as they are typed.

    Returns:
        The map. Nothing is claimed of a function's matrices: `spectrum` and the others measure
        them. Its derivatives are torch's if it takes torch tensors, else central differences.

    Raises:
        UsageError: no such method or option, one that is there twice, or a function whose matrices
            are not ``d x d``.
    """
    if isinstance(spec, Parameterization) and d is parameters is None and not options:
        return spec
    if isinstance(spec, str):
        if parameters is not None:
            raise UsageError(f"parameters are those of a function and {spec} has its own; say d")
        parsed, own = parse(spec), {n: v for n, v in options.items() if v is not None}
        if twice := parsed.options.keys() & ({"d"} if d is not None else set()) | (
            parsed.options.keys() & own.keys()
        ):
            raise UsageError(f"{spec} says {min(twice)} already; say it once")
        texts = {name: values.text(value) for name, value in own.items()}
        return dataclasses.replace(parsed, options={**parsed.options, **texts}).build(d)
    if isinstance(spec, type):
        made: Parameterization = spec(**({} if d is None else {"d": d}) | options)
        return made
    if not callable(spec) or d is None or parameters is None or options:
        raise UsageError(
            "a method is a name and its options, or method(function, parameters=9, d=3)"
        )
    from birkhoff_cli.analyses.core.function_map import FunctionMap  # of use in Python only

    return FunctionMap(d, spec, parameters)


def word_of(text: str) -> str:
    """The method that a text names: as its file has it, or as ``module:Class``."""
    return _split(text)[0]


def _split(text: str) -> tuple[str, str]:
    """The method and its options. Where a method has the name of a module, it is meant."""
    word, _, rest = text.partition(":")
    cls = CLASS.match(text)
    if cls is None or parameterizations.has(normalise(word)):
        return normalise(word), rest
    return cls[1], cls[2] or ""


CLASS = re.compile(r"\s*([A-Za-z_][\w.]*:[A-Za-z_]\w*)\s*(?::(.*))?", re.DOTALL)
"""``package.module:Class``, and the options behind it."""


def _load(word: str) -> Method:
    module, colon, cls = word.partition(":")
    if not colon:
        return parameterizations.load(word)
    from birkhoff_cli.named_class import load_class

    return load_class(module, cls)


def normalise(word: str) -> str:
    """The name of a method as its file has it: lower case, with hyphens."""
    return word.strip().lower().replace("_", "-")


def name_of(method: Method) -> str:
    """The word for a method on the command line."""
    return word_for(METHODS, method)


def fields(method: Method) -> dict[str, Option]:
    """The options of a method but d, each as an option of the command line."""
    hints = get_type_hints(method, include_extras=True)
    return {
        f.name: Option(f.name, *_annotation_and_note(hints[f.name]), group="Matrices")
        for f in dataclasses.fields(method)
        if f.name != "d"
    }


def _annotation_and_note(hint: Any) -> tuple[Any, str]:
    """The type of an option and its sentence, which a class of somebody else may lack."""
    if get_origin(hint) is not Annotated:
        return hint, "an option of this method"
    return get_args(hint)[:2]


def named(texts: Iterable[str]) -> list[Method]:
    """The methods of ``--method``; a word that is none is passed over, and refused when read."""
    methods: dict[str, Method] = {}
    for word in map(word_of, texts):
        with contextlib.suppress(BirkhoffError):
            methods[word] = _load(word)
    return [*methods.values()]


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


def texts_in(args: Sequence[str]) -> list[str]:
    """What ``--method`` names, or a sweep over it, or else the environment."""
    return [*_typed_in(args)] or os.environ.get("BIRKHOFF_METHOD", "").split()


def _typed_in(args: Sequence[str]) -> Iterator[str]:
    for word, following in zip(args, [*args[1:], ""], strict=False):
        option, equals, value = word.partition("=")
        value = value if equals else following
        if option == "--method":
            yield value
        if option == "--sweep" and value.startswith("method="):
            yield from several(value.removeprefix("method="))
