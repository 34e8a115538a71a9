"""How far single matrices mix: row maxima, distances, shares of mass, effective streams."""

import numpy as np

from birkhoff_cli.analyses.core.arrays import Array, aligned
from birkhoff_cli.analyses.geometry.assignment import (
    LOST,
    diagonals,
    taken,
    traces,
    vertex_distances,
)
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
    diagonal = diagonals(h)
    on = diagonal.copy()
    diagonal[:] = -np.inf
    beside = h.max(1)
    return np.maximum(on, beside), (on > beside).all(0)


@np.errstate(all="ignore")  # sums beyond the largest number, and what has no shares: NaN
def measure_mixing(h: Array, low: float) -> Array:
    """`MEANS`, of which the first is still to fill in: ``(numbers, n)``.

    Args:
        h: lanes ``(d, d, n)`` float64.
        low: their smallest entry; without negative ones there is less to do.
    """
    out = np.empty((len(MEANS), h.shape[-1]))
    _, identity, barycenter, permutation, beside, concentration, negative, effective = out
    trace = traces(h)
    identity[:], permutation[:] = vertex_distances(h, trace)
    columns = h.sum(0)
    total = columns.sum(0)
    barycenter[:] = barycenter_distances(h, identity, trace, total)
    if low < 0:
        size, whole = np.abs(h), total
        columns, trace = size.sum(0), diagonals(size).sum(0)
        total = columns.sum(0)
        negative[:] = (total - whole) / 2
    else:
        negative[:] = 0
    np.subtract(total, trace, out=beside)
    columns.max(0, out=concentration)
    out[4:7] /= total
    effective[:] = _effective_streams(h, low)
    return out


def barycenter_distances(h: Array, identity: Array, trace: Array, total: Array) -> Array:
    """Distances to J/d, ``(n,)``.

    ``|H - J/d|^2 = |H - I|^2 + 2 trace - d + 1 - 2 total / d``, which cancels where H is near.

    Args:
        h: lanes ``(d, d, n)``.
        identity: their distances to I.
        trace: theirs.
        total: the sum of all entries.
    """
    d = len(h)
    with np.errstate(over="ignore", invalid="ignore"):
        near = np.square(identity)
        squares = trace - total / d
        squares *= 2
        squares += 1 - d
        squares += near
        near += d
        near *= LOST
        odd = np.flatnonzero(~(squares > near))  # what overflows is not above infinity
        distances: Array = np.sqrt(squares, out=squares)
    if odd.size:
        distances[odd] = frobenius_norm(taken(h, odd) - 1 / d, (0, 1))
    return distances


def _effective_streams(h: Array, low: float) -> Array:
    """``exp(entropy)`` of the rows of lanes ``(d, d, n)``, averaged over rows.

    With p = h / s it is ``s exp(-sum(h log h) / s)``; 0 log 0 is 0.
    """
    s = h.sum(1)
    logs = np.log(h if low > 0 else np.maximum(h, np.finfo(float).tiny))
    logs *= h
    streams = logs.sum(1)
    streams /= -s
    np.exp(streams, out=streams)
    streams *= s
    return streams.sum(0) / len(h)
