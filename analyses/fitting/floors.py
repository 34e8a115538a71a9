"""The least loss of any doubly stochastic matrix: what no exact method can go below.

A convex quadratic over the Birkhoff polytope. Where the best matrix with unit sums has no negative
entry it is the answer; else accelerated projected gradients find it.

Source: docs/mathematics.md 9; Beck & Teboulle, SIAM J. Imaging Sci. 2 (2009) 183-202, with the
restarts of
O'Donoghue & Candes, Found. Comput. Math. 15 (2015) 715-732.
"""

import numpy as np

from birkhoff_cli.analyses.core.arrays import Array
from birkhoff_cli.analyses.fitting.objective import Objective
from birkhoff_cli.analyses.geometry.projection import nearest_doubly_stochastic

STEPS = 2000
SETTLED = 1e-12
"""Largest change of an entry at which the search ends."""


def least(objective: Objective) -> Array:
    """The least loss over doubly stochastic matrices, ``(batch,)``."""
    h = _unit_sums(objective)
    outside = h.min((-2, -1)) < 0
    loss = objective(h).loss
    if outside.any():
        loss[outside] = _projected(objective.part(outside), h[outside])
    return loss


def least_of_any_read(objective: Objective) -> Array:
    """The same where the read-out is learned: it makes any row vector of the product."""
    gram, cross, power = objective.moments
    gain = np.einsum("bk,kl,bl->b", cross[:, 0], np.linalg.pinv(gram, hermitian=True), cross[:, 0])
    return power - gain


def _unit_sums(objective: Objective) -> Array:
    """The best matrices among those of unit row and column sums, of any sign."""
    gram, cross, _ = objective.moments
    d = len(gram)
    centre = np.eye(d) - 1 / d
    base = centre @ objective.targets @ centre + 1 / d
    off = base - objective.targets
    if objective.read is None:
        left = centre
    else:
        aside = objective.read @ centre
        square = np.square(aside).sum(-1)
        aside /= np.where(square > 0, square, 1)[:, None]
        off, left = objective.read[:, None] @ off, aside[..., None]
    inverse = np.linalg.pinv(centre @ gram @ centre, hermitian=True)
    return base + left @ (cross - off @ gram) @ centre @ inverse


def _projected(objective: Objective, start: Array) -> Array:
    """The least loss reached from the nearest doubly stochastic matrices."""
    step = 1 / np.linalg.eigvalsh(objective.gram)[-1]
    if objective.read is not None:
        step = (step / np.square(objective.read).sum(-1))[:, None, None]
    h = ahead = nearest_doubly_stochastic(start)
    t = 1.0
    for _ in range(STEPS):
        nearest = nearest_doubly_stochastic(ahead - step * objective(ahead).matrices)
        change = nearest - h
        if np.abs(change).max() < SETTLED:
            break
        if np.vdot(ahead - nearest, change) > 0:  # too far: forget the momentum
            t = 1.0
        longer = (1 + np.sqrt(1 + 4 * t * t)) / 2
        h, ahead, t = nearest, nearest + (t - 1) / longer * change, longer
    return objective(h).loss
