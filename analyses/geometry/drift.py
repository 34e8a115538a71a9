"""What a mixing matrix, or a product of them, does to streams: sums, norms, gains, distances.

A number is NaN where it is not known: beside the rounding of the product nothing of it is left.

Source: go-mHC, eq. 10, 11 (Amax gains); docs/mathematics.md 8.
"""

import numpy as np

from birkhoff_cli.analyses.core.arrays import Array, aligned
from birkhoff_cli.analyses.geometry.dominant import SMALL, conditions, two_largest_moduli
from birkhoff_cli.analyses.geometry.lanes import cases, norm, reciprocal, select
from birkhoff_cli.analyses.geometry.products import EPS, Blocks, reflected
from birkhoff_cli.analyses.geometry.spectral_norms import largest_singular_value
from birkhoff_cli.analyses.geometry.spectral_radius import largest_modulus
from birkhoff_cli.analyses.geometry.triangular_norms import (
    accurate_singular_values,
    triangular_singular_values,
)

PER_LINE = {
    "row_sum": "sum of a row",
    "column_sum": "sum of a column",
    "row_entropy": "entropy of a row over its sum, nats; unknown if a matrix has a negative entry",
}
PER_MATRIX = {
    "spectral_norm": "largest singular value",
    "spectral_radius": "largest modulus of an eigenvalue",
    "lambda_2": "second largest modulus of an eigenvalue; unknown for d = 1",
    "sigma_2": "second largest singular value; unknown for d = 1 or in rounding",
    "barycenter_distance": "Frobenius distance to J/d",
    "identity_distance": "Frobenius distance to the identity",
    "amax_forward": "largest sum of the moduli of a row",
    "amax_backward": "largest sum of the moduli of a column",
    "log_lambda_2": "natural logarithm of lambda_2, at any depth; unknown in rounding",
    "log_barycenter_distance": "natural logarithm of the distance to J/d, at any depth",
}

TINY = 1e-37
"""Added to a share before its logarithm is taken: ``0 log 0`` is 0."""

ROUNDED = 8
"""A sum or modulus within this times ``d eps`` of a bound is taken to be on it."""

HIDDEN = 8
"""A number below this times the rounding in its product is not known."""

LOG2 = float(np.log(2))

Numbers = dict[str, Array]
"""Of `PER_LINE`, ``(d, batch)``, and of `PER_MATRIX`, ``(batch,)``, by name."""


def measure(x: Blocks, precision: float) -> Numbers:
    """Every number of every product; none depends on the products beside it.

    Args:
        x: products.
        precision: relative error of the entries of the single matrices.
    """
    parts = []
    with np.errstate(all="ignore"):
        for where, (sided,) in cases(x.sided):
            parts.append((where, (_of_sided if sided else _of_any)(x.part(where), precision)))
    if len(parts) == 1:
        return parts[0][1]
    whole = {name: np.empty(x.whole.shape[1:]) for name in PER_LINE}
    whole |= {name: np.empty(x.whole.shape[2]) for name in PER_MATRIX}
    for where, numbers in parts:
        for name, values in numbers.items():
            whole[name][..., where] = values
    return whole


def _of_sided(x: Blocks, precision: float) -> Numbers:
    """Of products with a side exact, or both: sums are near 1, M has any size."""
    both = x.rows & x.columns
    full = x.unscaled()
    entries = reflected(full) if x.entries is None else x.entries
    size, log_size = x.scaled(x.size), np.log(x.size) + x.exponent * LOG2
    unit = x.block * reciprocal(x.size)
    noise = HIDDEN * x.rounding / x.size
    border: Array | float = 0.0
    bary, log_bary = size, log_size
    if not both.all():
        border = np.where(both, 0, _border(full))
        bary = np.where(both, size, np.sqrt(border + size * size))
        log_bary = np.where(both, log_size, np.log(bary))
    sigma_1, sigma_2 = _singular_values(x, unit, size, precision)
    radius, lambda_2, log_lambda_2 = _moduli(unit, size, log_size, noise, precision)
    return {
        **_lines(entries, precision, ROUNDED * len(entries) * EPS),
        "spectral_norm": sigma_1,
        "spectral_radius": radius,
        "lambda_2": lambda_2,
        "sigma_2": sigma_2,
        "barycenter_distance": bary,
        "identity_distance": np.sqrt(border + _squares_from_identity(full[1:, 1:])),
        "log_lambda_2": log_lambda_2,
        "log_barycenter_distance": _known(log_bary, noise < 1),
    }


