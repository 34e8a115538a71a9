"""Modules of lucidrains' hyper-connections in anyone's model: HC, and mHC of both versions.

A site is a module that owns ``static_alpha``, whatever its name is. The code builds a matrix M
and applies its transpose, so H = M^T. Old versions compute the mixing and drop it (H = I), and
no version is stored: ``--set mixing=dropped`` says so.

Source: github.com/lucidrains/hyper-connections @ 4775103 (0.4.9).
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import partial

import numpy as np

from birkhoff_cli.analyses.core.errors import Unsupported
from birkhoff_cli.analyses.core.parameterization import Parameterization
from birkhoff_cli.analyses.core.trace import Site
from birkhoff_cli.analyses.networks.connection import Connection
from birkhoff_cli.checkpoints import Checkpoint, Setting
from birkhoff_cli.checkpoints.gpt.layout import site_tensors
from birkhoff_cli.checkpoints.modules import forks
from birkhoff_cli.checkpoints.modules.forks import HC_NAMES, MHC_NAMES
from birkhoff_cli.checkpoints.sites import paths
from birkhoff_cli.checkpoints.sites.depth import Sites
from birkhoff_cli.checkpoints.sites.names import NamedStore
from birkhoff_cli.checkpoints.sites.settings import Number, defaults, number, refuse_unknown, word
from birkhoff_cli.checkpoints.sites.values import (
    MAX_STREAMS,
    Array,
    connections,
    dtypes,
    shapes_at,
    values,
)
from birkhoff_cli.containers import escape, where

MARKS = ("static_", "dynamic_", "branch_scale", "residual_scale", "h_post_scale")
SWEEPS = Number("iters", (), 20, least=1)
MIXINGS = ("applied", "dropped")
MIXED_BEFORE = "maybe_mix_streams.weight"
ASIDE = re.compile(rf"(?:.*\.)?{re.escape(MIXED_BEFORE)}")
TENSORS = (*dict.fromkeys((*HC_NAMES, *MHC_NAMES)), MIXED_BEFORE)
ELSEWHERE = ("norm.gamma", MIXED_BEFORE)
"""Names that tensors of other modules have as well: alone they make no site."""

CLASSES = {"hc": "HyperConnections", "mhc": "mHC", "mhc v2": "mHCv2"}
ONLY = "only num_fracs = 1, num_input_views = 1, channels last can be read"

CONVENTION: Mapping[str, str] = {
    "hc": "stores M = static_alpha[:, 1:], applies x_out = M^T x_in; transposed here",
    "mhc": "stores logits of M, static_alpha[:, 1:], applies x_out = M^T x_in; transposed here",
    "dropped": "computes M from static_alpha[:, 1:] and drops the mixed streams; H = I",
}

Shapes = dict[str, tuple[int, ...]]


def claims(store: NamedStore) -> set[str]:
    """Tensors of modules with the shapes of one of the classes.

    HC has the same tensors in repositories that copied it into nanoGPT's layers and changed what
    the code does with them: there it is none of this package's.
    """
    copied = site_tensors(store, frozenset(HC_NAMES))
    tensors: set[str] = set()
    for names in _owners(store).values():
        shapes = shapes_at(store, names)
        type_, n = _class(shapes)
        fitting = _shapes(type_, n, shapes)
        claimed = {names[t] for t, shape in fitting.items() if shapes.get(t) == shape}
        tensors |= claimed - copied if type_ == "hc" else claimed
    return tensors


def read(store: NamedStore, settings: Mapping[str, str]) -> Checkpoint:
    """Identify the class by the shapes of every site; then read one tensor per site."""
    sites = _find_sites(store)
    type_, n, shapes = _identify(store, sites)
    method = type_.split()[0]
    mixing = _mixing(settings)
    swept = method == "mhc" and mixing.value == "applied"
    known = ("iters", "mixing") if swept else ("mixing",)
    refuse_unknown(settings, known, f"lucidrains' {method} with mixing={mixing.value}")
    iters = number(store, {}, settings, SWEEPS)
    matrices = values(store, sites, "static_alpha")[:, :, 1:].swapaxes(1, 2)
    applied, theta = _turned(method, matrices, iters.value)
    map_ = applied if mixing.value == "applied" else None
    fixed = (Setting("class", CLASSES[type_], "stored"), Setting("streams", n, "stored"))
    widths = {shape["norm.gamma"][0] for shape in shapes}
    return Checkpoint(
        path=store.path,
        format="lucidrains",
        method=method,
        map=map_,
        theta=theta,
        sites=tuple(sites),
        d=n,
        layers=len({site.layer for site in sites}),
        width=widths.pop() if len(widths) == 1 else 0,
        settings=(*fixed, mixing, *([iters] if swept else [])),
        convention=CONVENTION[method if mixing.value == "applied" else "dropped"],
        assumptions=tuple(_assumptions(store, sites, matrices, mixing, iters if swept else None)),
        dtypes=dtypes(store, sites, shapes[0]),
        inputs=(store.digest(),),
        connect=lambda store: _connections(store, sites, shapes, map_, method),
    )


def _connections(
    store: NamedStore,
    sites: Sites,
    shapes: Iterable[Shapes],
    map_: Parameterization | None,
    method: str,
) -> Iterator[Connection]:
    """Sites in order; their widths may differ."""
    make = partial(forks.unconstrained if method == "hc" else forks.apart, map_=map_)
    for (site, names), own in zip(sites.items(), shapes, strict=True):
        if MIXED_BEFORE in names:
            raise Unsupported(
                f"{_at(store, site)} has {MIXED_BEFORE}: what H follows is mixed before it is "
                f"normalised, which is not known here; static H can be read, or record(model)"
            )
        yield from connections(store, {site: names}, own, make)


def _owners(store: NamedStore) -> dict[paths.Path, dict[str, str]]:
    """Modules with a tensor that only a hyper-connection has: their tensors' names by module."""
    modules: dict[paths.Path, dict[str, str]] = {}
    for name in store.tensors:
        if tensor := next((t for t in TENSORS if name == t or name.endswith(f".{t}")), None):
            owner = tuple(name.removesuffix(tensor).split(".")[:-1])
            modules.setdefault(owner, {})[tensor] = name
    return {owner: names for owner, names in modules.items() if not names.keys() <= {*ELSEWHERE}}


