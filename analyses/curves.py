"""Training curves of one or several runs: loss, gradient norm, and how unsteady it is.

RUN is the directory of `birkhoff train`, or a log: Parquet, Arrow, CSV, a JSON object per line, as
nanoGPT forks write them, or a TensorBoard event file. Columns are taken by name (iter, train/loss,
grad_norm, lr and the like), and what was taken for what is said.

The jitter is the standard deviation over the mean of the last --window gradient norms. A spike is a
gradient norm above --spike times the median of the 100 before it, or of as many as there are, once
these fill a window. Runs of one --name are seeds of one thing: their mean and range are drawn.

Source: go-mHC, arXiv:2604.02309, figures 9 and A18 to A20, and G.2; sHC, figure 5.
"""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np

from birkhoff_cli.analyses.core.analysis import analysis
from birkhoff_cli.analyses.core.errors import BadInput
from birkhoff_cli.analyses.core.parameterization import require
from birkhoff_cli.analyses.core.quantities import AT_LEAST_0, AT_LEAST_1, quantity
from birkhoff_cli.analyses.core.result import Result, Summary
from birkhoff_cli.analyses.core.sentences import count, short
from birkhoff_cli.analyses.core.table import Columns, column
from birkhoff_cli.analyses.core.training_log import (
    GRADIENT_NORM,
    HELD_OUT_LOSS,
    LOSS,
    NUMBERS,
    TrainingLog,
)
from birkhoff_cli.analyses.drawing import training_curves
from birkhoff_cli.analyses.statistics import rolling

if TYPE_CHECKING:
    import pyarrow as pa
    from matplotlib.figure import Figure

EXAMPLES = (
    "birkhoff curves hc mhc go-mhc --plot curves.png",
    "birkhoff curves a/log.ndjson b/log.ndjson --name baseline --name baseline -o t.parquet",
    "birkhoff curves go-mhc --table layers --plot layers.png",
)

BEFORE = 100
"""Gradient norms before one whose median it is compared with."""

PLACE = (
    column("run", "int32", "which of the runs, from 0"),
    column("name", "string", "name of the run; several seeds may share one"),
    column("step", "int64", "training step"),
)
SCHEMA = (
    *PLACE,
    column("loss", "float64", "training loss of the step", unit="nat", nullable=True),
    column("held_out_loss", "float64", "loss on text held out", unit="nat", nullable=True),
    column("gradient_norm", "float64", "Euclidean norm of the gradient", nullable=True),
    column("learning_rate", "float64", "of the step", nullable=True),
    column("jitter", "float64", "deviation over mean of the last gradient norms", nullable=True),
    column("spike", "bool", "whether the gradient norm is far above the median before it"),
    column("finite", "bool", "false if a number of this step was logged as NaN or infinite"),
)
LAYERS = (
    *PLACE,
    column("layer", "int32", "layer, from 0"),
    column(
        "gradient_norm",
        "float64",
        "Euclidean norm of the gradient of its numbers; null if it was not finite",
        nullable=True,
    ),
)

RUN = (
    quantity("name", "name of the run"),
    quantity("steps", "the last training step", range=AT_LEAST_0),
    quantity("rows", "steps that are in the log", range=AT_LEAST_0),
    quantity("final_loss", "mean of the last losses, a window of them", unit="nat", good="low"),
    quantity("best_loss", "smallest loss", unit="nat", good="low"),
    quantity("best_step", "step of the smallest loss", range=AT_LEAST_0),
    quantity("held_out_loss", "last loss on text held out", unit="nat", good="low"),
    quantity("gradient_norm_max", "largest gradient norm", range=AT_LEAST_0),
    quantity("jitter", "median of the jitter over the run", range=AT_LEAST_0, good="low"),
    quantity("spikes", "gradient norms that are spikes", range=AT_LEAST_0, good="0"),
    quantity("not_finite", "steps with a number that is NaN or infinite", good="0"),
    quantity("first_not_finite", "the first such step; null if there is none"),
)
SUMMARY = (
    quantity("window", "numbers of a jitter and of a final loss", range=AT_LEAST_1),
    quantity("spike", "times the median before it, of a spike", range=AT_LEAST_1),
    quantity("runs", "every run", rows=RUN),
)

SIZE = (8.3, 3.7)


@analysis
def run(
    runs: Annotated[tuple[TrainingLog, ...], "Directories of `birkhoff train`, or logs"],
    *,
    name: Annotated[list[str] | None, "of each run, in their order; seeds may share one"] = None,
    window: Annotated[int, "gradient norms of a jitter, losses of the final one"] = 10,
    spike: Annotated[float, "a spike is above this many times the median before it"] = 3.0,
    table: Annotated[
        Literal["curves", "layers"], "rows: by step, or gradient norms by step and layer"
    ] = "curves",
) -> Result:
    """Put the logs of all runs one below the other.

    Args:
        runs: their logs.
        name: of each; as the logs say if not given.
        window: see above.
        spike: see above.
        table: which rows.

    Returns:
        With ``curves`` a row for every run and step that is in its log; with ``layers`` for every
        layer of these too. The summary has ``runs``: for each losses, jitter and spikes.

    Raises:
        UsageError: not as many names as runs, or a number out of range.
        BadInput: no log has gradient norms of layers.
    """
    require(len(runs) > 0, "curves without a run", "a directory of birkhoff train, or a log")
    named = name is None or len(name) == len(runs)
    require(named, f"{len(name or ())} times --name for {count(len(runs), 'run')}", "one for each")
    require(window >= 2, f"--window {window}", "2 or more")
    require(1 <= spike < np.inf, f"--spike {spike:g}", "a number, 1 or more")
    names = [log.name for log in runs] if name is None else name
    bare = [log.name for log in runs if log.layers is None] if table == "layers" else []
    if len(bare) == len(runs):
        raise BadInput(
            f"{bare[0]}: has no gradient norms of layers; a new 'birkhoff train' logs them"
        )
    pairs = enumerate(zip(names, runs, strict=True))
    curves = [_Curves(k, n, log, window, spike) for k, (n, log) in pairs]
    steps = (each.layers() if table == "layers" else each.rows() for each in curves)
    assumed = [f"{log.name}: {text}" for log in runs for text in log.meta.get("assumptions", ())]
    assumed += [f"{name}: has no gradient norms of layers, and no rows" for name in bare]
    return Result(
        schema=LAYERS if table == "layers" else SCHEMA,
        steps=steps,
        summarise=lambda: {
            "window": window,
            "spike": spike,
            "runs": [each.summary() for each in curves],
        },
        total=len(curves),
        meta={
            "window": window,
            "inputs": [fact for log in runs for fact in log.meta.get("inputs", ())],
            **({"assumptions": assumed} if assumed else {}),
        },
    )