def _known(values: Array, known: Array) -> Array:
    """Values that are known; others are NaN."""
    return values if known.all() else np.where(known, values, np.nan)


def _of_any(x: Blocks, precision: float) -> Numbers:
    """Of products with neither side exact, each beside its own size.

    A product that is no larger than its rounding has no number at all.
    """
    d = len(x.whole)
    unit = x.whole * reciprocal(x.size)
    noise = np.where(x.size > 0, HIDDEN * x.rounding / x.size, 0)
    floor = np.where(x.size > 0, noise + ROUNDED * d * EPS, 0)
    sigma_1, sigma_2 = accurate_singular_values(unit, precision)
    radius, lambda_2, condition = two_largest_moduli(unit)
    sigma_2[(sigma_2 < floor) | (d == 1)] = np.nan
    lambda_2[lambda_2 < floor * condition] = np.nan
    radius[(radius < SMALL) & (radius < floor * condition)] = np.nan
    numbers = _lines(x.whole, precision, ROUNDED * d * EPS * x.size)
    entropy = numbers.pop("row_entropy")
    numbers["spectral_norm"] = sigma_1 * x.size
    numbers["spectral_radius"] = radius * x.size
    numbers["lambda_2"] = lambda_2 * x.size
    numbers["sigma_2"] = sigma_2 * x.size
    numbers = {name: x.scaled(values) for name, values in numbers.items()}
    numbers["row_entropy"] = entropy
    numbers["log_lambda_2"] = np.log(lambda_2 * x.size) + x.exponent * LOG2
    for values in numbers.values():
        values[..., noise >= 1] = np.nan
    return numbers | _distances(x, noise)


def _distances(x: Blocks, noise: Array) -> Numbers:
    """To J/d and to the identity, of entries that may be of any size.

    Args:
        x: products with neither side exact.
        noise: what is not known of them, beside their size.
    """
    d = len(x.whole)
    common = np.maximum(x.exponent + np.frexp(x.size)[1], 0)  # squares neither end at infinity
    entries, one = np.ldexp(x.whole, x.exponent - common), np.ldexp(1.0, -common)
    bary = entries - one / d
    for k in range(d):
        entries[k, k] -= one
    bary, identity = (norm(m) for m in (bary, entries))
    rounding = np.ldexp(noise * x.size, x.exponent - common) + ROUNDED * d * EPS
    log_bary = np.log(bary) + common * LOG2
    log_bary[bary <= rounding] = np.nan
    lost = (noise >= 1) & (rounding > 0.1 * one)
    bary[lost] = identity[lost] = np.nan
    return {
        "barycenter_distance": np.ldexp(bary, common),
        "identity_distance": np.ldexp(identity, common),
        "log_barycenter_distance": log_bary,
    }


def _border(full: Array) -> Array:
    """Squares of what is beside M in blocks, less those of J/d, which is ``e_1 e_1^T``."""
    border = np.square(full[0, 0] - 1) + np.square(full[0, 1:]).sum(0)
    border += np.square(full[1:, 0]).sum(0)
    return border


def _squares_from_identity(m: Array) -> Array:
    """The squared Frobenius distance of lanes ``(k, k, batch)``."""
    total, square = np.zeros(m.shape[2]), np.empty(m.shape[2])
    for i, j in np.ndindex(m.shape[:2]):
        apart = m[i, j] - 1 if i == j else m[i, j]
        total += np.multiply(apart, apart, out=square)
    return total


