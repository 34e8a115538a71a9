"""The site of tokenbender's mHC, which no stream changes: H, H_pre and H_post of their logits.

The code builds a matrix M of ``H_res_logits`` and applies its transpose, so H = M^T.

Source: github.com/tokenbender/mHC-manifold-constrained-hyper-connections @ 088310e.
"""

from birkhoff_cli.analyses.core.arrays import Array, namespace
from birkhoff_cli.analyses.core.parameterization import Parameterization
from birkhoff_cli.analyses.networks.connection import Connection, Gate
from birkhoff_cli.checkpoints.modules.forks import Tensors

LOGITS, PRE, POST = "H_res_logits", "H_pre_logits", "H_post_logits"


def shapes(n: int) -> dict[str, tuple[int, ...]]:
    """Shapes of a site's tensors."""
    return {LOGITS: (n, n), PRE: (n,), POST: (n,)}


def connection(tensors: Tensors, map_: Parameterization, width: int) -> Connection:
    """The site that the logits of one module describe."""
    logits = tensors[LOGITS]
    pre, post = (Gate(_softmax(tensors[name])) for name in (PRE, POST))
    return Connection(map_, len(logits), width, Gate(logits.T.reshape(-1)), pre, post)


def _softmax(logits: Array) -> Array:
    xp = namespace(logits)
    powers = xp.exp(logits - xp.max(logits))
    return powers / powers.sum()
