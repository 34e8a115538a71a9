"""nanoGPT with any parameterization, as `birkhoff train` saves it.

Names and shapes are those of the mhc-lite repository. ``model_args`` name the method and its
options, and ``static_alpha`` holds n numbers of what the branch reads and then the parameters of
H, in our orientation.
"""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

import numpy as np

from birkhoff_cli.analyses import parameterizations
from birkhoff_cli.analyses.core.errors import BadInput, BirkhoffError, TooLarge
from birkhoff_cli.analyses.core.parameterization import Parameterization
from birkhoff_cli.checkpoints import Checkpoint, Setting, gpt, nanogpt, sites
from birkhoff_cli.checkpoints.nanogpt import BRANCHES, MAX_STREAMS, OPTIONS, arguments
from birkhoff_cli.checkpoints.sites import NOT_ITS_CODE, forks
from birkhoff_cli.containers import Store, escape, where

MAX_NUMBER = 1 << 20
"""Of an option that is a whole number."""


def recognises(store: Store) -> bool:
    """Layers of nanoGPT, and options of a method in ``model_args``."""
    names = map(sites.bare, store.tensors)
    return OPTIONS in arguments(store) and any(name.startswith(nanogpt.LAYERS) for name in names)


def read(store: Store, settings: Mapping[str, str]) -> Checkpoint:
    """Make the map, check all shapes against it, and read one tensor per site."""
    args = arguments(store)
    map_ = map_of(store, args)
    places = nanogpt.places_of(store, args)
    n, alpha = map_.d, (map_.d + map_.parameters,)
    width = width_of(store, args)
    shapes = nanogpt.together(alpha, n, width)
    sites.check_shapes(store, places, shapes)
    sites.refuse_unknown(gpt.others(settings, args), (), map_.name)
    entries = forks.in_order(map_)
    theta = sites.values(store, places, "static_alpha")[:, entries.mixing]
    step = store.config.get("iter_num")
    found = Checkpoint(
        path=store.path,
        format="trained",
        method=map_.name,
        map=map_,
        theta=np.ascontiguousarray(theta),
        sites=tuple(places),
        d=n,
        layers=len(places) // len(BRANCHES),
        width=width,
        settings=(
            *(Setting(f.name, getattr(map_, f.name), "stored") for f in fields(map_)),
            *([Setting("iter_num", step, "stored")] if type(step) is int else []),
        ),
        convention="stores parameters of H, static_alpha[n:], applies x_out = H x_in; as stored",
        dtypes=sites.dtypes(store, places, shapes),
        inputs=(store.digest(),),
        connect=lambda store: sites.connections(
            store, places, shapes, lambda tensors: forks.together(tensors, map_, entries)
        ),
    )
    return gpt.runnable(found, args, settings)


def map_of(store: Store, args: Mapping[str, Any]) -> Parameterization:
    """The method that ``model_args`` name, with its options.

    Raises:
        BadInput: no such method, or options that it does not have or that cannot be.
        TooLarge: matrices of a size that nothing can hold.
    """
    name, n, options = args.get("hyper_conn_type"), args.get("hyper_conn_n"), args[OPTIONS]
    here = where(store.path)
    if name not in parameterizations.names():
        raise BadInput(f"{here}: hyper_conn_type '{escape(name, 40)}' is no method; {NOT_ITS_CODE}")
    if type(n) is not int or not 1 <= n <= MAX_STREAMS:
        raise BadInput(f"{here}: hyper_conn_n = {escape(repr(n), 20)}; {NOT_ITS_CODE}")
    cls = parameterizations.load(str(name))
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


def width_of(store: Store, args: Mapping[str, Any]) -> int:
    """``n_embd``."""
    width = args.get("n_embd")
    if type(width) is not int or not 1 <= width <= MAX_NUMBER:
        raise BadInput(f"{where(store.path)}: n_embd = {escape(repr(width), 20)}; {NOT_ITS_CODE}")
    return width
