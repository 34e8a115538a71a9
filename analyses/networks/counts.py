"""Parameters and FLOPs of the mixing of a model, by the published counts of its method."""

import dataclasses
from typing import Any

from birkhoff_cli.analyses.core.describe import specification
from birkhoff_cli.analyses.core.errors import BirkhoffError
from birkhoff_cli.analyses.core.parameterization import Parameterization
from birkhoff_cli.analyses.core.table import column

COUNTS = (
    column("method", "string", "the method with its options"),
    column("d", "int32", "number of streams"),
    column("parameters", "float64", "numbers that make one matrix", nullable=True),
    column("learned", "float64", "learned numbers of one site (Table 1)", nullable=True),
    column("model", "float64", "learned numbers of all sites", nullable=True),
    column(
        "allocated",
        "float64",
        "numbers that the released code allocates for all sites (Table 9)",
        nullable=True,
    ),
    column("flops", "float64", "of one matrix (Table 4, C = 1)", unit="FLOP", nullable=True),
    column("model_flops", "float64", "of a token's matrices", unit="FLOP", nullable=True),
    column("reason", "string", "why there is no matrix, or no count", nullable=True),
)

SITES = 2
"""Per layer: attention and MLP."""

EXACT = 2**53
"""Largest count that a float64 holds exactly, with all below it."""


def count_costs(method: Parameterization, d: int, width: int, layers: int) -> dict[str, Any]:
    """A row of `COUNTS`; null, with the reason, where the method cannot be.

    Args:
        method: of whatever d.
        d: number of streams.
        width: channels of a stream.
        layers: of the model, two sites each.
    """
    row: dict[str, Any] = {c.name: None for c in COUNTS} | {"method": specification(method), "d": d}
    try:
        there = dataclasses.replace(method, d=d)
        learned, sites, allocated = there.count(width), SITES * layers, there.allocated(width)
        counts = {
            "parameters": there.parameters,
            "learned": learned,
            "model": sites * learned,
            "allocated": None if allocated is None else sites * allocated,
            "flops": there.flops(),
            "model_flops": sites * there.flops(),
        }
        row |= {name: _number(count) for name, count in counts.items()}
        there.require_memory()
        there.initial()
    except BirkhoffError as error:
        row["reason"] = str(error)
    return row


def _number(count: int | None) -> int | float | None:
    return count if count is None or count <= EXACT else float(count)
