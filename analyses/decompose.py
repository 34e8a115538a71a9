"""Permutations in given matrices: mixtures of few of them, the nearest one, and distances.

Of every matrix H: its row and column errors, the nearest permutation matrix, and the nearest
doubly stochastic matrix, which is H itself if H is doubly stochastic, as a mixture of few
permutations (Birkhoff-von Neumann); one row for every term. With --method also the distance to
the matrices which that method can reach, an upper bound: the best of --starts descents.

With --method and without a path the matrices are -n targets, uniform on the polytope of --d: exact
up to d = 4, by hit-and-run beyond. share_reached is the share of its volume that the method reaches
within --tolerance, with its binomial standard error; descents that miss make it too small.

--cover also looks for the doubly stochastic matrix that is farthest from what the method reaches.
Where that is convex (mixtures of fixed permutations) it is a permutation, and all are tried up to
d = 6: cover_proven. Else it is the best of a few ascents, a lower bound on the covering radius as
far as descents find what is nearest.

Distances are Frobenius norms.

Source: Birkhoff, Univ. Nac. Tucuman Rev. A 5 (1946) 147-151.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np

from birkhoff_cli.analyses.core.analysis import analysis
from birkhoff_cli.analyses.core.errors import BadInput
from birkhoff_cli.analyses.core.memory import require_memory
from birkhoff_cli.analyses.core.options import With
from birkhoff_cli.analyses.core.parameterization import Parameterization, require
from birkhoff_cli.analyses.core.quantities import (
    AT_LEAST_0,
    AT_LEAST_1,
    METHOD,
    D,
    judged,
    quantity,
)
from birkhoff_cli.analyses.core.random_numbers import Seed, generator
from birkhoff_cli.analyses.core.result import Result, Summary
from birkhoff_cli.analyses.core.sentences import share, short
from birkhoff_cli.analyses.core.table import Columns, column
from birkhoff_cli.analyses.core.titles import title
from birkhoff_cli.analyses.core.trace import MixingTrace, Targets, site_columns, site_schema
from birkhoff_cli.analyses.drawing import axis, captions, distance_curves, term_bars
from birkhoff_cli.analyses.geometry.decomposition import terms_bound
from birkhoff_cli.analyses.geometry.image import Image
from birkhoff_cli.analyses.geometry.nearest import Numbers, measure_distances
from birkhoff_cli.analyses.geometry.projection import LARGEST
from birkhoff_cli.analyses.probes.reached import (
    COVERED,
    REACHED,
    summarise_image,
)
from birkhoff_cli.analyses.statistics.extremes import ENTRY_MIN, SUM_ERRORS

if TYPE_CHECKING:
    import pyarrow as pa
    from matplotlib.figure import Figure

EXAMPLES = (
    "birkhoff decompose matrices.npy -o terms.parquet --plot terms.png",
    "birkhoff decompose out/ckpt.pt --json",
    "birkhoff decompose - --method go-mhc --s 2 < matrices.parquet",
    "birkhoff decompose --method be-hc --basis-seed 1 --d 3 -n 100 --cover",
)

SCHEMA = (
    column("sample", "int64", "sample of the matrix, counted from 0"),
    *site_schema(),
    column("term", "int32", "term of the mixture that is nearest, by falling weight"),
    column("weight", "float64", "weight of the term; those of a matrix sum to 1"),
    column("permutation", "vector<int32>[4]", "its permutation: P[i, permutation[i]] = 1"),
    column("row_error", "float64", "largest |row sum - 1| of the matrix"),
    column("column_error", "float64", "largest |column sum - 1| of the matrix"),
    column("entry_min", "float64", "smallest entry of the matrix"),
    column("barycenter_distance", "float64", "distance to J/d"),
    column("permutation_distance", "float64", "distance to the nearest permutation matrix"),
    column("nearest_permutation", "vector<int32>[4]", "that permutation"),
    column("polytope_distance", "float64", "distance to the nearest doubly stochastic matrix"),
    column("nearest", "matrix<float64>[4]", "that doubly stochastic matrix, d x d"),
    column("reconstruction_error", "float64", "largest entry of the mixture less `nearest`"),
    column(
        "image_distance",
        "float64",
        "upper bound on the distance to the image of --method: the best of --starts descents",
        nullable=True,
    ),
)
SIZE = (8.3, 3.8)
TOLERANCE = 1e-5
"""Distance from the polytope that rounding in float32 explains."""

SUMMARY = (
    *judged(
        "inside, or outside if a matrix is not doubly stochastic",
        "inside",
        "distance from the nearest doubly stochastic matrix that is allowed",
    ),
    quantity("matrices", "matrices that were decomposed", range=AT_LEAST_0),
    D,
    quantity("terms_bound", "(d - 1)^2 + 1: terms that every matrix needs at most"),
    quantity("terms_max", "most terms of a matrix", range=AT_LEAST_1),
    *SUM_ERRORS,
    ENTRY_MIN,
    quantity(
        "polytope_distance_max",
        "largest distance to the nearest doubly stochastic matrix",
        range=AT_LEAST_0,
        good="near 0",
    ),
    quantity(
        "permutation_distance_min",
        "smallest distance to the nearest permutation",
        range=AT_LEAST_0,
    ),
    quantity(
        "permutation_distance_max", "largest distance to the nearest permutation", range=AT_LEAST_0
    ),
    quantity(
        "reconstruction_error_max",
        "largest entry of a mixture less the nearest doubly stochastic matrix",
        range=AT_LEAST_0,
        good="near 0",
    ),
    METHOD,
    *REACHED,
    *COVERED,
)

STEP, BLOCK = 2000, 64 << 20


@analysis
def run(
    trace: Targets,
    *,
    method: Parameterization | None = None,
    starts: Annotated[
        int, "descents per matrix towards the image of --method", With("method")
    ] = 32,
    tolerance: Annotated[
        float, "distance up to which a matrix is reached by --method", With("method")
    ] = 1e-6,
    cover: Annotated[
        bool, "look for the matrix that is farthest from the image", With("method")
    ] = False,
    seed: Seed = 0,
) -> Result:
    """Decompose every matrix, and measure how far it is from what.

    Args:
        trace: the matrices; targets that are drawn if nothing else is said.
        method: a parameterization of the same d, to measure the distance to its image.
        starts: descents for every matrix; more of them find lower minima.
        tolerance: distance up to which a matrix is reached.
        cover: whether to look for the farthest matrix.
        seed: of the places where the descents start.

    Returns:
        A row for every matrix and term. The summary has ``matrices``, ``d``, ``terms_max`` (at
        most (d-1)^2 + 1), ``row_error_max``, ``column_error_max``, ``entry_min`` and the largest
        distances; only with a method ``share_reached`` with its ``tolerance`` and error, and
        ``distance_p50``, ``distance_p90``, ``distance_max`` of the distances to its image.

    Raises:
        UsageError: a method of another d, or starts below 1.
        BadInput: an entry so large that 1 is lost beside it.
    """
    require(starts >= 1, f"--starts {starts}", "at least 1")
    require(0 < tolerance < np.inf, f"--tolerance {tolerance:g}", "a number above 0")
    d = trace.d
    if method is not None:
        require(method.d == d, f"--d {method.d} for {d} x {d} matrices", f"{d}, or no --d")
    _refuse_large(trace)
    rng = generator(seed)
    image = None if method is None else Image(method, starts, rng)
    count = trace.samples * len(trace.sites)
    step = min(_step(d), STEP if image is None else image.step)
    record: dict[str, Any] = {"distances": []}
    far = rng if cover else None
    return Result(
        schema=tuple(c._replace(dtype=c.dtype.replace("[4]", f"[{d}]")) for c in SCHEMA),
        steps=_steps(trace, image, step, record),
        summarise=lambda: (
            _summary(count, d, record) | summarise_image(image, record["distances"], tolerance, far)
        ),
        total=-(-count // step),
        meta={**trace.meta, "d": d, "title": title(trace), "against": method and method.name},
    )


def _step(d: int) -> int:
    """Matrices at a time whose rows stay small: every term repeats the nearest matrix."""
    rows = 8 * terms_bound(d) * d * d
    require_memory(4 * rows, f"the terms of one matrix of d = {d}")
    return max(1, BLOCK // rows)


def _refuse_large(trace: MixingTrace) -> None:
    largest = max(float(np.abs(block).max()) for block in trace)
    if largest > LARGEST:
        raise BadInput(
            f"{trace.source}: holds an entry of modulus {largest:.3g}, beside which sums of 1 "
            f"are lost; entries up to {LARGEST:g} can be decomposed"
        )


def _steps(
    trace: MixingTrace, image: Image | None, step: int, record: dict[str, Any]
) -> Iterator[Columns]:
    sites = site_columns(trace.sites)
    start = 0
    for h in _chunks(trace, step):
        number = np.arange(start, start + len(h))
        site = number % len(trace.sites)
        weights, perms, measured = measure_distances(h)
        measured["image_distance"] = np.full(len(h), np.nan) if not image else image.distance(h)
        present = weights > 0
        terms = present.sum(1)
        _note(record, measured | {"terms": terms})
        record["distances"].append(measured["image_distance"])
        positions = {
            "sample": number // len(trace.sites),
            **{name: values[site] for name, values in sites.items()},
        }
        yield {
            **{name: np.repeat(v, terms, axis=0) for name, v in (positions | measured).items()},
            "term": np.nonzero(present)[1],
            "weight": weights[present],
            "permutation": perms[present],
        }
        start += len(h)


def _chunks(trace: MixingTrace, step: int) -> Iterator[Any]:
    """All matrices in order, ``(n, d, d)`` float64, at most ``step`` at a time."""
    for block in trace:
        matrices = block.reshape(-1, trace.d, trace.d)
        for start in range(0, len(matrices), step):
            yield matrices[start : start + step].astype(np.float64)


LARGEST_OF = {
    "terms_max": "terms",
    "row_error_max": "row_error",
    "column_error_max": "column_error",
    "polytope_distance_max": "polytope_distance",
    "permutation_distance_max": "permutation_distance",
    "reconstruction_error_max": "reconstruction_error",
}
SMALLEST_OF = {"entry_min": "entry_min", "permutation_distance_min": "permutation_distance"}


def _note(record: dict[str, Any], measured: Numbers) -> None:
    """Carry the extremes of all matrices on."""
    for extremes, choose in ((LARGEST_OF, max), (SMALLEST_OF, min)):
        for key, name in extremes.items():
            extreme = choose(measured[name].tolist())
            record[key] = choose(record.get(key, extreme), extreme)


def _summary(count: int, d: int, record: Numbers) -> dict[str, Any]:
    extremes = {name: record[name] for name in (*LARGEST_OF, *SMALLEST_OF)}
    inside = extremes["polytope_distance_max"] <= TOLERANCE
    verdict = {"verdict": "inside" if inside else "outside", "threshold": TOLERANCE}
    return {**verdict, "matrices": count, "d": d, "terms_bound": terms_bound(d), **extremes}


def answer(summary: Summary) -> str:
    """How far matrices are from the polytope, and how many permutations make one up."""
    sentence = (
        f"The farthest of {summary['matrices']:,} matrices is "
        f"{short(summary['polytope_distance_max'])} from a doubly stochastic one; "
        f"{summary['terms_max']} permutations are enough for each."
    )
    if "share_reached" not in summary:
        return sentence
    return (
        f"{summary['method']} reaches {share(summary['share_reached'])} of the matrices within "
        f"{short(summary['tolerance'])}, and comes to {short(summary['distance_max'])} or nearer "
        f"to each. {sentence}"
    )


def draw(result: "pa.Table", figure: "Figure") -> None:
    """Weights of the terms of the first matrices, stacked; distances of all, as distributions."""
    meta = captions.title(result, figure)
    left, right = figure.subplots(1, 2)
    first = result["term"].to_numpy() == 0
    term_bars.draw_bars(
        left, np.cumsum(first) - 1, result["term"].to_numpy(), result["weight"].to_numpy()
    )
    distance_curves.draw_distances(right, result, first, meta["against"])
    axis.integers(left.xaxis)
