"""How fast products of matrices stretch, direction by direction: the QR method.

Orthonormal vectors are multiplied by every matrix in turn and made orthonormal again. What each
has lost or gained in length, after those before it were taken out, is the stretch of its axis; the
mean of its logarithm over depth tends to a Lyapunov exponent. Where all rows, or all columns, of
all matrices sum to 1 the constant vector keeps its length, and the others live in blocks of side
d - 1 (`geometry.products`), so that nothing of the 1 leaks into what decays.

Source: Benettin, Galgani, Giorgilli & Strelcyn, Meccanica 15 (1980) 9-30.
"""

from typing import NamedTuple

import numpy as np

from birkhoff_cli.analyses.core.arrays import Array, lanes
from birkhoff_cli.analyses.geometry.lanes import cases, matmul, norm, select
from birkhoff_cli.analyses.geometry.products import TOLERANCE, reflected

ROUNDED = 8
"""A length within this times ``d`` roundings of 0, beside its matrix, is 0."""


class Growth(NamedTuple):
    """Logarithms of stretches of ``n`` stacks.

    Attributes:
        logs: ``(d, parts, n)``, means over the sites of each part; minus infinity where an axis
            was lost. The first is that of the constant vector, 0, where ``constant`` holds.
        constant: ``(n,)``, whether rows, or columns, of all matrices of a stack sum to 1.
    """

    logs: Array
    constant: Array


def growth(h: Array, precision: float, parts: int) -> Growth:
    """Stretches of stacks ``(n, sites, d, d)`` over the second half of their depth.

    Args:
        h: in order of depth.
        precision: relative error of the entries.
        parts: pieces of the second half that are averaged by themselves.
    """
    n, sites, d, _ = h.shape
    length = max(1, (sites - sites // 2) // parts)
    first = sites - length * parts
    constant = _constant(h, precision)
    logs = np.zeros((d, parts, n))
    for where, (sided,) in cases(constant):
        k = d - 1 if sided else d
        if not k:  # a single stream is the constant vector
            continue
        axes = np.zeros((k, k, n if isinstance(where, slice) else len(where)))
        axes[np.arange(k), np.arange(k)] = 1
        total = np.zeros((d, parts, axes.shape[2]))
        for site in range(sites):
            m = select(lanes(np.ascontiguousarray(h[:, site], np.float64), 2), where)
            m = reflected(m)[1:, 1:] if sided else m
            floor = ROUNDED * d * precision * (norm(m) + 1 if sided else norm(m))
            axes, lengths = _orthonormal(matmul(m, axes), floor)
            if site >= first:
                with np.errstate(divide="ignore"):
                    total[d - k :, (site - first) // length] += np.log(lengths)
        logs[..., where] = total / length
    return Growth(logs, constant)


def _constant(h: Array, precision: float) -> Array:
    """Whether all rows, or all columns, of the matrices of a stack sum to 1, ``(n,)``."""
    enough = TOLERANCE**2 * h.shape[-1] * precision**2
    sides = []
    for axis in (-1, -2):
        with np.errstate(over="ignore"):  # infinite is far from it too
            off = np.square(h.sum(axis, dtype=np.float64) - 1).mean(-1)
        sides.append((off <= enough).all(-1))
    return sides[0] | sides[1]


def _orthonormal(z: Array, floor: Array) -> tuple[Array, Array]:
    """Gram-Schmidt of the columns of lanes ``(k, k, n)``, in place, and their lengths ``(k, n)``.

    A column no longer than ``floor (n,)`` has length 0, and becomes 0.
    """
    lengths = np.empty(z.shape[1:])
    for j in range(z.shape[1]):
        length = norm(z[:, j])
        lengths[j] = np.where(length > floor, length, 0)
        z[:, j] *= np.divide(1, length, out=np.zeros_like(length), where=lengths[j] > 0)
        rest = z[:, j + 1 :]
        for _ in range(2):  # the second time for what the first left by rounding
            along = z[0, j] * rest[0]
            for i in range(1, len(z)):  # term by term: numpy's sums depend on the batch
                along += z[i, j] * rest[i]
            rest -= z[:, j, None] * along
    return z, lengths
