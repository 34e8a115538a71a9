"""Matrices drawn from a parameterization, or golden vectors for whoever writes a kernel of it.

With --table golden: logits (theta, if parameters are not those of entries), matrices, a cotangent
and its gradient in the logits, in float64 and rounded to --rounded, for d = 1, 2, 3, 4, 8 and the
cases that kernels get wrong: spread 0 to 200, ties, one dominant logit, masked entries (-inf),
denormals. Logits and cotangents are numbers of the rounded dtype, so both sides begin alike.
In .npz and .safetensors an array is named d4/spread_5/logits, d4/spread_5/logits_rounded; in a
table the same is a row for every matrix. Where a maximum is tied its gradient is shared evenly.

Source: the method's own; see `birkhoff methods`.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Annotated, Any, Literal

import numpy as np

from birkhoff_cli.analyses.core.analysis import analysis
from birkhoff_cli.analyses.core.arrays import Array
from birkhoff_cli.analyses.core.describe import specification
from birkhoff_cli.analyses.core.errors import UsageError
from birkhoff_cli.analyses.core.fold import Fold, Statistics, run_fold
from birkhoff_cli.analyses.core.options import Idle, With
from birkhoff_cli.analyses.core.parameterization import Parameterization
from birkhoff_cli.analyses.core.quantities import METHOD, SAMPLES, D, quantity
from birkhoff_cli.analyses.core.result import Result, Summary, at_once
from birkhoff_cli.analyses.core.sentences import near_one, short
from birkhoff_cli.analyses.core.source import Drawn, Draws
from birkhoff_cli.analyses.core.table import Columns, Schema, column
from birkhoff_cli.analyses.kernels.golden import SIDES, Vectors, draw_vectors, nearest
from birkhoff_cli.analyses.statistics.extremes import (
    ENTRY_MIN,
    EXACT,
    SUM_ERRORS,
    Extremes,
    SumErrors,
    judge_sums,
)

EXAMPLES = (
    "birkhoff sample --method go-mhc --s 2 -n 1000 -o matrices.parquet",
    "birkhoff sample --method mhc-lite --draw polytope --d 3 -n 5 -o - --format ndjson",
    "birkhoff sample --method mhc:variant=deepseek-v4 --table golden -o golden.npz",
)

SCHEMA = (
    column("sample", "int64", "index of the drawn matrix"),
    column("matrix", "matrix<float64>[4]", "H row by row: x_out[i] = sum_j H[i, j] x_in[j]; d x d"),
)

SUMMARY = (
    *EXACT,
    METHOD,
    D,
    SAMPLES,
    *SUM_ERRORS,
    ENTRY_MIN,
    quantity("sides", "numbers of streams of golden vectors"),
    quantity("cases", "cases of golden vectors"),
    quantity("rounded", "dtype of their rounded copies"),
)

GOLDEN = (
    column("d", "int32", "number of streams"),
    column("case", "string", "what kernels get wrong"),
    column("sample", "int64", "index of the matrix in its case"),
)
WRITES_ROWS = True
"""Its rows are what it is for: without a file to keep them it says so."""

IDLE = Idle("table", "golden", ("samples", "draw", "scale", "dtype", "device", "d"))


@analysis
def run(
    source: Annotated[Drawn, Draws(samples=1000), IDLE],
    *,
    table: Annotated[
        Literal["matrices", "golden"], "what to write; golden: test vectors for kernels"
    ] = "matrices",
    rounded: Annotated[
        Literal["float32", "bfloat16", "float16"],
        "dtype of the rounded copies",
        With("table", "golden"),
    ] = "float32",
) -> Result:
    """Draw matrices and measure how doubly stochastic they are, or write golden vectors.

    Args:
        source: the map to draw from, how many matrices and how.
        table: one matrix in a row, or golden vectors.
        rounded: dtype of golden vectors beside float64.

    Returns:
        One row for every matrix; the summary as in `SUMMARY`.

    Raises:
        UsageError: a distribution that the method does not have; a method without parameters.
    """
    if table == "golden":
        return _golden(source, rounded)
    matrix = f"matrix<{source.dtype}>[{source.d}]"
    schema = (SCHEMA[0], SCHEMA[1]._replace(dtype=matrix))
    return run_fold(_Sample(source), source, schema, {})


def _golden(source: Drawn, rounded: str) -> Result:
    methods = list(_of_every_side(source.method))
    vectors = list(draw_vectors(methods, source.seed, rounded))
    cases = list(dict.fromkeys(v.case for v in vectors))
    word = "theta" if source.method.balancing() is None else "logits"
    settings = {k: v for k, v in source.method.resolved().items() if v is not None}
    summary = {
        "method": specification(source.method),
        "samples": sum(len(v.matrices) for v in vectors),
        "sides": [method.d for method in methods],
        "cases": cases,
        "rounded": rounded,
    }
    golden = {"method": specification(source.method), "settings": settings, "rounded": rounded}
    result = at_once(_schema(word), _rows(vectors, word, rounded), summary, golden=golden)
    result.arrays = lambda: _arrays(vectors, word, rounded)
    return result


def _of_every_side(method: Parameterization) -> Iterator[Parameterization]:
    """The method with every number of streams that its options allow."""
    for d in SIDES:
        try:
            yield replace(method, d=d)
        except UsageError:
            continue


def _schema(word: str) -> Schema:
    about = {
        word: "parameters of the matrix" + ("; d x d, row by row" if word == "logits" else ""),
        "matrices": "H row by row: x_out[i] = sum_j H[i, j] x_in[j]; d x d",
        "cotangent": "a gradient in H, row by row",
        "gradient": f"the gradient in the {word} that the cotangent gives",
    }
    exact = (column(name, "list<float64>", text) for name, text in about.items())
    narrow = (
        column(f"{name}_rounded", "list<float32>", f"{text}; rounded to the dtype of the command")
        for name, text in about.items()
    )
    return (*GOLDEN, *exact, *narrow)


def _named(vectors: Vectors, word: str, rounded: str) -> dict[str, Array]:
    """The arrays of one case, ``(count, d, d)``; of theta and its gradient ``(count, p)``."""
    shape = vectors.matrices.shape if word == "logits" else vectors.parameters.shape
    exact = {
        word: vectors.parameters.reshape(shape),
        "matrices": vectors.matrices,
        "cotangent": vectors.cotangent,
        "gradient": vectors.gradient.reshape(shape),
    }
    narrow = {f"{k}_rounded": nearest(v, rounded).astype(np.float32) for k, v in exact.items()}
    return exact | narrow


def _arrays(vectors: Sequence[Vectors], word: str, rounded: str) -> Iterator[tuple[str, Array]]:
    for v in vectors:
        for name, values in _named(v, word, rounded).items():
            yield f"d{v.d}/{v.case}/{name}", values


def _rows(vectors: Sequence[Vectors], word: str, rounded: str) -> Columns:
    named = [_named(v, word, rounded) for v in vectors]
    counts = [len(v.matrices) for v in vectors]
    columns: dict[str, Any] = {
        "d": np.repeat([v.d for v in vectors], counts),
        "case": np.repeat([v.case for v in vectors], counts),
        "sample": np.concatenate([np.arange(count) for count in counts]),
    }
    for name in named[0]:
        rows = [row.ravel() for arrays in named for row in arrays[name]]
        columns[name] = np.fromiter(rows, dtype=object, count=len(rows))
    return columns


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
        errors = state.errors.summary()
        verdict = judge_sums(errors, source.d, float(np.finfo(source.dtype).eps))
        return (), {**verdict, **facts, **errors, **state.entries.summary()}


def answer(summary: Summary) -> str:
    """How doubly stochastic the matrices are; of golden vectors how many there are."""
    if "cases" in summary:
        return (
            f"{summary['samples']:,} golden vectors of {summary['method']} in "
            f"{len(summary['cases'])} cases, in float64 and {summary['rounded']}."
        )
    sums = near_one(summary["column_error_max"], summary["row_error_max"])
    return (
        f"{summary['samples']:,} matrices of {summary['method']}: {sums}; the smallest entry is "
        f"{short(summary['entry_min'])}."
    )
