"""Megatron-LM with hyper-connections, as its branches ``main`` and ``dev`` save it.

Every layer has two sites, ``self_attention_hyper_connection`` and ``mlp_hyper_connection``, whose
``bias`` holds what is static of H_pre, H_post and ``h_res``. Layers are stacked on a first axis,
or, if they differ in kind, numbered. A layer of a hybrid model, attention, mlp or mamba, has one
site, ``hyper_connection``, around its ``inner_layer``. The two branches give their tensors the
same names: ``main`` applies h_res, ``dev`` its transpose, after another Sinkhorn.

Source: github.com/NVIDIA/Megatron-LM, main @ d98e8a64, dev @ d48bd6be.
"""

import re
from collections.abc import Iterator, Mapping
from functools import partial
from itertools import product
from typing import Any

from birkhoff_cli.analyses.core.errors import BadInput, Unsupported
from birkhoff_cli.analyses.core.trace import Site
from birkhoff_cli.analyses.networks.connection import Connection
from birkhoff_cli.analyses.parameterizations.mhc import MHC
from birkhoff_cli.checkpoints import Checkpoint, Setting
from birkhoff_cli.checkpoints.modules.megatron import (
    CONVENTION,
    ITERS,
    VARIANTS,
    connection,
    streams,
    theta,
)
from birkhoff_cli.checkpoints.sites.depth import (
    Sites,
    anchored,
    by_depth,
    depth_facts,
    in_one_model,
    matches,
)
from birkhoff_cli.checkpoints.sites.names import NamedStore
from birkhoff_cli.checkpoints.sites.settings import (
    Number,
    defaults,
    number,
    part_of,
    refuse_unknown,
    word,
)
from birkhoff_cli.checkpoints.sites.values import (
    MAX_STREAMS,
    NOT_ITS_CODE,
    Shapes,
    agree,
    at,
    check_shapes,
    connections,
    dtypes,
    value,
    values,
)
from birkhoff_cli.containers import escape, where

MARKS = ("hyper_connection.",)
LAYERS = r"decoder\.layers\."
NUMBER = r"(?P<layer>[0-9]{1,6})\."
TENSOR = r"(?P<tensor>mapping_proj\.weight|alpha_\w+|bias)"
MODULE = rf"(?P<branch>self_attention|mlp)_hyper_connection\.{TENSOR}"
STACKED = anchored(LAYERS + MODULE)
NUMBERED = anchored(LAYERS + NUMBER + MODULE)
HYBRID = anchored(rf"{LAYERS}{NUMBER}hyper_connection\.{TENSOR}")
INNER = anchored(rf"{LAYERS}{NUMBER}inner_layer\.(?P<branch>self_attention|mlp|mixer)\..*")
ANY = anchored(LAYERS + r"(?:[^.]*\.)?(?:\w+_)?hyper_connection\..*")
CLAIMED = anchored(LAYERS + r"(?:[^.]*\.)?(?:\w+_)?hyper_connection\." + TENSOR)
HEAD = anchored(r"decoder\.hc_head_\w+")
ASIDE = re.compile(r"(?:.*\.)?decoder\.hc_head_\w+|(?:.*\.)?mtp\..*|.*\._extra_state(?:/.*)?")
"""The sum of the streams at the end, multi-token prediction, and what is no tensor."""

CALLED = {"self_attention": "attn", "mixer": "mamba"}
BRANCHES = ("attn", "mlp")
SWEEPS = Number("iters", ("mhc_sinkhorn_iterations",), ITERS)


def claims(store: NamedStore) -> set[str]:
    """Tensors of hyper-connections in layers, stacked or numbered."""
    return {name for name, _ in matches(store, CLAIMED)}


def read(store: NamedStore, settings: Mapping[str, str]) -> Checkpoint:
    """Check all shapes and what the arguments say; then read one tensor per site or branch."""
    args = part_of(store, "args")
    if args.get("mhc_single_pass"):
        raise Unsupported(
            f"{where(store.path)}: was trained with mhc_single_pass, which is not known here; "
            f"hand its matrices over as a trace"
        )
    refuse_unknown(settings, ("iters", "variant"), "megatron")
    sites, stacked = _find_sites(store)
    layers, n, width = _sizes(store, sites, stacked)
    _check(store, args, layers, n, width)
    rows = n * (n + 2)
    first = (layers,) if stacked else ()
    shapes = {"mapping_proj.weight": (*first, rows, n * width), "bias": (*first, rows)}
    shapes |= {f"alpha_{part}": (*first, 1) for part in ("pre", "post", "res")}
    check_shapes(store, sites, shapes)
    deep = () if stacked else _deep(store, layers, args)
    variant = _variant(store, args, settings)
    iters = number(store, args, settings, SWEEPS)
    bias = values(store, sites, "bias")
    if stacked:  # branch by branch, each with its layers
        bias = bias.swapaxes(0, 1).reshape(-1, rows)
    return Checkpoint(
        path=store.path,
        format="megatron",
        method="mhc",
        map=MHC(n, VARIANTS[variant.value], iters.value),
        theta=theta(bias, n, variant.value),
        sites=_unstacked(layers) if stacked else tuple(sites),
        d=n,
        layers=layers,
        width=width,
        settings=(Setting("streams", n, "stored"), variant, iters),
        convention=CONVENTION[variant.value],
        assumptions=(*_assumptions(store, args, variant), *defaults([iters], "Megatron's"), *deep),
        dtypes=dtypes(store, sites, shapes),
        inputs=(store.digest(),),
        connect=partial(
            _connections,
            sites=sites,
            shapes=shapes,
            stacked=stacked,
            variant=variant.value,
            iters=iters.value,
        ),
    )


