"""What a mixing matrix, or a product of them, does to streams: sums, norms, gains, distances.

Source: go-mHC, eq. 10, 11 (Amax gains); MATH 8.
"""

import numpy as np

from birkhoff_cli.analyses.core.arrays import Array, batch_first
from birkhoff_cli.analyses.geometry.eigenvalues import largest_modulus
from birkhoff_cli.analyses.geometry.norms import EPS, two_largest_singular_values
from birkhoff_cli.analyses.geometry.products import Blocks

PER_LINE = {
    "row_sum": "sum of a row",
    "column_sum": "sum of a column",
    "row_entropy": "entropy of a row over its sum, nats; null if an entry is negative",
}
PER_MATRIX = {
    "spectral_norm": "largest singular value",
    "spectral_radius": "largest modulus of an eigenvalue",
    "lambda_2": "second largest modulus of an eigenvalue; null for d = 1",
    "sigma_2": "second largest singular value; null for d = 1",
    "barycenter_distance": "Frobenius distance to J/d",
    "identity_distance": "Frobenius distance to the identity",
    "amax_forward": "largest sum of the moduli of a row",
    "amax_backward": "largest sum of the moduli of a column",
    "log_lambda_2": "natural logarithm of lambda_2, at any depth; null if rounding hides it",
    "log_barycenter_distance": "natural logarithm of the distance to J/d, at any depth",
}

TINY = 1e-37
GRADED = 1e-6
"""Below this size of M the second singular value is proportional to it, to 1e-12 relative."""


ROUNDED = 8
"""A sum or modulus within this times ``d eps`` of a bound is taken to be on it."""


def measure(x: Blocks, entries: Array, precision: float) -> dict[str, Array]:
    """Every number of `PER_LINE`, ``(d, batch)``, and of `PER_MATRIX`, ``(batch,)``.

    Args:
        x: products.
        entries: the same as lanes ``(d, d, batch)``.
        precision: relative error of the entries of the single matrices.
    """
    with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
        unit, size, log_size = _unit(x)
        bary, identity = _distances(x, size)
        log_bary = log_size if x.rows and x.columns else np.log(bary)
        if not (x.rows or x.columns):
            log_bary = np.where(np.isfinite(bary), log_bary, log_size)
        norm, sigma_2 = _singular(x, unit, size, precision)
        radius, lambda_2, log_lambda_2 = _moduli(x, unit, size, log_size, precision)
        return {
            **_lines(entries, precision),
            "spectral_norm": norm,
            "spectral_radius": radius,
            "lambda_2": lambda_2,
            "sigma_2": sigma_2,
            "barycenter_distance": bary,
            "identity_distance": identity,
            "log_lambda_2": log_lambda_2,
            "log_barycenter_distance": log_bary,
        }


def _unit(x: Blocks) -> tuple[Array, Array, Array]:
    """What carries the scale at Frobenius norm 1, its norm, and the logarithm of that."""
    part = x.scaled
    size = np.sqrt(np.einsum("ijb,ijb->b", part, part))
    unit = part * (1 / np.where(size > 0, size, 1))
    return unit, size * np.exp(x.log_scale), np.log(size) + x.log_scale


def _lines(p: Array, precision: float) -> dict[str, Array]:
    """Sums, entropies and gains."""
    d = len(p)
    rows, columns = p.sum(1), p.sum(0)
    lowest = p.min() if p.size else 0.0
    if lowest >= -ROUNDED * d * EPS:
        forward, backward = rows.max(0), columns.max(0)
        entropy = _entropy(p if lowest >= 0 else np.maximum(p, 0), precision)
    else:
        moduli = np.abs(p)
        forward, backward = moduli.sum(1).max(0), moduli.sum(0).max(0)
        entropy = _entropy(np.maximum(p, 0), precision)
        entropy[:, (p < -ROUNDED * d * EPS).any((0, 1))] = np.nan
    return {
        "row_sum": rows,
        "column_sum": columns,
        "row_entropy": entropy,
        "amax_forward": forward,
        "amax_backward": backward,
    }


def _entropy(p: Array, precision: float) -> Array:
    """Entropy of every row of nonnegative lanes, divided by its sum; as precise as the entries."""
    total = p.sum(1)
    if precision > np.finfo(np.float32).eps / 2:
        p = p.astype(np.float32)
    return np.log(total) - np.einsum("ijb,ijb->ib", p, np.log(p + p.dtype.type(TINY))) / total


