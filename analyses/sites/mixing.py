"""How far single matrices mix: row maxima, distances, shares of mass, effective streams."""

import numpy as np

from birkhoff_cli.analyses.core.arrays import Array, aligned
from birkhoff_cli.analyses.geometry.assignment import vertex_distances
from birkhoff_cli.analyses.geometry.frobenius import frobenius_norm

MEANS = (
    "diagonal_fraction",
    "identity_distance",
    "barycenter_distance",
    "permutation_distance",
    "off_diagonal_mass",
    "column_concentration",
    "negative_mass",
    "effective_streams",
)
"""What is averaged over matrices, in the order of `measure_mixing`."""


def as_lanes(part: Array) -> Array:
    """Lanes ``(d, d, samples * sites)`` of ``(samples, sites, d, d)``."""
    matrices = part.reshape(-1, *part.shape[2:])
    h = aligned((*part.shape[2:], len(matrices)), part.dtype)
    h[:] = matrices.transpose(1, 2, 0)
    return h


def row_maxima(h: Array) -> tuple[Array, Array]:
    """Row maxima ``(d, n)`` of lanes ``(d, d, n)``, and whether all are on the diagonal alone.

    Overwrites the diagonal.
    """
    on = np.arange(len(h))
    diagonal = h[on, on]
    h[on, on] = -np.inf
    beside = h.max(1)
    return np.maximum(diagonal, beside), (diagonal > beside).all(0)


def measure_mixing(h: Array, low: float) -> Array:
    """`MEANS`, of which the first is still to fill in: ``(numbers, n)``.

    Args:
        h: lanes ``(d, d, n)`` float64.
        low: their smallest entry; without negative ones there is less to do.
    """
    d, n = h.shape[1:]
    on = np.arange(d)
    out = np.empty((len(MEANS), n))
    _, identity, barycenter, permutation, beside, concentration, negative, effective = out
    identity[:], permutation[:] = vertex_distances(h)
    spare = h - 1 / d
    barycenter[:] = frobenius_norm(spare, (0, 1))
    size = np.abs(h) if low < 0 else h
    columns = size.sum(0)
    total = columns.sum(0)
    beside[:] = total - size[on, on].sum(0)
    concentration[:] = columns.max(0)
    negative[:] = (total - h.sum(0).sum(0)) / 2 if low < 0 else 0
    with np.errstate(all="ignore"):  # a matrix or row of zeros has no shares: NaN
        out[4:7] /= total
        effective[:] = _effective_streams(h, low, spare)
    return out


def _effective_streams(h: Array, low: float, spare: Array) -> Array:
    """``exp(entropy)`` of the rows of lanes ``(d, d, n)``, averaged over rows.

    With p = h / s it is ``s exp(-sum(h log h) / s)``; 0 log 0 is 0.
    """
    s = h.sum(1)
    logs = np.log(h if low > 0 else np.maximum(h, np.finfo(float).tiny), out=spare)
    logs *= h
    streams = np.exp(logs.sum(1) / -s)
    streams *= s
    return streams.sum(0) / len(h)
