"""Values of sites' tensors that can be trusted: shapes as expected, floating, finite."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from birkhoff_cli.analyses.core.errors import BadInput, Unsupported
from birkhoff_cli.analyses.core.trace import Site
from birkhoff_cli.checkpoints.sites.names import NamedStore
from birkhoff_cli.containers import escape, where

if TYPE_CHECKING:
    from birkhoff_cli.analyses.networks.connection import Connection
    from birkhoff_cli.checkpoints.sites.depth import Sites

Array: TypeAlias = NDArray[np.float32]
Shape: TypeAlias = tuple[int, ...]
Shapes: TypeAlias = Mapping[str, Shape]

FLOATING = ("float16", "bfloat16", "float32", "float64", "q8_0")
MAX_STREAMS = 1024
NOT_ITS_CODE = (
    "no layout that is known here has it so; give the whole checkpoint, or say what its tensors "
    "hold by --set tensors= and --set as="
)


def at(store: NamedStore, site: Site) -> str:
    """The beginning of a message about one site."""
    return f"{where(store.path)}: layer {site.layer}, {site.branch}"


def check_shapes(store: NamedStore, sites: "Sites", shapes: Shapes) -> None:
    """Hold that every site has every tensor, in the shape that is expected.

    Raises:
        BadInput: naming layer, branch, tensor and both shapes.
    """
    for site, names in sites.items():
        for tensor, shape in shapes.items():
            if tensor not in names:
                raise BadInput(
                    f"{at(store, site)} has no {tensor}{_near(store, names, tensor)}; "
                    f"{NOT_ITS_CODE}"
                )
            stored_shape = store.tensors[names[tensor]].shape
            if stored_shape != shape:
                raise BadInput(
                    f"{at(store, site)}: {tensor} has shape {escape(stored_shape, 40)}, "
                    f"expected {escape(shape, 40)}; {NOT_ITS_CODE}"
                )


def _near(store: NamedStore, names: Mapping[str, str], tensor: str) -> str:
    """The name in the file that this tensor of a site may have been meant to have."""
    for other, stored in names.items():
        numbers = re.findall("[0-9]+", stored)
        here = [n for n in store.tensors if re.findall("[0-9]+", n) == numbers and n != stored]
        near = get_close_matches(stored.removesuffix(other) + tensor, here, n=1, cutoff=0.85)
        if near and near[0] not in names.values():
            return f", but '{escape(store.stored[near[0]])}'"
    return ""


def shapes_at(store: NamedStore, names: Mapping[str, str]) -> dict[str, Shape]:
    """Shapes of one site's tensors, by their names in the code."""
    return {tensor: store.tensors[name].shape for tensor, name in names.items()}


def agree(store: NamedStore, config: Mapping[str, Any], key: str, size: int) -> None:
    """Refuse a configuration that contradicts the tensors.

    Raises:
        BadInput: naming both numbers.
    """
    if key in config and config[key] != size:
        raise BadInput(
            f"{where(store.path)}: its configuration says {key} = {escape(repr(config[key]), 20)}, "
            f"its tensors say {size}; give the configuration of this model, and all of its tensors"
        )


def values(store: NamedStore, sites: "Sites", tensor: str) -> Array:
    """One tensor of every site, ``(sites, ...)``, in float32.

    Raises:
        Unsupported: not of a floating dtype.
        BadInput: NaN or infinity, in float32.
    """
    return np.stack([value(store, site, names, tensor) for site, names in sites.items()])


def value(store: NamedStore, site: Site, names: Mapping[str, str], tensor: str) -> Array:
    """One tensor of one site, in float32; raises what `values` does."""
    return finite(store, names[tensor], f"{at(store, site)}: {tensor}")


def finite(store: NamedStore, name: str, here: str) -> Array:
    """One tensor by its bare name; ``here`` begins a message about it."""
    dtype = store.tensors[name].dtype
    if dtype not in FLOATING and name not in store.scales:
        raise Unsupported(f"{here} has dtype {dtype}; convert it to float32")
    with np.errstate(over="ignore"):  # becomes infinity, which is refused below
        value = store.read(name).astype(np.float32, copy=False)
    if not np.isfinite(value).all():
        raise BadInput(
            f"{here} holds NaN or infinity; the run has probably diverged, "
            f"try an earlier checkpoint"
        )
    return value


def connections(
    store: NamedStore,
    sites: "Sites",
    shapes: Shapes,
    make: Callable[[Mapping[str, Array]], "Connection"],
) -> Iterator["Connection"]:
    """Read all tensors of one site after the other.

    Args:
        store: the checkpoint, opened again.
        sites: sites in order.
        shapes: of the tensors that ``make`` needs.
        make: from a site's tensors to the site.

    Raises:
        BadInput: a tensor that is not finite, or another file than that which was read before.
    """
    if not all(name in store.tensors for names in sites.values() for name in names.values()):
        raise BadInput(f"{where(store.path)}: changed while it was read; read it again")
    check_shapes(store, sites, shapes)
    for site, names in sites.items():
        yield make({tensor: value(store, site, names, tensor) for tensor in shapes})


def dtypes(store: NamedStore, sites: "Sites", tensors: Iterable[str]) -> dict[str, dict[str, str]]:
    """Dtype in the file by tensor and by its names in the file, in order of sites."""
    names_of = {tensor: [names[tensor] for names in sites.values()] for tensor in tensors}
    return {
        tensor: {store.stored[name]: store.tensors[name].dtype for name in names}
        for tensor, names in names_of.items()
    }
