"""The two largest moduli of eigenvalues of many small matrices without a known eigenvalue.

A matrix without negative entries has its spectral radius as an eigenvalue (Perron), and a long
product of any matrices has one eigenvalue far above the others. Newton's method from above finds
it in the characteristic polynomial, the adjugate has its eigenvector v, and the reflection that
takes v to the first unit vector leaves

    [[r, b], [c, M]],   c = 0 up to rounding,

so that the others are the eigenvalues of M. How small c came out says how good v is: where it is
more than rounding, and where r turns out not to be the largest, LAPACK does the work.

Source: Faddeev & LeVerrier's recursion for the polynomial and the adjugate; Wielandt's deflation;
Bauer & Fike, Numer. Math. 2 (1960), for what rounding can do to an eigenvalue.
"""

from typing import NamedTuple

import numpy as np

from birkhoff_cli.analyses.core.arrays import Array, batch_first, lanes
from birkhoff_cli.analyses.core.shapes import Shaped
from birkhoff_cli.analyses.geometry import perron_quartic
from birkhoff_cli.analyses.geometry.eigenvalues import (
    eigenvalue_parts,
    sums_to_one,
)
from birkhoff_cli.analyses.geometry.lanes import (
    FEW,
    Where,
    cases,
    dot,
    matmul,
    norm,
    reciprocal,
    select,
)
from birkhoff_cli.analyses.geometry.near_stochastic import second_modulus_near_stochastic
from birkhoff_cli.analyses.geometry.spectral_radius import largest_modulus

EPS = float(np.finfo(float).eps)

LARGEST_CLOSED = 4
"""Side up to which the polynomial is used."""

STEPS = 12
"""Newton steps: from above they close in on a simple root quadratically in the end."""

RESIDUAL = 64 * EPS
"""Largest c, beside a matrix of norm 1: dropping it is a rounding of the matrix."""

SMALL = 1e-2
"""An eigenvalue above this, beside a norm of 1, is no rounding of 0: that of a defective matrix is
up to ``eps ** (1 / k)``."""

CHANGE = 8.0
"""A change of a matrix of norm 1 by e moves no eigenvalue by more than ``CHANGE e ** (1 / k)``
(Bhatia, Elsner & Krause)."""


class Moduli(NamedTuple):
    """The two largest moduli.

    Attributes:
        first: ``(batch,)``.
        second: ``(batch,)``.
        condition: by how much, at most, a change of the matrix changes them, roughly.
    """

    first: Array
    second: Array
    condition: Array


def second_modulus(h: Shaped[Array, "*batch d d"]) -> Shaped[Array, "*batch"]:
    """Second largest modulus of an eigenvalue, ``(...)``; NaN for d = 1.

    Args:
        h: ``(..., d, d)``, finite.
    """
    d = h.shape[-1]
    x = np.ascontiguousarray(lanes(h, 2), dtype=float).reshape(d, d, -1)
    if d != LARGEST_CLOSED:
        return _second_moduli(x).reshape(h.shape[:-2])
    few = x[..., :FEW]  # most matrices have other columns, and it shows in any of them
    turned = x.swapaxes(0, 1) if all(sums_to_one(y, 0).all() for y in (few, x)) else x
    second = np.empty(x.shape[2])
    for where, (exact,) in cases(sums_to_one(turned, 1)) if x.size else ():
        of_part = second_modulus_near_stochastic if exact else _of_quartic
        second[where] = of_part(select(turned, where))
    if len(where := np.flatnonzero(np.isnan(second))):
        second[where] = _second_moduli(select(x, where))
    return second.reshape(h.shape[:-2])


def _of_quartic(x: Array) -> Array:
    """Of lanes ``(4, 4, n)`` whose sums are near 1; NaN where neither way leads."""
    with np.errstate(all="ignore"):  # of any lanes: what is NaN is not sure
        second, sure = perron_quartic.second_modulus(x)
    if len(where := np.flatnonzero(~sure)):
        second[where] = second_modulus_near_stochastic(select(x, where))
    return second


def _second_moduli(x: Array) -> Array:
    """The same of lanes, for any matrices."""
    d = len(x)
    second = np.full(x.shape[2], np.nan)
    sided = sums_to_one(x, 0) | sums_to_one(x, 1)  # eigenvalue 1 is known: what is left is cheap
    for where, (known,) in cases(sided) if d > 1 and x.size else ():
        part = select(x, where)
        if known or d > LARGEST_CLOSED:
            re, im = eigenvalue_parts(batch_first(part, 2))
            second[where] = np.sort(np.hypot(re, im), axis=-1)[..., -2]
        else:
            size = norm(part)
            unit = part * (1 / np.where(size > 0, size, 1))
            second[where] = two_largest_moduli(unit).second * size
    return second


def two_largest_moduli(x: Array) -> Moduli:
    """Of lanes ``(k, k, batch)`` of Frobenius norm 1 (or 0); NaN for a second that is not there."""
    k, batch = x.shape[1:]
    if k == 1:
        return Moduli(np.abs(x[0, 0]), np.full(batch, np.nan), np.ones(batch))
    moduli = Moduli(*np.empty((3, batch)))
    doubtful = np.ones(batch, bool)
    if k <= LARGEST_CLOSED:
        with np.errstate(all="ignore"):  # no real eigenvalue, no vector: NaN, and LAPACK
            r, border, rest, residual = _deflated(x)
            doubtful = ~(residual <= RESIDUAL)
            for where, (bad,) in cases(doubtful):
                if not bad:
                    part = _of_deflated(*(select(v, where) for v in (r, border, rest)))
                    _put(moduli, where, part)
                    doubtful[where] = part.first < part.second
    if len(where := np.flatnonzero(doubtful)):
        _put(moduli, where, _by_lapack(select(x, where)))
    return moduli