def _lines(p: Array, precision: float, tolerance: Array | float) -> Numbers:
    """Sums, entropies and gains; entries above ``-tolerance`` are not negative."""
    rows, columns = p.sum(1), p.sum(0)
    if p.size and p.min() >= 0:
        forward, backward = rows.max(0), columns.max(0)
        entropy = _entropy(p, rows, precision)
    else:
        moduli = np.abs(p)
        forward, backward = moduli.sum(1).max(0), moduli.sum(0).max(0)
        entropy = _entropy(np.maximum(p, 0, out=moduli), rows, precision)
        entropy[:, p.min((0, 1)) < -tolerance] = np.nan
    return {
        "row_sum": rows,
        "column_sum": columns,
        "row_entropy": entropy,
        "amax_forward": forward,
        "amax_backward": backward,
    }


def _entropy(p: Array, total: Array, precision: float) -> Array:
    """Entropy of every row of nonnegative lanes over its sum; as precise as the entries."""
    single = precision > np.finfo(np.float32).eps / 2
    dtype = np.float32 if single else float
    share, logs = aligned(p.shape[1:], dtype), aligned(p.shape[1:], dtype)
    entropy = np.empty(total.shape)
    for i, row in enumerate(p):  # a row of all matrices at a time stays in cache
        np.divide(row, total[i], out=share, casting="same_kind")
        np.add(share, share.dtype.type(TINY), out=logs)
        np.log(logs, out=logs)
        logs *= share
        logs.sum(0, dtype=float, out=entropy[i])
    return np.negative(entropy, out=entropy)


def _singular_values(x: Blocks, unit: Array, size: Array, precision: float) -> tuple[Array, Array]:
    """The two largest with a side exact; NaN for what d = 1 does not have."""
    if len(x.whole) == 1:
        return np.abs(x.whole[0, 0]), np.full_like(size, np.nan)
    first, second = np.empty_like(size), np.empty_like(size)
    for where, (rows, columns) in cases(x.rows, x.columns):
        m, length = select(unit, where), size[where]
        if rows and columns:
            first[where], second[where] = _beside_one(m, length, precision)
            continue
        a, b = x.whole[0, 0, where], select(x.whole[0, 1:] if rows else x.whole[1:, 0], where)
        m = m if rows else m.swapaxes(0, 1)
        first[where], second[where] = triangular_singular_values(a, b, m, length, precision)
    return first, second


def _beside_one(unit: Array, size: Array, precision: float) -> tuple[Array, Array]:
    """The two largest of 1 and the singular values of M, given at norm 1 and with its norm."""
    first = largest_singular_value(unit, precision) * size
    second = np.minimum(first, 1)
    if len(where := np.flatnonzero(first > 1)):
        following = accurate_singular_values(select(unit, where), precision)[1]
        second[where] = np.maximum(following * size[where], 1)
    return np.maximum(first, 1), second


def _moduli(
    unit: Array, size: Array, log_size: Array, noise: Array, precision: float
) -> tuple[Array, Array, Array]:
    """The two largest moduli with an eigenvalue 1 beside those of M; the logarithm of the second.

    Args:
        unit: M at norm 1.
        size: the norm of M.
        log_size: its logarithm.
        noise: what is not known of M, beside its norm.
        precision: relative error of the entries of the single matrices.
    """
    if not len(unit):
        return np.ones_like(size), np.full_like(size, np.nan), np.full_like(size, np.nan)
    modulus = largest_modulus(unit)
    largest, log_largest = modulus * size, np.log(modulus) + log_size
    log_largest = _known(log_largest, ~(modulus <= noise * conditions(unit, modulus, noise)))
    beyond = largest > 1 + ROUNDED * (len(unit) + 1) * precision
    radius = np.ones_like(largest)
    second, log_second = np.minimum(largest, 1), np.minimum(log_largest, 0)
    if len(where := np.flatnonzero(beyond)):
        radius[where] = largest[where]
        following = two_largest_moduli(select(unit, where)).second * size[where]
        second[where] = np.fmax(following, 1)
        log_second[where] = np.log(second[where])
    return radius, second, log_second
