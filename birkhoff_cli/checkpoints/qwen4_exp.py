"""Qwen4-Exp: streams that gates read and write, and that are never mixed.

Every layer has two sites, ``attn_hyper_connection`` and ``mlp_hyper_connection``, of four tensors:
a norm, two halves of what the branch reads, and what it writes. There is no mixing matrix: H = I.
Nothing is read for it; the gates are read by whoever asks for them.

Source: the published modelling code of Qwen4-Exp.
"""

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np

from birkhoff_cli.analyses.core.errors import Unsupported
from birkhoff_cli.checkpoints import Checkpoint
from birkhoff_cli.checkpoints.modules import qwen4
from birkhoff_cli.checkpoints.sites import config as configured
from birkhoff_cli.checkpoints.sites.config import model_config
from birkhoff_cli.checkpoints.sites.depth import anchored, by_depth, matches
from birkhoff_cli.checkpoints.sites.names import NamedStore
from birkhoff_cli.checkpoints.sites.settings import Number, number, refuse_unknown
from birkhoff_cli.checkpoints.sites.values import (
    MAX_STREAMS,
    Shapes,
    check_shapes,
    connections,
    dtypes,
    shapes_at,
)
from birkhoff_cli.containers import escape, where

MARKS = ("_hyper_connection.",)
TENSORS = (
    r"(?P<branch>attn|mlp)_hyper_connection\.(?P<tensor>"
    r"(?:hc_norm|input_mix_weight_down|input_mix_weight_up|block_inject_weight)\.weight)"
)
SITE = anchored(rf"layers\.(?P<layer>[0-9]{{1,6}})\.{TENSORS}")
ANY_LAYER = anchored(rf"layers\.[^.]*\.{TENSORS}")
STREAMS = Number("streams", configured.STREAMS, 0, 1, MAX_STREAMS)
LOW_RANK = "hc_lowrank"


def claims(store: NamedStore) -> set[str]:
    """Tensors of the gates in numbered layers."""
    return {name for name, _ in matches(store, ANY_LAYER)}


def read(store: NamedStore, settings: Mapping[str, str]) -> Checkpoint:
    """Hold that all sites are alike; no tensor is read, since no stream is mixed."""
    config = model_config(store)
    refuse_unknown(settings, (STREAMS.name,), "Qwen4-Exp")
    configured.refuse_odd_layers(store, ANY_LAYER, SITE)
    end = configured.trunk(store, SITE, config)
    sites = by_depth(store, SITE, ("attn", "mlp"), below=end)
    first = shapes_at(store, next(iter(sites.values())))
    shapes = {name: first.get(name, ()) for name in qwen4.shapes(1, 1, 1)}
    check_shapes(store, sites, shapes)
    streams = number(store, config, settings, STREAMS)
    if streams.source == "default":
        raise Unsupported(
            f"{where(store.path)}: is Qwen4-Exp, whose streams are never mixed (H = I); how many "
            f"there are is in its config.json, which is not here: give --set streams=N"
        )
    wide, rank = (*first.get(qwen4.NORM, ()), 0)[0], (*first.get(qwen4.DOWN, ()), 0)[0]
    width = wide // streams.value
    strange = _strange(shapes, streams.value, width, rank)
    return Checkpoint(
        path=store.path,
        format="qwen4_exp",
        method="identity",
        map=None,
        theta=np.zeros((len(sites), 0), np.float32),
        sites=tuple(sites),
        d=streams.value,
        layers=len(sites) // 2,
        width=width,
        settings=(streams,),
        convention="has gates and no mixing matrix, streams are never mixed; H = I",
        assumptions=(
            *configured.depth_of(store, SITE, len(sites) // 2, config, end),
            *configured.unknown_settings(config, (LOW_RANK,)),
        ),
        dtypes=dtypes(store, sites, shapes),
        inputs=(store.digest(),),
        connect=None
        if strange
        else partial(
            connections,
            sites=sites,
            shapes=shapes,
            make=partial(qwen4.connection, streams=streams.value, eps=_eps(config)),
        ),
        ungated=strange,
    )


def _eps(config: Mapping[str, Any]) -> float:
    """Of the norm, which is 1e-6 where nothing says another."""
    values = [config[key] for key in configured.NORM if isinstance(config.get(key), int | float)]
    return float(values[0]) if values else 1e-6


def _strange(shapes: Shapes, streams: int, width: int, rank: int) -> str:
    """Why the gates cannot be read, if tensors are not of the shapes that they have in the code."""
    expected = qwen4.shapes(streams, width, rank)
    for name, shape in expected.items():
        if shapes[name] != shape or not width:
            return f"{name} has shape {escape(shapes[name], 40)}, expected {escape(shape, 40)}"
    return ""
