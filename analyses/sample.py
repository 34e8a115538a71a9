"""Matrices drawn from a parameterization.

Source: the method's own; see `birkhoff methods`.
"""

from collections.abc import Iterable
from typing import Annotated

import numpy as np

from birkhoff_cli.analyses.core.arrays import Array
from birkhoff_cli.analyses.core.fold import Fold, Statistics, run_fold
from birkhoff_cli.analyses.core.quantities import METHOD, SAMPLES, D
from birkhoff_cli.analyses.core.result import Result, Summary
from birkhoff_cli.analyses.core.source import Drawn, Draws
from birkhoff_cli.analyses.core.table import Columns, column
from birkhoff_cli.analyses.statistics.extremes import (
    ENTRY_MIN,
    SUM_ERRORS,
    Extremes,
    SumErrors,
)

EXAMPLES = (
    "birkhoff sample --method go-mhc --s 2 -n 1000 -o matrices.parquet",
    "birkhoff sample --method mhc-lite --draw polytope --d 3 -n 5 -o - --format ndjson",
)

SCHEMA = (
    column("sample", "int64", "index of the drawn matrix"),
    column("matrix", "matrix<float64>[4]", "H row by row: x_out[i] = sum_j H[i, j] x_in[j]; d x d"),
)

SUMMARY = (METHOD, D, SAMPLES, *SUM_ERRORS, ENTRY_MIN)


def run(source: Annotated[Drawn, Draws(samples=1000)]) -> Result:
    """Draw matrices, and measure how doubly stochastic they are.

    Args:
        source: the map to draw from, how many matrices and how.

    Returns:
        One row for every matrix; the summary as in `SUMMARY`.

    Raises:
        UsageError: a distribution that the method does not have.
    """
    kind = f"matrix<{source.dtype}>[{source.d}]"
    schema = (SCHEMA[0], SCHEMA[1]._replace(kind=kind))
    return run_fold(_Sample(source), source, schema, {})


class _State(Statistics):
    def __init__(self) -> None:
        self.errors = SumErrors()
        self.entries = Extremes(smallest=("entry_min",))


class _Sample(Fold[_State, Array]):
    """Every matrix once, in order."""

    def __init__(self, source: Drawn) -> None:
        self.source = source

    def start(self) -> _State:
        return _State()

    def add(self, state: _State, number: int, block: Array) -> Columns:
        h = block[:, 0]
        state.errors.add_matrices(number, h)
        state.entries.add(number, {"entry_min": h})
        return {"sample": number * self.source.block + np.arange(len(h)), "matrix": h}

    def finish(self, state: _State) -> tuple[Iterable[Columns], Summary]:
        source = self.source
        facts = {"method": source.method_name, "d": source.d, "samples": source.samples}
        return (), {**facts, **state.errors.summary(), **state.entries.summary()}
