"""Eigenvalues of drawn matrices, or of those of a trace."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from birkhoff_cli.analyses.core.arrays import Array, lanes
from birkhoff_cli.analyses.core.fold import Fold, run_fold
from birkhoff_cli.analyses.core.result import Summary
from birkhoff_cli.analyses.core.source import Drawn, Source
from birkhoff_cli.analyses.core.table import Columns
from birkhoff_cli.analyses.core.trace import site_columns
from birkhoff_cli.analyses.geometry.eigenvalues import eigenvalue_parts
from birkhoff_cli.analyses.probes import Probe
from birkhoff_cli.analyses.probes.references import coverage_of
from birkhoff_cli.analyses.statistics.coverage import Coverage


def sampled(source: Source, resolution: int) -> Probe:
    """Every matrix once, in this process."""
    fold = Sampled(source, resolution)
    result = run_fold(fold, Eigenvalues(source), (), {})
    return Probe(fold.columns, result.steps, result.summarise, result.total)


Parts = tuple[Array, Array]
"""Real and imaginary parts ``(samples, sites, d)`` of the eigenvalues of a block."""


@dataclass(frozen=True)
class Eigenvalues:
    """Eigenvalues of the matrices of a source, by the method's formula where it has one."""

    source: Source

    @property
    def blocks(self) -> int:
        """Number of blocks."""
        return self.source.blocks

    def read(self, numbers: range) -> Iterator[Parts]:
        """Blocks of consecutive numbers."""
        if (formula := _formula(self.source.drawn)) is None:
            return map(parts_of, self.source.read(numbers))
        eigenvalues: Iterator[Array] = map(formula, self.source.read_parameters(numbers))
        return ((roots.real, roots.imag) for roots in eigenvalues)


def parts_of(block: Array) -> Parts:
    """Parts of the eigenvalues of matrices ``(samples, sites, d, d)``."""
    return eigenvalue_parts(block.astype(np.float64, copy=False))


def _formula(drawn: Drawn | None) -> Callable[[Array], Array] | None:
    """Eigenvalues of parameters, if the method knows them and matrices are drawn by these.

    Matrices of another dtype have the eigenvalues of what was rounded.
    """
    if drawn is None or not drawn.method.draws_parameters(drawn.how) or drawn.draws.evaluator():
        return None
    method = drawn.method
    method.require_memory()
    known = method.eigenvalues(np.zeros((0, method.parameters))) is not None
    return method.eigenvalues if known else None


class Sampled(Fold[Coverage, Parts]):
    """Every matrix once, in order."""

    def __init__(self, source: Source, resolution: int) -> None:
        """Count on so many cells a side, against the regions of a source."""
        self.source, self.resolution, self.block = source, resolution, source.block
        self.where: dict[str, Any] = {}
        if source.drawn is None:
            columns = site_columns(source.sites)
            self.where = {name: values[:, None] for name, values in columns.items()}

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns of its rows."""
        return ("sample", *self.where, "index", "re", "im")

    def start(self) -> Coverage:
        """Nothing counted."""
        return coverage_of(self.source, self.resolution)

    def add(self, state: Coverage, number: int, block: Parts) -> Columns:
        """Count the eigenvalues of a block; they are its rows."""
        re, im = block
        state.add(number, lanes(re, 1), lanes(im, 1))
        sample = number * self.block + np.arange(len(re))[:, None, None]
        index = np.arange(self.source.d)
        return {"sample": sample, "index": index, "re": re, "im": im, **self.where}

    def finish(self, state: Coverage) -> tuple[Iterable[Columns], Summary]:
        """No more rows, and what was counted."""
        return (), {"method": self.source.method_name, **state.summary()}
