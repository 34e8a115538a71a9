"""One method fitted to all targets, epoch by epoch: rows, and means after the last epoch."""

from collections.abc import Iterator

import numpy as np

from birkhoff_cli.analyses.core.arrays import Array
from birkhoff_cli.analyses.core.errors import BirkhoffError
from birkhoff_cli.analyses.core.memory import magnitude, require_memory
from birkhoff_cli.analyses.core.parameterization import Parameterization
from birkhoff_cli.analyses.core.quantities import AT_LEAST_0, METHOD, quantity
from birkhoff_cli.analyses.core.result import Summary
from birkhoff_cli.analyses.core.source import title_of
from birkhoff_cli.analyses.core.table import Columns
from birkhoff_cli.analyses.core.trace import Site
from birkhoff_cli.analyses.fitting.descent import Plan, descend
from birkhoff_cli.analyses.fitting.problem import Problem
from birkhoff_cli.analyses.geometry.distances import divergence, frobenius, geodesic, rotations

BATCH = 256
"""Targets that are fitted together: a step's numbers fit in a cache."""

DIVERGED = 1e100
"""Loss of all targets together at which a fit is given up."""

CONVERGED = 0.05
"""Share of the final loss within which a converged curve stays."""

SETTLED = 0.2
"""Share of the run for which it has to stay there."""


QUANTITIES = (
    METHOD,
    quantity("parameters", "numbers that make one matrix", range=AT_LEAST_0),
    quantity(
        "final_loss",
        "mean loss over targets after the last epoch",
        range=AT_LEAST_0,
        good="near the floor",
    ),
    quantity("floor", "least loss of a doubly stochastic matrix, of the population"),
    quantity("floor_drawn", "the same of the data that were drawn"),
    quantity(
        "epochs_to_convergence",
        "first epoch from which on the loss stays within 5 % of its last value; null if it may "
        "still fall",
        range=AT_LEAST_0,
        good="small",
    ),
    quantity(
        "frobenius", "mean Frobenius distance to the targets", range=AT_LEAST_0, good="near 0"
    ),
    quantity(
        "kl",
        "mean divergence of the targets' rows from the matrices'; null with an entry below 0",
        unit="nat",
        good="near 0",
    ),
    quantity(
        "geodesic",
        "mean angle to the targets that are orthostochastic; null if none is, or d > 5",
        unit="rad",
        range=AT_LEAST_0,
        good="near 0",
    ),
    quantity("left_out", "why the method is too large for this d; not there if it was fitted"),
)
"""What `Fit.summary` gives."""


