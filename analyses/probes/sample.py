"""Eigenvalues of drawn matrices, or of those of a trace."""

from collections.abc import Iterable
from typing import Any

import numpy as np

from birkhoff_cli.analyses.core.arrays import Array, lanes
from birkhoff_cli.analyses.core.fold import Fold, run_fold
from birkhoff_cli.analyses.core.result import Summary
from birkhoff_cli.analyses.core.source import Source
from birkhoff_cli.analyses.core.table import Columns
from birkhoff_cli.analyses.core.trace import site_columns
from birkhoff_cli.analyses.geometry.eigenvalues import eigenvalue_parts
from birkhoff_cli.analyses.probes import Probe
from birkhoff_cli.analyses.probes.references import coverage_of
from birkhoff_cli.analyses.statistics.coverage import Coverage


def sampled(source: Source, resolution: int) -> Probe:
    """Every matrix once, in this process."""
    fold = Sampled(source, resolution)
    result = run_fold(fold, source, (), {})
    return Probe(fold.columns, result.steps, result.summarise, result.total)


class Sampled(Fold[Coverage, Array]):
    """Every matrix once, in order."""

    def __init__(self, source: Source, resolution: int) -> None:
        """Count on so many cells a side, against the regions of a source."""
        self.source, self.resolution = source, resolution
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

    def add(self, state: Coverage, number: int, block: Array) -> Columns:
        """Count the eigenvalues of a block; they are its rows."""
        re, im = eigenvalue_parts(block.astype(np.float64, copy=False))
        state.add(number, lanes(re, 1), lanes(im, 1))
        sample = number * self.source.block + np.arange(len(block))[:, None, None]
        index = np.arange(self.source.d)
        return {"sample": sample, "index": index, "re": re, "im": im, **self.where}

    def finish(self, state: Coverage) -> tuple[Iterable[Columns], Summary]:
        """No more rows, and what was counted."""
        return (), {"method": self.source.method_name, **state.summary()}
