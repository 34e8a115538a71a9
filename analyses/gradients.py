"""How well a map learns: its Jacobian at its start, towards a vertex, at random.

The path is the ray through the published start: theta = scale x start, from 0 to --span. Where the
parameters are logits, scale 0 is the barycenter and a large scale a permutation; for go-mHC scale 0
is the identity, where its rank is 0. Random rows are at parameters drawn with --draw; the largest
rank of all rows is the dimension of the image.

norm, sigma_max: Frobenius and spectral norm of the Jacobian, of d^2 rows. rank: number of singular
values above the tolerance d^2 eps max(1, norm), for the entries of H and of the Jacobian are no
better known than that. Null where the map has no derivative. --dtype float32 shows what training
sees: mHC with tau = 0.05 starts with a gradient of exactly 0.

For mHC-lite and BE-HC, mixtures of permutations with softmax weights, and the loss |H - P - E|^2 /
d^2 with one of their permutations P and noise E: gate, the weight of P, which multiplies the
gradient in its logit; signal, crosstalk and noise_floor, the parts of the gradient in that weight;
logit_gradient.

Source: go-mHC, arXiv:2604.02309, B.7 and B.10 (eq. 31-36).
"""

from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np

from birkhoff_cli.analyses.core.analysis import analysis
from birkhoff_cli.analyses.core.arrays import Array
from birkhoff_cli.analyses.core.describe import specification
from birkhoff_cli.analyses.core.memory import magnitude, require_memory
from birkhoff_cli.analyses.core.metadata import meta_of
from birkhoff_cli.analyses.core.parameterization import Parameterization, require
from birkhoff_cli.analyses.core.quantities import AT_LEAST_0, METHOD, D, judged, quantity
from birkhoff_cli.analyses.core.random_numbers import Seed, generator
from birkhoff_cli.analyses.core.result import Result, Summary
from birkhoff_cli.analyses.core.sentences import capitalise
from birkhoff_cli.analyses.core.source import Draws
from birkhoff_cli.analyses.core.table import Columns, column
from birkhoff_cli.analyses.core.titles import how
from birkhoff_cli.analyses.drawing import captions, gradient_panels
from birkhoff_cli.analyses.fitting.crosstalk import crosstalk
from birkhoff_cli.analyses.fitting.jacobian import measure, passes

if TYPE_CHECKING:
    import pyarrow as pa
    from matplotlib.figure import Figure

EXAMPLES = (
    "birkhoff gradients --method mhc --method mhc:variant=tokenbender --method mhc-lite "
    "--method go-mhc:s=1 --method go-mhc:s=2 --dtype float32 --plot gradients.png",
    "birkhoff gradients --method go-mhc:s=1 --d 6 --json",
)

SCHEMA = (
    column("method", "string", "the method with its options"),
    column("d", "int32", "number of streams"),
    column("kind", "string", "path: on the ray through the start; random: drawn parameters"),
    column("index", "int32", "row of that kind, by growing scale, counted from 0"),
    column("scale", "float64", "theta as a multiple of the published start", nullable=True),
    column("vertex_distance", "float64", "Frobenius distance of H to the nearest permutation"),
    column("norm", "float64", "Frobenius norm of dH/dtheta", nullable=True),
    column("sigma_max", "float64", "its largest singular value", nullable=True),
    column("sigma_min", "float64", "its smallest above the tolerance", nullable=True),
    column("rank", "int32", "number of singular values above the tolerance", nullable=True),
    column("tolerance", "float64", "d^2 eps max(1, norm)", nullable=True),
    column(
        "gate", "float64", "weight of the target permutation; mixtures of them only", nullable=True
    ),
    column("signal", "float64", "self-correction in dL/dweight, eq. 36", nullable=True),
    column("crosstalk", "float64", "part of other permutations in it", nullable=True),
    column("noise_floor", "float64", "part of the noise in it", nullable=True),
    column("logit_gradient", "float64", "dL/dlogit of the target", nullable=True),
)
SUMMARY = (
    *judged(
        "alive, or vanishing if a method has no gradient at its published start",
        "alive",
        "norm of the Jacobian at the start up to which it vanishes",
    ),
    quantity(
        "methods",
        "the Jacobian of every method",
        rows=(
            METHOD,
            D,
            quantity("parameters", "numbers that make one matrix", range=AT_LEAST_0),
            quantity("dimension", "largest rank that was found", good="(d - 1)^2"),
            quantity("polytope", "(d - 1)^2, the dimension of the polytope"),
            quantity("start_rank", "rank at the published start; null without a derivative"),
            quantity("start_norm", "Frobenius norm there", range=AT_LEAST_0, good="above 0"),
            quantity(
                "start_distance",
                "distance of the matrix there to the nearest permutation",
                range=AT_LEAST_0,
            ),
            quantity("zero_rank", "rank at theta = 0; null without a derivative"),
            quantity(
                "vanishes_from",
                "multiple of the start from which on the Jacobian is exactly 0; null if there is "
                "none",
                good="null",
            ),
        ),
    ),
)

