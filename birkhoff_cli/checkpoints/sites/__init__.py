"""What formats share: names without wrappers, sites in order, values that can be trusted."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from difflib import get_close_matches
from itertools import product
from math import inf
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from birkhoff_cli.analyses.core.discover import unknown
from birkhoff_cli.analyses.core.errors import BadInput, Unsupported, UsageError
from birkhoff_cli.analyses.core.trace import Site
from birkhoff_cli.checkpoints import Setting
from birkhoff_cli.containers import Store, escape, where

if TYPE_CHECKING:
    from birkhoff_cli.analyses.networks.connection import Connection

Places = dict[Site, dict[str, str]]
"""Per site, in order of depth, the tensors' names in the file by their names in the code."""

Shapes = Mapping[str, tuple[int, ...]]

FLOATING = ("float16", "bfloat16", "float32", "float64")
MAX_ITERS = 100_000
NOT_ITS_CODE = "no code saves it so; save the checkpoint again"

WRAPPERS = re.compile(r"(?:_orig_mod\.|module\.)*")
"""Prefixes of torch.compile and of DistributedDataParallel, in any order."""


def bare(name: str) -> str:
    """A tensor's name without wrappers."""
    return WRAPPERS.sub("", name, count=1)


def by_depth(
    store: Store,
    tensor: re.Pattern[str],
    branches: tuple[str, ...],
    called: Mapping[str, str] | None = None,
    below: float = inf,
) -> Places:
    """Sites of all layers, ordered by number and then by branch; empty if there are none.

    Args:
        store: the checkpoint.
        tensor: matches a bare name; its groups are layer (ASCII digits), branch and tensor.
        branches: every layer has all of them, in this order.
        called: branches that the code names otherwise, by their names in the code.
        below: layers from this number on are left out.

    Raises:
        BadInput: a layer or branch is missing, or one tensor is there under two names.
    """
    found: dict[tuple[int, str], dict[str, str]] = {}
    for stored in store.tensors:
        match = tensor.fullmatch(bare(stored))
        if match and int(match[1]) < below:
            branch = (called or {}).get(match[2], match[2])
            names = found.setdefault((int(match[1]), branch), {})
            if names.setdefault(match[3], stored) != stored:
                raise BadInput(
                    f"{where(store.path)}: '{escape(names[match[3]], 60)}' and "
                    f"'{escape(stored, 60)}' are the same tensor; keep one of them"
                )
    layers = 1 + max((layer for layer, _ in found), default=-1)
    for layer, branch in product(range(layers), branches):
        if (layer, branch) not in found:  # found soon, however large the largest number is
            raise BadInput(
                f"{where(store.path)}: layer {layer} has no {branch} site, but there is a "
                f"layer {layers - 1}; {NOT_ITS_CODE}"
            )
    order = product(range(layers), branches)
    return {Site(i, b, f"layers.{i}.{b}"): found[i, b] for i, b in order}


def check_shapes(store: Store, places: Places, shapes: Shapes) -> None:
    """Hold that every site has every tensor, in the shape that is expected.

    Raises:
        BadInput: naming layer, branch, tensor and both shapes.
    """
    for site, names in places.items():
        for tensor, shape in shapes.items():
            if tensor not in names:
                raise BadInput(
                    f"{at(store, site)} has no {tensor}{_near(store, names, tensor)}; "
                    f"{NOT_ITS_CODE}"
                )
            found = store.tensors[names[tensor]].shape
            if found != shape:
                raise BadInput(
                    f"{at(store, site)}: {tensor} has shape {escape(found, 40)}, "
                    f"expected {escape(shape, 40)}; {NOT_ITS_CODE}"
                )


def _near(store: Store, names: Mapping[str, str], tensor: str) -> str:
    """The name in the file that this tensor of a site may have been meant to have."""
    for other, stored in names.items():
        numbers = re.findall("[0-9]+", stored)
        here = [n for n in store.tensors if re.findall("[0-9]+", n) == numbers and n != stored]
        found = get_close_matches(stored.removesuffix(other) + tensor, here, n=1, cutoff=0.85)
        if found and found[0] not in names.values():
            return f", but '{escape(found[0])}'"
    return ""