def _find_sites(store: NamedStore) -> Sites:
    """Sites and their tensors, in the order of numbers in names, else of the file."""
    tensors = paths.in_one_model(store, _owners(store))
    owners = paths.ordered(list(tensors))
    return dict(zip(paths.named(owners), (tensors[owner] for owner in owners), strict=True))


def _class(actual: Mapping[str, tuple[int, ...]]) -> tuple[str, int]:
    """Class and streams, by whatever tensors of a site are there."""
    alpha, beta = actual.get("static_alpha", ()), actual.get("static_beta", ())
    n = (alpha or beta or (0,))[0]
    if {"dynamic_alpha_scale", "dynamic_beta_scale"} & actual.keys():
        return "hc", n
    return "mhc v2" if len(beta) == 3 else "mhc", n


def _identify(store: NamedStore, sites: Sites) -> tuple[str, int, list[Shapes]]:
    """Class, streams and every site's shapes.

    Raises:
        Unsupported: a site of no known class, or sites that differ.
    """
    layouts = [_of_site(store, site, names) for site, names in sites.items()]
    type_, n, _ = layouts[0]
    for (other, m, _), site in zip(layouts, sites, strict=True):
        if (other, m) != (type_, n):
            raise Unsupported(
                f"{_at(store, site)} is {CLASSES[other]} with {m} streams, the first site is "
                f"{CLASSES[type_]} with {n}; split the file"
            )
    return type_, n, [shapes for _, _, shapes in layouts]