class _Curves:
    """One run, and what its gradient norms are beside those before them."""

    def __init__(self, index: int, name: str, log: TrainingLog, window: int, spike: float) -> None:
        self.index, self.name, self.log, self.window = index, name, log, window
        rows = np.flatnonzero(log.finite(GRADIENT_NORM))
        every = log.values[GRADIENT_NORM][log.logged[GRADIENT_NORM]]
        self.jitter = np.full(len(log.step), np.nan)
        with np.errstate(invalid="ignore"):  # of infinite norms
            self.jitter[log.logged[GRADIENT_NORM]] = rolling.jitter(every, window)
        norms = log.values[GRADIENT_NORM][rows]
        before = rolling.median_before(norms, BEFORE, window)
        self.spike = np.zeros(len(log.step), bool)
        self.spike[rows] = norms > spike * before

    def rows(self) -> Columns:
        """Rows of `SCHEMA`."""
        log = self.log
        return {
            "run": self.index,
            "name": self.name,
            "step": log.step,
            **{name: log.column(name) for name in NUMBERS},
            "jitter": self.jitter,
            "spike": self.spike,
            "finite": ~log.odd,
        }

    def layers(self) -> Columns:
        """Rows of `LAYERS`."""
        norms = self.log.layers
        if norms is None:
            return {}
        row, layer = np.nonzero(~np.isnan(norms))
        columns = {"run": self.index, "name": self.name, "step": self.log.step[row], "layer": layer}
        known = np.isfinite(norms[row, layer])
        return {**columns, "gradient_norm": np.where(known, norms[row, layer], np.nan)}

    def summary(self) -> Summary:
        """Rows of `RUN`; null where nothing is known."""
        log = self.log
        loss = log.values[LOSS][log.logged[LOSS]]
        best = _least(log.column(LOSS))
        held_out = log.values[HELD_OUT_LOSS][log.finite(HELD_OUT_LOSS)]
        norms = log.values[GRADIENT_NORM][log.finite(GRADIENT_NORM)]
        known = self.jitter[np.isfinite(self.jitter)]
        odd = log.step[log.odd]
        return {
            "name": self.name,
            "steps": int(log.step[-1]),
            "rows": len(log.step),
            "final_loss": _finite(loss[-self.window :].mean()) if loss.size else None,
            "best_loss": None if best is None else float(log.values[LOSS][best]),
            "best_step": None if best is None else int(log.step[best]),
            "held_out_loss": float(held_out[-1]) if held_out.size else None,
            "gradient_norm_max": float(norms.max()) if norms.size else None,
            "jitter": float(np.median(known)) if known.size else None,
            "spikes": int(self.spike.sum()),
            "not_finite": len(odd),
            "first_not_finite": int(odd[0]) if odd.size else None,
        }


def _least(values: Any) -> int | None:
    return int(np.nanargmin(values)) if np.isfinite(values).any() else None


def _finite(value: Any) -> float | None:
    return float(value) if np.isfinite(value) else None


def answer(summary: Summary) -> str:
    """Which run ends lowest, which is the least steady, and whose numbers were not finite."""
    return "; ".join(_clauses(summary["runs"])) + "."


def _clauses(runs: Sequence[Summary]) -> Iterator[str]:
    ended = [r for r in runs if r["final_loss"] is not None]
    unsteady = [r for r in runs if r["jitter"] is not None]
    if ended:
        best = min(ended, key=lambda r: r["final_loss"])
        lowest = "ends lowest, " if len(runs) > 1 else "ends "
        yield f"{best['name']} {lowest}at a loss of {short(best['final_loss'])}"
    if unsteady:
        worst = max(unsteady, key=lambda r: r["jitter"])
        most = "largest " if len(runs) > 1 else ""
        spikes = count(worst["spikes"], "spike")
        yield f"the {most}jitter is {short(worst['jitter'])}, of {worst['name']} with {spikes}"
    for r in runs:
        if r["not_finite"]:
            yield f"{r['name']} has numbers that are not finite from step {r['first_not_finite']:,}"
    if not ended and not unsteady and not any(r["not_finite"] for r in runs):
        yield "no log has a loss, or enough gradient norms for a jitter"


def draw(result: "pa.Table", figure: "Figure") -> None:
    """Loss, gradient norm and jitter by step, a colour for every name; or norms by layer."""
    columns = {name: result[name].to_numpy() for name in result.column_names}
    if "layer" in columns:
        training_curves.draw_layers(figure, columns)
        return
    training_curves.draw_runs(figure, columns)
