"""Products of many mixing matrices that neither underflow nor overflow, in lanes.

The reflection Q that takes the first unit vector to ``1 / sqrt(d)`` turns a matrix into blocks

    Q H Q = [[a, b], [c, M]],   c = 0 if rows sum to 1, b = 0 if columns do, and then a = 1.

With one side exact the blocks M, of side d - 1, multiply among themselves: M holds all
eigenvalues but the 1, and decays over depth while the rest stays. It is kept with a scale of its
own, so that a thousand layers still have digits. A matrix with neither side exact is kept whole.

Source: MATH 8 (multiply the compressed matrices and renormalise); Householder's reflection.
"""

from dataclasses import dataclass
from math import sqrt

import numpy as np

from birkhoff_cli.analyses.core.arrays import Array
from birkhoff_cli.analyses.geometry.lanes import matmul

NARROW = (1e-60, 1e60)
"""Frobenius norms within which a block needs no new scale."""


@dataclass
class Blocks:
    """Matrices ``(d, d, batch)`` as ``Q H Q``, part of it scaled.

    Attributes:
        whole: ``Q H Q`` in lanes; what is scaled is to be multiplied by ``exp(log_scale)``.
        log_scale: ``(batch,)``, or 0 as long as nothing needed a scale.
        rows: whether all rows sum to 1 up to the rounding of the matrices.
        columns: whether all columns do.
    """

    whole: Array
    rows: bool
    columns: bool
    log_scale: Array | float = 0.0

    @property
    def scaled(self) -> Array:
        """What carries the scale: M if a side is exact, else the whole; a view."""
        return self.whole[1:, 1:] if self.rows or self.columns else self.whole

    def unscaled(self) -> Array:
        """``Q H Q`` with the scale multiplied in: 0 or infinite where a float64 ends."""
        if np.ndim(self.log_scale) == 0:
            return self.whole
        full = self.whole.copy()
        part = full[1:, 1:] if self.rows or self.columns else full
        with np.errstate(over="ignore", invalid="ignore"):
            part *= np.exp(self.log_scale)
        return full


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
    """The blocks of lanes ``(d, d, batch)``.

    Args:
        h: matrices.
        rounding: relative error of their entries: sums that are wrong by no more than ``8 d``
            times that, in root mean square, are exact.
    """
    whole = reflected(h)
    enough = (
        8 * len(h) * rounding / sqrt(len(h))
    )  # Q preserves norms, and the first row is 1/sqrt(d)
    rows, columns = (
        bool(np.abs(first[0] - 1).max() <= enough and np.abs(first[1:]).max(initial=0) <= enough)
        for first in (whole[:, 0], whole[0])
    )
    return Blocks(whole, rows, columns)


def times(left: Blocks, right: Blocks) -> Blocks:
    """The product ``left @ right``, a side exact if it is in both.

    With one side exact, the product of an exact c with b (or of an exact b with c) is 0 up to
    rounding, and left out of M: there it would be a floor below which nothing decays.
    """
    rows, columns = left.rows and right.rows, left.columns and right.columns
    if not (rows or columns):
        return _renormalised(_general(left, right))
    x, y = left.whole, right.unscaled()
    whole = np.empty_like(x)
    whole[:1, :1] = matmul(x[:1], y[:, :1])
    whole[:1, 1:] = matmul(x[:1], y[:, 1:])
    whole[1:, :1] = matmul(x[1:], y[:, :1])
    if len(x) > 1:
        whole[1:, 1:] = matmul(x[1:, 1:], right.whole[1:, 1:])
    return _renormalised(Blocks(whole, rows, columns, right.log_scale))


def _general(left: Blocks, right: Blocks) -> Blocks:
    """Neither side exact: everything carries the scale."""
    if right.rows or right.columns:
        right = Blocks(right.unscaled(), rows=False, columns=False)
    return Blocks(matmul(left.whole, right.whole), False, False, right.log_scale)


def _renormalised(product: Blocks) -> Blocks:
    """Divide by powers of 2 where the next products could leave the number range."""
    part = product.scaled
    size = np.abs(part).max((0, 1)) if part.size else np.ones(0)
    if not size.size or NARROW[0] < size.min() <= size.max() < NARROW[1]:
        return product
    exponent = np.where(size > 0, np.frexp(size)[1], 0)
    part *= np.ldexp(1.0, -exponent)
    product.log_scale = product.log_scale + exponent * np.log(2)
    return product
