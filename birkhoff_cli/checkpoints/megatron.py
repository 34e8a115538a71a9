"""Megatron-LM with hyper-connections, as its branches ``main`` and ``dev`` save it.

Every layer has two sites, ``self_attention_hyper_connection`` and ``mlp_hyper_connection``, whose
``bias`` holds what is static of H_pre, H_post and ``h_res``. Layers are stacked on a first axis,
or, if they differ in kind, numbered. A layer of a hybrid model, attention, mlp or mamba, has one
site, ``hyper_connection``, around its ``inner_layer``. The two branches give their tensors the
same names: ``main`` applies h_res, ``dev`` its transpose, after another Sinkhorn.

What follows the streams is ``mapping_proj`` times all of them, one after another, over their root
mean square.

Source: github.com/NVIDIA/Megatron-LM, main @ d98e8a64, dev @ d48bd6be.
"""

import re
from collections.abc import Iterator, Mapping
from functools import partial
from itertools import product
from math import isqrt
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from birkhoff_cli.analyses.core.errors import BadInput, Unsupported, UsageError
from birkhoff_cli.analyses.core.trace import Site
from birkhoff_cli.analyses.networks.connection import Connection, Gate, Norm
from birkhoff_cli.analyses.parameterizations.mhc import MHC
from birkhoff_cli.checkpoints import Checkpoint, Setting, sites
from birkhoff_cli.checkpoints.sites import MAX_ITERS, NOT_ITS_CODE, Places
from birkhoff_cli.containers import Store, escape, where

PREFIX = r"(?:model\.)?decoder\.layers\."
TENSOR = r"(mapping_proj\.weight|alpha_\w+|bias)"
SITE = rf"(self_attention|mlp)_hyper_connection\.{TENSOR}"
STACKED = re.compile(PREFIX + SITE)
NUMBERED = re.compile(rf"{PREFIX}([0-9]{{1,6}})\.{SITE}")
HYBRID = re.compile(rf"{PREFIX}([0-9]{{1,6}})\.(hyper)_connection\.{TENSOR}")
INNER = re.compile(rf"{PREFIX}([0-9]{{1,6}})\.inner_layer\.(self_attention|mlp|mixer)\..*")
ANY = re.compile(PREFIX + r"(?:[^.]*\.)?(?:\w+_)?hyper_connection\..*")
HEAD = re.compile(r"(?:model\.)?decoder\.hc_head_\w+")
ASIDE = re.compile(rf"{HEAD.pattern}|(?:model\.)?mtp\..*|.*\._extra_state(?:/.*)?")
"""The sum of the streams at the end, multi-token prediction, and what is no tensor."""

CALLED = {"self_attention": "attn", "mixer": "mamba"}
BRANCHES = ("attn", "mlp")
VARIANTS: Mapping[str, Literal["megatron-main", "megatron-dev"]] = {
    "main": "megatron-main",
    "dev": "megatron-dev",
}
MAX_STREAMS = 1024
ITERS, EPS = 20, 1e-6

CONVENTION = {
    "main": "stores logits of h_res, bias[2n:], row by row, applies x_out = h_res x_in; as stored",
    "dev": "stores logits of h_res, bias[2n:], row by row, applies x_out = h_res^T x_in; "
    "transposed here",
}

Array = NDArray[np.float32]


def recognises(store: Store) -> bool:
    """Layers with hyper-connections, stacked or numbered."""
    return any(ANY.fullmatch(name) for name in map(sites.bare, store.tensors))


def read(store: Store, settings: Mapping[str, str]) -> Checkpoint:
    """Check all shapes and what the arguments say; then read one tensor per site or branch."""
    args = store.config.get("args")
    args = args if isinstance(args, dict) else {}
    if args.get("mhc_single_pass"):
        raise Unsupported(
            f"{where(store.path)}: was trained with mhc_single_pass, which is not known here; "
            f"hand its matrices over as a trace"
        )
    sites.refuse_unknown(settings, ("iters", "variant"), "megatron")
    places, stacked = _places(store)
    layers, n, width = _sizes(store, places, stacked)
    _check(store, args, layers, n, width)
    rows = n * (n + 2)
    first = (layers,) if stacked else ()
    shapes = {"mapping_proj.weight": (*first, rows, n * width), "bias": (*first, rows)}
    shapes |= {f"alpha_{kind}": (*first, 1) for kind in ("pre", "post", "res")}
    sites.check_shapes(store, places, shapes)
    variant = _variant(store, args, settings)
    iters = _iters(store, args, settings)
    return Checkpoint(
        path=store.path,
        format="megatron",
        method="mhc",
        map=MHC(n, VARIANTS[variant.value], iters.value),
        theta=_theta(store, places, n, variant.value),
        sites=_unstacked(layers) if stacked else tuple(places),
        d=n,
        layers=layers,
        width=width,
        settings=(Setting("streams", n, "stored"), variant, iters),
        convention=CONVENTION[variant.value],
        assumptions=_assumptions(store, args, variant, iters),
        dtypes=sites.dtypes(store, places, shapes),
        inputs=(store.digest(),),
        connect=partial(
            _connections,
            places=places,
            shapes=shapes,
            stacked=stacked,
            variant=variant.value,
            iters=iters.value,
        ),
    )


