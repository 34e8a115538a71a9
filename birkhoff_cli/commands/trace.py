"""The matrices that a model applies, as a trace: one row for every sample and site.

A trace is a table that every analysis reads in place of the checkpoint; DuckDB, polars and pandas
read it too. It is written and read in blocks, so it may be larger than memory. An .arrow file is a
third larger than a .parquet file and read twice as fast.
"""

from collections.abc import Iterable

import numpy as np

from birkhoff_cli.analyses.core.arrays import Array
from birkhoff_cli.analyses.core.fold import Fold, run_fold
from birkhoff_cli.analyses.core.quantities import SAMPLES, SITES, D
from birkhoff_cli.analyses.core.result import Result, Summary
from birkhoff_cli.analyses.core.sentences import count, near_one
from birkhoff_cli.analyses.core.table import Columns, column
from birkhoff_cli.analyses.core.trace import MixingTrace, site_columns, site_schema
from birkhoff_cli.analyses.statistics.extremes import EXACT, SUM_ERRORS, SumErrors, judge_sums

EXAMPLES = (
    "birkhoff trace out/ckpt.pt --inputs gaussian -n 10000 -o trace.parquet",
    "birkhoff trace out/ckpt.pt --inputs tokens=val.bin -o trace.arrow",
)

SCHEMA = (
    column("sample", "int64", "index of the token, or of the random streams; 0 if static"),
    *site_schema(),
    column("matrix", "matrix<float32>[4]", "H row by row: x_out[i] = sum_j H[i, j] x_in[j]; d x d"),
)

SUMMARY = (*EXACT, SAMPLES, SITES, D, *SUM_ERRORS)


WRITES_ROWS = True
"""Its rows are what it is for: without a file to keep them it says so."""


def run(trace: MixingTrace) -> Result:
    """Write every matrix, in the precision in which the model computes it.

    Args:
        trace: of one model.

    Returns:
        One row for every matrix, ordered by sample, then site. The summary has ``samples``,
        ``sites``, ``d``, and ``row_error_max`` and ``column_error_max`` (largest |sum - 1|).

    Raises:
        BadInput: a matrix that is not finite.
    """
    matrix = f"matrix<{trace.dtype}>[{trace.d}]"
    schema = (*SCHEMA[:-1], SCHEMA[-1]._replace(dtype=matrix))
    meta = trace.meta if trace.step is None else {**trace.meta, "step": trace.step}
    return run_fold(_Trace(trace), trace, schema, meta)


class _Trace(Fold[SumErrors, Array]):
    """Every matrix once, in order."""

    def __init__(self, trace: MixingTrace) -> None:
        self.trace, self.where = trace, site_columns(trace.sites)

    def start(self) -> SumErrors:
        return SumErrors()

    def add(self, state: SumErrors, number: int, block: Array) -> Columns:
        state.add_matrices(number, block)
        sample = number * self.trace.block + np.arange(len(block))[:, None]
        return {"sample": sample, **self.where, "matrix": block}

    def finish(self, state: SumErrors) -> tuple[Iterable[Columns], Summary]:
        trace = self.trace
        counts = {"samples": trace.samples, "sites": len(trace.sites), "d": trace.d}
        errors = state.summary()
        verdict = judge_sums(errors, trace.d, float(np.finfo(trace.dtype).eps))
        return (), verdict | counts | errors


def answer(summary: Summary) -> str:
    """How many matrices there are, and how doubly stochastic."""
    sums = near_one(summary["column_error_max"], summary["row_error_max"])
    return f"{count(summary['samples'], 'sample')} of {count(summary['sites'], 'site')}: {sums}."
