"""Orthogonal and unitary matrices: Cayley's map, Haar's measure, squared block norms.

Source: Cayley, J. reine angew. Math. 32 (1846); Stewart, SIAM J. Numer. Anal. 17 (1980) for
Haar's measure by reflections; Nechita et al., arXiv:2310.03436 for the block norms.
"""

from functools import cache, reduce
from math import prod
from operator import add
from typing import Any, Literal

import numpy as np

from birkhoff_cli.analyses.core.arrays import (
    Array,
    aligned,
    batch_first,
    lanes,
    namespace,
    without_copies,
)
from birkhoff_cli.analyses.core.shapes import Shaped
from birkhoff_cli.analyses.geometry.elimination import invert, leading_inverse
from birkhoff_cli.analyses.geometry.lanes import contract, vectors

Field = Literal["real", "complex"]

GENTLE = 8.0
"""Largest entry of a skew matrix for which elimination without pivots keeps 12 digits."""

SMALL = 16
"""Side up to which elimination over lanes beats one LAPACK call per matrix."""


def skew_parameters(n: int, field: Field = "real") -> int:
    """Dimension of the skew-symmetric (complex: skew-Hermitian) matrices of side ``n``."""
    return n * (n - 1) // 2 if field == "real" else n * n


def skew(
    theta: Shaped[Array, "*batch p"], n: int, field: Field = "real"
) -> Shaped[Array, "*batch n n"]:
    """Skew-symmetric or skew-Hermitian matrices.

    Args:
        theta: ``(..., skew_parameters(n, field))``. The real part below the diagonal, row by
            row; for ``complex`` then the imaginary part there, then that of the diagonal.
        n: side.
        field: ``real`` or ``complex``.

    Returns:
        ``(..., n, n)`` with ``A^* = -A``.
    """
    xp = namespace(theta)
    lower, corner = _lower(lanes(theta, 1), n, field)
    device = {} if xp is np else {"device": theta.device}
    a = xp.empty((n, n, *lower.shape[1:]), dtype=lower.dtype, **device)
    row, col, diagonal = _entries(n)
    a[row, col] = lower
    a[col, row] = -lower if field == "real" else -xp.conj(lower)
    a[diagonal, diagonal] = corner
    return batch_first(a, 2)


def _lower(t: Array, n: int, field: Field) -> tuple[Array, Array | float]:
    """Below the diagonal, row by row, and on it, of parameters in lanes."""
    if field == "real":
        return t, 0.0
    k = n * (n - 1) // 2
    return t[:k] + 1j * t[k : 2 * k], 1j * t[2 * k :]


@cache
def _entries(n: int) -> tuple[Any, Any, Any]:
    """Rows and columns of the lower triangle, row by row, and the diagonal."""
    return (*np.tril_indices(n, -1), np.arange(n))


def cayley(a: Shaped[Array, "*batch n n"]) -> Shaped[Array, "*batch n n"]:
    """The orthogonal (unitary) matrix ``(I - A)(I + A)^-1`` of a skew-symmetric (-Hermitian) A.

    Args:
        a: ``(..., n, n)``, numpy or torch.

    Returns:
        ``(..., n, n)`` with ``Q^* Q = I`` to rounding for entries of A up to 1e3 and more.
    """
    xp = namespace(a)
    n = a.shape[-1]
    if _is_small(a, n) and np.abs(a).max(initial=0) <= GENTLE:
        return _reflected(a)
    eye = xp.eye(n, dtype=a.dtype, device=a.device)
    q = xp.linalg.solve(eye + a, eye - a)
    for _ in range(2):  # quadratic: from cond(I + A) * eps to rounding, also for A ~ 1e3 in float32
        q = q @ (1.5 * eye - 0.5 * (_adjoint(q, xp) @ q))
    return q


def orthostochastic(
    theta: Shaped[Array, "*batch p"], d: int, s: int, field: Field = "real"
) -> Shaped[Array, "*batch d d"]:
    """Doubly stochastic ``(1/s) ||Q_ij||_F^2`` over s x s blocks of ``Q = cayley(skew(theta))``.

    For a numpy array the last row and column come from the unit sums, so that only the leading
    (d-1)s rows and columns of the inverse are computed.

    Args:
        theta: ``(..., skew_parameters(d s, field))``.
        d: number of blocks.
        s: side of a block.
        field: ``real`` or ``complex``.

    Returns:
        ``(..., d, d)``; row and column sums are 1 to rounding, entries at least 0.
    """
    n = d * s
    if not (_is_small(theta, n) and theta.size):
        return block_norms(cayley(skew(theta, n, field)), s)
    if theta.max() <= GENTLE and theta.min() >= -GENTLE:  # usual: one look is enough for all
        return _by_elimination(theta, d, s, field)
    return _each_by_its_size(theta.reshape(-1, theta.shape[-1]), d, s, field).reshape(
        *theta.shape[:-1], d, d
    )


def _each_by_its_size(theta: Array, d: int, s: int, field: Field) -> Array:
    """`orthostochastic` of parameters ``(batch, p)``: no matrix depends on those beside it."""
    gentle = np.abs(theta).max(1) <= GENTLE
    h = np.empty((len(theta), d, d))
    h[gentle] = _by_elimination(theta[gentle], d, s, field)
    h[~gentle] = block_norms(cayley(skew(theta[~gentle], d * s, field)), s)
    return h


