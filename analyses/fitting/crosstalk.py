"""What moves the weight of one permutation of a mixture: signal, crosstalk and noise.

Source: go-mHC, arXiv:2604.02309, eq. 31-36.
"""

import numpy as np

from birkhoff_cli.analyses.core.arrays import Array
from birkhoff_cli.analyses.geometry.permutations import matrices


def crosstalk(theta: Array, perms: Array, target: int, error: Array) -> dict[str, Array]:
    """What moves the weight of one permutation of a mixture, for ``L = |B - P - E|^2 / d^2``.

    ``dL/da_t = (2/d^2) <sum_k a_k P_k - P_t - E, P_t>`` in three parts, and ``dL/dz_t =
    a_t (dL/da_t - sum_k a_k dL/da_k)`` with a = softmax(z).

    Args:
        theta: logits ``(n, k)``.
        perms: the permutations that are mixed, ``(k, d)``.
        target: number t of the permutation P.
        error: E, ``(d, d)``.

    Returns:
        ``gate``, ``signal``, ``crosstalk``, ``noise_floor`` and ``logit_gradient``, ``(n,)`` each.

    Source: go-mHC, eq. 31-36.
    """
    d = len(error)
    weights = np.exp(theta - theta.max(1, keepdims=True))
    weights /= weights.sum(1, keepdims=True)
    vertices = matrices(perms).reshape(-1, d * d).astype(float)
    p, e = vertices[target], error.ravel()
    shared = vertices @ p  # <P_k, P_t>
    gate = weights[:, target]
    others = np.delete(weights, target, axis=1)
    slope = 2 / d**2 * (weights @ vertices - p - e) @ vertices.T
    return {
        "gate": gate,
        "signal": -2 / d * others.sum(1),
        "crosstalk": 2 / d**2 * others @ np.delete(shared, target),
        "noise_floor": np.full(len(theta), -2 / d**2 * (e @ p)),
        "logit_gradient": gate * (slope[:, target] - (weights * slope).sum(1)),
    }
