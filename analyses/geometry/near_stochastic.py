"""The second modulus of nonnegative 4 x 4 matrices whose rows nearly sum to 1.

In the basis of the vector of ones and the first three unit vectors such a matrix is

    [[r, b], [c, M]],   r the sum of the last row, c the other sums less that one.

Newton's method for the eigenvector ``(1, p)`` solves ``(r I - M) q = c`` and goes on with
``r + b q``, ``M - q b^T`` and ``c = -q (b q)``, which is of the size of ``q^2``: for rounded
matrices three steps are enough. A positive eigenvector is Perron's, so that the eigenvalues of M
are all the others.

Source: Horn & Johnson, Matrix Analysis, 2nd ed., 8.3 (Perron); Golub & Van Loan, Matrix
Computations, 4th ed., 7.6 (Riccati's equation of an invariant subspace).
"""

import numpy as np

from birkhoff_cli.analyses.core.arrays import Array
from birkhoff_cli.analyses.geometry.lanes import select
from birkhoff_cli.analyses.geometry.spectral_radius import largest_modulus

STEPS = 6
"""At most: of what has not converged then nothing is said."""

SMALL = 0.1
"""Least entry of an eigenvector, beside one of 1: smaller ones are not told from 0, which a matrix
in blocks may have."""

CLOSE = 1e-3
"""Distance of the others from Perron's root, beside it, below which the equations lose digits."""

RESIDUAL = 16 * float(np.finfo(float).eps)
"""Largest c that is rounding, beside eigenvalues near 1."""


def second_modulus_near_stochastic(x: Array) -> Array:
    """Second largest modulus ``(n,)`` of lanes ``(4, 4, n)``; NaN where this way does not lead."""
    sums = x.sum(1)
    r, b = sums[3], x[3, :3]
    m, c = x[:3, :3] - b, sums[:3] - r
    known = _is_rounding(c)
    with np.errstate(all="ignore"):  # a singular matrix, no convergence: NaN
        if not known.all():
            vector = _iterated(r, b, m, c)
            known = _is_rounding(c) & (vector.min(0) > SMALL) & (vector.max(0) < 1 / SMALL)
        modulus = largest_modulus(m)
    known &= (modulus < (1 - CLOSE) * r) & (x.min((0, 1)) >= 0)
    return modulus if known.all() else np.where(known, modulus, np.nan)


def _is_rounding(c: Array) -> Array:
    """Whether c is, ``(n,)``; no if it is NaN."""
    small: Array = np.abs(c).max(0) <= RESIDUAL
    return small


def _iterated(r: Array, b: Array, m: Array, c: Array) -> Array:
    """Take steps until c is rounding, in place; return the last three entries of eigenvectors."""
    vector = np.ones((3, len(r)))
    for _ in range(STEPS):
        open_ = ~_is_rounding(c)
        if not open_.any():
            break
        c *= open_  # a step with c = 0 changes nothing: no lane depends on its neighbours
        if 4 * np.count_nonzero(open_) > len(open_):
            _step(r, b, m, c, vector)
        else:
            where = np.flatnonzero(open_)
            part = [select(v, where) for v in (r, b, m, c, vector)]
            _step(*part)
            for whole, values in zip((r, m, c, vector), (part[0], *part[2:]), strict=True):
                whole[..., where] = values
    return vector


def _step(r: Array, b: Array, m: Array, c: Array, vector: Array) -> None:
    """One step of Newton's method, in place."""
    q = _solved(r, m, c)
    along = b[0] * q[0]
    along += b[1] * q[1]
    along += b[2] * q[2]
    m -= q[:, None] * b
    r += along
    vector += q
    np.multiply(q, -along, out=c)


def _solved(r: Array, m: Array, c: Array) -> Array:
    """``(r I - M)^-1 c`` of lanes ``(3, 3, n)``, by the adjugate."""
    a = -m
    for i in range(3):
        a[i, i] += r
    d, e, f, g, h, i, u, v, w = a.reshape(9, -1)
    first, second, third = h * w - i * v, i * u - g * w, g * v - h * u
    factor = 1 / (d * first + e * second + f * third)
    x, y, z = c * factor
    return np.stack(
        [
            first * x + (f * v - e * w) * y + (e * i - f * h) * z,
            second * x + (d * w - f * u) * y + (f * g - d * i) * z,
            third * x + (e * u - d * v) * y + (d * h - e * g) * z,
        ]
    )