@without_copies
def _by_elimination(theta: Array, d: int, s: int, field: Field) -> Array:
    """Squares of ``Q / 2 = (I + A)^-1 - I / 2``, times 4 in the end."""
    n, batch = d * s, theta.shape[:-1]
    lower, corner = _lower(vectors(theta).reshape(theta.shape[-1], prod(batch)), n, field)
    half = leading_inverse(lower, corner + np.ones((n, 1)), n - s)
    diagonal = np.einsum("iin->in", half)  # a view
    diagonal -= 0.5
    if field == "complex":
        sums = _block_sums(_squares(half, np), s)
    else:
        blocks = half.reshape(d - 1, s, d - 1, s, prod(batch))
        sums = contract("iajbn,iajbn->ijn", blocks, blocks)
    return batch_first(_complete(sums, 4 / s).reshape(d, d, *batch), 2)


def block_norms(q: Shaped[Array, "*batch n n"], s: int) -> Shaped[Array, "*batch d d"]:
    """Squared norms of blocks over s, ``(1/s) ||Q_ij||_F^2``.

    Args:
        q: ``(..., d s, d s)``, real or complex.
        s: side of a block.

    Returns:
        ``(..., d, d)``; doubly stochastic if q is orthogonal or unitary.

    Source: go-mHC, arXiv:2604.02309, eq. 6; Nechita et al., arXiv:2310.03436.
    """
    xp = namespace(q)
    x = lanes(q, 2)
    sums = _block_sums(_squares(x, xp), s)
    return batch_first(sums / s if s > 1 else sums, 2)


def _squares(x: Array, xp: Any) -> Array:
    return x.real**2 + x.imag**2 if xp.isdtype(x.dtype, "complex floating") else x * x


def _block_sums(squares: Array, s: int) -> Array:
    """Lanes ``(d s, d s, ...)`` to sums over s x s blocks, ``(d, d, ...)``."""
    rows = reduce(add, (squares[k::s] for k in range(s)))
    return reduce(add, (rows[:, k::s] for k in range(s)))


def haar(
    n: int, side: int, rng: np.random.Generator, field: Field = "real"
) -> Shaped[Array, "n side side"]:
    """Matrices of Haar's measure on O(side) or U(side).

    A product of reflections: the first takes the first axis to a uniform direction, the next
    does so in the space that is left. Exact, and orthogonal to rounding.

    Args:
        n: how many.
        side: of the matrices.
        rng: the only source of randomness.
        field: ``real`` or ``complex``.

    Returns:
        ``(n, side, side)``.

    Source: Stewart, SIAM J. Numer. Anal. 17 (1980) 403-409; Mezzadri, math-ph/0609050.
    """
    q = _phases(n, rng, field)[None, None]
    for m in range(2, side + 1):
        v = _gaussian((m, n), rng, field)
        length = np.sqrt((np.abs(v) ** 2).sum(0))
        v[0] += (
            np.where(v[0] == 0, 1, v[0] / np.maximum(np.abs(v[0]), np.finfo(float).tiny)) * length
        )
        v *= np.sqrt(2 / (np.abs(v) ** 2).sum(0))
        wide = np.zeros((m, m, n), dtype=q.dtype)
        wide[0, 0] = _phases(n, rng, field)
        wide[1:, 1:] = q
        across = sum(v[i].conj() * wide[i] for i in range(m))
        wide -= v[:, None] * across[None]
        q = wide
    return batch_first(q[:side, :side], 2)


def orthonormal_rows(q: Array) -> Array:
    """Lanes ``(m, n, batch)`` of nearly orthonormal rows in double precision, orthonormal.

    By Gram and Schmidt, one after the other: from 1e-6 to rounding.
    """
    rows = q.astype(np.result_type(q, float))
    for k, row in enumerate(rows):
        row /= np.sqrt(_squares(row, np).sum(0))
        along = contract("ijn,jn->in", rows[k + 1 :], row.conj())
        rows[k + 1 :] -= along[:, None] * row
    return rows


def _is_small(entries: Array, n: int) -> bool:
    """Whether elimination over lanes beats LAPACK: numpy, double precision, a small side."""
    return namespace(entries) is np and n <= SMALL and entries.dtype.char not in "fF"


@without_copies
def _reflected(a: Array) -> Array:
    """Cayley's map ``2 (I + A)^-1 - I`` of numpy arrays, by elimination without pivots."""
    n, batch = a.shape[-1], a.shape[:-2]
    x = np.ascontiguousarray(lanes(a + np.eye(n), 2).reshape(n, n, prod(batch)))
    q = 2 * invert(x, np.empty_like(x))
    q -= np.eye(n)[..., None]
    return batch_first(q.reshape(n, n, *batch), 2)


def _complete(sums: Array, factor: float) -> Array:
    """Sums times a factor, with the row and the column that make all of theirs 1.

    Rounding below zero becomes zero. Terms are added one by one, so that they are rounded alike
    however many matrices there are.
    """
    d = len(sums) + 1
    full = aligned((d, d, *sums.shape[2:]), sums.dtype)
    np.multiply(sums, factor, out=full[:-1, :-1])
    full[:-1, -1] = 1
    for k in range(d - 1):
        full[:-1, -1] -= full[:-1, k]
    full[-1] = 1
    for k in range(d - 1):
        full[-1] -= full[k]
    return np.maximum(full, 0, out=full)


def _adjoint(q: Array, xp: Any) -> Array:
    turned = xp.swapaxes(q, -1, -2) if xp is np else q.mT
    return turned.conj() if xp.isdtype(q.dtype, "complex floating") else turned


def _gaussian(shape: tuple[int, ...], rng: np.random.Generator, field: Field) -> Any:
    real = rng.standard_normal(shape)
    return real if field == "real" else real + 1j * rng.standard_normal(shape)


def _phases(n: int, rng: np.random.Generator, field: Field) -> Any:
    if field == "real":
        return 1.0 - 2.0 * rng.integers(0, 2, n)
    return np.exp(2j * np.pi * rng.random(n))