def connection(tensors: Mapping[str, Any], variant: str, iters: int = ITERS) -> Connection:
    """The site that the tensors of one module describe.

    Args:
        tensors: ``mapping_proj.weight``, ``bias``, ``alpha_pre``, ``alpha_post``, ``alpha_res``.
        variant: ``main`` or ``dev``.
        iters: steps of Sinkhorn.
    """
    weight, bias = tensors["mapping_proj.weight"], tensors["bias"]
    pre, post, res = (tensors[f"alpha_{kind}"][0] for kind in ("pre", "post", "res"))
    n = _streams(weight.shape[0])
    index = np.arange(weight.shape[0])
    square = index[2 * n :].reshape(n, n)
    mixing = (square.T if variant == "dev" else square).reshape(1, -1)
    low = EPS if variant == "dev" else 0.0
    return Connection(
        map=MHC(n, VARIANTS[variant], iters),
        d=n,
        width=weight.shape[1] // n,
        mixing=Gate(bias[mixing[0]], res, mixing),
        pre=Gate(bias[:n], pre, index[None, :n], (low, 1)),
        post=Gate(bias[n : 2 * n], post, index[None, n : 2 * n], (0, 2)),
        weight=weight.T,
        norm=Norm("outside", EPS),
    )


def _connections(
    store: Store, *, places: Places, shapes: sites.Shapes, stacked: bool, variant: str, iters: int
) -> Iterator[Connection]:
    make = partial(connection, variant=variant, iters=iters)
    if not stacked:
        return sites.connections(store, places, shapes, make)
    sites.check_shapes(store, places, shapes)
    stacks = [
        {tensor: sites.value(store, branch, names, tensor) for tensor in shapes}
        for branch, names in places.items()
    ]
    return (
        make({tensor: values[layer] for tensor, values in stack.items()})
        for layer, stack in product(range(len(stacks[0]["bias"])), stacks)
    )


def _streams(rows: int) -> int:
    """Streams by the rows of ``mapping_proj``, which are ``n (n + 2)``."""
    return isqrt(rows + 1) - 1


def _places(store: Store) -> tuple[Places, bool]:
    """Tensors by site, and whether layers are stacked: then by branch, as if there were one."""
    for name in map(sites.bare, store.tensors):
        if ANY.fullmatch(name) and not any(p.fullmatch(name) for p in (STACKED, NUMBERED, HYBRID)):
            raise Unsupported(
                f"{where(store.path)}: '{escape(name)}' is of a kind of layer not known here; "
                f"known: attention and mlp with a hyper-connection each, and hybrid layers"
            )
    stacks = _stacks(store)
    numbered = sites.by_depth(store, NUMBERED, BRANCHES, CALLED)
    found = [places for places in (stacks, numbered, _hybrid(store)) if places]
    if len(found) != 1:
        raise BadInput(
            f"{where(store.path)}: its layers are stacked, numbered or hybrid, and not of one "
            f"kind; {NOT_ITS_CODE}"
        )
    return found[0], bool(stacks)


def _stacks(store: Store) -> Places:
    found: Places = {Site(0, branch, branch): {} for branch in BRANCHES}
    for stored in store.tensors:
        if match := STACKED.fullmatch(sites.bare(stored)):
            branch = CALLED.get(match[1], match[1])
            found[Site(0, branch, branch)][match[2]] = stored
    return found if any(found.values()) else {}


def _unstacked(layers: int) -> tuple[Site, ...]:
    return tuple(Site(i, b, f"layers.{i}.{b}") for i, b in product(range(layers), BRANCHES))


