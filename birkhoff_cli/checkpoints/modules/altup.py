"""AltUp: ``H = I + W m``, where m follows one stream, the active one.

Source: Baykal et al., Alternating Updates for Efficient Transformers, arXiv:2301.13310;
transformers, ``models/gemma3n``.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from birkhoff_cli.analyses.core.arrays import Array, like, namespace
from birkhoff_cli.analyses.core.parameterization import Parameterization
from birkhoff_cli.analyses.networks.connection import Connection, Gate, Norm


@dataclass(frozen=True, eq=False)
class AltUp(Parameterization):
    """The matrices that one layer can apply: parameters are the n modalities m."""

    coefficients: Any = None
    """W ``(n^2, n)``: row ``n i + j`` gives ``H[i, j]``."""

    source = "Alternating Updates, arXiv:2301.13310"

    @property
    def name(self) -> str:
        """No word of the command line: each layer has its own."""
        return "altup"

    @property
    def exact(self) -> frozenset[str]:
        """Nothing: entries can be of either sign."""
        return frozenset()

    @property
    def parameters(self) -> int:
        """One modality for each stream."""
        return self.d

    def __call__(self, theta: Array) -> Array:
        """``I + (W m)`` as a matrix."""
        xp = namespace(theta)
        moved = theta @ like(self.coefficients, theta).T
        eye = like(np.eye(self.d), theta)
        return eye + xp.reshape(moved, (*theta.shape[:-1], self.d, self.d))

    def initial(self) -> Array:
        """Where H = I."""
        return np.zeros(self.d)

    def flops(self) -> int:
        """One product with W."""
        return 2 * self.d**3


def connection(tensors: dict[str, Any], active: int, eps: float) -> Connection:
    """The site of one layer.

    The branch reads the active stream and writes to every one; how much of it follows what the
    branch made of it, which is no function of the streams: here it is what it is without that, 1.

    Args:
        tensors: ``prediction_coefs.weight`` (n^2, n), ``modality_router.weight`` (n, width) and
            ``router_norm.weight`` (width).
        active: the active stream.
        eps: of the norm.
    """
    router, gain = tensors["modality_router.weight"], tensors["router_norm.weight"]
    n, width = router.shape
    one = like(np.eye(n)[active], router)
    order = active * n + np.arange(n)  # z has n numbers of every stream
    return Connection(
        map=AltUp(n, tensors["prediction_coefs.weight"]),
        d=n,
        width=width,
        mixing=Gate(like(np.zeros(n), router), 1.0, order[None], tanh=True),
        pre=Gate(one),
        post=Gate(like(np.ones(n), router)),
        weight=(router * gain / width).T,
        norm=Norm("inside", eps),
    )