PARTS = tuple(c.name for c in SCHEMA[11:])


@analysis
def run(
    methods: tuple[Parameterization, ...],
    *,
    draws: Draws = Draws(samples=16),  # noqa: B008 (frozen)
    span: Annotated[float, "the path goes from 1/span to span times the start, and 0"] = 32.0,
    points: Annotated[int, "points of the path between these"] = 81,
    noise: Annotated[float, "standard deviation of the entries of E"] = 0.01,
    seed: Seed = 0,
) -> Result:
    """Jacobians along the path and at random parameters.

    Args:
        methods: the maps.
        draws: how many random parameters, of which distribution; in which precision, and where.
        span: how far the path goes.
        points: how many points it has.
        noise: of the target of a mixture of permutations.
        seed: of all draws; every method draws from a child of its own.

    Returns:
        A row for every method and point. The summary has ``methods``: ``dimension`` is the
        largest rank found, ``polytope`` (d-1)^2, ``zero_rank`` the rank at theta = 0 and
        ``vanishes_from`` the scale from which on the Jacobian is exactly 0, if there is one.

    Raises:
        UsageError: no method, or an option that cannot be.
        TooLarge: one Jacobian does not fit in memory.
    """
    require(len(methods) > 0, "gradients without --method", "--method NAME, once for each")
    require(1 < span < np.inf, f"--span {span:g}", "above 1")
    require(points >= 2, f"--points {points}", "at least 2")
    require(0 <= noise < np.inf, f"--noise {noise:g}", "a finite number, 0 or more")
    require(
        draws.draw in (None, "gaussian", "uniform", "init"),
        f"--draw {draws.draw}",
        "parameters: gaussian, uniform or init",
    )
    draws.evaluator()
    for method in methods:
        count = points + 2 + draws.samples
        size = 8 * count * (method.parameters + len(SCHEMA))
        require_memory(size, f"the rows of {magnitude(count)} points of d = {method.d}")
    rows: list[Columns] = []
    scales = np.unique(np.append(span ** np.linspace(-1, 1, points), (0, 1)))
    return Result(
        schema=SCHEMA,
        steps=_steps(methods, draws, scales, noise, generator(seed), rows),
        summarise=lambda: _summary(methods, rows),
        total=sum(passes(m, n) for m in methods for n in (len(scales), draws.samples)),
        meta={
            "dtype": draws.dtype,
            "mixture": _first_mixture(methods),
            "title": _title(methods, draws, span),
        },
    )


def _steps(
    methods: tuple[Parameterization, ...],
    draws: Draws,
    scales: Array,
    noise: float,
    rng: np.random.Generator,
    rows: list[Columns],
) -> Iterator[Columns]:
    for method, child in zip(methods, rng.spawn(len(methods)), strict=True):
        start = method.initial()
        perms = method.permutations
        error = noise * child.standard_normal((method.d, method.d))
        how = draws.draw or method.default_draw
        path = ("path", scales, scales[:, None] * start)
        drawn = method.theta(draws.samples, child, how, draws.scale)
        for kind, scale, theta in (path, ("random", np.nan, drawn)):
            measured = yield from _empty(measure(method, theta, draws))
            parts = dict.fromkeys(PARTS, np.nan)
            if perms is not None:
                parts = crosstalk(theta, perms, int(start.argmax()), error)
            facts = {"method": specification(method), "d": method.d, "kind": kind, "scale": scale}
            rows.append({**facts, "index": np.arange(len(theta)), **measured, **parts})
            yield rows[-1]


