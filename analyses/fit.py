"""Fits of methods to target matrices, from noisy stream mixing: loss curves.

Every target is a problem of its own, the same for every method: matrices of a file or checkpoint,
or drawn, Sinkhorn of uniform numbers without --sampler. Data are y = T x + noise, or with a
read-out p the one stream p y. The loss is a mean per element. No exact method can go below the
floor, the least loss of any doubly stochastic matrix.

Source: go-mHC, arXiv:2604.02309, 5.1, A, B.1, B.2, B.9, C, F.
"""

from collections.abc import Iterator, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np

from birkhoff_cli.analyses.core import palette
from birkhoff_cli.analyses.core.analysis import analysis
from birkhoff_cli.analyses.core.ensemble import Sampler
from birkhoff_cli.analyses.core.parameterization import Parameterization, require
from birkhoff_cli.analyses.core.quantities import AT_LEAST_0, D, judged, quantity
from birkhoff_cli.analyses.core.random_numbers import Seed, generator
from birkhoff_cli.analyses.core.result import Result, Summary
from birkhoff_cli.analyses.core.sentences import count, short
from birkhoff_cli.analyses.core.table import Columns, Schema, column
from birkhoff_cli.analyses.core.trace import MixingTrace, Site
from birkhoff_cli.analyses.drawing import captions, loss_curves, loss_pairs
from birkhoff_cli.analyses.fitting.chosen import LeftOut, against, check_sizes, fits_of
from birkhoff_cli.analyses.fitting.curves import CONVERGED, QUANTITIES, Fit
from birkhoff_cli.analyses.fitting.data import Data, Distribution
from birkhoff_cli.analyses.fitting.descent import Plan
from birkhoff_cli.analyses.fitting.problem import chosen_targets, common_d, posed, title_of_fit

if TYPE_CHECKING:
    import pyarrow as pa
    from matplotlib.figure import Figure

EXAMPLES = (
    "birkhoff fit --method go-mhc:s=2 --method go-mhc:s=3 --method mhc-lite --method kromhc "
    "--plot fit.png",
    "birkhoff fit --method go-mhc:s=1 --sampler go-mhc:s=1,draw=haar --objective entries",
    "birkhoff fit out/ckpt.pt --method kromhc --table matrices -o - | birkhoff depth-drift -",
)

SCHEMA = (
    column("method", "string", "the method and its options but d"),
    column("target", "int64", "which of the targets"),
    column("epoch", "int64", "steps taken so far; about 40 of each power of ten are kept"),
    column("loss", "float64", "mean square per element"),
    column("floor", "float64", "least loss of a doubly stochastic matrix over the population"),
    column("floor_drawn", "float64", "the same over the data that were drawn"),
    column("frobenius", "float64", "Frobenius distance of the matrix to its target"),
    column(
        "kl",
        "float64",
        "mean divergence of the target's rows from the matrix's; null with an entry below 0",
        unit="nat",
        nullable=True,
    ),
    column(
        "geodesic",
        "float64",
        "angle to the target between the lifts that `distance` describes; null unless the target "
        "is orthostochastic, d <= 5",
        unit="rad",
        nullable=True,
    ),
    column("geodesic_start", "float64", "angle to the start", unit="rad", nullable=True),
)
SUMMARY = (
    *judged(
        "converged, or moving if a loss may still fall",
        "converged",
        "share of the last loss within which a converged curve stays",
    ),
    quantity("targets", "matrices that were fitted", range=AT_LEAST_0),
    D,
    quantity("epochs", "steps of the optimizer", range=AT_LEAST_0),
    quantity("fits", "every method after the last epoch", rows=QUANTITIES),
)

BESIDE = (
    *SCHEMA[:4],
    column("against", "string", "the first method, and its options but d"),
    column("loss_against", "float64", "its loss for the same target at the same epoch"),
    *SCHEMA[4:6],
)

MATRICES = (
    column("method", "string", "the method and its options but d"),
    column("sample", "int64", "sample of the target; those of the next method follow"),
    column("site", "int32", "site of the target"),
    column("layer", "int32", "layer of the target"),
    column("branch", "string", "branch of the target: attn or mlp; drawn if it was drawn"),
    column("matrix", "matrix<float64>[4]", "the matrix after the last epoch, d x d"),
)


Objective = Annotated[Literal["features", "entries"], "what is fitted"]
ProjectorNoise = Annotated[float, "deviation of noise on the target, for every point"]
Readout = Annotated[Literal["none", "fixed", "learned"], "mix streams"]
Start = Annotated[Literal["init", "gaussian", "uniform"], "first parameters"]
Spread = Annotated[float | None, "of the first parameters [1; 0 around the published start]"]
Rows = Annotated[
    Literal["curves", "against", "matrices"],
    "rows: losses by epoch, losses beside the first method's, or what was learned",
]
Targets = Annotated[MixingTrace | None, "targets: a checkpoint or matrices; - is standard input"]