def _of_site(store: NamedStore, site: Site, names: Mapping[str, str]) -> tuple[str, int, Shapes]:
    actual, at = shapes_at(store, names), _at(store, site)
    if "static_alpha" not in actual:
        raise Unsupported(f"{at}: static_alpha is missing; {ONLY}")
    alpha = actual["static_alpha"]
    if len(alpha) != 2 or alpha[1] != alpha[0] + 1 or not 1 <= alpha[0] <= MAX_STREAMS:
        raise Unsupported(
            f"{at}: static_alpha of shape {escape(alpha, 40)} is not (n, n + 1); {ONLY}"
        )
    type_, n = _class(actual)
    shapes = _shapes(type_, n, actual)
    for tensor, shape in shapes.items():
        if actual.get(tensor) != shape:
            has = f"has shape {escape(actual[tensor], 40)}" if tensor in actual else "is missing"
            raise Unsupported(
                f"{at}: {tensor} {has}, {CLASSES[type_]} with {n} streams has "
                f"{escape(shape, 40)}; {ONLY}"
            )
    return type_, n, shapes


def _shapes(type_: str, n: int, actual: Mapping[str, tuple[int, ...]]) -> Shapes:
    """Shapes of a site's tensors; every stream is normalised on its own, whatever the class."""
    d = next(iter(actual.get("norm.gamma", ())), 0)
    if type_ == "hc":
        return forks.shapes_apart(n, d)
    fn = actual.get("dynamic_alpha_fn", ())
    proposals = fn[:1] if len(fn) == 3 and fn[0] else ()
    return {
        **{"norm.gamma": (d,), "static_alpha": (n, n + 1)},
        "static_beta": (n, 1, 1) if type_ == "mhc v2" else (n,),
        "dynamic_alpha_fn": (*proposals, d, n + 1),
        "dynamic_beta_fn": (d, 1) if type_ == "mhc v2" else (d,),
        **{"pre_branch_scale": (1,), "residual_scale": (1,), "h_post_scale": ()},
    }


def _at(store: NamedStore, site: Site) -> str:
    return f"{where(store.path)}: site '{site.name}'"


def _mixing(settings: Mapping[str, str]) -> Setting:
    typed = word(settings, "mixing", MIXINGS)
    return Setting("mixing", typed or MIXINGS[0], "set" if typed else "default")


def _turned(method: str, matrices: Array, iters: int) -> tuple[Parameterization, Array]:
    """The map and its parameters, of matrices in our orientation."""
    n = matrices.shape[-1]
    theta = matrices.reshape(-1, n * n)
    if method == "hc":
        from birkhoff_cli.analyses.parameterizations.hc import HC

        return HC(n), np.pad(theta, ((0, 0), (0, n * n)))
    from birkhoff_cli.analyses.parameterizations.mhc import MHC

    return MHC(n, variant="lucidrains", iters=iters), np.ascontiguousarray(theta)


def _assumptions(
    store: NamedStore, sites: Sites, matrices: Array, mixing: Setting, iters: Setting | None
) -> Iterable[str]:
    if len(sites) > 1:
        yield "sites in the order of the numbers in their names, else of the file; no model stored"
    yield from paths.gaps(_owners(store), store.tensors)
    if iters:
        yield from defaults([iters], "lucidrains'")
        yield "the constraint is the package's own Sinkhorn; a custom function is not stored"
    if mixing.source == "default" and _untouched(store, sites, matrices):
        applied = "read as applied, which gives Sinkhorn(I)" if iters else "the same as applied"
        yield (
            f"the mixing never received a gradient: untrained, or a version that drops it "
            f"(0.1.7-0.3.9), where H = I; "
            f"{applied}; --set mixing=dropped overrides"
        )
    elif mixing.source == "default":
        since = "0.3.12" if iters else "0.3.10"
        yield (
            f"mixing applied, as since {since} (0.1.7-0.3.9 drop it; version not stored); "
            f"--set mixing=dropped overrides"
        )


def _untouched(store: NamedStore, sites: Sites, matrices: Array) -> bool:
    """Whether the mixing is exactly where it starts, static and dynamic."""
    n = matrices.shape[-1]
    if (matrices != np.eye(n)).any():
        return False
    tensor = "dynamic_alpha_fn"
    return not any(
        values(store, {site: names}, tensor)[..., -n:].any() for site, names in sites.items()
    )
