"""One format, asked by name: a file of the house, or what another package brings.

Whatever code of another package raises becomes one sentence that says whose it is.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from birkhoff_cli.analyses.core import discover
from birkhoff_cli.analyses.core.entry_points import one_line
from birkhoff_cli.analyses.core.errors import BirkhoffError
from birkhoff_cli.analyses.core.shortage import is_short_of_memory

if TYPE_CHECKING:
    from birkhoff_cli.checkpoints import Checkpoint
    from birkhoff_cli.checkpoints.sites.names import NamedStore

PACKAGE = "birkhoff_cli.checkpoints"


def load(name: str) -> Any:
    """The module of a format.

    Raises:
        Unusable: it cannot be used.
    """
    return discover.member(PACKAGE, name)


def claims_of(name: str, store: "NamedStore") -> set[str]:
    """Names of the mixing tensors that a format explains.

    Raises:
        Unusable: another package brings it, and it fails.
    """
    module, entry = load(name), discover.guest(PACKAGE, name)
    if entry is None:
        return set(module.claims(store))
    try:
        return set(module.claims(store))
    except Exception as error:  # code of others fails in any way at all
        if is_short_of_memory(error):
            raise MemoryError from error
        raise entry.refusal(one_line(error)) from error


def read_with(name: str, store: "NamedStore", settings: Mapping[str, str]) -> "Checkpoint":
    """What a format reads; of one of another package under the name that it has here.

    Raises:
        BirkhoffError: what the format says about the file.
        Unusable: another package brings it, and it fails.
    """
    module, entry = load(name), discover.guest(PACKAGE, name)
    checkpoint: Checkpoint
    if entry is None:
        checkpoint = module.read(store, settings)
        return checkpoint
    try:
        checkpoint = replace(module.read(store, settings), format=name)
        return checkpoint
    except BirkhoffError:
        raise
    except Exception as error:  # code of others fails in any way at all
        if is_short_of_memory(error):
            raise MemoryError from error
        raise entry.refusal(one_line(error)) from error
