"""Where nanoGPT and the repositories made from it keep their sites, and what they say of them."""

from collections.abc import Mapping
from typing import Any

from birkhoff_cli.analyses.core.errors import BadInput
from birkhoff_cli.checkpoints.sites.depth import Sites, anchored, by_depth, depth_facts, matches
from birkhoff_cli.checkpoints.sites.names import NamedStore
from birkhoff_cli.checkpoints.sites.settings import part_of
from birkhoff_cli.checkpoints.sites.values import NOT_ITS_CODE
from birkhoff_cli.containers import escape, where

TENSORS = r"hc_(?P<branch>attn|mlp)\.(?P<tensor>(?!branch\.).+)"
SITE = anchored(rf"transformer\.h\.(?P<layer>[0-9]{{1,6}})\.{TENSORS}")
ANY_LAYER = anchored(rf"transformer\.h\.[^.]*\.{TENSORS}")
"""A site of whatever layer, so that one with a strange number is refused and not left out."""

BRANCHES = ("attn", "mlp")
OPTIONS = "hyper_conn_options"
DIALECTS = {
    "options": ("model_args", OPTIONS),
    "type": ("model_args", "hyper_conn_type"),
    "streams": ("config", "hc_num_streams"),
}
"""How programs write down which hyper-connections they trained: a part of the file, and a key."""


def dialect(store: NamedStore) -> str:
    """The one of `DIALECTS` in which a file speaks; empty if it says nothing."""
    spoken = (name for name, (part, key) in DIALECTS.items() if key in part_of(store, part))
    return next(spoken, "")


def arguments(store: NamedStore) -> Mapping[str, Any]:
    """``model_args``, empty if the file has none."""
    return part_of(store, "model_args")


def site_tensors(store: NamedStore, tensors: frozenset[str]) -> set[str]:
    """Bare names of sites' tensors that are among ``tensors`` in the code."""
    return {name for name, match in matches(store, ANY_LAYER) if match["tensor"] in tensors}


def sites_of(store: NamedStore) -> Sites:
    """Every site's tensors, in order of depth.

    Raises:
        BadInput: a layer or branch is missing, or is none.
    """
    for name, _ in matches(store, ANY_LAYER):
        if not SITE.fullmatch(name):
            raise BadInput(
                f"{where(store.path)}: '{escape(store.stored[name])}' is no layer; {NOT_ITS_CODE}"
            )
    return by_depth(store, SITE, BRANCHES)


def layers_of(
    store: NamedStore, sites: Sites, config: Mapping[str, Any]
) -> tuple[int, tuple[str, ...]]:
    """Number of layers, and what is assumed about it."""
    layers = len(sites) // len(BRANCHES)
    return layers, depth_facts(store, SITE, layers, config, ("n_layer",))
