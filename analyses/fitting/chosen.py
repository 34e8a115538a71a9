"""Which methods are fitted: all that fit in memory at this d, the others with the reason."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from birkhoff_cli.analyses.core.errors import NoRoom, TooLarge
from birkhoff_cli.analyses.core.memory import magnitude
from birkhoff_cli.analyses.core.parameterization import Parameterization
from birkhoff_cli.analyses.core.result import Summary
from birkhoff_cli.analyses.core.table import Columns
from birkhoff_cli.analyses.core.trace import Site
from birkhoff_cli.analyses.fitting.curves import QUANTITIES, Fit, label_of
from birkhoff_cli.analyses.fitting.descent import Plan
from birkhoff_cli.analyses.fitting.problem import Problem


@dataclass(frozen=True)
class LeftOut:
    """A method that is too large at this d: no rows, and a summary that says so.

    It keeps its place among the fits, so that those of a sweep stand below one another.
    """

    method: Parameterization
    why: str
    total = 0

    def curves(self) -> Iterator[Columns]:
        """No rows."""
        return iter(())

    def matrices(self, sites: tuple[Site, ...]) -> Iterator[Columns]:
        """No rows."""
        del sites
        return iter(())

    def summary(self) -> Summary:
        """Nothing is known but the number of parameters."""
        own = {"method": label_of(self.method), "parameters": self.method.parameters}
        return {**{q.name: None for q in QUANTITIES}, **own, "left_out": self.why}

    @property
    def sentence(self) -> str:
        """What is said of it."""
        return f"{label_of(self.method)} with d = {self.method.d} is left out: {self.why}"


def check_sizes(methods: Sequence[Parameterization], needed: int = 0) -> None:
    """Hold that not every method is too large, before anything is drawn for them.

    Args:
        methods: the maps.
        needed: so many of the first cannot be left out.

    Raises:
        TooLarge: one of these is too large, or all methods are.
    """
    too_large = 0
    for k, method in enumerate(methods):
        try:
            method.require_memory()
        except TooLarge:
            too_large += 1
            if k < needed or too_large == len(methods):
                raise


def fits_of(
    methods: Sequence[Parameterization],
    problem: Problem,
    plan: Plan,
    rngs: Sequence[np.random.Generator],
    needed: int = 0,
) -> tuple[list[Fit | LeftOut], list[str]]:
    """Every method, ready to descend, and a sentence for each that is left out.

    Args:
        methods: the maps.
        problem: what they are fitted to.
        plan: how.
        rngs: of every method.
        needed: so many of the first cannot be left out.

    Raises:
        TooLarge: one of these is too large, or all methods are.
    """
    fits: list[Fit | LeftOut] = []
    assumptions: list[str] = []
    for k, (method, rng) in enumerate(zip(methods, rngs, strict=True)):
        try:
            fits.append(Fit(k, method, problem, plan, rng))
        except NoRoom:  # for a library: no method is too large
            raise
        except TooLarge:
            if k < needed or len(assumptions) + 1 == len(methods):
                raise
            # not in the error's words: how much memory is free is another number every time
            left = LeftOut(method, f"{magnitude(method.parameters)} parameters are too many")
            fits.append(left)
            assumptions.append(left.sentence)
    return fits, assumptions


def against(fits: Sequence[Fit | LeftOut]) -> Iterator[Columns]:
    """Losses of every other method beside those of the first, target by target and epoch by epoch.

    All methods have the same targets and keep the same epochs, so that their rows match.
    """
    first, *others = fits
    losses = []
    for columns in first.curves():
        losses.append(columns["loss"])
        yield {}
    for other in others:
        # not strict: a method that is left out has no rows
        for columns, loss in zip(other.curves(), losses, strict=False):
            yield {**columns, "against": label_of(first.method), "loss_against": loss}
