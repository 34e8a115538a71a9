"""Products of many mixing matrices that neither underflow nor overflow, in lanes.

The reflection Q that takes the first unit vector to ``1 / sqrt(d)`` turns a matrix into blocks

    Q H Q = [[a, b], [c, M]],   c = 0 if rows sum to 1, b = 0 if columns do, and then a = 1.

With one side exact the blocks M, of side d - 1, multiply among themselves: M holds all
eigenvalues but the 1, and decays over depth while the rest stays. It is kept with a power of 2 of
its own, so that a thousand layers still have digits. A matrix with neither side exact is kept as
it is, with a power of 2 for all of it. Which of these holds is decided for every matrix alone.

A product whose factors cancel holds rounding and nothing else. A vector that takes the rounding of
every step along, multiplied by the factors that follow, tells where that is so.

Source: Householder's reflection; for the renormalised product of the compressed matrices
docs/mathematics.md 8.
"""

from dataclasses import dataclass
from functools import cache, cached_property
from math import sqrt
from typing import Any

import numpy as np

from birkhoff_cli.analyses.core.arrays import Array
from birkhoff_cli.analyses.geometry.lanes import Where, cases, dot, matmul, norm, select

EPS = float(np.finfo(float).eps)

NARROW = (1e-60, 1e60)
"""Largest entries within which a block needs no new scale."""

TOLERANCE = 16
"""Sums that are within this times ``sqrt(d)`` roundings of 1, in root mean square, are 1."""


@dataclass
class Blocks:
    """Matrices ``(d, d, batch)``, part of them scaled.

    Attributes:
        whole: ``Q H Q`` where a side is exact, else H; what is scaled is to be multiplied by
            ``2 ** exponent``.
        rows: ``(batch,)``, whether all rows sum to 1 up to the rounding of the matrices.
        columns: whether all columns do.
        error: ``(d, batch)``, scaled as the block: a vector as large as the rounding in it.
        exponent: ``(batch,)`` integers, or 0 as long as nothing needed a scale.
        entries: H itself, where it is at hand.
    """

    whole: Array
    rows: Array
    columns: Array
    error: Array
    exponent: Array | int = 0
    entries: Array | None = None

    @property
    def sided(self) -> Array:
        """Where a side is exact."""
        return self.rows | self.columns

    def part(self, where: Where) -> "Blocks":
        """Some of the matrices."""
        if isinstance(where, slice):
            return self
        return Blocks(
            select(self.whole, where),
            self.rows[where],
            self.columns[where],
            select(self.error, where),
            self.exponent if isinstance(self.exponent, int) else self.exponent[where],
            None if self.entries is None else select(self.entries, where),
        )

    @cached_property
    def block(self) -> Array:
        """What carries the scale, of matrices that agree in their sides: M, or H; a view."""
        return self.whole[1:, 1:] if self.sided.any() else self.whole

    @cached_property
    def size(self) -> Array:
        """Frobenius norm of `block` without its scale."""
        return norm(self.block)

    @cached_property
    def rounding(self) -> Array:
        """How large rounding is in `block`, without its scale."""
        return norm(self.error)

    def unscaled(self) -> Array:
        """`whole` with the scale multiplied in: 0 or infinite where a float64 ends."""
        if isinstance(self.exponent, int):
            return self.whole
        full = self.whole.copy()
        block = full[1:, 1:] if self.sided.any() else full
        block[:] = self.scaled(block)
        return full

    def scaled(self, values: Array) -> Array:
        """Values ``(..., batch)`` times the scale: 0 or infinite where a float64 ends."""
        if isinstance(self.exponent, int):
            return values
        with np.errstate(over="ignore", under="ignore"):
            return np.ldexp(values, self.exponent)


def reflected(h: Array) -> Array:
    """``Q H Q`` of lanes ``(d, d, batch)``; its own inverse. NaN for what is infinite."""
    x = np.empty_like(h)
    if len(h) < 2:
        x[:] = h
        return x
    with np.errstate(over="ignore", invalid="ignore"):
        _times_q(h.swapaxes(0, 1), x.swapaxes(0, 1))
        return _times_q(x, x)


def _times_q(h: Array, out: Array) -> Array:
    """``Q H`` into ``out``, which may be ``h``."""
    d = len(h)
    total = h.sum(0)
    shift = h[0] * (1 / sqrt(d) + 1 / (d - sqrt(d)))
    shift -= total * (1 / (d - sqrt(d)))
    np.add(h[1:], shift, out=out[1:])
    np.multiply(total, 1 / sqrt(d), out=out[0])
    return out


def blocks(h: Array, rounding: float) -> Blocks:
    """The blocks of single matrices, lanes ``(d, d, batch)``.

    Args:
        h: matrices.
        rounding: relative error of their entries.
    """
    d = len(h)
    whole = reflected(h)
    enough = TOLERANCE**2 * d * rounding**2
    rows, columns = (_squares_from_first(side) <= enough for side in (whole[:, 0], whole[0]))
    sided = rows | columns
    if not sided.all():
        whole[..., ~sided] = h[..., ~sided]
    error = np.zeros(h.shape[1:])
    error[1:] = EPS * _direction(d - 1)  # of the reflection: it is of the size of H, which is 1
    if not sided.all():
        error[..., ~sided] = 0
    return Blocks(whole, rows, columns, error, entries=h)


