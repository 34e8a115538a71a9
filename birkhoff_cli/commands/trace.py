"""The matrices that a model applies, as a trace: one row for every sample and site.

A trace is a table that every analysis reads in place of the checkpoint; DuckDB, polars and pandas
read it too. It is written and read in blocks, so it may be larger than memory. An .arrow file is a
third larger than a .parquet file and read twice as fast.
"""

from collections.abc import Iterator

import numpy as np

from birkhoff_cli.analyses.core.arrays import Array
from birkhoff_cli.analyses.core.result import Result, Summary
from birkhoff_cli.analyses.core.table import Columns, column
from birkhoff_cli.analyses.core.trace import MixingTrace

EXAMPLES = (
    "birkhoff trace out/ckpt.pt --inputs gaussian -n 10000 -o trace.parquet",
    "birkhoff trace out/ckpt.pt --inputs tokens=val.bin -o trace.arrow",
)

SCHEMA = (
    column("sample", "int64", "index of the token, or of the random streams; 0 if static"),
    column("site", "int32", "site in order of depth"),
    column("layer", "int32", "layer number in the checkpoint"),
    column("branch", "string", "attn or mlp"),
    column("matrix", "matrix<float32>[4]", "H row by row: x_out[i] = sum_j H[i, j] x_in[j]; d x d"),
)


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
    places = {
        "site": np.arange(len(trace.sites)),
        "layer": np.array([site.layer for site in trace.sites]),
        "branch": np.array([site.branch for site in trace.sites]),
    }
    worst = {"row_error_max": 0.0, "column_error_max": 0.0}

    def steps() -> Iterator[Columns]:
        start = 0
        for h in trace:
            for name, error in zip(worst, _errors(h), strict=True):
                worst[name] = max(worst[name], error)
            yield {"sample": np.arange(start, start + len(h))[:, None], **places, "matrix": h}
            start += len(h)

    def summary() -> Summary:
        return {"samples": trace.samples, "sites": len(trace.sites), "d": trace.d, **worst}

    kind = f"matrix<{trace.dtype}>[{trace.d}]"
    schema = (*SCHEMA[:-1], SCHEMA[-1]._replace(kind=kind))
    meta = trace.meta if trace.step is None else {**trace.meta, "step": trace.step}
    return Result(schema, steps(), summary, total=trace.blocks, meta=meta)


def _errors(h: Array) -> tuple[float, float]:
    """Largest |sum - 1| over rows, and over columns."""
    exact = h.astype(np.float64)
    sums = (np.einsum(f"...ij->...{k}", exact) for k in "ij")  # four times as fast as np.sum
    rows, columns = (float(np.abs(s - 1).max()) for s in sums)
    return rows, columns
