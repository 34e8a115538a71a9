"""How far matrices are from permutations, the barycenter and the polytope, and what is nearest."""

from typing import Any

import numpy as np

from birkhoff_cli.analyses.core.arrays import Array
from birkhoff_cli.analyses.core.shapes import Shaped
from birkhoff_cli.analyses.geometry.decomposition import decompose, rebuild
from birkhoff_cli.analyses.geometry.projection import nearest_doubly_stochastic, nearest_permutation

Numbers = dict[str, Any]
"""Columns by name, a row per matrix."""


def measure_distances(
    h: Shaped[Array, "n d d"],
) -> tuple[Shaped[Array, "n k"], Shaped[Array, "n k d"], Numbers]:
    """Weights and permutations of the nearest mixtures, and columns with a row per matrix.

    Args:
        h: ``(n, d, d)``, with entries up to `projection.LARGEST`.

    Returns:
        Weights ``(n, k)`` and permutations ``(n, k, d)`` as of `decompose`; sum errors, the
        smallest entry and Frobenius distances ``(n,)``, the nearest permutation ``(n, d)`` and
        the nearest doubly stochastic matrix ``(n, d, d)``.
    """
    d = h.shape[-1]
    nearest = nearest_doubly_stochastic(h)
    weights, perms = decompose(nearest)
    perm = nearest_permutation(h)
    vertex = perm[:, :, None] == np.arange(d)
    return (
        weights,
        perms,
        {
            "row_error": np.abs(h.sum(-1) - 1).max(-1),
            "column_error": np.abs(h.sum(-2) - 1).max(-1),
            "entry_min": h.min((-2, -1)),
            "barycenter_distance": _norm(h - 1 / d),
            "permutation_distance": _norm(h - vertex),
            "nearest_permutation": perm,
            "polytope_distance": _norm(h - nearest),
            "nearest": nearest,
            "reconstruction_error": np.abs(rebuild(weights, perms) - nearest).max((-2, -1)),
        },
    )


def _norm(h: Array) -> Array:
    norm: Array = np.sqrt(np.square(h).sum((-2, -1)))
    return norm