def _connections(
    store: NamedStore, *, sites: Sites, shapes: Shapes, stacked: bool, variant: str, iters: int
) -> Iterator[Connection]:
    make = partial(connection, variant=variant, iters=iters)
    if not stacked:
        return connections(store, sites, shapes, make)
    check_shapes(store, sites, shapes)
    stacks = [
        {tensor: value(store, branch, names, tensor) for tensor in shapes}
        for branch, names in sites.items()
    ]
    return (
        make({tensor: values[layer] for tensor, values in stack.items()})
        for layer, stack in product(range(len(stacks[0]["bias"])), stacks)
    )


def _find_sites(store: NamedStore) -> tuple[Sites, bool]:
    """Tensors by site, and whether layers are stacked: then by branch, as if there were one."""
    for name, _ in matches(store, ANY):
        if not any(p.fullmatch(name) for p in (STACKED, NUMBERED, HYBRID)):
            raise Unsupported(
                f"{where(store.path)}: '{escape(name)}' is of a kind of layer not known here; "
                f"known: attention and mlp with a hyper-connection each, and hybrid layers"
            )
    stacks = _stacks(store)
    numbered = by_depth(store, NUMBERED, BRANCHES, CALLED)
    layouts = [sites for sites in (stacks, numbered, _hybrid(store)) if sites]
    if len(layouts) != 1:
        raise BadInput(
            f"{where(store.path)}: its layers are stacked, numbered or hybrid, and not of one "
            f"kind; {NOT_ITS_CODE}"
        )
    return layouts[0], bool(stacks)


def _stacks(store: NamedStore) -> Sites:
    stacks: Sites = {Site(0, branch, branch): {} for branch in BRANCHES}
    for name, match in in_one_model(store, STACKED).items():
        branch = CALLED.get(match["branch"], match["branch"])
        stacks[Site(0, branch, branch)][match["tensor"]] = name
    return stacks if any(stacks.values()) else {}


def _unstacked(layers: int) -> tuple[Site, ...]:
    return tuple(Site(i, b, f"layers.{i}.{b}") for i, b in product(range(layers), BRANCHES))


def _hybrid(store: NamedStore) -> Sites:
    """One site for each layer, named by what its inner layer is made of."""
    inner: dict[int, set[str]] = {}
    for _, match in matches(store, INNER):
        branch = CALLED.get(match["branch"], match["branch"])
        inner.setdefault(int(match["layer"]), set()).add(branch)
    sites: Sites = {}
    for site, names in by_depth(store, HYBRID, ("hyper",)).items():
        branches = inner.get(site.layer, set())
        branch = next(iter(branches)) if len(branches) == 1 else "layer"
        sites[Site(site.layer, branch, f"layers.{site.layer}.{branch}")] = names
    return sites


def _deep(store: NamedStore, layers: int, args: Mapping[str, Any]) -> tuple[str, ...]:
    """What is assumed about the number of layers, of numbered and of hybrid ones."""
    pattern = HYBRID if any(matches(store, HYBRID)) else NUMBERED
    return depth_facts(store, pattern, layers, args, ("num_layers",))


def _sizes(store: NamedStore, sites: Sites, stacked: bool) -> tuple[int, int, int]:
    """Layers, streams and width, by the shapes at the first site."""
    site, names = next(iter(sites.items()))
    name = names.get("mapping_proj.weight")
    shape = store.tensors[name].shape if name else ()
    if len(shape) != 2 + stacked:
        raise BadInput(
            f"{at(store, site)} has no mapping_proj.weight of {2 + stacked} axes; {NOT_ITS_CODE}"
        )
    rows, wide = shape[-2:]
    n = streams(rows)
    layers = shape[0] if stacked else len({site.layer for site in sites})
    if not 1 <= n <= MAX_STREAMS or rows != n * (n + 2) or wide % n or not layers:
        raise BadInput(
            f"{at(store, site)}: mapping_proj.weight of shape {escape(shape, 40)} is that "
            f"of no number of streams up to {MAX_STREAMS}; {NOT_ITS_CODE}"
        )
    return layers, n, wide // n


def _check(store: NamedStore, args: Mapping[str, Any], layers: int, n: int, width: int) -> None:
    main = args.get("enable_mhc_connections")
    key = "mhc_num_residual_streams" if main else "num_residual_streams"
    for name, size in ((key, n), ("num_layers", layers), ("hidden_size", width)):
        agree(store, args, name, size)


def _variant(store: NamedStore, args: Mapping[str, Any], settings: Mapping[str, str]) -> Setting:
    """Which branch's mathematics: ``dev`` has a head of its own, ``main`` its own arguments."""
    if (variant := word(settings, "variant", VARIANTS)) is not None:
        return Setting("variant", variant, "set")
    if args.get("enable_mhc_connections"):
        return Setting("variant", "main", "config")
    return Setting("variant", "dev" if any(matches(store, HEAD)) else "main", "default")


def _assumptions(store: NamedStore, args: Mapping[str, Any], variant: Setting) -> tuple[str, ...]:
    sentences = []
    if variant.source == "default" and variant.value == "dev":
        sentences.append(
            "mathematics of Megatron's branch dev since 2026-06-12, by its hc_head tensors; a run "
            "of dev from 2026-05-14 on until then has the same ones, and needs --set variant=main"
        )
    elif variant.source == "default":
        why = "no hc_head tensors" if args else "no arguments and no hc_head tensors"
        sentences.append(
            f"mathematics of Megatron's branch main, by {why}; --set variant=dev overrides"
        )
    if any(n.startswith("mtp.") and "hyper_connection" in n for n in store.tensors):
        sentences.append("mtp sites (multi-token prediction) are left out")
    return tuple(sentences)
