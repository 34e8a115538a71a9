"""The method that `birkhoff train` names in ``model_args``, with its options."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from birkhoff_cli.analyses import parameterizations
from birkhoff_cli.analyses.core.errors import BadInput, BirkhoffError, TooLarge
from birkhoff_cli.analyses.core.parameterization import Parameterization
from birkhoff_cli.checkpoints.gpt.layout import OPTIONS
from birkhoff_cli.checkpoints.sites.names import NamedStore
from birkhoff_cli.checkpoints.sites.values import MAX_STREAMS, NOT_ITS_CODE
from birkhoff_cli.containers import escape, where

MAX_NUMBER = 1 << 20
"""Of an option that is a whole number."""


def map_of(store: NamedStore, args: Mapping[str, Any]) -> Parameterization:
    """The method that ``model_args`` name, with its options.

    Raises:
        BadInput: no such method, or options that it does not have or that cannot be.
        TooLarge: matrices of a size that nothing can hold.
    """
    name, n, options = args.get("hyper_conn_type"), args.get("hyper_conn_n"), args[OPTIONS]
    here = where(store.path)
    if not (isinstance(name, str) and parameterizations.has(name)):
        raise BadInput(f"{here}: hyper_conn_type '{escape(name, 40)}' is no method; {NOT_ITS_CODE}")
    if type(n) is not int or not 1 <= n <= MAX_STREAMS:
        raise BadInput(f"{here}: hyper_conn_n = {escape(repr(n), 20)}; {NOT_ITS_CODE}")
    cls = parameterizations.load(name)
    if not isinstance(options, dict) or not options.keys() <= {f.name for f in fields(cls)} - {"d"}:
        raise BadInput(f"{here}: {OPTIONS} are not those of {name}; {NOT_ITS_CODE}")
    try:
        return cls(d=n, **{key: _option(value) for key, value in options.items()})
    except TooLarge as error:
        raise TooLarge(f"{here}: {error}") from error
    except (BirkhoffError, TypeError, ValueError, OverflowError) as error:
        raise BadInput(f"{here}: {OPTIONS} cannot be those of {name}; {NOT_ITS_CODE}") from error


def _option(value: Any) -> Any:
    """A word, a number of a sensible size, or a few whole numbers."""
    if isinstance(value, list | tuple) and len(value) <= MAX_STREAMS:
        return tuple(_option(part) for part in value)
    if isinstance(value, bool | str | float) or (type(value) is int and abs(value) <= MAX_NUMBER):
        return value
    raise ValueError


def width_of(store: NamedStore, args: Mapping[str, Any]) -> int:
    """``n_embd``."""
    width = args.get("n_embd")
    if type(width) is not int or not 1 <= width <= MAX_NUMBER:
        raise BadInput(f"{where(store.path)}: n_embd = {escape(repr(width), 20)}; {NOT_ITS_CODE}")
    return width
