"""go-mhc-softmax: go-mHC behind a softmax that it does not need.

``S = softmax(theta)`` over the rows of a matrix of side d s, ``A = S^T - S``, then the blocks of
Cayley's map of A as in go-mhc. The softmax bounds A: its entries lie within (-1, 1) and those of a
row of S sum to 1, so that the image is part of go-mHC's. The paper shows with it that a softmax
slows descent down.

Source: go-mHC, arXiv:2604.02309, B.9, which does not say where the softmax stands; the notebook
toy_models/dynamics.ipynb of github.com/itstorque/go-mHC has it here.
"""

from dataclasses import dataclass
from functools import reduce
from operator import add
from typing import Annotated

import numpy as np

from birkhoff_cli.analyses.core.arrays import Array, batch_first, namespace
from birkhoff_cli.analyses.core.parameterization import (
    DOUBLY_STOCHASTIC,
    Parameterization,
    require,
)
from birkhoff_cli.analyses.geometry.lanes import vectors
from birkhoff_cli.analyses.geometry.orthogonal import orthostochastic

GOLDEN = (np.sqrt(5) - 1) / 2


@dataclass(frozen=True)
class GoMHCSoftmax(Parameterization):
    """Generalised orthostochastic matrices of a skew matrix that a softmax bounds."""

    s: Annotated[int, "block size: 1 is orthostochastic, larger fills more"] = 2

    source = "go-mHC, arXiv:2604.02309, B.9"
    exact = DOUBLY_STOCHASTIC

    def __post_init__(self) -> None:
        """Refuse sizes no block matrix has."""
        super().__post_init__()
        require(self.s >= 1, f"block size s = {self.s}", "at least 1")

    @property
    def parameters(self) -> int:
        """One logit per entry of a matrix of side d s."""
        return (self.d * self.s) ** 2

    def __call__(self, theta: Array) -> Array:
        """Softmax of rows, its skew part, Cayley's map, squared block norms."""
        n, x = self.d * self.s, vectors(theta)
        xp = namespace(x)
        z = x.reshape((n, n, *x.shape[1:]))
        weights = xp.exp(z - xp.max(z, axis=1, keepdims=True))
        # term by term: a sum over one lane is then rounded as one over many
        weights = weights / reduce(add, (weights[:, k] for k in range(n)))[:, None]
        row, column = np.tril_indices(n, -1)
        lower = weights[column, row] - weights[row, column]
        return orthostochastic(batch_first(lower, 1), self.d, self.s)

    def initial(self) -> Array:
        """Near the identity: a low-discrepancy sequence in place of the notebook's U(0, 1)."""
        return (np.arange(1, self.parameters + 1) * GOLDEN) % 1

    def flops(self) -> int:
        """That of go-mhc (Table 4, C = 1), and three operations for every entry of the softmax."""
        n = self.d * self.s
        return round(8 * n**3 / 3) + 7 * n**2


EXAMPLES = (GoMHCSoftmax(4), GoMHCSoftmax(3, s=1), GoMHCSoftmax(1, s=1))
