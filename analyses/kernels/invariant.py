"""What no scaling of rows and columns changes: the doubly centred logarithm.

``log H`` less its row and column means is the same for the logits and for every matrix that
normalisations make of them. So it shows transposition, temperature, clamp and an eps on the values
of the first softmax before any number of iterations is known.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from birkhoff_cli.analyses.core.arrays import Array
from birkhoff_cli.analyses.kernels.arithmetic import SMALLEST
from birkhoff_cli.analyses.kernels.dump import Dump, Frame

CLAMPS = (10.0, 20.0, 30.0)
TAUS = (1.0, 0.05)
"""Temperatures of the known code bases; others are fitted where neither will do."""

EPS_GRID = (0.0, 1e-12, 1e-10, 1e-9, 1e-8, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 3e-3, 1e-2, 3e-2, 0.1)
FEWEST = 4
"""Numbers that no scaling changes, ``(n - 1)^2`` to a matrix, that are needed to say anything."""

EXPLAINED = 0.02
"""Mean error of the logarithm below which a known temperature is taken as right."""


class Match(NamedTuple):
    """How well a frame explains the invariant: the mean error, at most 1."""

    error: float
    frame: Frame


def rank_frames(dump: Dump) -> list[Match]:
    """Frames by their error, the best first; none if too few matrices say anything."""
    clamps = _clamps(dump)
    alive = (dump.results > SMALLEST[dump.format]).all((0, 1))
    if alive.sum() * (len(dump.logits) - 1) ** 2 < FEWEST:
        return []
    z, log_h = dump.logits[..., alive], np.log(dump.results[..., alive])
    frames = [m for c in clamps for m in _rank(z, log_h, c, TAUS)]
    if min(m.error for m in frames) > EXPLAINED:
        free = tuple(np.geomspace(0.02, 5, 23))
        fitted = [m for c in clamps for m in _rank(z, log_h, c, free, True)]
        fitted += [_fit_clamp(z, log_h, tau) for tau in TAUS]
        frames += [m for fit in fitted for m in _round_numbers(z, log_h, fit)]
        # three times the error: a fitted number explains more than a given one
        frames += [m._replace(error=FITTED * m.error) for m in fitted]
    return sorted(frames, key=lambda m: m.error)


def list_frames(dump: Dump) -> list[Frame]:
    """Every orientation with every known temperature and clamp that acts."""
    return [Frame(t, c, tau) for t in (False, True) for c in _clamps(dump) for tau in TAUS]


def _clamps(dump: Dump) -> tuple[float, ...]:
    return (np.inf, *(c for c in CLAMPS if c < np.abs(dump.logits).max()))


def _round_numbers(z: Array, log_h: Array, fit: Match) -> Iterator[Match]:
    """Frames near a fitted one whose clamp and temperature have one or two digits."""
    old = fit.frame
    for digits in (1, 2):
        clamp, tau = (float(f"{x:.{digits}g}") for x in (old.clamp, old.tau))
        ranked = _rank(z, log_h, clamp, (tau,))
        yield from (m for m in ranked if m.frame.transposed == old.transposed)


FITTED = 3.0
"""Factor on the error of a frame with a fitted number, where frames are ranked."""


def _fit_clamp(z: Array, log_h: Array, tau: float) -> Match:
    """The clamp that explains most, between 1 and the largest logit, for one temperature."""

    def best(clamp: float) -> Match:
        return min(_rank(z, log_h, clamp, (tau,)), key=lambda m: m.error)

    low, high = 0.0, float(np.log(max(np.abs(z).max(), 1.0)))
    fit = best(float(np.exp(high)))
    for _ in range(CLAMP_ROUNDS):
        grid = np.exp(np.linspace(low, high, 8))
        fit = min([fit, *(best(float(c)) for c in grid)], key=lambda m: m.error)
        step = (high - low) / 7
        at = float(np.log(fit.frame.clamp))
        low, high = max(at - step, 0.0), at + step
    return fit


CLAMP_ROUNDS = 7
"""Rounds of eight clamps each, every round between the neighbours of the last best one."""


def _rank(
    z: Array, log_h: Array, clamp: float, taus: tuple[float, ...], polish: bool = False
) -> Iterator[Match]:
    """The best of every side of the first softmax, for every orientation and temperature."""
    clamped = np.clip(z, -clamp, clamp)
    for transposed in (False, True):
        target = centre(log_h.swapaxes(0, 1) if transposed else log_h)
        for side in (None, 0, 1):
            tries = [
                (_error(clamped, target, tau, side, eps), tau, eps)
                for tau in taus
                for eps in (EPS_GRID if side is not None else (0.0,))
            ]
            groups = [[t for t in tries if t[1] == tau] for tau in taus] if not polish else [tries]
            for group in groups:
                best = _descend(clamped, target, side, min(group), polish)
                yield Match(best[0], Frame(transposed, clamp, best[1]))


def _descend(
    z: Array, target: Array, side: int | None, best: tuple[float, float, float], tau_moves: bool
) -> tuple[float, float, float]:
    """Pattern search in the logarithms of eps and, if it moves, of tau."""
    d_tau, d_eps = (1.0 if tau_moves else 0.0), (1.0 if side is not None and best[2] else 0.0)
    for _ in range(ROUNDS if best[0] < 0.5 and (d_tau or d_eps) else 0):
        moves = [(d_tau, 0), (-d_tau, 0), (0, d_eps), (0, -d_eps)]
        near = [
            (tau, eps)
            for tau, eps in ((best[1] * np.exp(a), best[2] * np.exp(b)) for a, b in moves if a or b)
        ]
        new = min((_error(z, target, tau, side, eps), tau, eps) for tau, eps in near)
        if new[0] < best[0]:
            best = new
        else:
            d_tau, d_eps = d_tau / 2.5, d_eps / 2.5
    return best


ROUNDS = 24


def _error(z: Array, target: Array, tau: float, side: int | None, eps: float) -> float:
    """Mean error of the invariant, each at most 1."""
    if side is None or not eps:  # without eps the softmax is a scaling like any other
        scaled = centre(z / tau)
    else:
        p = np.exp((z - z.max(side, keepdims=True)) / tau)
        scaled = centre(np.log(p / p.sum(side, keepdims=True) + eps))
    return float(np.minimum(np.abs(scaled - target), 1).mean())


def centre(x: Array) -> Array:
    """Lanes ``(n, n, ...)`` less the means of their rows and columns."""
    rows, columns = x.mean(1, keepdims=True), x.mean(0, keepdims=True)
    return x - rows - columns + rows.mean(0, keepdims=True)
