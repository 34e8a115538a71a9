"""nanoGPT with any parameterization, as `birkhoff train` saves it.

Names and shapes are those of the mhc-lite repository. ``model_args`` name the method and its
options, and ``static_alpha`` holds n numbers of what the branch reads and then the parameters of
H, in our orientation.
"""

from collections.abc import Mapping
from dataclasses import fields

import numpy as np

from birkhoff_cli.checkpoints import Checkpoint, Setting
from birkhoff_cli.checkpoints.gpt import forward
from birkhoff_cli.checkpoints.gpt.layout import (
    arguments,
    dialect,
    layers_of,
    site_tensors,
    sites_of,
)
from birkhoff_cli.checkpoints.gpt.options import map_of, width_of
from birkhoff_cli.checkpoints.modules import forks
from birkhoff_cli.checkpoints.modules.forks import MHC_NAMES
from birkhoff_cli.checkpoints.sites.names import NamedStore
from birkhoff_cli.checkpoints.sites.settings import refuse_unknown
from birkhoff_cli.checkpoints.sites.values import check_shapes, connections, dtypes, values

MARKS = ("transformer.h.",)


def claims(store: NamedStore) -> set[str]:
    """Tensors of sites in nanoGPT's layers, with options of a method in ``model_args``."""
    return site_tensors(store, frozenset(MHC_NAMES)) if dialect(store) == "options" else set()


def read(store: NamedStore, settings: Mapping[str, str]) -> Checkpoint:
    """Make the map, check all shapes against it, and read one tensor per site."""
    args = arguments(store)
    map_ = map_of(store, args)
    sites = sites_of(store)
    layers, assumed = layers_of(store, sites, args)
    width = width_of(store, args)
    shapes = forks.shapes_together((map_.d + map_.parameters,), map_.d, width)
    check_shapes(store, sites, shapes)
    refuse_unknown(forward.others(settings, args), (), map_.name)
    entries = forks.in_order(map_)
    theta = values(store, sites, "static_alpha")[:, entries.mixing]
    checkpoint = Checkpoint(
        path=store.path,
        format="trained",
        method=map_.name,
        map=map_,
        theta=np.ascontiguousarray(theta),
        sites=tuple(sites),
        d=map_.d,
        layers=layers,
        width=width,
        settings=tuple(Setting(f.name, getattr(map_, f.name), "stored") for f in fields(map_)),
        convention="stores parameters of H, static_alpha[n:], applies x_out = H x_in; as stored",
        assumptions=assumed,
        dtypes=dtypes(store, sites, shapes),
        inputs=(store.digest(),),
        connect=lambda store: connections(
            store, sites, shapes, lambda tensors: forks.together(tensors, map_, entries)
        ),
    )
    return forward.runnable(checkpoint, args, settings)
