"""orthostochastic: squared entries of a nearly orthogonal matrix from Newton-Schulz steps.

``X = theta / (||theta||_F + eps)``, then ``X <- a X + (b A + c A^2) X`` with ``A = X X^T`` and
(a, b, c) = (3, -3.2, 1.2); ``H_ij = X_ij^2``. The code base squares and transposes; theta is in
our orientation. Five steps do not converge: sums are off by about 3 %, and nothing but the sign
of the entries is exact. From the published start the polar factor is 2J/d - I.

Source: tokenbender/mHC-manifold-constrained-hyper-connections, ``mhc_h_res_proj``.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import numpy as np

from birkhoff_cli.analyses.core.arrays import Array, batch_first, lanes, namespace
from birkhoff_cli.analyses.core.ensemble import Ensemble
from birkhoff_cli.analyses.core.parameterization import NONNEGATIVE, Parameterization, require
from birkhoff_cli.analyses.core.pullback import Differentiable, Pullback
from birkhoff_cli.analyses.geometry.cycles import tied_entries
from birkhoff_cli.analyses.geometry.lanes import matmul, vectors

if TYPE_CHECKING:
    from birkhoff_cli.analyses.geometry.charts import Chart

A, B, C = 3.0, -3.2, 1.2
"""Coefficients ``ns_coeffs`` of the code base: 1 is a fixed point, small values triple."""


@dataclass(frozen=True)
class Orthostochastic(Parameterization):
    """Squares of a truncated orthogonalisation."""

    steps: Annotated[int, "Newton-Schulz steps"] = 5
    eps: Annotated[float, "added to the norm of the logits"] = 1e-7

    source = "tokenbender/mHC-manifold-constrained-hyper-connections"
    exact = frozenset((NONNEGATIVE,))

    def __post_init__(self) -> None:
        """Refuse settings that mean nothing."""
        super().__post_init__()
        require(self.steps >= 0, f"steps = {self.steps}", "at least 0")
        require(0 < self.eps < np.inf, f"eps = {self.eps:g}", "above 0")

    @property
    def parameters(self) -> int:
        """One logit per entry."""
        return self.d**2

    def __call__(self, theta: Array) -> Array:
        """Normalise, orthogonalise, square."""
        xp = namespace(theta)
        flat = vectors(theta)
        flat = flat / (xp.linalg.vector_norm(flat, axis=0) + self.eps)
        x = flat.reshape((self.d, self.d, *flat.shape[1:]))
        for _ in range(self.steps):
            gram = matmul(x, xp.swapaxes(x, 0, 1))
            x = A * x + matmul(B * gram + C * matmul(gram, gram), x)
        return batch_first(x * x, 2)

    def differentiable(self) -> Differentiable:
        """Written out, through every step."""

        def evaluate(theta: Array) -> tuple[Array, Pullback]:
            flat = vectors(theta)
            norm = np.sqrt((flat * flat).sum(0))
            x = (flat / (norm + self.eps)).reshape(self.d, self.d, -1)
            xs = [x]
            for _ in range(self.steps):
                gram = matmul(x, x.swapaxes(0, 1))
                x = A * x + matmul(B * gram + C * matmul(gram, gram), x)
                xs.append(x)

            def pullback(gradient: Array) -> Array:
                slope = 2 * x * lanes(gradient, 2)
                for before in reversed(xs[:-1]):
                    slope = _step_pullback(before, slope)
                slope = slope.reshape(flat.shape) / (norm + self.eps)
                length = np.where(norm > 0, norm, 1)  # at 0 the norm has no direction
                along = (slope * flat).sum(0) / (length * (norm + self.eps))
                return batch_first(slope - flat * along, 1)

            return batch_first(x * x, 2), pullback

        return evaluate

    def chart(self) -> "Chart":
        """Singular vectors and values: a step works on the values alone, one by one."""
        from birkhoff_cli.analyses.geometry.singular_chart import SingularValues

        return SingularValues(self.d, self._value, A**self.steps)

    def _value(self, sigma: Array) -> tuple[Array, Array]:
        """What the steps make of a singular value, and the derivative."""
        slope = np.ones_like(sigma)
        for _ in range(self.steps):
            square = sigma * sigma
            slope = slope * (A + square * (3 * B + 5 * C * square))
            sigma = sigma * (A + square * (B + C * square))
        return sigma, slope

    def initial(self) -> Array:
        """0 on and -8 off the diagonal, as for mHC."""
        return 8 * np.eye(self.d).ravel() - 8

    def count(self, width: int) -> int:  # noqa: ARG002
        """Static at any width: d^2 logits, d for pre and d for post."""
        return self.d * (self.d + 2)

    def flops(self) -> int:
        """Ours, none is published: norm, three products and four sums a step, squares."""
        d = self.d
        return 3 * d**2 + self.steps * (6 * d**3 + 5 * d**2) + d**2

    def samplers(self) -> Mapping[str, Ensemble]:
        """Squared entries of Haar's measure on O(d): what converged steps would give."""
        from birkhoff_cli.analyses.geometry.ensembles import HaarBlocks

        return {"haar": HaarBlocks(self.d)}

    def tied_parameters(self) -> Array:
        """Entries along every shifted diagonal."""
        return tied_entries(self.d)


def _step_pullback(x: Array, slope: Array) -> Array:
    """The gradient before ``X -> a X + (b S + c S^2) X``, S = X X^T, from that after it."""
    gram = matmul(x, x.swapaxes(0, 1))
    inner = B * gram + C * matmul(gram, gram)
    outer = matmul(slope, x.swapaxes(0, 1))
    both = outer + outer.swapaxes(0, 1)  # S is symmetric: its gradient, and the transpose of it
    through = B * both + C * (matmul(gram, both) + matmul(both, gram))
    return A * slope + matmul(inner, slope) + matmul(through, x)


EXAMPLES = (Orthostochastic(4), Orthostochastic(3, steps=2), Orthostochastic(1))