@analysis
def run(
    *,
    trace: Targets = None,
    sampler: Sampler | None = None,
    methods: tuple[Parameterization, ...],
    targets: Annotated[int | None, "targets: 64 drawn ones, or all of a path, if not given"] = None,
    objective: Objective = "features",
    epochs: Annotated[int, "steps of the optimizer, each over all data"] = 10_000,
    examples: Annotated[int, "data points"] = 100,
    features: Annotated[Distribution, "standard Gaussian, or uniform on [0, 1]"] = "gaussian",
    sparsity: Annotated[float, "probability that a feature is 0"] = 0.0,
    noise: Annotated[float, "the noise is uniform on [0, this]"] = 0.1,
    projector_noise: ProjectorNoise = 0.0,
    readout: Readout = "none",
    optimizer: Annotated[Literal["adam", "sgd"], "how to descend"] = "adam",
    learning_rate: Annotated[float | None, "0.01 for adam, 0.1 for sgd if not given"] = None,
    start: Start = "init",
    spread: Spread = None,
    table: Rows = "curves",
    seed: Seed = 0,
) -> Result:
    """Fit every method to the same targets, which are drawn if no trace is given.

    Of a trace as many whole samples are taken as hold ``targets``; else the sampler draws them,
    Sinkhorn of U(0, 1) entries if not given. Targets, data and the starts of every method are
    drawn from children of the seed. A method that is too large for this d is left out, which is
    said, unless all are.

    Returns:
        Rows as ``table`` says, those of ``matrices`` in the columns of a trace; the summary as in
        `SUMMARY` and, of every method, `curves.QUANTITIES`.

    Raises:
        UsageError: no method, methods or targets of several d, a number out of range.
        TooLarge: every method is too large.
        BirkhoffError: a loss that is no longer finite.
    """
    alone = table == "against" and len(methods) < 2
    require(not alone, "--table against with one method", "--method twice or more")
    d = common_d(trace, methods)
    check_sizes(methods, needed=int(table == "against"))
    of_targets, of_data, *of_methods = generator(seed).spawn(2 + len(methods))
    goals, sites = chosen_targets(trace, sampler, targets, d, of_targets)
    data = Data(examples, features, sparsity, noise, projector_noise)
    problem = posed(goals, data, objective, readout, of_data)
    plan = Plan(epochs, optimizer, learning_rate, start, spread)
    fits, left_out = fits_of(methods, problem, plan, of_methods, needed=int(table == "against"))
    origin = trace.title if trace else getattr(sampler, "specification", None)
    title = title_of_fit(len(goals), origin, d, objective, data, readout, plan)
    return Result(
        schema={"curves": SCHEMA, "against": BESIDE}.get(table) or _matrix_schema(d),
        steps=_steps(fits, table, sites),
        summarise=lambda: _summary(len(goals), d, epochs, fits),
        total=sum(fit.total for fit in fits),
        meta=_meta(trace, d, left_out) | {"title": title},
    )


def _meta(trace: MixingTrace | None, d: int, left_out: Sequence[str]) -> dict[str, Any]:
    """What is known of the targets' trace, and which methods are left out."""
    meta = {**(trace.meta if trace else {}), "d": d}
    if left_out:
        meta["assumptions"] = [*meta.get("assumptions", ()), *left_out]
    return meta


def _steps(fits: Sequence[Fit | LeftOut], table: str, sites: tuple[Site, ...]) -> Iterator[Columns]:
    if table == "against":
        return against(fits)
    curves = table == "curves"
    return chain.from_iterable(fit.curves() if curves else fit.matrices(sites) for fit in fits)


def _matrix_schema(d: int) -> Schema:
    *columns, matrix = MATRICES
    return (*columns, matrix._replace(dtype=f"matrix<float64>[{d}]"))


def _summary(targets: int, d: int, epochs: int, fits: Sequence[Fit | LeftOut]) -> Summary:
    rows = [fit.summary() for fit in fits]
    moving = any(row["epochs_to_convergence"] is None for row in rows if "left_out" not in row)
    verdict = {"verdict": "moving" if moving else "converged", "threshold": CONVERGED}
    return {**verdict, "targets": targets, "d": d, "epochs": epochs, "fits": rows}


def answer(summary: Summary) -> str:
    """Which method comes nearest to the targets, and how many have converged."""
    rows = [row for row in summary["fits"] if "left_out" not in row]
    best = min(rows, key=lambda row: row["final_loss"])
    done = sum(row["epochs_to_convergence"] is not None for row in rows)
    return (
        f"{best['method']} comes nearest to {count(summary['targets'], 'target')}, with a loss of "
        f"{short(best['final_loss'])} over a floor of {short(best['floor'])}; {done} of "
        f"{count(len(rows), 'method')} converged in {count(summary['epochs'], 'epoch')}."
    )


def draw(result: "pa.Table", figure: "Figure") -> None:
    """Means over targets by epoch, with the middle 80 %; or the first learned matrices."""
    names = result.column_names
    looks = _looks(result)
    columns = {name: result[name].to_numpy() for name in names if name != "matrix"}
    if "matrix" in names:
        loss_curves.draw_matrices(result, figure, list(looks))
    elif "against" in names:
        loss_pairs.draw_pairs(figure, columns)
    else:
        shown = [name for name in loss_curves.PANELS if np.isfinite(columns[name]).any()]
        figure.set_size_inches(min(loss_curves.WIDTH, 4.1 * len(shown)), 4.2)
        panels = figure.subplots(1, len(shown), squeeze=False)[0]
        for axes, name in zip(panels, shown, strict=True):
            loss_curves.draw_panel(axes, columns, name, looks)
            axes.set(xlabel="epoch", ylabel=loss_curves.PANELS[name])
        loss_curves.draw_legend(figure, looks, columns)
    captions.title(result, figure)


def draw_sweep(result: "pa.Table", figure: "Figure") -> None:
    """The loss, a panel for every cell; or the first learned matrices."""
    names = result.column_names
    if "matrix" in names:
        draw(result, figure)
        return
    looks = _looks(result)
    columns = {name: result[name].to_numpy() for name in names}
    swept = names[1 : names.index("method")]
    if "against" in names:
        loss_pairs.draw_pairs(figure, columns, swept)
    else:
        loss_curves.draw_cells(figure, columns, swept, looks)
        loss_curves.draw_legend(figure, looks, columns)
    captions.title(result, figure)


def _looks(result: "pa.Table") -> loss_curves.Looks:
    """A look for every method."""
    return palette.looks(result["method"].unique().to_pylist())