class Fit:
    """One method: parameters of every target, moved together."""

    def __init__(
        self,
        index: int,
        method: Parameterization,
        problem: Problem,
        plan: Plan,
        rng: np.random.Generator,
    ) -> None:
        self.index, self.method, self.problem, self.plan = index, method, problem, plan
        self.label = label_of(method)
        n = len(problem.floor)
        require_memory(
            64 * method.parameters * n + 8 * plan.epochs,
            f"{n:,} fits of {magnitude(method.parameters)} numbers over {plan.epochs:,} epochs",
        )
        self.theta = method.theta(n, rng, plan.start, plan.spread)
        self.losses = np.zeros(plan.epochs + 1)  # summed over targets
        self.ended: list[dict[str, Array]] = []
        self.total = -(-n // BATCH) * len(plan.kept)

    def curves(self) -> Iterator[Columns]:
        """Rows of every kept epoch."""
        for which, epoch, h, loss, first in self._descend():
            measured = self._measured(which, h, loss, first)
            if epoch == self.plan.epochs:
                self.ended.append(measured)
            yield {
                "method": self.label,
                "target": np.arange(which.start, which.stop),
                "epoch": epoch,
                "floor": self.problem.floor[which],
                "floor_drawn": self.problem.floor_drawn[which],
                **measured,
            }

    def matrices(self, sites: tuple[Site, ...]) -> Iterator[Columns]:
        """Rows of the last epoch, with the places of the targets."""
        layers, branches = (np.array([getattr(p, n) for p in sites]) for n in ("layer", "branch"))
        for which, epoch, h, loss, first in self._descend():
            if epoch < self.plan.epochs:
                yield {}
                continue
            self.ended.append(self._measured(which, h, loss, first))
            number = self.index * len(self.theta) + np.arange(which.start, which.stop)
            site = number % len(sites)
            yield {
                "method": self.label,
                "sample": number // len(sites),
                "site": site,
                "layer": layers[site],
                "branch": branches[site],
                "matrix": h,
            }

    def _descend(self) -> Iterator[tuple[slice, int, Array, Array, Array]]:
        """Targets, epoch, their matrices and losses, and the matrices at epoch 0."""
        kept = set(self.plan.kept.tolist())
        for begin in range(0, len(self.theta), BATCH):
            which = slice(begin, min(begin + BATCH, len(self.theta)))
            first = None
            for epoch, (h, loss) in enumerate(self._epochs(which)):
                total = np.add.reduce(loss)
                if not total < DIVERGED:
                    advice = f"take a --learning-rate below {self.plan.rate:g}"
                    raise BirkhoffError(
                        f"{self.label}: the loss of epoch {epoch} is {total:.3g}; "
                        f"{advice if epoch else 'take smaller targets, or another start'}"
                    )
                self.losses[epoch] += total
                first = h if first is None else first
                if epoch in kept:
                    yield which, epoch, h, loss, first

    def _epochs(self, which: slice) -> Iterator[tuple[Array, Array]]:
        read = None if self.problem.read is None else self.problem.read[which]
        objective = self.problem.objective.part(which)
        return descend(self.method, objective, self.theta[which], read, self.plan)

    def _measured(self, which: slice, h: Array, loss: Array, first: Array) -> dict[str, Array]:
        goal, aim = self.problem.objective.targets[which], self.problem.rotations[which]
        angles = np.full((2, len(h)), np.nan)
        if (known := np.isfinite(aim).all((-1, -2))).any():
            mine = rotations(h[known])
            angles[:, known] = geodesic(mine, aim[known]), geodesic(mine, rotations(first[known]))
        return {
            "loss": loss,
            "frobenius": frobenius(goal, h),
            "kl": divergence(goal, h),
            "geodesic": angles[0],
            "geodesic_start": angles[1],
        }

    def summary(self) -> Summary:
        """Means over targets after the last epoch; null where they are not defined."""
        mean = self.losses / len(self.theta)
        ended = {k: np.concatenate([part[k] for part in self.ended]) for k in self.ended[0]}
        angles = ended["geodesic"][np.isfinite(ended["geodesic"])]
        return {
            "method": self.label,
            "parameters": self.method.parameters,
            "final_loss": float(mean[-1]),
            "floor": float(self.problem.floor.mean()),
            "floor_drawn": float(self.problem.floor_drawn.mean()),
            "epochs_to_convergence": convergence(self.plan.kept, mean[self.plan.kept]),
            "frobenius": float(ended["frobenius"].mean()),
            "kl": _finite(ended["kl"].mean()),
            "geodesic": float(angles.mean()) if angles.size else None,
        }


def convergence(epoch: Array, mean: Array) -> int | None:
    """The epoch from which on a curve stays within 5 % of its last value.

    Args:
        epoch: the kept epochs.
        mean: the curve there; the same numbers are in the table and behind the picture.

    Returns:
        None where the rest of the run is shorter than a fifth of it: the curve may still fall.
    """
    away = np.flatnonzero(np.abs(mean - mean[-1]) > CONVERGED * mean[-1])
    first = epoch[away[-1] + 1] if away.size else epoch[0]
    return int(first) if first <= (1 - SETTLED) * epoch[-1] else None


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def label_of(method: Parameterization) -> str:
    """The method and its options without what is the same for all."""
    title = title_of(method).replace(f", d = {method.d}", "")
    return title.replace(", field = real", "").replace(", variant = paper", "")
