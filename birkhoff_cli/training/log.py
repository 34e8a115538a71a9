"""The log of a run: its columns, how it is written, and whether its rows are as they should be."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from birkhoff_cli import files, provenance, tables
from birkhoff_cli.analyses.core.table import arrow_schema, column, record_batch
from birkhoff_cli.analyses.core.training_log import LAYERS

LOG_FILE = "log.parquet"
JUDGED = (
    column("learned_loss", "float64", "on fixed batches learned from", unit="nat", nullable=True),
    column("held_out_loss", "float64", "on fixed batches held out", unit="nat", nullable=True),
    column("row_error", "float64", "largest |row sum - 1| of any H on a batch", nullable=True),
    column("column_error", "float64", "largest |column sum - 1|", nullable=True),
)
"""What is known of the steps at which a model is judged."""

LOG = (
    column("step", "int64", "steps of the optimizer taken"),
    column("loss", "float64", "mean cross entropy of the step's batch", unit="nat"),
    column("gradient_norm", "float64", "Euclidean norm of the gradient before it is clipped"),
    column("learning_rate", "float64", "of the step"),
    *JUDGED,
    column(
        LAYERS,
        "list<float64>",
        "the gradient norm of the numbers of each layer, its sites among them; null in steps of "
        "an older version",
        nullable=True,
    ),
)
"""A row for every step."""

Rows = Sequence[dict[str, Any]]


def write(path: Path, rows: Rows) -> None:
    """Every step so far, as Parquet."""
    schema = arrow_schema(LOG, provenance.stamp("train-log", {}))
    columns: dict[str, Any] = {c.name: [r.get(c.name, float("nan")) for r in rows] for c in LOG}
    columns[LAYERS] = np.empty(len(rows), object)  # lists of one length would be a matrix
    for k, row in enumerate(rows):
        columns[LAYERS][k] = row.get(LAYERS)
    with files.opened(path) as file:
        tables.load(tables.DEFAULT).write([record_batch(schema, columns)], schema, file, dict)


def fits(rows: Rows, step: int) -> bool:
    """Whether there is a row of numbers for every step, and the last one was judged."""
    always, ever = {c.name for c in LOG if not c.nullable}, {c.name for c in LOG}
    if len(rows) != step or not all(always <= row.keys() <= ever for row in rows):
        return False
    numbers = (
        value
        for row in rows
        for name, own in row.items()
        for value in (own if name == LAYERS and isinstance(own, list) else (own,))
    )
    judged = not rows or {c.name for c in JUDGED} <= rows[-1].keys()
    return judged and all(type(value) in (int, float) for value in numbers)
