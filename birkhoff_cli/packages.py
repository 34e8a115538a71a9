"""What other installed packages bring, and whether it can be used; and which methods cannot."""

import hashlib
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from birkhoff_cli import members, methods, named_class
from birkhoff_cli.analyses import parameterizations
from birkhoff_cli.analyses.core import discover
from birkhoff_cli.analyses.core.entry_points import HOUSE, Unusable
from birkhoff_cli.options import Text

CHECKPOINTS = "birkhoff_cli.checkpoints"

LOADERS: Mapping[str, tuple[str, Callable[[str], Any]]] = {
    parameterizations.__name__: ("method", parameterizations.load),
    "birkhoff_cli.analyses": ("analysis", members.module_of),
    CHECKPOINTS: ("checkpoint format", partial(discover.member, CHECKPOINTS)),
}
"""By folder: what its members are, and how one is imported."""


def members_of_others() -> Iterator[dict[str, Any]]:
    """One row for every entry point of ours; imports it to say whether it can be used.

    And one for every method of the house that cannot be used.
    """
    for folder, (kind, load) in LOADERS.items():
        own = {e: _state(load, name) for name, e in discover.guests(folder).items()}
        taken = {e: f"not used: {owner} has that name" for e, owner in discover.hidden(folder)}
        for entry, state in (own | taken).items():
            yield {
                **{"member": entry.name, "kind": kind, "package": entry.distribution},
                **{"module": entry.value, "state": state},
            }
    yield from _broken_methods()


def _broken_methods() -> Iterator[dict[str, Any]]:
    folder = parameterizations.__name__
    for name in discover.house(folder):
        if (state := _state(parameterizations.load, name)) != READY:
            yield {
                **{"member": name, "kind": "method", "package": HOUSE},
                **{"module": discover.entry(folder, name).value, "state": state},
            }


READY = "ready"


def _state(load: Callable[[str], Any], name: str) -> str:
    try:
        load(name)
    except Unusable as error:
        return f"cannot be used: {error.reason}"
    except ModuleNotFoundError as error:
        return f"cannot be used: {error}"
    return READY


def origin(package: str, name: str) -> str:
    """Who brings a member: birkhoff, or another package and its version."""
    if not discover.has(package, name):
        return name.partition(":")[0]  # the module of a class that no package declares
    entry = discover.guest(package, name)
    return entry.distribution if entry else "birkhoff"


def place_of(error: Exception) -> str | None:
    """File and line of the code of others in which an error was raised; None if it was in none."""
    entries = (entry for folder in LOADERS for entry in discover.guests(folder).values())
    theirs = {entry.module.partition(".")[0] for entry in entries} | named_class.LOADED
    locations = [
        f"{Path(frame.f_code.co_filename).name}, line {line}"
        for frame, line in traceback.walk_tb(error.__traceback__)
        if str(frame.f_globals.get("__name__")).partition(".")[0] in theirs
    ]
    return locations[-1] if locations else None


def digests(command: str, texts: Iterable[Text]) -> list[str]:
    """sha256 of the files of the command and of the methods, as far as they are not of the house.

    Their code may change while our version stays. What these files import is not looked at.

    Args:
        command: its name.
        texts: those of options that name methods.
    """
    specifications = [word for text in texts for word in _texts_of(text)]
    used = [sys.modules[method.__module__] for method in methods.named(specifications)]
    if discover.guest("birkhoff_cli.analyses", command):
        used.append(members.module_of(command))
    own = (m for m in used if not m.__name__.startswith("birkhoff_cli."))
    files = sorted({Path(file) for module in own if (file := module.__file__)})
    return [hashlib.sha256(file.read_bytes()).hexdigest() for file in files]


def _texts_of(text: Text) -> tuple[str, ...]:
    return text if isinstance(text, tuple) else (str(text),)
