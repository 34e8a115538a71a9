"""The site of Megatron-LM: ``mapping_proj`` for all of H_pre, H_post and ``h_res``.

What follows the streams is ``mapping_proj`` times all of them, one after another, over their root
mean square. The branch ``main`` applies h_res, ``dev`` its transpose, after another Sinkhorn.

Source: github.com/NVIDIA/Megatron-LM, main @ d98e8a64, dev @ d48bd6be.
"""

from collections.abc import Mapping
from math import isqrt
from typing import Any, Literal

import numpy as np

from birkhoff_cli.analyses.core.arrays import taken
from birkhoff_cli.analyses.networks.connection import Connection, Gate, Norm
from birkhoff_cli.analyses.parameterizations.mhc import MHC
from birkhoff_cli.checkpoints.sites.values import Array

VARIANTS: Mapping[str, Literal["megatron-main", "megatron-dev"]] = {
    "main": "megatron-main",
    "dev": "megatron-dev",
}
ITERS, EPS = 20, 1e-6

CONVENTION = {
    "main": "stores logits of h_res, bias[2n:], row by row, applies x_out = h_res x_in; as stored",
    "dev": "stores logits of h_res, bias[2n:], row by row, applies x_out = h_res^T x_in; "
    "transposed here",
}


def connection(tensors: Mapping[str, Any], variant: str, iters: int = ITERS) -> Connection:
    """The site that the tensors of one module describe.

    Args:
        tensors: ``mapping_proj.weight``, ``bias``, ``alpha_pre``, ``alpha_post``, ``alpha_res``.
        variant: ``main`` or ``dev``.
        iters: steps of Sinkhorn.
    """
    weight, bias = tensors["mapping_proj.weight"], tensors["bias"]
    pre, post, res = (tensors[f"alpha_{part}"][0] for part in ("pre", "post", "res"))
    n = streams(weight.shape[0])
    index = np.arange(weight.shape[0])
    square = index[2 * n :].reshape(n, n)
    mixing = (square.T if variant == "dev" else square).reshape(1, -1)
    low = EPS if variant == "dev" else 0.0
    return Connection(
        map=MHC(n, VARIANTS[variant], iters),
        d=n,
        width=weight.shape[1] // n,
        mixing=Gate(taken(bias, mixing[0]), res, mixing),
        pre=Gate(bias[:n], pre, index[None, :n], (low, 1)),
        post=Gate(bias[n : 2 * n], post, index[None, n : 2 * n], (0, 2)),
        weight=weight.T,
        norm=Norm("outside", EPS),
    )


def streams(rows: int) -> int:
    """Streams by the rows of ``mapping_proj``, which are ``n (n + 2)``."""
    return isqrt(rows + 1) - 1


def theta(bias: Array, n: int, variant: str) -> Array:
    """Parameters of the static H of all sites, of their ``bias``."""
    logits = bias[:, 2 * n :].reshape(-1, n, n)
    turned = logits.swapaxes(1, 2) if variant == "dev" else logits
    return np.ascontiguousarray(turned.reshape(-1, n * n))
