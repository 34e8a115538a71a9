"""Sinkhorn: how far its input spreads, how many sweeps it needs, what variants and rounding change.

With --method mhc it draws logits; those of a checkpoint's static matrices are known too. Of other
matrices it takes the logarithms, which are the logits up to a scaling of rows and columns, and goes
on from there; the variants are then not known. Spread is log(largest / smallest) of the entries
that are normalised (mHC-lite's log 1/nu). Diameter is the largest log(a_ij a_kl / (a_il a_kj)): no
scaling changes it, and a sweep shrinks the distance to the limit at least by tanh(diameter / 4)^2.
The residual is the largest |sum - 1| of a row or column.

Part sweeps: residuals after sweeps without guard; of other matrices, after further ones. Part
needed: sweeps until the residual is 1e-3 or 1e-6; 1001 stands for more than 1000. Part variant:
the Sinkhorn of every known code base on the same logits. Part rounding: the logits, or the
matrices that are applied, stored as bf16, fp16, fp8 or int8 (255 equal steps for every matrix).
Changes are from what is applied without; lambda_2 is the second largest modulus of an eigenvalue.

Source: mHC-lite (spread of Sinkhorn's input); mHC, arXiv:2512.24880; Franklin & Lorenz, Linear
Algebra Appl. 114/115 (1989) 717-735.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import numpy as np

from birkhoff_cli.analyses.core.arrays import Array, lanes
from birkhoff_cli.analyses.core.errors import BadInput, UsageError
from birkhoff_cli.analyses.core.fold import Blocks, Fold, Statistics, run_fold
from birkhoff_cli.analyses.core.parameterization import Parameterization
from birkhoff_cli.analyses.core.random_numbers import LOGITS, block_generator
from birkhoff_cli.analyses.core.result import Result, Summary
from birkhoff_cli.analyses.core.source import Drawn, Draws, Source
from birkhoff_cli.analyses.core.table import Columns, column
from birkhoff_cli.analyses.core.trace import site_columns
from birkhoff_cli.analyses.drawing import axis, bands, captions
from birkhoff_cli.analyses.drawing.palette import BLUE, GREEN, ORANGE, VERMILION, shades
from birkhoff_cli.analyses.geometry.eigenvalues import eigenvalues
from birkhoff_cli.analyses.geometry.rounding import FORMATS
from birkhoff_cli.analyses.geometry.scaling import convergence, diameter, residual, spread
from birkhoff_cli.analyses.geometry.sinkhorn import Balancing
from birkhoff_cli.analyses.statistics.distributions import (
    COLUMNS,
    STATISTICS,
    Distributions,
    largest_error,
)

if TYPE_CHECKING:
    import pyarrow as pa
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

EXAMPLES = (
    "birkhoff sinkhorn --method mhc --scale 4 --layers 24 --plot sinkhorn.png",
    "birkhoff sinkhorn --method mhc --variant deepseek-v4 --draw init --scale 2 -o rows.parquet",
    "birkhoff sinkhorn out/ckpt.pt --inputs gaussian --plot sinkhorn.png",
)

SCHEMA = (
    column("part", "string", "input, sweeps, needed, variant or rounding; see the command's help"),
    column("name", "string", "variant, or what is rounded how; null in other parts", nullable=True),
    column("sweeps", "int32", "number of sweeps; part sweeps only", nullable=True),
    column("site", "int32", "site in order of depth; null for the composite", nullable=True),
    column("layer", "int32", "layer of that site; null for the composite", nullable=True),
    column("branch", "string", "branch of that site; null for the composite", nullable=True),
    column("metric", "string", "what the numbers of the row are; see the command's help"),
    *COLUMNS,
)
SIZE = (10.0, 6.4)

AT = (1, 2, 3, 5, 10, 20, 50, 100)
"""Numbers of sweeps at which residuals are recorded."""
TOLERANCES = {"1e-3": 1e-3, "1e-6": 1e-6}
MOST = 1000
"""Sweeps after which a matrix is given up; one more stands for those that need more."""
NUMBERS = 64_000
"""Entries of logits drawn at a time."""
KEPT = 2**27
"""Bytes of numbers up to which their percentiles are exact."""

PARAMETERS = ("gaussian", "uniform", "init")


def run(
    source: Annotated[Source, Draws(samples=1000, layers=24)],
) -> Result:
    """Measure Sinkhorn-Knopp on logits or on what it made of them.

    Args:
        source: a method whose logits Sinkhorn normalises, or a trace of nonnegative matrices.

    Returns:
        A row for every part, name, number of sweeps, metric and site, and for the composite. In
        the summary ``spread_max`` and ``diameter_max``; ``residual_max`` of the matrices as they
        are applied; ``sweeps_1e-3`` and ``sweeps_1e-6``: most sweeps that any matrix needs, null
        if `MOST` are not enough; ``variants`` (logits only) and ``roundings``: the largest
        changes.

    Raises:
        UsageError: a method without logits, or a distribution of matrices.
        BadInput: a trace with a negative entry, or with a row or column of zeros; a product of
            all sites beyond the largest number.
    """
    if not source.samples or not source.sites:
        raise BadInput(f"{source.title}: holds no matrices; record or draw at least one")
    stages = _stages(source)
    scale = source.drawn.draws.scale if source.drawn else None
    title = source.title + (f", scale = {scale:g}" if scale else "")
    return run_fold(
        _Sinkhorn(source), stages, SCHEMA, {**source.meta, "d": source.d, "title": title}
    )


def _checked(source: Drawn) -> Parameterization:
    """The method, if its parameters are logits and its draws those of parameters."""
    method, draws = source.method, source.draws
    if method.balancing() is None:
        raise UsageError(
            f"--method {method.name} has no logits that Sinkhorn normalises; use --method mhc"
        )
    if draws.draw not in (None, *PARAMETERS):
        raise UsageError(f"--draw {draws.draw} draws no logits; use {', '.join(PARAMETERS)}")
    if (draws.dtype, draws.device) != ("float64", "cpu"):
        raise UsageError("sinkhorn compares roundings itself; leave --dtype and --device out")
    return method


class Stage(NamedTuple):
    """Some samples of all sites.

    Attributes:
        z: ``(n, sites, d, d)``, what is exponentiated and normalised: logits over the
            temperature, or the logarithm of matrices.
        h: the matrices that are applied.
        logits: ``(n, sites, d, d)``, where they are known.
        method: the map that made ``h`` of them.
    """

    z: Array
    h: Array
    logits: Array | None = None
    method: Parameterization | None = None

    @property
    def balancing(self) -> Balancing | None:
        """How the method balances the logits, where both are known."""
        return None if self.method is None else self.method.balancing()


def _stages(source: Source) -> Blocks[Stage]:
    """Blocks of a source, with logits where they are known."""
    if source.drawn:
        return _Logits(source.drawn, _checked(source.drawn))
    if source.map and source.theta is not None and source.map.balancing():
        return _Static(source.map, source.theta.astype(np.float64))
    return _Matrices(source)


@dataclass(frozen=True)
class _Logits:
    """Logits that are drawn."""

    source: Drawn
    method: Parameterization

    @property
    def block(self) -> int:
        """Stacks drawn at a time."""
        return max(1, NUMBERS // (self.source.layers * self.source.d**2))

    @property
    def blocks(self) -> int:
        return -(-self.source.samples // self.block)

    def read(self, numbers: range) -> Iterator[Stage]:
        source, method = self.source, self.method
        for number in numbers:
            n = min(self.block, source.samples - number * self.block)
            rng = block_generator(source.seed, number, LOGITS)
            theta = method.theta(n * source.layers, rng, source.how, source.draws.scale)
            yield _stage(method, theta.reshape(n, source.layers, -1))


@dataclass(frozen=True)
class _Static:
    """The logits of a checkpoint, one sample of them."""

    method: Parameterization
    theta: Array
    blocks: int = 1

    def read(self, numbers: range) -> Iterator[Stage]:
        return (_stage(self.method, self.theta) for _ in numbers)


@dataclass(frozen=True)
class _Matrices:
    """Matrices whose logits are not known."""

    source: Source

    @property
    def blocks(self) -> int:
        return self.source.blocks

    def read(self, numbers: range) -> Iterator[Stage]:
        for block in self.source.read(numbers):
            h = block.astype(np.float64, copy=False)
            _refuse_block(h, self.source)
            with np.errstate(divide="ignore"):
                yield Stage(np.log(h), h)


def _stage(method: Parameterization, theta: Array) -> Stage:
    """Of parameters ``(n, sites, d * d)`` of a method that balances logits."""
    logits = theta.reshape(*theta.shape[:-1], method.d, method.d)
    balancing = method.balancing()
    z = logits / balancing.tau if balancing else logits
    return Stage(z, method(theta), logits, method)


def _applied(method: Parameterization, logits: Array) -> Array:
    h: Array = method(logits.reshape(*logits.shape[:-2], -1))
    return h


def _refuse_block(h: Array, source: Source) -> None:
    """Only what is at least 0 and has no empty row or column can be normalised."""
    for bad, what in (
        (h.min((-2, -1)) < 0, "a negative entry"),
        ((h.max(-1) == 0).any(-1) | (h.max(-2) == 0).any(-1), "a row or column of zeros"),
    ):
        if bad.any():
            site = source.sites[int(np.argwhere(bad)[0, 1])]
            raise BadInput(
                f"{source.title}: the matrix of layer {site.layer}, {site.branch} has {what}, "
                f"which Sinkhorn cannot normalise; use a model with nonnegative mixing"
            )


def _rows_last(stage: Stage) -> Array:
    """Whether a sweep normalises the rows last, ``(n, sites)``, or those are nearer to 1."""
    if balancing := stage.balancing:
        return np.full(stage.h.shape[:2], balancing.last == "rows")
    found: Array = _error(stage.h, -1) < _error(stage.h, -2)
    return found


def _error(h: Array, axis: int) -> Array:
    """Largest |sum - 1| over one axis, ``(...)``."""
    return np.abs(h.sum(axis) - 1).max(-1)


class Key(NamedTuple):
    """What a number is."""

    part: str
    name: str | None
    sweeps: int | None
    metric: str


Numbers = dict[Key, dict[str, Any]]
"""Statistics by what they are of."""

Values = dict[Key, Array]
"""Numbers of some samples by what they are, ``(n, sites)``; of the composite ``(n, 1)``."""


class _Tally:
    """Distributions over samples of numbers at some places, named by the first that come."""

    def __init__(self, samples: int) -> None:
        """No numbers."""
        self.samples = samples
        self.keys: list[Key] = []
        self.found = Distributions(0, samples, "")

    def add(self, number: int, values: Values) -> None:
        """The same numbers of more samples."""
        flat = np.concatenate(list(values.values()), axis=1)
        if not self.keys:
            self.keys = list(values)
            what = f"{flat.shape[1]:,} numbers of {self.samples:,} samples"
            self.found = Distributions(flat.shape[1], self.samples, what, KEPT)
        self.found.add(number, flat.T)

    def merge(self, other: "_Tally") -> None:
        """Add the numbers of another."""
        if self.keys and other.keys:
            self.found.merge(other.found)
        elif other.keys:
            self.keys, self.found = other.keys, other.found

    def statistics(self) -> dict[Key, dict[str, Any]]:
        """Every statistic ``(places,)``."""
        columns = self.found.columns()
        shaped = {name: values.reshape(len(self.keys), -1) for name, values in columns.items()}
        return {
            key: {name: values[k] for name, values in shaped.items()}
            for k, key in enumerate(self.keys)
        }


class _State(Statistics):
    """Of the sites, and of the composite."""

    def __init__(self, samples: int) -> None:
        self.sites, self.composite = _Tally(samples), _Tally(samples)


class _Sinkhorn(Fold[_State, Stage]):
    """Everything that is measured, over samples."""

    def __init__(self, source: Source) -> None:
        self.source = source

    def start(self) -> _State:
        return _State(self.source.samples)

    def add(self, state: _State, number: int, block: Stage) -> Columns:
        changes, of_composite = _changes(block)
        state.sites.add(number, _converging(block) | changes)
        state.composite.add(number, of_composite)
        return {}

    def finish(self, state: _State) -> tuple[Iterable[Columns], Summary]:
        where = site_columns(self.source.sites)
        sites, composite = state.sites.statistics(), state.composite.statistics()
        rows = [
            {**key._asdict(), **place, **numbers}
            for found, place in ((sites, where), (composite, dict.fromkeys(where)))
            for key, numbers in found.items()
        ]
        error = largest_error(state.sites.found, state.composite.found)
        return rows, {**_summary(self.source, sites, composite), "quantile_error": error}


def _converging(stage: Stage) -> Values:
    """What goes in, what is applied, and what more sweeps would do."""
    z, h = (lanes(x.reshape(-1, *x.shape[2:]), 2) for x in (stage.z, stage.h))
    z = np.ascontiguousarray(z)
    now = residual(h)
    after, needed = _convergence(z, _rows_last(stage).ravel())
    found = {
        Key("input", None, None, "spread"): spread(z),
        Key("input", None, None, "diameter"): diameter(z),
        Key("applied", None, None, "residual"): now,
    }
    if stage.logits is None:  # matrices may need no sweep
        found[Key("sweeps", None, 0, "residual")] = now
        needed[now <= np.array(list(TOLERANCES.values()))[:, None]] = 0
    for k, values in zip(AT, after, strict=True):
        found[Key("sweeps", None, k, "residual")] = values
    for word, values in zip(TOLERANCES, needed, strict=True):
        found[Key("needed", None, None, f"sweeps_{word}")] = np.minimum(values, MOST + 1)
    return {key: values.reshape(stage.h.shape[:2]) for key, values in found.items()}


def _convergence(z: Array, rows_last: Array) -> tuple[Array, Array]:
    """Residuals after `AT` sweeps and sweeps that `TOLERANCES` need, ``(..., n)`` each."""
    after, needed = np.empty((len(AT), z.shape[2])), np.empty((len(TOLERANCES), z.shape[2]))
    for lanes_, axes in ((rows_last, (0, 1)), (~rows_last, (1, 0))):
        if lanes_.any():
            found = convergence(z[..., lanes_], axes, AT, tuple(TOLERANCES.values()), MOST)
            after[:, lanes_], needed[:, lanes_] = found
    return after, needed


def _changes(stage: Stage) -> tuple[Values, Values]:
    """Variants and roundings against the matrices that are applied, and their composites."""
    product, second = _composite(stage.h), _second(stage.h)
    sites: Values = {}
    composite: Values = {}
    for part, name, h in _treated(stage):
        whole = _composite(h)[:, None]
        for store, new, old in ((sites, h, stage.h), (composite, whole, product[:, None])):
            store[Key(part, name, None, "entry_change")] = np.abs(new - old).max((-2, -1))
            store[Key(part, name, None, "row_error")] = _error(new, -1)
            store[Key(part, name, None, "column_error")] = _error(new, -2)
        sites[Key(part, name, None, "lambda_2_change")] = np.abs(_second(h) - second)
        norm = np.linalg.norm(whole, 2, axis=(-2, -1))
        composite[Key(part, name, None, "spectral_norm")] = norm
    return sites, composite


def _treated(stage: Stage) -> Iterator[tuple[str, str, Array]]:
    if stage.method and stage.logits is not None and (balancing := stage.balancing):
        for variant, method in balancing.variants.items():
            yield "variant", variant, _applied(method, stage.logits)
        for name, store in FORMATS.items():
            yield "rounding", f"{name} logits", _applied(stage.method, store(stage.logits))
    for name, store in FORMATS.items():
        yield "rounding", f"{name} matrix", store(stage.h)


def _composite(h: Array) -> Array:
    """``(n, sites, d, d)`` to ``(n, d, d)``, the last site leftmost."""
    product = h[:, 0]
    with np.errstate(over="ignore", invalid="ignore"):
        for site in range(1, h.shape[1]):
            product = h[:, site] @ product
    if not np.isfinite(product).all():
        raise BadInput(f"the product of {h.shape[1]} sites exceeds the largest number; take fewer")
    return product


def _second(h: Array) -> Array:
    """Second largest modulus of an eigenvalue; none for d = 1."""
    if h.shape[-1] == 1:
        return np.full(h.shape[:-2], np.nan)
    return np.sort(np.abs(eigenvalues(h)), axis=-1)[..., -2]


CHANGES = ("entry_change", "row_error", "column_error", "lambda_2_change")


def _summary(source: Source, sites: Numbers, composite: Numbers) -> Summary:
    def largest(part: str, metric: str, name: str | None = None) -> float | None:
        value = float(np.fmax.reduce(sites[Key(part, name, None, metric)]["max"]))
        return None if np.isnan(value) else value

    needed = {word: largest("needed", f"sweeps_{word}") for word in TOLERANCES}
    tables = {
        part: [
            {part: key.name}
            | {f"{metric}_max": largest(part, metric, key.name) for metric in CHANGES}
            | {"composite_change_max": float(numbers["max"][0])}
            for key, numbers in composite.items()
            if (key.part, key.metric) == (part, "entry_change")
        ]
        for part in ("variant", "rounding")
    }
    return {
        "d": source.d,
        "sites": len(source.sites),
        "samples": source.samples,
        "spread_max": largest("input", "spread"),
        "diameter_max": largest("input", "diameter"),
        "residual_max": largest("applied", "residual"),
        **{
            f"sweeps_{word}": None if k is None or k > MOST else int(k)
            for word, k in needed.items()
        },
        **{f"{part}s": rows for part, rows in tables.items() if rows},
    }


COLOURS = (BLUE, ORANGE, GREEN)
FLOOR = 1e-9
"""Smaller changes are drawn at it."""

Rows = dict[tuple[Any, ...], dict[str, Any]]


def draw(result: "pa.Table", figure: "Figure") -> None:
    """What goes in, what sweeps leave, how many are needed, what variants and rounding change."""
    captions.title(result, figure)
    rows = _by_key(result)
    (above, right), (below, last) = figure.subplots(2, 2)
    for metric, colour in zip(("spread", "diameter"), COLOURS, strict=False):
        _band(above, rows["input", None, None, metric], metric, colour)
    above.set(ylabel="logarithm of a ratio of entries", ylim=(0, 1.3 * above.get_ylim()[1]))
    _residuals(right, rows)
    for word, colour in zip(TOLERANCES, COLOURS, strict=False):
        _band(below, rows["needed", None, None, f"sweeps_{word}"], f"residual {word}", colour)
    below.set(ylabel="sweeps needed", yscale="symlog", ylim=(0, 2 * MOST))
    below.axhline(MOST, color="0.4", lw=0.8, ls="--", label="given up")
    for axes in (above, below):
        axis.depth(axes, min_n_ticks=1)
        captions.legend(axes, "median, 10-90 %; dotted: largest")
    _dots(last, rows)


def _by_key(result: "pa.Table") -> Rows:
    """Columns of numbers by part, name, sweeps and metric, and by "composite" before these."""
    found: Rows = {}
    columns = ("site", *STATISTICS)
    for row in result.to_pylist():
        key = tuple(row[name] for name in Key._fields)
        key = key if row["site"] is not None else ("composite", *key)
        numbers = found.setdefault(key, {name: [] for name in columns})
        for name, values in numbers.items():
            values.append(row[name])
    return {k: {n: np.array(v, dtype=float) for n, v in rows.items()} for k, rows in found.items()}


def _band(axes: "Axes", rows: dict[str, Any], label: str, colour: str) -> None:
    """Distributions by site; what is infinite is left out."""
    x = rows["site"]
    bands.band(axes, x, rows["p10"], rows["p90"], colour, opacity=0.3)
    axes.plot(x, rows["max"], color=colour, lw=1, ls=":")
    axes.plot(x, rows["p50"], color=colour, lw=1.2, marker=".", ms=4, label=label)


def _residuals(axes: "Axes", rows: Rows) -> None:
    """The largest at every site, dark to light with depth."""
    import matplotlib as mpl

    found = {key[2]: numbers for key, numbers in rows.items() if key[0] == "sweeps"}
    largest = np.maximum([numbers["max"] for numbers in found.values()], 1e-17)
    for site, shade in enumerate(shades(largest.shape[1])):
        axes.plot(list(found), largest[:, site], color=shade, lw=0.9, marker=".", ms=3)
    for tolerance in TOLERANCES.values():
        axes.axhline(tolerance, color="0.4", lw=0.8, ls=":")
    more = "further sweeps" if 0 in found else "sweeps"
    axes.set(xlabel=more, ylabel="largest residual of a site (lighter: deeper)", yscale="log")
    axes.set_xscale("symlog", linthresh=1)
    axes.set_xlim(min(found) - 0.1, max(found) * 1.2)
    axes.set_xticks(list(found), [str(k) for k in found])
    axes.xaxis.set_minor_locator(mpl.ticker.NullLocator())


def _dots(axes: "Axes", rows: Rows) -> None:
    """The largest change of an entry, of single matrices and of the composite."""
    keys = [key for key in rows if key[0] in ("variant", "rounding") and key[3] == "entry_change"]
    at = np.arange(len(keys))[::-1]
    for word, prefix, marker, colour in (
        ("matrix of a site", (), "o", BLUE),
        ("composite", ("composite",), "D", VERMILION),
    ):
        largest = [max(rows[(*prefix, *key)]["max"].max(), FLOOR) for key in keys]
        axes.plot(largest, at, marker, color=colour, ms=4, label=word)
    axes.set_xscale("log")
    axes.set_xlim(right=2)
    axes.set(xlabel="largest change of an entry (at least 1e-9)")
    axes.set_yticks(at, [str(key[1]) for key in keys], fontsize="x-small")
    axes.grid(axis="y", color="0.9", lw=0.6)
    captions.legend(axes)
