"""Gemma-3n: AltUp, whose streams are predicted from one another by ``H = I + W m``.

Every layer has one site, ``altup``. m is the tanh of a linear map of the active stream, normalised
and divided by the width, so H follows the streams and is the identity without them. After the
branch all streams are corrected by what it changed in the active one.

Source: transformers, ``models/gemma3n``.
"""

import re
from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np

from birkhoff_cli.analyses.core.errors import BadInput
from birkhoff_cli.checkpoints import Checkpoint, Setting
from birkhoff_cli.checkpoints.modules.altup import connection
from birkhoff_cli.checkpoints.sites import config as configured
from birkhoff_cli.checkpoints.sites.config import model_config
from birkhoff_cli.checkpoints.sites.depth import anchored, by_depth, depth_facts, matches
from birkhoff_cli.checkpoints.sites.names import NamedStore
from birkhoff_cli.checkpoints.sites.settings import Number, defaults, number, refuse_unknown
from birkhoff_cli.checkpoints.sites.values import (
    MAX_STREAMS,
    NOT_ITS_CODE,
    agree,
    at,
    check_shapes,
    connections,
    dtypes,
    shapes_at,
    values,
)

MARKS = (".altup.",)
TENSORS = (
    r"altup\.(?P<tensor>(?:prediction_coefs|modality_router|router_norm|correction_coefs)\.weight"
    r"|correct_output_scale)"
)
SITE = anchored(rf"layers\.(?P<layer>[0-9]{{1,6}})\.{TENSORS}")
ANY_LAYER = anchored(rf"layers\.[^.]*\.{TENSORS}")
ASIDE = re.compile(r"(?:.*\.)?altup_(?:un)?embed_projections\..*|(?:.*\.)?altup_projections\..*")
W, ROUTER, GAIN = "prediction_coefs.weight", "modality_router.weight", "router_norm.weight"
SCALE = "correct_output_scale"
STREAMS = "altup_num_inputs"
ACTIVE = Number("active", ("altup_active_idx",), 0, 0, MAX_STREAMS)
NORM = Number("rms_norm_eps", configured.NORM, 1e-6, 0, 1)


def claims(store: NamedStore) -> set[str]:
    """Tensors of ``altup`` in numbered layers."""
    return {name for name, _ in matches(store, ANY_LAYER)}


def read(store: NamedStore, settings: Mapping[str, str]) -> Checkpoint:
    """Check all shapes and what the configuration says; nothing is read, since H is static I."""
    config = model_config(store)
    refuse_unknown(settings, (ACTIVE.name, NORM.name), "Gemma-3n")
    configured.refuse_odd_layers(store, ANY_LAYER, SITE)
    sites = by_depth(store, SITE, ("altup",))
    site, names = next(iter(sites.items()))
    stored_shapes = shapes_at(store, names)
    if len(stored_shapes.get(ROUTER, ())) != 2 or not 1 <= stored_shapes[ROUTER][0] <= MAX_STREAMS:
        raise BadInput(f"{at(store, site)} has no {ROUTER} of 2 axes; {NOT_ITS_CODE}")
    n, width = stored_shapes[ROUTER]
    shapes = {W: (n * n, n), ROUTER: (n, width), GAIN: (width,), "correction_coefs.weight": (n, n)}
    shapes[SCALE] = (width,)  # of the correction: no matrix has it, and every site does
    check_shapes(store, sites, shapes)
    agree(store, config, STREAMS, n)
    configured.agree_on(store, config, configured.WIDTH, width)
    chosen = tuple(number(store, config, settings, of) for of in (ACTIVE, NORM))
    active, eps = (setting.value for setting in chosen)
    if active >= n:
        raise BadInput(f"{at(store, site)}: stream {active} is active and there are {n}")
    values(store, sites, W)  # a diverged run is refused, though H = I without streams
    return Checkpoint(
        path=store.path,
        format="gemma3n_altup",
        method="altup",
        map=None,
        theta=np.zeros((len(sites), 0), np.float32),
        sites=tuple(sites),
        d=n,
        layers=len(sites),
        width=width,
        settings=(Setting(STREAMS, n, "stored"), *chosen),
        convention="AltUp: predicts x_out = H x_in with H = I + W m, m = tanh of the active "
        "stream's router; H = I where m is zero, as for --inputs static",
        assumptions=(
            *defaults(chosen, "Gemma-3n's"),
            "H is the prediction; the correction after the branch writes to all streams",
            *depth_facts(store, SITE, len(sites), config, configured.LAYERS),
        ),
        dtypes=dtypes(store, sites, shapes),
        inputs=(store.digest(),),
        connect=partial(
            connections, sites=sites, shapes=shapes, make=partial(_site, active=active, eps=eps)
        ),
        ungated="AltUp has no H_pre and H_post: its branch reads one stream, and what all of them "
        "receive follows what the branch made of it",
    )


def _site(tensors: Mapping[str, Any], *, active: int, eps: float) -> Any:
    return connection(dict(tensors), active, eps)
