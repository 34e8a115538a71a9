"""What a model of one's own stores for a site: a matrix, its logits, or a method's parameters."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import isqrt, prod

import numpy as np

from birkhoff_cli.analyses.core.arrays import Array, namespace
from birkhoff_cli.analyses.core.errors import BirkhoffError
from birkhoff_cli.analyses.core.mixture import Mixture
from birkhoff_cli.analyses.core.parameterization import Parameterization
from birkhoff_cli.checkpoints.sites.values import MAX_STREAMS, Shape


@dataclass(frozen=True)
class Stored(Parameterization):
    """Parameters are the entries, row by row: whatever made the matrix is not known."""

    source = "the file"

    @property
    def exact(self) -> frozenset[str]:
        """Nothing: entries can be any."""
        return frozenset()

    @property
    def parameters(self) -> int:
        """One for each entry."""
        return self.d**2

    def __call__(self, theta: Array) -> Array:
        """The matrix."""
        return namespace(theta).reshape(theta, (*theta.shape[:-1], self.d, self.d))

    def initial(self) -> Array:
        """The identity."""
        return np.eye(self.d).ravel()

    def flops(self) -> int:
        """None."""
        return 0


@dataclass(frozen=True, eq=False)
class Transposed(Parameterization):
    """The transposes of another method's matrices, of the same parameters."""

    of: Parameterization | None = None

    source = "the file"

    @property
    def base(self) -> Parameterization:
        """The method."""
        assert self.of is not None
        return self.of

    @property
    def name(self) -> str:
        """That of the method."""
        return self.base.name

    @property
    def exact(self) -> frozenset[str]:
        """What the method holds, rows and columns exchanged."""
        other = {"rows": "columns", "columns": "rows"}
        return frozenset(other.get(side, side) for side in self.base.exact)

    @property
    def parameters(self) -> int:
        """Those of the method."""
        return self.base.parameters

    def __call__(self, theta: Array) -> Array:
        """The method's matrix, transposed."""
        return namespace(theta).matrix_transpose(self.base(theta))

    def mixtures(self) -> tuple[Mixture, ...]:
        """The method's weights, of the inverse permutations."""
        return tuple(
            m if m.permutations is None else replace(m, permutations=np.argsort(m.permutations))
            for m in self.base.mixtures()
        )

    def initial(self) -> Array:
        """That of the method."""
        return self.base.initial()

    def flops(self) -> int:
        """Those of the method."""
        return self.base.flops()


def squares(array: Array, stacked: bool, behind: bool) -> Array | None:
    """Square arrays ``(k, d, d)`` in a tensor; None if it holds none.

    Args:
        array: ``(d, d)``, or its entries row by row; axes of length 1 do not count.
        stacked: whether a first axis may count several.
        behind: whether 2 d numbers, of what the branch reads and writes, may come first.
    """
    if array.ndim != 2 or array.shape[0] != array.shape[1]:
        array = array.squeeze()
    if array.ndim >= 2 and array.shape[-1] == array.shape[-2]:
        several = array[None] if array.ndim == 2 else array
    elif array.ndim in (1, 2) and (side := _side(array.shape[-1], behind)):
        several = array.reshape(-1, array.shape[-1])[:, -side * side :].reshape(-1, side, side)
    else:
        return None
    fits = several.ndim == 3 and 1 <= several.shape[-1] <= MAX_STREAMS
    return several if fits and (stacked or len(several) == 1) else None


def _side(length: int, behind: bool) -> int:
    """The d of ``d * d`` numbers, or of ``d (d + 2)``; 0 if it is neither."""
    side = isqrt(length)
    if side > 1 and side * side == length:
        return side
    side = isqrt(length + 1) - 1
    return side if behind and side > 1 and side * (side + 2) == length else 0


def streams_of(
    build: Callable[[int], Parameterization], shape: Shape, stacked: bool
) -> Parameterization | None:
    """The method with as many streams as its parameters, all of a tensor or a row, are for.

    Args:
        build: from a number of streams to the method.
        shape: of the tensor.
        stacked: whether rows may be several sites.
    """
    lengths = [prod(shape), *([shape[-1]] if stacked and shape else [])]
    for length in lengths:
        for d in range(1, MAX_STREAMS + 1):
            try:
                method = build(d)
            except BirkhoffError:  # this method has no such number of streams
                continue
            if method.parameters == length:
                return method
            if method.parameters > length:
                break
    return None
