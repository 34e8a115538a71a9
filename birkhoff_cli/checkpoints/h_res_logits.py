"""``H_res_logits`` in anyone's model: the logits of one program, or those of another.

Two programs are known that save ``H_res_logits`` (n, n), ``H_pre_logits`` and ``H_post_logits``,
and they make other matrices of them. Nothing in a file says whose they are, so ``--set variant=``
does: ``tokenbender`` divides them by 0.05, sweeps 10 times and applies ``x_out = M^T x_in``;
``unet`` sweeps 20 times, rows first, and applies ``x_out = M x_in``. Where the tensors of HC lie
beside them, unused, the class is tokenbender's.

Source: github.com/tokenbender/mHC-manifold-constrained-hyper-connections @ 088310e; a package of
U-Nets with hyper-connections, whose matrices were measured.
"""

import re
from collections.abc import Mapping

import numpy as np

from birkhoff_cli.analyses.core.errors import BadInput, Unsupported
from birkhoff_cli.analyses.parameterizations.mhc import MHC
from birkhoff_cli.checkpoints import Checkpoint, Setting
from birkhoff_cli.checkpoints.gpt.layout import site_tensors
from birkhoff_cli.checkpoints.modules.forks import HC_NAMES
from birkhoff_cli.checkpoints.modules.tokenbender import LOGITS, POST, PRE, connection, shapes
from birkhoff_cli.checkpoints.sites import paths
from birkhoff_cli.checkpoints.sites.depth import Sites
from birkhoff_cli.checkpoints.sites.names import NamedStore
from birkhoff_cli.checkpoints.sites.settings import Number, defaults, number, refuse_unknown, word
from birkhoff_cli.checkpoints.sites.values import (
    MAX_STREAMS,
    NOT_ITS_CODE,
    check_shapes,
    connections,
    dtypes,
    values,
)
from birkhoff_cli.containers import escape, where

MARKS = ("H_res_logits", "H_pre_logits", "H_post_logits")
ASIDE = re.compile(r".*\.(?:(?:static|dynamic)_(?:alpha|beta)(?:_fn|_scale)?|norm\.gamma)")
VARIANTS = {
    "tokenbender": (10, 0.05, "M^T x_in; transposed"),
    "unet": (20, 1.0, "M x_in; as stored"),
}
"""Iterations, temperature, and what is applied."""

BESIDE = "variant tokenbender, by the unused tensors of HC beside; --set variant=NAME overrides"


def claims(store: NamedStore) -> set[str]:
    """All tensors of modules with such logits, but in nanoGPT's layers, where the code is known."""
    tensors = {name for names in _owners(store).values() for name in names.values()}
    return tensors - site_tensors(store, frozenset((LOGITS, PRE, POST, *HC_NAMES)))


def read(store: NamedStore, settings: Mapping[str, str]) -> Checkpoint:
    """Hold that somebody said whose logits they are; then read one tensor per site."""
    sites = _find_sites(store)
    variant = _variant(store, settings, sites)
    n = _streams(store, sites)
    check_shapes(store, sites, expected := shapes(n))
    sweeps, tau, applied = VARIANTS[variant.value]
    refuse_unknown(settings, ("variant", "iters", "tau"), LOGITS)
    iters = number(store, {}, settings, Number("iters", (), sweeps, least=1))
    chosen = (iters, number(store, {}, settings, Number("tau", (), tau, 1e-6, 1e6)))
    own = variant.value == "tokenbender"
    map_ = MHC(n, "tokenbender" if own else "mhc-lite", iters.value, chosen[1].value)
    logits = values(store, sites, LOGITS)
    theta = (logits.swapaxes(1, 2) if own else logits).reshape(-1, n * n)
    return Checkpoint(
        path=store.path,
        format="h_res_logits",
        method="mhc",
        map=map_,
        theta=np.ascontiguousarray(theta),
        sites=tuple(sites),
        d=n,
        layers=len({site.layer for site in sites}),
        width=0,
        settings=(variant, *chosen),
        convention=f"stores logits of M, {LOGITS}, applies x_out = {applied} here",
        assumptions=(
            *((BESIDE,) if variant.source == "default" else ()),
            *defaults(chosen, f"{variant.value}'s"),
            *paths.gaps(_owners(store), store.tensors),
        ),
        dtypes=dtypes(store, sites, expected),
        inputs=(store.digest(),),
        connect=(
            lambda store: connections(
                store, sites, expected, lambda tensors: connection(tensors, map_, 0)
            )
        )
        if own
        else None,
        ungated=""
        if own
        else "how this package makes H_pre and H_post of logits is not known here",
    )


def _owners(store: NamedStore) -> dict[paths.Path, dict[str, str]]:
    """Tensors of every module with one of the logits, by their names in the code."""
    owners: dict[paths.Path, dict[str, str]] = {}
    for name in store.tensors:
        *path, last = name.split(".")
        if last in MARKS:
            owners.setdefault(tuple(path), {})[last] = name
    for owner, names in owners.items():
        beside = {tensor: ".".join((*owner, tensor)) for tensor in HC_NAMES}
        names |= {tensor: name for tensor, name in beside.items() if name in store.tensors}
    return owners


def _find_sites(store: NamedStore) -> Sites:
    """Sites in the order of numbers in names, else of the file."""
    names_of = paths.in_one_model(store, _owners(store))
    owners = paths.ordered(list(names_of))
    return dict(zip(paths.named(owners), (names_of[owner] for owner in owners), strict=True))


def _variant(store: NamedStore, settings: Mapping[str, str], sites: Sites) -> Setting:
    """Whose logits they are.

    Raises:
        Unsupported: nothing says it; the sentence has the choices.
    """
    if variant := word(settings, "variant", VARIANTS):
        return Setting("variant", variant, "set")
    if any(tensor in names for names in sites.values() for tensor in HC_NAMES):
        return Setting("variant", "tokenbender", "default")
    choices = " or ".join(
        f"--set variant={name} (tau {tau:g}, {iters} iterations, applies {applied.split(';')[0]})"
        for name, (iters, tau, applied) in VARIANTS.items()
    )
    raise Unsupported(
        f"{where(store.path)}: has {LOGITS} but neither temperature, iterations nor orientation, "
        f"and programs differ in them; give {choices}"
    )


def _streams(store: NamedStore, sites: Sites) -> int:
    """Streams, by the shape of the logits at the first site."""
    site, names = next(iter(sites.items()))
    shape = store.tensors[names[LOGITS]].shape if LOGITS in names else ()
    if len(shape) != 2 or not 1 <= shape[0] <= MAX_STREAMS:
        problem = f"has {LOGITS} of shape {escape(shape, 40)}" if shape else f"has no {LOGITS}"
        raise BadInput(f"{where(store.path)}: site '{site.name}' {problem}; {NOT_ITS_CODE}")
    return shape[0]