def _put(moduli: Moduli, where: Where, part: Moduli) -> None:
    for whole, values in zip(moduli, part, strict=True):
        whole[where] = values


def _of_deflated(r: Array, border: Array, rest: Array) -> Moduli:
    """Of ``[[r, b], [0, M]]``."""
    size = norm(rest)
    unit = rest * reciprocal(size)
    largest = largest_modulus(unit)
    first = np.abs(r)
    return Moduli(first, largest * size, (1 + border / first) * conditions(unit, largest))


def _by_lapack(x: Array) -> Moduli:
    values = np.linalg.eigvals(np.ascontiguousarray(batch_first(x, 2)))
    moduli = np.sort(np.abs(values), axis=-1)
    return Moduli(moduli[:, -1], moduli[:, -2], conditions(x, moduli[:, -2]))


def conditions(unit: Array, modulus: Array, noise: Array | None = None) -> Array:
    """By how much a change of matrices of norm 1 changes eigenvalues of some modulus, at most.

    It is found where they are small: where a change of the size of ``noise`` can be all there is
    of them, however defective the matrix is. Others need not be known: 1.
    """
    condition = np.ones_like(modulus)
    k = len(unit)
    if k < 2:
        return condition
    least: Array | float = SMALL
    if noise is not None:
        least = np.minimum(CHANGE * np.power(np.maximum(noise, EPS), 1 / k), SMALL)
    if len(where := np.flatnonzero(modulus < least)):
        _, vectors = np.linalg.eig(np.ascontiguousarray(batch_first(select(unit, where), 2)))
        with np.errstate(all="ignore"):
            numbers = np.linalg.cond(vectors)
        condition[where] = np.where(np.isnan(numbers), np.inf, numbers)
    return condition


def _deflated(x: Array) -> tuple[Array, Array, Array, Array]:
    """r, the norm of b, M and the norm of c.

    All is done with the matrix less its mean eigenvalue, at norm 1: what is nearly a multiple of
    the identity loses no digits.
    """
    k = len(x)
    middle = _trace(x) * (1 / k)
    negative = middle < 0
    rest = np.where(negative, -x, x)  # moduli are the same, and the largest is likely to be > 0
    middle = np.abs(middle)
    for i in range(k):
        rest[i, i] -= middle
    size = norm(rest)
    rest *= reciprocal(size)
    root, vector = _dominant(rest)
    corner, border, rest, residual = _turned(rest, vector)
    rest *= size
    for i in range(k - 1):
        rest[i, i] += middle
    return corner * size + middle, border * size, rest, residual * size


def _dominant(a: Array) -> tuple[Array, Array]:
    """The largest real eigenvalue of lanes without trace, and an eigenvector ``(k, batch)``.

    With the coefficients c of the polynomial the adjugate of ``z I - A`` is ``sum_j N_j z^j``.
    """
    k = len(a)
    power = a
    coefficients = [np.zeros(a.shape[2])]  # c_{k-1}, c_{k-2}, ... down to c_0
    terms = [np.ones((k, a.shape[2])), a.sum(1)]  # N_j applied to the vector of ones, falling j
    for j in range(2, k + 1):
        if j == k:
            last = dot(a, power.swapaxes(0, 1))
            coefficients.append(last * (-1 / k))
            break
        power = matmul(a, power)
        coefficients.append(_trace(power) * (-1 / j))
        for i in range(k):
            power[i, i] += coefficients[-1]
        terms.append(power.sum(1))
    z = _above(a)
    for _ in range(STEPS):
        value, slope = np.ones_like(z), np.zeros_like(z)
        for c in coefficients:
            slope = slope * z + value
            value = value * z + c
        z = z - value / slope
    vector = terms[0]
    for term in terms[1:]:
        vector = vector * z + term
    return z, vector


def _above(a: Array) -> Array:
    """A bound on the real parts of all eigenvalues (Gershgorin)."""
    discs = np.abs(a)
    for i in range(len(a)):
        discs[i, i] = a[i, i]
    return np.minimum(discs.sum(1).max(0), discs.sum(0).max(0))


def _turned(a: Array, vector: Array) -> tuple[Array, Array, Array, Array]:
    """Corner, norm of b, M and norm of c after the reflection that takes a vector to ``e_1``."""
    w = vector * (1 / norm(vector))
    factor = 1 / (1 + np.abs(w[0]))
    w[0] += np.copysign(1, w[0])
    a = a - w[:, None] * (matmul(w[None], a)[0] * factor)
    a -= matmul(a, w[:, None]) * factor * w
    b, c = a[0, 1:], a[1:, 0]
    return a[0, 0], norm(b), a[1:, 1:].copy(), norm(c)


def _trace(a: Array) -> Array:
    total = a[0, 0].copy()
    for i in range(1, len(a)):
        total += a[i, i]
    return total
