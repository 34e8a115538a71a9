"""Qwen4-Exp: streams that gates read and write, and that are never mixed.

Every layer has two sites, ``attn_hyper_connection`` and ``mlp_hyper_connection``, of four tensors:
a norm, two halves of what the branch reads, and what it writes. There is no mixing matrix: H = I.

Source: the published modelling code of Qwen4-Exp.
"""

from collections.abc import Mapping

import numpy as np

from birkhoff_cli.analyses.core.errors import Unsupported
from birkhoff_cli.checkpoints import Checkpoint
from birkhoff_cli.checkpoints.sites import config as configured
from birkhoff_cli.checkpoints.sites.config import model_config
from birkhoff_cli.checkpoints.sites.depth import anchored, by_depth, matches
from birkhoff_cli.checkpoints.sites.names import NamedStore
from birkhoff_cli.checkpoints.sites.settings import Number, number, refuse_unknown
from birkhoff_cli.checkpoints.sites.values import MAX_STREAMS, check_shapes, dtypes, shapes_at
from birkhoff_cli.containers import where

MARKS = ("_hyper_connection.",)
NAMES = ("hc_norm", "input_mix_weight_down", "input_mix_weight_up", "block_inject_weight")
TENSORS = rf"(?P<branch>attn|mlp)_hyper_connection\.(?P<tensor>(?:{'|'.join(NAMES)})\.weight)"
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
    places = by_depth(store, SITE, ("attn", "mlp"), below=end)
    first = shapes_at(store, next(iter(places.values())))
    shapes = {f"{name}.weight": first.get(f"{name}.weight", ()) for name in NAMES}
    check_shapes(store, places, shapes)
    streams = number(store, config, settings, STREAMS)
    if streams.source == "default":
        raise Unsupported(
            f"{where(store.path)}: is Qwen4-Exp, whose streams are never mixed (H = I); how many "
            f"there are is in its config.json, which is not here: give --set streams=N"
        )
    return Checkpoint(
        path=store.path,
        format="qwen4_exp",
        method="identity",
        map=None,
        theta=np.zeros((len(places), 0), np.float32),
        sites=tuple(places),
        d=streams.value,
        layers=len(places) // 2,
        width=0,
        settings=(streams,),
        convention="has gates and no mixing matrix, streams are never mixed; H = I",
        assumptions=(
            *configured.depth_of(store, SITE, len(places) // 2, config, end),
            *configured.unknown_settings(config, (LOW_RANK,)),
        ),
        dtypes=dtypes(store, places, shapes),
        inputs=(store.digest(),),
    )
