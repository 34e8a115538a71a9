"""be-hc: a softmax mixture of a few fixed permutation matrices, the identity first.

``H = sum_k softmax(theta)_k P_k``, ``P_k`` with a 1 at ``(i, pi_k(i))``. The logits are learned
and static, the permutations are chosen once:

- ``random``: distinct random permutations (published).
- ``local-shift``: cyclic shifts by 0, 1, -1, 2, -2, ... (published); there are d of them.
- ``structured``: the paper names such a basis and does not define it. Here: strided shifts
  ``i -> a i + b mod d`` with a coprime to d, short strides and shifts first.

Source: BE-HC ("Birkhoff-Exact Hyper-Connections"), sections 2.3 and B.3.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from math import factorial, gcd
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args

import numpy as np

from birkhoff_cli.analyses.core.arrays import Array, batch_first, namespace
from birkhoff_cli.analyses.core.ensemble import Ensemble
from birkhoff_cli.analyses.core.parameterization import (
    DOUBLY_STOCHASTIC,
    Parameterization,
    require,
)
from birkhoff_cli.analyses.geometry.cycles import tied_permutations
from birkhoff_cli.analyses.geometry.lanes import powers, vectors
from birkhoff_cli.analyses.geometry.permutations import mixture, refuse_table, table
from birkhoff_cli.analyses.geometry.projection import nearest_doubly_stochastic, nearest_mixture

if TYPE_CHECKING:
    from birkhoff_cli.analyses.geometry.charts import Chart
    from birkhoff_cli.analyses.geometry.hypocycloids import Support
    from birkhoff_cli.analyses.regions._known_reach import Reach

Basis = Literal["random", "local-shift", "structured"]

PUBLISHED = 64
"""Permutations in all experiments of the paper."""


@dataclass(frozen=True)
class BEHC(Parameterization):
    """Convex combinations of k fixed permutations."""

    k: Annotated[int | None, "number of permutations (64, or all there are)"] = None
    basis: Annotated[Basis, "which permutations"] = "random"
    basis_seed: Annotated[int, "chooses the random permutations, whatever --seed is"] = 0

    source = "BE-HC, sections 2.3 and B.3"
    exact = DOUBLY_STOCHASTIC

    def __post_init__(self) -> None:
        """Refuse more permutations than the basis has."""
        super().__post_init__()
        bases = get_args(Basis)
        require(self.basis in bases, f"basis '{self.basis}'", f"one of {', '.join(bases)}")
        most = _available(self.d, self.basis)
        seen = f"k = {self.parameters} {self.basis} permutations of d = {self.d} streams"
        require(1 <= self.parameters <= most, seen, f"1 to {most:,}")
        require(self.basis_seed >= 0, f"basis-seed = {self.basis_seed}", "at least 0")

    @property
    def parameters(self) -> int:
        """One logit per permutation."""
        return min(PUBLISHED, _available(self.d, self.basis)) if self.k is None else self.k

    @property
    def permutations(self) -> Any:
        """The basis, ``(k, d)``: row k is ``pi_k``, the first is the identity."""
        return _basis(self.d, self.parameters, self.basis, self.basis_seed)

    def __call__(self, theta: Array) -> Array:
        """Softmax, then the mixture."""
        columns = _columns(self.d, self.parameters, self.basis, self.basis_seed)
        return batch_first(mixture(powers(vectors(theta)), columns), 2)

    def initial(self) -> Array:
        """1 for the identity and 0 else; published with N(0, 0.01) added to the others."""
        start = np.zeros(self.parameters)
        start[0] = 1
        return start

    def count(self, width: int) -> int:  # noqa: ARG002
        """K static logits, at any width."""
        return self.parameters

    def chart(self) -> "Chart":
        """The weights themselves."""
        from birkhoff_cli.analyses.geometry.mixtures import Mixture

        return Mixture(table(self.permutations).astype(float))

    def known_reach(self) -> "Reach | None":
        """All of the polytope with all permutations; of fewer, what they have in common."""
        from birkhoff_cli.analyses.regions import _known_reach as known_reach

        if self.d < 20 and self.parameters == factorial(self.d):
            return known_reach.doubly_stochastic(self.d, "every permutation is mixed (Birkhoff)")
        return known_reach.mixtures(self.permutations)

    def nearest(self, h: Array) -> Array:
        """In the polytope of the permutations: a quadratic programme for every matrix."""
        if self.d < 20 and self.parameters == factorial(self.d):
            return nearest_doubly_stochastic(h)
        return nearest_mixture(h, table(self.permutations))

    def flops(self) -> int:
        """As mHC-lite (Table 4 of go-mHC, C = 1), for K permutations; the paper counts none."""
        return 3 * self.parameters + 2 * self.d**2 * self.parameters

    def samplers(self) -> Mapping[str, Ensemble]:
        """Dirichlet(1) weights on the k permutations."""
        from birkhoff_cli.analyses.geometry.ensembles import Dirichlet

        return {"dirichlet": Dirichlet(self.d, self.permutations)}

    def mix(self, theta: Array, streams: Array) -> Array:
        """Of torch tensors gathered and summed at once, O(k d width), without H."""
        if namespace(streams) is np:
            return super().mix(theta, streams)
        import torch

        index = torch.tensor(self.permutations.T, device=streams.device)
        weights = theta.softmax(0).expand(index.shape)
        return torch.nn.functional.embedding_bag(
            index, streams, per_sample_weights=weights, mode="sum"
        )

    def projection_support(self) -> "Support | None":
        """The polygon, if all powers of the d-cycle are in the basis."""
        from birkhoff_cli.analyses.geometry.hypocycloids import Support

        return Support("polygon", self.d) if self._has_cycle() else None

    def slice_support(self) -> "Support | None":
        """The triangle, if the powers of every 3-cycle are in the basis."""
        from birkhoff_cli.analyses.geometry.hypocycloids import Support

        whole = self.parameters == _available(self.d, "random")
        return Support("polygon", 3) if whole or (self.d == 3 and self._has_cycle()) else None

    def tied_parameters(self) -> Array | None:
        """Weights of permutations that the cycle conjugates to one another."""
        return tied_permutations(self.permutations)

    def _has_cycle(self) -> bool:
        """Whether all powers of the d-cycle are in the basis."""
        shifts = (np.arange(self.d) + np.arange(self.d)[:, None]) % self.d
        return {*map(tuple, shifts.tolist())} <= {*map(tuple, self.permutations.tolist())}


def _available(d: int, basis: Basis) -> int:
    if basis == "local-shift":
        return d
    if basis == "structured":
        return d * len(_strides(d))
    return factorial(d) if d < 20 else 10**18  # more than anyone asks for


@cache
def _basis(d: int, k: int, basis: Basis, seed: int) -> Any:
    refuse_table(k, d)
    if basis == "random":
        rng = np.random.default_rng(seed)
        chosen = {tuple(range(d)): None}
        while len(chosen) < k:
            chosen[tuple(rng.permutation(d).tolist())] = None
        perms = np.array(list(chosen))
    else:
        strides = _strides(d) if basis == "structured" else (1,)
        pairs = [(p, q) for p in range(min(k, len(strides))) for q in range(min(k, d))]
        pairs = sorted(pairs, key=lambda pair: (sum(pair), pair))[:k]
        perms = np.array([(strides[p] * np.arange(d) + _centred(q)) % d for p, q in pairs])
    perms.flags.writeable = False
    return perms


@cache
def _columns(d: int, k: int, basis: Basis, seed: int) -> Any:
    return table(_basis(d, k, basis, seed))


@cache
def _strides(d: int) -> tuple[int, ...]:
    """Numbers coprime to d, as 1, -1, 2, -2, ...: each residue once."""
    order = dict.fromkeys(_centred(q) % d for q in range(1, 2 * d))
    return tuple(a for a in order if gcd(a, d) == 1)


def _centred(q: int) -> int:
    """0, 1, -1, 2, -2, ..."""
    return (q + 1) // 2 if q % 2 else -(q // 2)


EXAMPLES = (
    BEHC(4),
    BEHC(6, k=10),
    BEHC(5, basis="local-shift"),
    BEHC(8, k=7, basis="structured"),
)
