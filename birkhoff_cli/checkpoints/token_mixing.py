"""A network whose blocks mix tokens, as `birkhoff train --mix tokens` saves it.

Every block has ``theta``, the parameters of its H, in our orientation; ``model_args`` name the
method, its options and the number of tokens, which is the side of H. Fixed permutations are not in
the file: the options choose them, and the same options choose the same.
"""

from collections.abc import Mapping
from dataclasses import fields

from birkhoff_cli.checkpoints import Checkpoint, Setting
from birkhoff_cli.checkpoints.gpt.layout import arguments, dialect
from birkhoff_cli.checkpoints.gpt.options import map_of, width_of
from birkhoff_cli.checkpoints.modules.alone import connection
from birkhoff_cli.checkpoints.sites.depth import anchored, by_depth, depth_facts, matches
from birkhoff_cli.checkpoints.sites.names import NamedStore
from birkhoff_cli.checkpoints.sites.settings import refuse_unknown
from birkhoff_cli.checkpoints.sites.values import agree, check_shapes, dtypes, values

MARKS = ("blocks.",)
SITE = anchored(r"blocks\.(?P<layer>[0-9]{1,6})\.(?P<tensor>theta|norm_mix|norm_mlp|inner|outer)")
"""A block is one site, whose branch has no name in the file."""


def claims(store: NamedStore) -> set[str]:
    """Tensors of blocks, with options of a method in ``model_args``."""
    return {name for name, _ in matches(store, SITE)} if dialect(store) == "options" else set()


def read(store: NamedStore, settings: Mapping[str, str]) -> Checkpoint:
    """Make the map, check all shapes, and read one tensor per block."""
    args = arguments(store)
    map_, width = map_of(store, args), width_of(store, args)
    sites = by_depth(store, SITE, ("tokens",))
    agree(store, args, "block_size", map_.d)
    shapes: dict[str, tuple[int, ...]] = {"theta": (map_.parameters,)}
    shapes |= {"norm_mix": (width,), "norm_mlp": (width,)}
    shapes |= {"inner": (4 * width, width), "outer": (width, 4 * width)}
    check_shapes(store, sites, shapes)
    refuse_unknown(settings, (), map_.name)
    theta = values(store, sites, "theta")
    return Checkpoint(
        path=store.path,
        format="token-mixing",
        method=map_.name,
        map=map_,
        theta=theta,
        sites=tuple(sites),
        d=map_.d,
        layers=len(sites),
        width=width,
        settings=tuple(Setting(f.name, getattr(map_, f.name), "stored") for f in fields(map_)),
        convention="stores parameters of H, theta, and applies X + H RMSNorm(X) to the tokens of a "
        "sequence; as stored",
        assumptions=depth_facts(store, SITE, len(sites), args, ("n_layer",)),
        dtypes=dtypes(store, sites, shapes),
        inputs=(store.digest(),),
        connect=lambda _: (connection(row, map_) for row in theta),
        ungated="its blocks mix the tokens of a sequence, and no branch reads or writes streams",
    )
