"""The site of DeepSeek-V4 and its relatives: one matrix for all of H_pre, H_post and ``comb``.

The code applies ``x_out = comb^T x_in``, so H = comb^T. What follows the streams is ``fn`` times
all of them, one after another, over their root mean square. Without ``comb`` H = I.

Source: transformers 5.23.0, ``models/deepseek_v4``, ``glm5_next`` and ``hy_v4``.
"""

from collections.abc import Mapping
from math import isqrt
from typing import Any

import numpy as np

from birkhoff_cli.analyses.core.arrays import taken
from birkhoff_cli.analyses.networks.connection import Connection, Gate, Norm
from birkhoff_cli.analyses.parameterizations.mhc import MHC
from birkhoff_cli.checkpoints.sites.values import Array

EPS, MAGNITUDE = 1e-6, 2.0

CONVENTION = (
    "stores logits of comb, base[2n:], row by row, applies x_out = comb^T x_in; transposed here; "
    "the model rounds comb to the dtype of its activations, here it is float32"
)
UNMIXED = "stores no mixing matrix, applies x_out = x_in + H_post branch; H = I"


def connection(
    tensors: Mapping[str, Any],
    *,
    eps: float = EPS,
    rms_norm_eps: float = EPS,
    iters: int = 20,
    magnitude: float = MAGNITUDE,
) -> Connection:
    """The site that ``fn``, ``base`` and ``scale`` of one module describe.

    Args:
        tensors: those three, by name.
        eps: added to H_pre and in every step of Sinkhorn.
        rms_norm_eps: added to the mean square of the streams.
        iters: steps of Sinkhorn.
        magnitude: largest H_post; HY-V4 adds eps to it.
    """
    fn, base, scale = (tensors[name] for name in ("fn", "base", "scale"))
    comb = scale.shape[0] == 3
    n = streams(fn.shape[0], comb)
    index = np.arange(fn.shape[0])
    pre, post = index[None, :n], index[None, n : 2 * n]
    turned = index[2 * n :].reshape(-1, n).T.reshape(1, -1)
    return Connection(
        map=sinkhorn(n, iters, eps) if comb else None,
        d=n,
        width=fn.shape[1] // n,
        mixing=Gate(taken(base, turned[0]), scale[2], turned) if comb else Gate(base[:0]),
        pre=Gate(base[:n], scale[0], pre, (eps, 1)),
        post=Gate(base[n : 2 * n], scale[1], post, (0 if comb else eps, magnitude)),
        weight=fn.T,
        norm=Norm("inside", rms_norm_eps),
    )


def sinkhorn(n: int, iters: int, eps: float) -> MHC:
    """The map from logits to H."""
    return MHC(n, "deepseek-v4", iters, eps=eps)


def streams(rows: int, comb: bool) -> int:
    """Streams by the rows of ``fn``, which are ``n (n + 2)``, or 2n without ``comb``."""
    return isqrt(rows + 1) - 1 if comb else rows // 2


def theta(base: Array, n: int) -> Array:
    """Parameters of the static H of all sites, of their ``base``."""
    logits = base[:, 2 * n :].reshape(-1, n, n)
    return np.ascontiguousarray(logits.swapaxes(1, 2).reshape(-1, n * n))
