"""Attention residuals, as Kimi-K3 has them: a mixture over earlier layers, and no streams.

Every branch attends to the outputs of the layers before it, by ``self_attention_res_proj`` and
``mlp_res_proj``. Those weights are a row-stochastic matrix over depth. There are no streams that a
d x d matrix mixes, so there is nothing to measure here.

Source: the published modelling code of Kimi-K3.
"""

from collections.abc import Mapping

from birkhoff_cli.analyses.core.errors import Unsupported
from birkhoff_cli.checkpoints import Checkpoint
from birkhoff_cli.checkpoints.sites.depth import anchored, matches
from birkhoff_cli.checkpoints.sites.names import NamedStore
from birkhoff_cli.containers import where

MARKS = ("_res_proj.", "_res_norm.")
SITE = anchored(r"layers\.[^.]*\.(?:self_attention|mlp)_res_(?:norm|proj)\.weight")


def claims(store: NamedStore) -> set[str]:
    """Projections and norms over the outputs of earlier layers."""
    return {name for name, _ in matches(store, SITE)}


def read(store: NamedStore, settings: Mapping[str, str]) -> Checkpoint:
    """Say what it is.

    Raises:
        Unsupported: always.
    """
    del settings
    raise Unsupported(
        f"{where(store.path)}: has attention residuals, which mix the outputs of earlier layers "
        f"over depth; it has no streams that a matrix mixes, so there is nothing to read here"
    )
