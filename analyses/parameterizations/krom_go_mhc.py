"""krom-go-mhc: a Kronecker product of go-mHC matrices.

``H = B_0 (x) B_1 (x) ...``, the first factor most significant; every ``B_k`` holds the squared
block norms of an orthogonal (unitary) matrix of side ``s`` times the factor's. Exactly doubly
stochastic, with sum of s i (s i - 1) / 2 parameters over the factors i.

Source: go-mHC, arXiv:2604.02309, section 4.2.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np

from birkhoff_cli.analyses.core.arrays import Array, batch_first
from birkhoff_cli.analyses.core.parameterization import DOUBLY_STOCHASTIC, Parameterization, Sampler
from birkhoff_cli.analyses.geometry.lanes import kron, vectors
from birkhoff_cli.analyses.geometry.orthogonal import Field
from birkhoff_cli.analyses.parameterizations import _known_reach as known_reach
from birkhoff_cli.analyses.parameterizations._known_reach import Reach
from birkhoff_cli.analyses.parameterizations.go_mhc import GoMHC
from birkhoff_cli.analyses.parameterizations.kromhc import (
    apply_each,
    draw_each,
    product_flops,
    sides,
)


@dataclass(frozen=True)
class KromGoMHC(Parameterization):
    """Kronecker product of generalised orthostochastic matrices."""

    s: Annotated[int, "block size of every factor"] = 2
    factors: Annotated[tuple[int, ...], "sides, slowest index first (the primes of d)"] = ()
    field: Annotated[Field, "orthogonal or unitary matrices"] = "real"

    source = "go-mHC, arXiv:2604.02309, section 4.2"
    default_draw: ClassVar[str] = GoMHC.default_draw
    exact = DOUBLY_STOCHASTIC

    def __post_init__(self) -> None:
        """Refuse factors that do not multiply to d, and sizes go-mHC has not."""
        super().__post_init__()
        _ = self.parts

    @property
    def parts(self) -> tuple[GoMHC, ...]:
        """The map of every factor."""
        return tuple(GoMHC(side, self.s, self.field) for side in sides(self.d, self.factors))

    @property
    def parameters(self) -> int:
        """Those of every factor."""
        return sum(part.parameters for part in self.parts)

    def __call__(self, theta: Array) -> Array:
        """The go-mHC map of every factor, then their product."""
        return batch_first(kron(apply_each(self.parts, vectors(theta))), 2)

    def initial(self) -> Array:
        """go-mHC's start in every factor."""
        return np.concatenate([part.initial() for part in self.parts])

    def known_reach(self) -> Reach | None:
        """That of the only factor; of 2 x 2 factors, the segment [-1, 1]."""
        parts = [part for part in self.parts if part.d > 1]
        if len(parts) == 1:
            return parts[0].known_reach()
        symmetric = all(part.d == 2 for part in parts)
        return known_reach.real_only("2 x 2 factors are symmetric") if symmetric else None

    def flops(self) -> int:
        """The factors' and their successive products (Table 4 of go-mHC, C = 1)."""
        return sum(part.flops() for part in self.parts) + product_flops(self.parts)

    def samplers(self) -> Mapping[str, Sampler]:
        """Haar's measure in every factor, independently."""
        return {"haar": lambda n, rng: draw_each(self.parts, "haar", n, rng)}


EXAMPLES = (KromGoMHC(4), KromGoMHC(6, s=1, factors=(2, 3)), KromGoMHC(4, field="complex"))