def _hybrid(store: Store) -> Places:
    """One site for each layer, named by what its inner layer is made of."""
    inner: dict[int, set[str]] = {}
    for match in filter(None, map(INNER.fullmatch, map(sites.bare, store.tensors))):
        inner.setdefault(int(match[1]), set()).add(CALLED.get(match[2], match[2]))
    found: Places = {}
    for site, names in sites.by_depth(store, HYBRID, ("hyper",)).items():
        kinds = inner.get(site.layer, set())
        branch = next(iter(kinds)) if len(kinds) == 1 else "layer"
        found[Site(site.layer, branch, f"layers.{site.layer}.{branch}")] = names
    return found


def _sizes(store: Store, places: Places, stacked: bool) -> tuple[int, int, int]:
    """Layers, streams and width, by the shapes at the first site."""
    site, names = next(iter(places.items()))
    name = names.get("mapping_proj.weight")
    found = store.tensors[name].shape if name else ()
    if len(found) != 2 + stacked:
        raise BadInput(
            f"{sites.at(store, site)} has no mapping_proj.weight of {2 + stacked} axes; "
            f"{NOT_ITS_CODE}"
        )
    rows, wide = found[-2:]
    n = _streams(rows)
    layers = found[0] if stacked else len({site.layer for site in places})
    if not 1 <= n <= MAX_STREAMS or rows != n * (n + 2) or wide % n or not layers:
        raise BadInput(
            f"{sites.at(store, site)}: mapping_proj.weight of shape {escape(found, 40)} is that "
            f"of no number of streams up to {MAX_STREAMS}; {NOT_ITS_CODE}"
        )
    return layers, n, wide // n


def _check(store: Store, args: Mapping[str, Any], layers: int, n: int, width: int) -> None:
    main = args.get("enable_mhc_connections")
    streams = "mhc_num_residual_streams" if main else "num_residual_streams"
    for key, found in ((streams, n), ("num_layers", layers), ("hidden_size", width)):
        sites.agree(store, args, key, found)


def _variant(store: Store, args: Mapping[str, Any], settings: Mapping[str, str]) -> Setting:
    """Which branch's mathematics: ``dev`` has a head of its own, ``main`` its own arguments."""
    if (word := settings.get("variant")) is not None:
        if word not in VARIANTS:
            raise UsageError(f"--set variant={escape(word, 20)}: expected main or dev")
        return Setting("variant", word, "set")
    if args.get("enable_mhc_connections"):
        return Setting("variant", "main", "config")
    return Setting("variant", "dev" if _has_head(store) else "main", "default")


def _has_head(store: Store) -> bool:
    return any(HEAD.fullmatch(sites.bare(name)) for name in store.tensors)


def _iters(store: Store, args: Mapping[str, Any], settings: Mapping[str, str]) -> Setting:
    chosen = sites.iterations(settings, ITERS)
    if chosen.source == "set" or "mhc_sinkhorn_iterations" not in args:
        return chosen
    value = args["mhc_sinkhorn_iterations"]
    if type(value) is not int or not 0 <= value <= MAX_ITERS:
        raise BadInput(
            f"{where(store.path)}: its arguments say mhc_sinkhorn_iterations = "
            f"{escape(repr(value), 20)}, expected a number, 0 to {MAX_ITERS}; {NOT_ITS_CODE}"
        )
    return Setting("iters", value, "config")


def _theta(store: Store, places: Places, n: int, variant: str) -> Array:
    """Logits of all sites, layer by layer; stacked ones come branch by branch."""
    bias = sites.values(store, places, "bias")
    if bias.ndim == 3:
        bias = bias.swapaxes(0, 1).reshape(-1, bias.shape[2])
    logits = bias[:, 2 * n :].reshape(-1, n, n)
    turned = logits.swapaxes(1, 2) if variant == "dev" else logits
    return np.ascontiguousarray(turned.reshape(-1, n * n))


def _assumptions(
    store: Store, args: Mapping[str, Any], variant: Setting, iters: Setting
) -> tuple[str, ...]:
    found = []
    if variant.source == "default" and variant.value == "dev":
        found.append(
            "mathematics of Megatron's branch dev since 2026-06-12, by its hc_head tensors; a run "
            "of dev from 2026-05-14 on until then has the same ones, and needs --set variant=main"
        )
    elif variant.source == "default":
        why = "no hc_head tensors" if args else "no arguments and no hc_head tensors"
        found.append(
            f"mathematics of Megatron's branch main, by {why}; --set variant=dev overrides"
        )
    if iters.source == "default":
        found.append(
            f"sinkhorn iterations {ITERS} (Megatron's default; no arguments say it); "
            f"--set iters=N overrides"
        )
    if any(
        n.startswith("mtp.") and "hyper_connection" in n for n in map(sites.bare, store.tensors)
    ):
        found.append("mtp sites (multi-token prediction) are left out")
    return tuple(found)
