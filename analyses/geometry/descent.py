"""Many small smooth problems minimised together by L-BFGS, each with its own step length.

Source: Nocedal & Wright, Numerical Optimization, 2nd ed., algorithms 3.1 and 7.4.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from birkhoff_cli.analyses.core.arrays import Array

MEMORY = 10
SETTLED = 1e-9
"""A start has ended when it falls by less than this share of its value in `CHECK` steps."""

CHECK = 10
MAX_FALLS = 10
"""A start is given up when that many times its last fall would not bring it to the best one."""

SHORTENINGS = 20

Function = Callable[[Array, Array], tuple[Array, Array]]
"""``(x (m, p), owner (m,)) -> (values (m,), gradients (m, p))``, torch."""


def minimise(
    function: Function, start: Array, owner: Array, problems: int, enough: float, steps: int
) -> tuple[Array, Array]:
    """The smallest value found for every problem, and where.

    Args:
        function: value and gradient; must not look from one row to another.
        start: ``(m, p)`` float64 torch, any number of starts for a problem.
        owner: ``(m,)`` the problem that a start is for.
        problems: how many there are.
        enough: a value at which a problem is solved, and its other starts are given up.
        steps: at most.

    Returns:
        ``(problems,)`` and ``(problems, p)``.
    """
    import torch

    point = torch.zeros((problems, start.shape[1]), dtype=start.dtype)
    best = torch.full((problems,), torch.inf, dtype=start.dtype)
    state = _State(function, start, owner, *function(start, owner))
    before = state.value
    for count in range(1, steps + 1):
        state.step()
        if count % CHECK and count < steps:
            continue
        before_this = best.clone()
        best.scatter_reduce_(0, state.owner, state.value, "amin")
        at = (state.value == best[state.owner]) & (state.value < before_this[state.owner])
        point[state.owner[at]] = state.x[at]
        fall = before - state.value
        goal = best[state.owner]
        left = (
            (fall > SETTLED * before) & (goal > enough) & (state.value - MAX_FALLS * fall <= goal)
        )
        if not left.any():
            break
        state.keep(left)
        before = state.value
    return best, point


@dataclass
class _State:
    """Every start that is still moving, and its last `MEMORY` steps."""

    function: Function
    x: Array
    owner: Array
    value: Array
    gradient: Array
    history: list[tuple[Array, Array, Array]] = field(default_factory=list)

    def keep(self, which: Array) -> None:
        """Forget the others."""
        self.x, self.owner = self.x[which], self.owner[which]
        self.value, self.gradient = self.value[which], self.gradient[which]
        self.history = [(s[which], y[which], r[which]) for s, y, r in self.history]

    def step(self) -> None:
        """One step of each, downhill; a start that finds no lower point stays."""
        import torch

        move = self._direction()
        slope = (move * self.gradient).sum(-1)
        uphill = ~(slope < 0)
        move = torch.where(uphill[:, None], -self.gradient, move)
        slope = torch.where(uphill, -self.gradient.square().sum(-1), slope)
        x, value, gradient = self._search(move, slope)
        self._remember(x - self.x, gradient - self.gradient)
        self.x, self.value, self.gradient = x, value, gradient

    def _direction(self) -> Array:
        """The two-loop recursion: an approximate inverse Hessian times the gradient."""
        import torch

        q, factors = self.gradient, []
        for s, y, r in reversed(self.history):
            factors.append(r * (s * q).sum(-1))
            q = q - factors[-1][:, None] * y
        if self.history:
            s, y, r = self.history[-1]
            curvature = (s * y).sum(-1) / y.square().sum(-1).clamp_min(1e-300)
            q = q * torch.where(r > 0, curvature, 1.0)[:, None]
        for (s, y, r), factor in zip(self.history, reversed(factors), strict=True):
            q = q + (factor - r * (y * q).sum(-1))[:, None] * s
        return -q

    def _search(self, move: Array, slope: Array) -> tuple[Array, Array, Array]:
        """Shorten the steps until each is low enough; at first none is longer than 1."""
        import torch

        t = (1 / move.norm(dim=-1).clamp_min(1e-300)).clamp_max(1.0)
        x, value, gradient = self.x.clone(), self.value.clone(), self.gradient.clone()
        todo = torch.arange(len(x))
        for _ in range(SHORTENINGS):
            there = self.x[todo] + t[todo, None] * move[todo]
            values, slopes = self.function(there, self.owner[todo])
            low = values <= self.value[todo] + 1e-4 * t[todo] * slope[todo]
            done = todo[low]
            x[done], value[done], gradient[done] = there[low], values[low], slopes[low]
            todo = todo[~low]
            if not len(todo):
                break
            t[todo] *= 0.3
        return x, value, gradient

    def _remember(self, s: Array, y: Array) -> None:
        """Pairs of positive curvature; the others count for nothing."""
        import torch

        product = (s * y).sum(-1)
        sound = product > 1e-10 * s.norm(dim=-1) * y.norm(dim=-1)
        r = torch.where(sound, 1 / product, 0.0)
        zero: Any = torch.zeros((), dtype=s.dtype)
        pair = (torch.where(sound[:, None], s, zero), torch.where(sound[:, None], y, zero), r)
        self.history = [*self.history[1 - MEMORY :], pair]