def agree(store: Store, config: Mapping[str, Any], key: str, found: int) -> None:
    """Refuse a configuration that contradicts the tensors.

    Raises:
        BadInput: naming both numbers.
    """
    if key in config and config[key] != found:
        raise BadInput(
            f"{where(store.path)}: its configuration says {key} = {escape(repr(config[key]), 20)}, "
            f"its tensors say {found}; {NOT_ITS_CODE}"
        )


def values(store: Store, places: Places, tensor: str) -> NDArray[np.float32]:
    """One tensor of every site, ``(sites, ...)``, in float32.

    Raises:
        Unsupported: not of a floating dtype.
        BadInput: NaN or infinity, in float32.
    """
    return np.stack([value(store, site, names, tensor) for site, names in places.items()])


def value(store: Store, site: Site, names: Mapping[str, str], tensor: str) -> NDArray[np.float32]:
    """One tensor of one site, in float32; raises what `values` does."""
    return finite(store, names[tensor], f"{at(store, site)}: {tensor}")


def finite(store: Store, name: str, here: str) -> NDArray[np.float32]:
    """One tensor by its name in the file; ``here`` begins a message about it."""
    dtype = store.tensors[name].dtype
    if dtype not in FLOATING:
        raise Unsupported(f"{here} has dtype {dtype}; convert it to float32")
    with np.errstate(over="ignore"):  # becomes infinity, which is refused below
        found = store.read(name).astype(np.float32, copy=False)
    if not np.isfinite(found).all():
        raise BadInput(
            f"{here} holds NaN or infinity; the run has probably diverged, "
            f"try an earlier checkpoint"
        )
    return found


def connections(
    store: Store,
    places: Places,
    shapes: Shapes,
    make: Callable[[Mapping[str, NDArray[np.float32]]], "Connection"],
) -> Iterator["Connection"]:
    """Read all tensors of one site after the other.

    Args:
        store: the checkpoint, opened again.
        places: sites in order.
        shapes: of the tensors that ``make`` needs.
        make: from a site's tensors to the site.

    Raises:
        BadInput: a tensor that is not finite, or another file than that which was read before.
    """
    if not all(name in store.tensors for names in places.values() for name in names.values()):
        raise BadInput(f"{where(store.path)}: changed while it was read; read it again")
    check_shapes(store, places, shapes)
    for site, names in places.items():
        yield make({tensor: value(store, site, names, tensor) for tensor in shapes})


def dtypes(store: Store, places: Places, tensors: Iterable[str]) -> dict[str, dict[str, str]]:
    """Dtype in the file by tensor and by its names in the file, in order of sites."""
    kinds = {tensor: [names[tensor] for names in places.values()] for tensor in tensors}
    return {tensor: {n: store.tensors[n].dtype for n in names} for tensor, names in kinds.items()}


def refuse_unknown(settings: Mapping[str, str], known: tuple[str, ...], method: str) -> None:
    """Refuse words of ``--set`` that this checkpoint does not have.

    Raises:
        UsageError: naming those that it has.
    """
    for word in map(escape, settings):
        if not known:
            raise UsageError(f"--set {word}: {method} checkpoints have no settings; leave it out")
        if word not in known:
            raise UsageError(f"--set {unknown(word, known, f'settings of {method} checkpoints')}")


def iterations(settings: Mapping[str, str], default: int, least: int = 0) -> Setting:
    """Number of Sinkhorn iterations, as ``--set iters=N`` says or as the code has it.

    Raises:
        UsageError: not a whole number in range.
    """
    word = settings.get("iters")
    if word is None:
        return Setting("iters", default, "default")
    if not re.fullmatch("[0-9]{1,6}", word) or not least <= int(word) <= MAX_ITERS:
        raise UsageError(
            f"--set iters={escape(word, 20)}: expected a number, {least} to {MAX_ITERS}"
        )
    return Setting("iters", int(word), "set")


def at(store: Store, site: Site) -> str:
    """The beginning of a message about one site."""
    return f"{where(store.path)}: layer {site.layer}, {site.branch}"
