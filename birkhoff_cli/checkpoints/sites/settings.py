"""Settings that matrices depend on and no tensor holds: set, configured, or by default."""

import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from birkhoff_cli.analyses.core.discover import unknown
from birkhoff_cli.analyses.core.errors import BadInput, UsageError
from birkhoff_cli.checkpoints import Setting
from birkhoff_cli.checkpoints.sites.names import NamedStore
from birkhoff_cli.containers import escape, where

MAX_ITERS = 100_000
WHOLE = re.compile(r"[0-9]{1,6}")
REAL = re.compile(r"([0-9]{1,9}\.?[0-9]{0,18}|\.[0-9]{1,18})(e[+-]?[0-9]{1,2})?")
CALLED = {"iters": "sinkhorn iterations"}
"""What a message calls a setting whose name is short for something."""


def part_of(store: NamedStore, part: str) -> Mapping[str, Any]:
    """A dictionary that the file holds beside its tensors; empty if it has none of that name."""
    value = store.config.get(part)
    return value if isinstance(value, dict) else {}


class Number(NamedTuple):
    """A number that no tensor holds.

    Attributes:
        name: in ``--set NAME=VALUE``.
        keys: its names in a configuration.
        default: what the code has if nothing says it.
        least: the smallest that can be.
        most: the largest that can be, if it is whole; else the smallest that cannot.
    """

    name: str
    keys: tuple[str, ...]
    default: float
    least: float = 0
    most: float = MAX_ITERS

    @property
    def whole(self) -> bool:
        """Whether only whole numbers can be."""
        return isinstance(self.default, int)

    @property
    def expected(self) -> str:
        """What it can be, in words."""
        if self.whole:
            return f"a number, {self.least} to {self.most}"
        return f"a number from {self.least:g} to below {self.most:g}"

    def holds(self, value: Any) -> bool:
        """Whether a value can be this number."""
        if self.whole and (type(value) is int or (type(value) is float and value.is_integer())):
            return self.least <= value <= self.most
        return type(value) in (int, float) and not self.whole and self.least <= value < self.most


def number(
    store: NamedStore, config: Mapping[str, Any], settings: Mapping[str, str], of: Number
) -> Setting:
    """A number as ``--set`` says it, else as the configuration does, else the code's default.

    Raises:
        UsageError: what was set is no such number.
        BadInput: what the configuration says is none.
    """
    if (word := settings.get(of.name)) is not None:
        return Setting(of.name, _parsed(word, of), "set")
    stored = {key: config[key] for key in of.keys if config.get(key) is not None}
    if not stored:
        return Setting(of.name, of.default, "default")
    for key, value in stored.items():
        if not of.holds(value):
            raise BadInput(
                f"{where(store.path)}: its configuration says {key} = {escape(repr(value), 20)}, "
                f"expected {of.expected}; correct it, or give --set {of.name}=VALUE"
            )
    if len(set(stored.values())) > 1:
        entries = " and ".join(f"{key} = {escape(repr(v), 20)}" for key, v in stored.items())
        raise BadInput(
            f"{where(store.path)}: its configuration says {entries}, which are two names of one "
            f"number; give --set {of.name}=VALUE"
        )
    value = next(iter(stored.values()))
    return Setting(of.name, int(value) if of.whole else float(value), "config")


def _parsed(word: str, of: Number) -> float:
    form = WHOLE if of.whole else REAL
    value = (int if of.whole else float)(word) if form.fullmatch(word) else None
    if value is None or not of.holds(value):
        raise UsageError(f"--set {of.name}={escape(word, 20)}: expected {of.expected}")
    return value


def defaults(chosen: Iterable[Setting], whose: str, fixed: Iterable[str] = ()) -> tuple[str, ...]:
    """One sentence for every setting that nothing says.

    Args:
        chosen: settings.
        whose: the code whose defaults they are.
        fixed: names of those that ``--set`` cannot say.
    """
    kept = set(fixed)
    return tuple(
        f"{CALLED.get(s.name, s.name)} {_shown(s.value)} ({whose} default; not stored in the file)"
        + ("" if s.name in kept else f"; --set {s.name}=VALUE overrides")
        for s in chosen
        if s.source == "default"
    )


def _shown(value: Any) -> str:
    return format(value, "g") if isinstance(value, float) else str(value)


def word(settings: Mapping[str, str], name: str, choices: Iterable[str]) -> str | None:
    """One of several words of ``--set``; None if it was not given.

    Raises:
        UsageError: it is none of them.
    """
    known = list(choices)
    text = settings.get(name)
    if text is not None and text not in known:
        raise UsageError(f"--set {name}={escape(text, 40)}: expected {' or '.join(known)}")
    return text


def refuse_unknown(settings: Mapping[str, str], known: Iterable[str], method: str) -> None:
    """Refuse names of ``--set`` that this checkpoint does not have.

    Raises:
        UsageError: naming those that it has.
    """
    known = tuple(known)
    for name in map(escape, settings):
        if not known:
            raise UsageError(f"--set {name}: {method} checkpoints have no settings; leave it out")
        if name not in known:
            raise UsageError(f"--set {unknown(name, known, f'settings of {method} checkpoints')}")