def _empty(steps: Generator[None, None, Columns]) -> Generator[Columns, None, Columns]:
    """Steps without rows, and what they return."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            returned: Columns = end.value
            return returned
        yield {}


def _title(methods: tuple[Parameterization, ...], draws: Draws, span: float) -> str:
    """What the path is, and in which precision."""
    sides = " and ".join(str(d) for d in dict.fromkeys(method.d for method in methods))
    path = f"from 1/{span:g} to {span:g} times the start"
    return ", ".join([f"Jacobians {path}", f"d = {sides}", *how(draws)])


def _first_mixture(methods: tuple[Parameterization, ...]) -> str | None:
    """What its paper calls the first method that mixes permutations."""
    names = (m.source.partition(",")[0] for m in methods if m.permutations is not None)
    return next(names, None)


def _summary(methods: tuple[Parameterization, ...], rows: list[Columns]) -> Summary:
    pairs = zip(methods, rows[::2], rows[1::2], strict=True)
    rows = [_outline(method, path, random) for method, path, random in pairs]
    dead = any(row["start_norm"] == 0 for row in rows)
    return {"verdict": "vanishing" if dead else "alive", "threshold": 0.0, "methods": rows}


def answer(summary: Summary) -> str:
    """Which methods start without a gradient, and the rank of the others."""
    rows = summary["methods"]
    dead = [row["method"] for row in rows if row["start_norm"] == 0]
    start = (
        f"no gradient at the start of {', '.join(dead)}" if dead else "a gradient at every start"
    )
    return capitalise(f"{start}; {', '.join(map(_dimensions, rows))}.")


def _dimensions(row: Summary) -> str:
    """How many dimensions a method reaches, beside those of the polytope."""
    reached, polytope = row["dimension"], row["polytope"]
    if reached > polytope:
        beyond = f"more than the {polytope} of B_{row['d']}, which it leaves"
        return f"{row['method']} reaches {reached} dimensions, {beyond}"
    return f"{row['method']} reaches {reached} of the {polytope} dimensions of B_{row['d']}"


def _outline(method: Parameterization, path: Columns, random: Columns) -> dict[str, Any]:
    start, zero = (int(np.flatnonzero(path["scale"] == at)[0]) for at in (1, 0))
    alive = np.flatnonzero(path["norm"] > 0)
    gone = path["scale"][alive[-1] + 1 :] if alive.size else path["scale"]
    return {
        "method": specification(method),
        "d": method.d,
        "parameters": method.parameters,
        "dimension": int(np.nanmax([*path["rank"], *random["rank"]])),
        "polytope": (method.d - 1) ** 2,
        "start_rank": _whole(path["rank"][start]),
        "start_norm": float(path["norm"][start]),
        "start_distance": float(path["vertex_distance"][start]),
        "zero_rank": _whole(path["rank"][zero]),
        "vanishes_from": float(gone[0]) if gone.size else None,
    }


def _whole(rank: float) -> int | None:
    return None if np.isnan(rank) else int(rank)


def draw(result: "pa.Table", figure: "Figure") -> None:
    """Norm and rank over the distance to the vertex; parts of a mixture's over the weight."""
    meta = meta_of(result)
    paths = gradient_panels.paths_by_method(result)
    mixtures = [path for path in paths.values() if not np.isnan(path["gate"].astype(float)).any()]
    count = 2 + bool(mixtures)
    figure.set_size_inches(min(8.3, 3.5 * count), 4.2)
    captions.title(result, figure)
    panels = figure.subplots(1, count)
    gradient_panels.draw_norms(panels[0], paths, meta["dtype"])
    gradient_panels.draw_ranks(panels[1], paths)
    if mixtures:
        gradient_panels.draw_parts(panels[2], mixtures[0])
        name = meta.get("mixture", "mHC-lite")  # the only one in tables of version 0.1
        panels[2].set(ylabel=f"parts of {name}'s gradient")
    captions.legend_below(figure, panels[0], "circle: the start")
