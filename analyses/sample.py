"""Matrices drawn from a parameterization.

Source: the method's own; see `birkhoff methods`.
"""

from collections.abc import Iterator

import numpy as np

from birkhoff_cli.analyses.core import source as sources
from birkhoff_cli.analyses.core.parameterization import Parameterization
from birkhoff_cli.analyses.core.result import Result, Summary
from birkhoff_cli.analyses.core.source import Draws
from birkhoff_cli.analyses.core.table import Columns, column

EXAMPLES = (
    "birkhoff sample --method go-mhc --s 2 -n 1000 -o matrices.parquet",
    "birkhoff sample --method mhc-lite --draw polytope --d 3 -n 5 -o - --format ndjson",
)

SCHEMA = (
    column("sample", "int64", "index of the drawn matrix"),
    column("matrix", "matrix<float64>[4]", "H row by row: x_out[i] = sum_j H[i, j] x_in[j]; d x d"),
)


def run(
    method: Parameterization,
    *,
    draws: Draws = Draws(samples=1000),  # noqa: B008 (frozen)
    rng: np.random.Generator,
) -> Result:
    """Draw matrices, and measure how doubly stochastic they are.

    Args:
        method: the map to draw from.
        draws: how many and how.
        rng: the only source of randomness.

    Returns:
        One row for every matrix. The summary has ``method``, ``d``, ``n``, ``row_error_max`` and
        ``column_error_max`` (largest |sum - 1|), ``entry_min``.

    Raises:
        UsageError: a distribution that the method does not have.
    """
    worst = {"row_error_max": 0.0, "column_error_max": 0.0, "entry_min": np.inf}

    def steps() -> Iterator[Columns]:
        start = 0
        for block in sources.blocks(method, draws, rng):
            h = block[:, 0]
            for name, axis in (("row_error_max", -1), ("column_error_max", -2)):
                error = np.abs(h.sum(axis, dtype=np.float64) - 1).max()
                worst[name] = max(worst[name], float(error))
            worst["entry_min"] = min(worst["entry_min"], float(h.min()))
            yield {"sample": np.arange(start, start + len(h)), "matrix": h}
            start += len(h)

    def summary() -> Summary:
        return {"method": method.name, "d": method.d, "n": draws.samples, **worst}

    kind = f"matrix<{draws.dtype}>[{method.d}]"
    schema = (SCHEMA[0], SCHEMA[1]._replace(kind=kind))
    return Result(schema, steps(), summary, total=sources.steps(method, draws))