def _distances(x: Blocks, size: Array) -> tuple[Array, Array]:
    """To J/d, which is ``e_1 e_1^T`` in blocks, and to the identity."""
    full = x.unscaled()
    m = full[1:, 1:]
    bary = size
    border = 0.0
    if not (x.rows and x.columns):
        border = np.square(full[0, 0] - 1) + np.square(full[0, 1:]).sum(0)
        border += np.square(full[1:, 0]).sum(0)
        bary = np.sqrt(border + np.square(m).sum((0, 1)))
    apart = m.copy()
    for k in range(len(apart)):
        apart[k, k] -= 1
    return bary, np.sqrt(border + np.einsum("ijb,ijb->b", apart, apart))


def _singular(x: Blocks, unit: Array, size: Array, precision: float) -> tuple[Array, Array]:
    """The two largest singular values; NaN for what d = 1 does not have."""
    if x.rows and x.columns:  # 1 and those of M
        first, second = two_largest_singular_values(unit, precision)
        first, second = first * size, second * size
        norm = np.maximum(first, 1)
        second = np.maximum(np.minimum(first, 1), second)
    elif (x.rows or x.columns) and size.max(initial=0) ** 2 < precision:
        norm, second = _nearly_rank_one(x, unit, precision)
        second *= size
    elif x.rows or x.columns:
        graded = np.maximum(size, GRADED)
        full = x.whole.copy()
        full[1:, 1:] = unit * graded
        if x.rows:  # small rows: a Gram matrix of rows keeps their digits
            full[1:, 0] = 0
            full = full.swapaxes(0, 1)
        else:
            full[0, 1:] = 0
        norm, second = two_largest_singular_values(full, precision)
        second *= size / graded
    else:
        first, second = two_largest_singular_values(unit, precision)
        norm, second = first * size, second * size
    return norm, second if len(x.whole) > 1 else np.full_like(norm, np.nan)


def _nearly_rank_one(x: Blocks, unit: Array, precision: float) -> tuple[Array, Array]:
    """The two values of ``[[a, b], [0, M]]`` for a tiny M, the second for M of norm 1.

    The first is ``|(a, b)|``, the second the norm of M on what is orthogonal to ``(a, b)``: both
    up to the square of M. ``M (I - k b b^T)`` with ``1/k = |(a, b)| (|(a, b)| + a)`` has it.
    """
    m = unit if x.rows else unit.swapaxes(0, 1)
    a, b = x.whole[0, 0], x.whole[0, 1:] if x.rows else x.whole[1:, 0]
    norm = np.sqrt(a * a + np.einsum("jb,jb->b", b, b))
    along = np.einsum("ijb,jb->ib", m, b) / (norm * (norm + a))
    return norm, two_largest_singular_values(m - along[:, None] * b, precision)[0]


def _moduli(
    x: Blocks, unit: Array, size: Array, log_size: Array, precision: float
) -> tuple[Array, Array, Array]:
    """The two largest moduli of eigenvalues, and the logarithm of the second."""
    if not (x.rows or x.columns):
        moduli = _all_moduli(unit)
        second = moduli[-2] if len(moduli) > 1 else np.full_like(size, np.nan)
        hidden = second <= ROUNDED * len(moduli) * EPS * moduli[-1]  # by rounding of the first
        log_second = np.where(hidden, np.nan, np.log(second) + log_size)
        return moduli[-1] * size, second * size, log_second
    modulus = largest_modulus(unit)
    largest, log_largest = modulus * size, np.log(modulus) + log_size
    if len(x.whole) == 1:
        return np.ones_like(size), np.full_like(size, np.nan), np.full_like(size, np.nan)
    beyond = largest > 1 + ROUNDED * len(x.whole) * precision
    radius = np.where(beyond, largest, 1)
    second, log_second = np.minimum(largest, 1), np.minimum(log_largest, 0)
    if beyond.any():
        moduli = _all_moduli(unit[..., beyond]) * size[beyond]
        following = moduli[-2] if len(moduli) > 1 else np.zeros_like(moduli[-1])
        second[beyond] = np.maximum(following, 1)
        log_second[beyond] = np.log(second[beyond])
    return radius, second, log_second


def _all_moduli(m: Array) -> Array:
    """Moduli of all eigenvalues of lanes, rising."""
    values = np.linalg.eigvals(np.ascontiguousarray(batch_first(m, 2)))
    return np.sort(np.abs(values).T, axis=0)
