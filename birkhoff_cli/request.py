"""The options of one command line: every value, and whether it was typed."""

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path
from typing import Any, get_args

from birkhoff_cli import values
from birkhoff_cli.options import Option, Text, dashes


class Origin(Enum):
    """Where a value comes from."""

    TYPED = "typed"
    ENVIRONMENT = "environment"
    DEFAULT = "default"


@dataclass(frozen=True)
class Request:
    """What was asked of a command. No value depends on another one, or on the order of words.

    Attributes:
        options: every option of the command, by name.
        typed: texts from the command line.
        environment: texts from environment variables, of options that were not typed.
    """

    options: Mapping[str, Option]
    typed: Mapping[str, Text]
    environment: Mapping[str, Text]

    def __contains__(self, name: str) -> bool:
        """Whether the command has such an option."""
        return name in self.options

    def __getitem__(self, name: str) -> Any:
        """The value of an option; its default if nothing was given.

        Raises:
            KeyError: the command has no such option.
            UsageError: what was given is none of the option's type.
        """
        option = self.options[name]
        text = self.typed.get(name, self.environment.get(name))
        return option.default if text is None else option.read(text)

    def get(self, name: str) -> Any:
        """The value of an option, or None if the command has none of that name."""
        return self[name] if name in self.options else None

    def origin(self, name: str) -> Origin:
        """Where the value of an option comes from."""
        if name in self.typed:
            return Origin.TYPED
        return Origin.ENVIRONMENT if name in self.environment else Origin.DEFAULT

    def is_set(self, name: str) -> bool:
        """Whether there is anything but the default."""
        return self.origin(name) is not Origin.DEFAULT

    @property
    def texts(self) -> dict[str, Text]:
        """Everything that is not a default, as text: enough to make the request again."""
        texts = {**self.environment, **self.typed}
        return {name: texts[name] for name in self.options if name in texts}

    @property
    def values(self) -> dict[str, Any]:
        """Every value that is not None, by name."""
        pairs = ((name, self[name]) for name in self.options)
        return {name: value for name, value in pairs if value is not None}

    def paths(self) -> Iterator[Path]:
        """Every file that an option names."""
        for value in self.values.values():
            for item in value if isinstance(value, list) else [value]:
                path = item if isinstance(item, Path) else getattr(item, "path", None)
                if isinstance(path, Path):
                    yield path

    def arguments(self) -> Iterator[str]:
        """Every option that is not a default as it can be typed; of files only the names."""
        for name in self.texts:
            text = self._moved(name, _name)
            for part in text if isinstance(text, tuple) else (text,):
                if not self.options[name].positional:
                    yield dashes(name)
                if isinstance(part, str):
                    yield _public(part)

    def facts(self) -> dict[str, Any]:
        """Every value that is not None, for metadata; of files only the names."""
        return {name: _named(value) for name, value in self.values.items()}

    def typing(self, **texts: Text) -> "Request":
        """The same request with other options typed."""
        left = {name: text for name, text in self.environment.items() if name not in texts}
        return replace(self, typed={**self.typed, **texts}, environment=left)

    def only(self, names: Collection[str]) -> "Request":
        """The same request without what was given for any other option."""
        return replace(
            self,
            typed={name: text for name, text in self.typed.items() if name in names},
            environment={name: text for name, text in self.environment.items() if name in names},
        )

    def on(self, options: Mapping[str, Option]) -> "Request":
        """The same words for another command, as far as it has these options."""
        return replace(self, options=options).only(options.keys())

    def absolute(self) -> "Texts":
        """The texts with whole paths: a worker may be in another directory."""
        from birkhoff_cli import places  # of use to commands on several processes

        return Texts({name: self._moved(name, places.full) for name in self.texts})

    def _moved(self, name: str, move: Callable[[Path], Path | str]) -> Text:
        """The text of an option with other paths in place of those that it names."""
        annotation, text = values.plain(self.options[name].annotation), self.texts[name]
        if annotation in (Path, list[Path]):
            parts = text if isinstance(text, tuple) else (str(text),)
            moved = tuple(
                part if part == "-" else str(move(values.path_of(part))) for part in parts
            )
            return moved if isinstance(text, tuple) else moved[0]
        inner = get_args(annotation)[0] if values.many(annotation) else annotation
        if hasattr(inner, "moved"):  # words that name files
            if isinstance(text, tuple):
                return tuple(str(inner(part).moved(move)) for part in text)
            return str(inner(str(text)).moved(move))
        return text


class Texts(dict[str, Text]):
    """Texts of options by name, with secrets of URLs: a worker of dask logs what it is given."""

    def __repr__(self) -> str:
        return f"<{', '.join(self)}>"


def _name(path: Path) -> str:
    from birkhoff_cli import places  # of use once a result is there

    return places.word(path)


def _named(value: Any) -> Any:
    """A value without the folders of its files."""
    if isinstance(value, Path):
        return _name(value)
    if isinstance(value, list):
        return [_named(item) for item in value]
    if hasattr(value, "moved"):
        return value.moved(_name)
    return _public(value) if isinstance(value, str) else value


def _public(text: str) -> str:
    """A text without the secrets of URLs in it, such as those that a sweep goes over."""
    from birkhoff_cli import places

    return places.cut_secrets(text) if "://" in text else text