def _squares_from_first(side: Array) -> Array:
    """The mean square over rows (or columns) of their sums less 1, given a side of blocks."""
    with np.errstate(over="ignore"):  # infinite is far from it too
        return np.square(side[0] - 1) + dot(side[1:], side[1:])


def times(left: Blocks, right: Blocks) -> Blocks:
    """The product ``left @ right``, a side exact if it is in both; ``left`` is without a scale."""
    rows, columns = left.rows & right.rows, left.columns & right.columns
    parts = []
    for where, (sided,) in cases(rows | columns):
        one, other = left.part(where), right.part(where)
        product = _with_a_side(one, other) if sided else _general(one, other)
        parts.append((where, _renormalised(*product)))
    if isinstance(parts[0][0], slice):
        whole, error, exponent = parts[0][1]
        return Blocks(whole, rows, columns, error, exponent)
    whole, error = np.empty_like(left.whole), np.empty_like(left.error)
    exponent = np.zeros(len(rows), np.int64)
    for where, part in parts:
        for values, some in zip((whole, error, exponent), part, strict=True):
            values[..., where] = some
    return Blocks(whole, rows, columns, error, exponent)


Scaled = tuple[Array, Array, Array | int]
"""A whole, an error, and the exponent of what carries the scale."""


def _with_a_side(left: Blocks, right: Blocks) -> tuple[Array, Array, Array | int, Array]:
    """One side exact at least; M carries the scale.

    The product of an exact c with b (or of an exact b with c) is 0 up to rounding, and left out
    of M: there it would be a floor below which nothing decays.
    """
    x, y = left.whole, right.unscaled()
    whole = np.empty_like(x)
    error = np.zeros_like(right.error)
    if len(x) == 1:
        return np.multiply(x, y, out=whole), error, right.exponent, whole[1:, 1:]
    np.multiply(x[0, 0], y[0], out=whole[0])
    np.multiply(x[1:, 0], y[0, 0], out=whole[1:, 0])
    whole[0] += matmul(x[:1, 1:], y[1:])[0]
    whole[1:, 0] += matmul(x[1:, 1:], y[1:, :1])[:, 0]
    whole[1:, 1:] = matmul(x[1:, 1:], right.whole[1:, 1:])
    error[1:] = _error(left, right)
    return whole, error, right.exponent, whole[1:, 1:]


def _general(left: Blocks, right: Blocks) -> tuple[Array, Array, Array | int, Array]:
    """Neither side exact: everything carries the scale."""
    left, right = _near_one(_plain(left)), _near_one(_plain(right))
    whole = matmul(left.whole, right.whole)
    return whole, _error(left, right), left.exponent + right.exponent, whole


def _near_one(x: Blocks) -> Blocks:
    """The same matrices with a scale, if their entries are so large or small that they need one.

    Single matrices come without: their product is the first that could leave the number range.
    """
    step = _step(x.whole)
    if step is None:
        return x
    whole, error = np.ldexp(x.whole, -step), np.ldexp(x.error, -step)
    return Blocks(whole, x.rows, x.columns, error, x.exponent + step)


def _plain(x: Blocks) -> Blocks:
    """The matrices themselves, of whatever sides, as if no side were exact."""
    none = np.zeros_like(x.rows)
    if x.entries is not None:
        return Blocks(x.entries, none, none, np.zeros_like(x.error))
    whole, error = x.whole.copy(), x.error.copy()
    exponent = np.zeros(len(none), np.int64) + x.exponent
    for where, (sided,) in cases(x.sided):
        if sided:
            whole[..., where] = reflected(x.part(where).unscaled())
            exponent[where] = 0
            error[..., where] = 0  # that of M is far below the rounding of what is added to it
    return Blocks(whole, none, none, error, exponent)


def _error(left: Blocks, right: Blocks) -> Array:
    """What the product makes of the rounding in ``right``, and its own, of its scaled block."""
    k = len(left.block)
    carried = matmul(left.block, right.error[len(right.error) - k :, None])[:, 0]
    own = (
        left.size + 1 if k < len(left.whole) else left.size
    )  # M has the rounding of what is near 1
    carried += _direction(k) * (EPS * own * right.size)
    return carried


@cache
def _direction(k: int) -> Any:
    """A vector ``(k, 1)`` of norm near ``sqrt(k)`` that is orthogonal to nothing special."""
    return sqrt(2) * np.cos(1 + 2.4 * np.arange(k))[:, None]


def _renormalised(whole: Array, error: Array, exponent: Array | int, part: Array) -> Scaled:
    """Divide by powers of 2 where the next products could leave the number range."""
    step = _step(part)
    if step is None:
        return whole, error, exponent
    np.ldexp(part, -step, out=part)
    np.ldexp(error, -step, out=error)
    return whole, error, exponent + step


def _step(part: Array) -> Array | None:
    """Exponent of the largest entry of each matrix; None if all are near enough to 1."""
    if not part.size:
        return None
    largest = np.abs(part).max((0, 1))
    if NARROW[0] < largest.min() <= largest.max() < NARROW[1]:
        return None
    return np.where(largest > 0, np.frexp(largest)[1], 0)
