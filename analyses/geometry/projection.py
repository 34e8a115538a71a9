"""The doubly stochastic matrix, mixture of some matrices and permutation nearest to a matrix.

All distances are in the Frobenius norm. The nearest doubly stochastic matrix of A is
``max(A + u 1^T + 1 v^T, 0)`` for the u and v that make its sums 1: these maximise a concave
function with a piecewise linear gradient, which Newton's method does in a few steps, exactly once
the zeros are the right ones.

Source: Li, Sun & Toh, SIAM J. Optim. 30 (2020) 1583-1607, on the dual Newton method for the
Birkhoff polytope; Crouse, IEEE Trans. Aerosp. Electron. Syst. 52 (2016), for scipy's assignment.
"""

import numpy as np

from birkhoff_cli.analyses.core.arrays import Array
from birkhoff_cli.analyses.core.shapes import Shaped

LARGEST = 1e6
"""Entries beyond it leave nothing of 1 in rounding."""

MIN_ENTRY = -4.0
"""What an entry that became zero can be raised to, so that the rest is computed at scale 1."""

EPS = np.finfo(float).eps
STEPS = 1000
HALVINGS = 60


def nearest_permutation(h: Shaped[Array, "n d d"]) -> Shaped[Array, "n d"]:
    """The permutations whose matrices are nearest: one assignment each.

    Args:
        h: ``(n, d, d)``, finite.

    Returns:
        ``(n, d)``: the nearest matrix has ``P[i, perm[i]] = 1``.

    Raises:
        ValueError: an entry that is not finite.
    """
    from scipy.optimize import linear_sum_assignment

    images = [linear_sum_assignment(matrix, maximize=True)[1] for matrix in h]
    return np.array(images, dtype=np.int64).reshape(h.shape[:2])


def nearest_doubly_stochastic(h: Shaped[Array, "n d d"]) -> Shaped[Array, "n d d"]:
    """The projection of ``(n, d, d)`` matrices onto the Birkhoff polytope.

    The first pass knows the sums only to rounding of the largest entry. The second starts from
    what it found, where all entries that matter are at most 1, and so has them to rounding of 1.

    Args:
        h: float64, entries of at most `LARGEST` in modulus.

    Returns:
        Entries at least 0, all sums 1 to about ``4 d eps``.
    """
    shifted = _dual_newton(_unit_sums(h))
    return np.maximum(_dual_newton(np.maximum(shifted, MIN_ENTRY)), 0)


def only_doubly_stochastic(h: Shaped[Array, "n d d"]) -> Shaped[Array, "n d d"]:
    """The matrices that are doubly stochastic to rounding; NaN in place of the others."""
    allowed = 4 * h.shape[-1] * EPS
    sums = [np.abs(h.sum(axis) - 1).max(-1) <= allowed for axis in (-1, -2)]
    holds = (h.min((-2, -1)) >= 0) & sums[0] & sums[1]
    return np.where(holds[:, None, None], h, np.nan)


def nearest_mixture(h: Shaped[Array, "n d d"], columns: Array) -> Shaped[Array, "n d d"]:
    """The nearest convex combinations of matrices in the columns ``(d * d, k)``.

    The point of least norm in the hull of points a is ``A w / sum(w)`` for the w >= 0 that
    minimise ``|A w|^2 + (sum(w) - 1)^2``: scaling weights of sum 1 to fit the second term best
    makes the whole ``m / (1 + m)``, m their squared norm, which grows with m.

    Source: Lawson & Hanson, Solving Least Squares Problems (1974), chapter 23.
    """
    from scipy.optimize import nnls

    points = columns.astype(float)
    right = np.zeros(len(points) + 1)
    right[-1] = 1
    ones = np.ones((1, points.shape[1]))
    nearest = np.empty_like(h)
    for k, target in enumerate(h):
        weights, _ = nnls(np.concatenate((points - target.reshape(-1, 1), ones)), right)
        nearest[k] = (points @ (weights / weights.sum())).reshape(target.shape)
    return nearest


def _unit_sums(h: Array) -> Array:
    """The nearest matrices whose rows and columns sum to 1, of any sign."""
    d = h.shape[-1]
    h = h + (1 - h.sum(-1, keepdims=True)) / d
    return h + (1 - h.sum(-2, keepdims=True)) / d


def _dual_newton(h: Array) -> Array:
    """``h + u 1^T + 1 v^T`` whose positive part has unit sums.

    Where entries are zero to rounding the last digits may never settle: after every ten steps a
    little more of them is let go.
    """
    d = h.shape[-1]
    tolerance = 4 * d * EPS * np.maximum(1, np.abs(h).max((-2, -1)))
    dual = np.zeros((len(h), 2 * d))
    todo = np.arange(len(h))
    for count in range(STEPS):
        x = _shift(h[todo], dual[todo])
        gradient = _gradient(x)
        size = np.abs(gradient).max(-1)
        left = size > tolerance[todo] * (1 + count // 10)
        todo, x, gradient, size = todo[left], x[left], gradient[left], size[left]
        if not todo.size:
            return _shift(h, dual)
        step = _newton_step(x > 0, gradient, size)
        dual[todo] += _damping(x, gradient, step)[:, None] * step
    raise ArithmeticError(f"no nearest doubly stochastic matrix after {STEPS} Newton steps")


def _shift(h: Array, dual: Array) -> Array:
    d = h.shape[-1]
    return h + dual[:, :d, None] + dual[:, None, d:]


def _gradient(x: Array) -> Array:
    """Row sums, then column sums of the positive part, less 1."""
    positive = np.maximum(x, 0)
    return np.concatenate((positive.sum(-1), positive.sum(-2)), axis=-1) - 1


def _newton_step(support: Array, gradient: Array, size: Array) -> Array:
    """Solve with the generalised Hessian, ``[[rows, S], [S^T, columns]]`` of the support S.

    It is singular along (1, -1), and more so if the support is not connected; the small multiple
    of the identity leaves the other directions a long step and these a still longer one.
    """
    d = support.shape[-1]
    s = support.astype(float)
    hessian = np.zeros((len(s), 2 * d, 2 * d))
    hessian[:, :d, d:] = s
    hessian[:, d:, :d] = s.swapaxes(-1, -2)
    at = np.arange(2 * d)
    ridge = np.clip(1e-3 * size, 1e-10, 1e-6)
    hessian[:, at, at] = np.concatenate((s.sum(-1), s.sum(-2)), axis=-1) + ridge[:, None]
    step: Array = -np.linalg.solve(hessian, gradient[..., None])[..., 0]
    return step


def _damping(x: Array, gradient: Array, step: Array) -> Array:
    """The first of 1, 1/2, 1/4, ... that lowers the dual function enough; per matrix."""
    value = _value(x, 0 * step)
    slope = (gradient * step).sum(-1)
    t = np.ones(len(x))
    todo = np.arange(len(x))
    for _ in range(HALVINGS):
        reached = _value(x[todo], t[todo, None] * step[todo])
        enough = value[todo] + 1e-4 * t[todo] * slope[todo]
        todo = todo[reached > enough + 64 * EPS * np.maximum(1, np.abs(value[todo]))]
        if not todo.size:
            break
        t[todo] /= 2
    return t


def _value(x: Array, step: Array) -> Array:
    """The function to minimise over u and v, up to a constant."""
    squares = np.square(np.maximum(_shift(x, step), 0)).sum((-2, -1))
    return squares / 2 - step.sum(-1)
