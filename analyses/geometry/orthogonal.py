"""Orthogonal and unitary matrices: Cayley's map, Haar's measure, squared block norms.

Source: Cayley, J. reine angew. Math. 32 (1846); Stewart, SIAM J. Numer. Anal. 17 (1980) for
Haar's measure by reflections; Nechita et al., arXiv:2310.03436 for the block norms.
"""

from collections.abc import Callable
from functools import cache, reduce
from operator import add, iadd
from typing import Any, Literal

import numpy as np

from birkhoff_cli.analyses.core.arrays import Array, batch_first, lanes, namespace
from birkhoff_cli.analyses.core.shapes import Shaped
from birkhoff_cli.analyses.geometry.elimination import leading_inverse
from birkhoff_cli.analyses.geometry.lanes import contract

Field = Literal["real", "complex"]

GENTLE = 8.0
"""Largest entry of a skew matrix for which elimination without pivots keeps 12 digits."""

SMALL = 16
"""Side up to which elimination over lanes beats one LAPACK call per matrix."""


def skew_parameters(n: int, field: Field = "real") -> int:
    """Dimension of the skew-symmetric (complex: skew-Hermitian) matrices of side ``n``."""
    return n * (n - 1) // 2 if field == "real" else n * n


def skew(
    theta: Shaped[Array, "*batch p"], n: int, field: Field = "real", shift: float = 0.0
) -> Shaped[Array, "*batch n n"]:
    """Skew-symmetric or skew-Hermitian matrices, plus a multiple of the identity.

    Args:
        theta: ``(..., skew_parameters(n, field))``. The real part below the diagonal, row by
            row; for ``complex`` then the imaginary part there, then that of the diagonal.
        n: side.
        field: ``real`` or ``complex``.
        shift: what to add to every diagonal entry.

    Returns:
        ``(..., n, n)`` with ``A^* = -A``, plus ``shift I``.
    """
    xp = namespace(theta)
    t = lanes(theta, 1)
    device = {} if xp is np else {"device": theta.device}
    kind = theta.dtype if field == "real" else xp.result_type(theta.dtype, xp.complex64)
    a = xp.empty((n, n, *t.shape[1:]), dtype=kind, **device)
    row, col, diagonal = _entries(n)
    if field == "real":
        lower, upper, corner = t, -t, 0.0
    else:
        lower = t[: len(row)] + 1j * t[len(row) : 2 * len(row)]
        upper, corner = -xp.conj(lower), 1j * t[2 * len(row) :]
    a[row, col] = lower
    a[col, row] = upper
    a[diagonal, diagonal] = corner + shift
    return batch_first(a, 2)


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
    if _gentle(a, n, xp):
        return _reflected(leading_inverse(a + np.eye(n), n))
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
    xp = namespace(theta)
    n = d * s
    if not _gentle(theta, n, xp):
        return block_norms(cayley(skew(theta, n, field)), s)
    q = lanes(_reflected(leading_inverse(skew(theta, n, field, shift=1.0), n - s)), 2)
    squares = np.multiply(q, q, out=q) if field == "real" else _squares(q, xp)
    return batch_first(_complete(_block_sums(squares, s, iadd)), 2)


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
    return batch_first(_block_sums(_squares(x, xp), s), 2)


def _squares(x: Array, xp: Any) -> Array:
    return x.real**2 + x.imag**2 if xp.isdtype(x.dtype, "complex floating") else x * x


def _block_sums(squares: Array, s: int, plus: Callable[[Array, Array], Array] = add) -> Array:
    """Lanes ``(d s, d s, ...)`` to block sums over s, ``(d, d, ...)``; in place with ``iadd``."""
    rows = reduce(plus, (squares[k::s] for k in range(s)))
    full = reduce(plus, (rows[:, k::s] for k in range(s)))
    return full / s if s > 1 else full


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


def _gentle(entries: Array, n: int, xp: Any) -> bool:
    if xp is not np or n > SMALL or entries.size == 0 or entries.dtype.char in "fF":
        return False
    if np.iscomplexobj(entries):
        return bool(np.abs(entries).max() <= GENTLE)
    return bool(entries.max() <= GENTLE and entries.min() >= -GENTLE)


def _reflected(inverse: Array) -> Array:
    """``2 M - I``, in place: Cayley's map from the inverse of ``I + A``."""
    x = lanes(inverse, 2)
    x *= 2
    diagonal = np.einsum("ii...->i...", x)  # a view
    diagonal -= 1
    return inverse


def _complete(block: Array) -> Array:
    """Append the row and the column that make all sums 1; rounding below zero becomes zero."""
    d = len(block) + 1
    full = np.empty((d, d, *block.shape[2:]), dtype=block.dtype)
    full[:-1, :-1] = block
    full[:-1, -1] = 1 - block.sum(1)
    full[-1] = 1 - full[:-1].sum(0)
    for edge in (full[-1], full[:-1, -1]):
        np.maximum(edge, 0, out=edge)
    return full


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
