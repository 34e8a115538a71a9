"""Hooks into modules whose mixing is known: one file = one library.

A member has ``owns(module)``, which recognises a site by its attributes and imports nothing, and
``attach(module, give)``, which hands H ``(..., d, d)`` of every call to ``give``, in our
orientation, and returns what detaches it.
"""

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

from birkhoff_cli.analyses.core import discover
from birkhoff_cli.analyses.core.arrays import Array
from birkhoff_cli.analyses.core.trace import Site
from birkhoff_cli.checkpoints.sites import bare, paths

Module: TypeAlias = Any
"""A ``torch.nn.Module``, whose attributes have no types."""

Give: TypeAlias = Callable[[Array], None]
Detach: TypeAlias = Callable[[], object]

ADD = "hand its matrices over with Recorder.add"
"""What to do about code that is not known here."""

LIBRARIES = discover.members(__name__)
BRANCHES = {"hc_attn": "attn", "hc_mlp": "mlp", "attn_hc": "attn", "ffn_hc": "mlp"}
"""What readers of checkpoints call the branches, by the names of their modules."""


@dataclass(frozen=True)
class Place:
    """A module that mixes streams, and where in the model it is."""

    site: Site
    library: str
    module: Module

    def attach(self, give: Give) -> Detach:
        """Hand every matrix that the module applies to ``give``."""
        detach: Detach = discover.member(__name__, self.library).attach(self.module, give)
        return detach


def uncompiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function that runs as it is where a model was compiled.

    Nothing was if torch's compiler is not even imported, which takes seconds.
    """
    if "torch._dynamo" not in sys.modules:
        return function
    import torch

    disabled: Callable[..., Any] = torch.compiler.disable(function)  # type: ignore[no-untyped-call]
    return disabled


def find(model: Module) -> list[Place]:
    """Every known hyper-connection in a model, by depth as far as names tell."""
    found = {}
    for name, module in model.named_modules():
        if library := _library(module):
            found[tuple(filter(None, bare(name).split(".")))] = (library, module)
    order = paths.ordered(list(found))
    return [Place(site, *found[path]) for site, path in zip(_named(order), order, strict=True)]


def _library(module: Module) -> str | None:
    known = (name for name in LIBRARIES if discover.member(__name__, name).owns(module))
    return next(known, None)


def _named(order: list[paths.Path]) -> Iterator[Site]:
    """Names as checkpoints of the same models have them."""
    for site in paths.named(order):
        branch = BRANCHES.get(site.branch)
        yield Site(site.layer, branch, f"layers.{site.layer}.{branch}") if branch else site
