"""Drift over depth: sums, norms and gains of every mixing matrix and of their product.

Draws a stack of matrices of a method, or takes those of a checkpoint. The composite after a site
is the product of all matrices up to it, the last leftmost. Column sums are what each input
stream hands on in total (1 conserves the mean); row sums are the gain of a constant signal.

Source: sHC, figure 6; mHC-lite; go-mHC, eq. 10, 11 (Amax gains) and figure A9.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np

from analyses.core import source as sources
from analyses.core.memory import require_memory
from analyses.core.parameterization import Parameterization, require
from analyses.core.result import Result, Summary
from analyses.core.source import Draws, Source
from analyses.core.table import Columns, column
from analyses.geometry.eigenvalues import eigenvalues

if TYPE_CHECKING:
    import pyarrow as pa
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

EXAMPLES = (
    "birkhoff depth-drift out/ckpt.pt --plot drift.png",
    "birkhoff depth-drift --method mhc --iters 5 --scale 4 --layers 48 -o drift.parquet",
)

SCHEMA = (
    column("kind", "string", "site: one matrix; composite: the product of all up to the site"),
    column("depth", "int32", "number of matrices in the product"),
    column("site", "int32", "site in order of depth; of a composite, its last"),
    column("layer", "int32", "layer of that site"),
    column("branch", "string", "branch of that site: attn or mlp; drawn for a drawn stack"),
    column("metric", "string", "what the numbers of the row are; see the command's help"),
    column("mean", "float64", "mean over samples (and rows or columns)", nullable=True),
    column("std", "float64", "standard deviation", nullable=True),
    column("min", "float64", "smallest value", nullable=True),
    column("p10", "float64", "10th percentile", nullable=True),
    column("p50", "float64", "median", nullable=True),
    column("p90", "float64", "90th percentile", nullable=True),
    column("max", "float64", "largest value", nullable=True),
)

METRICS = {
    "row_sum": "sum of a row",
    "column_sum": "sum of a column",
    "spectral_norm": "largest singular value",
    "lambda_2": "second largest modulus of an eigenvalue; null for d = 1",
    "barycenter_distance": "Frobenius distance to J/d",
    "amax_forward": "largest sum of the moduli of a row",
    "amax_backward": "largest sum of the moduli of a column",
}
STATISTICS = ("mean", "std", "min", "p10", "p50", "p90", "max")
SIZE = (10.0, 3.4)


def run(
    source: Source,
    *,
    layers: Annotated[int, "depth of a drawn stack; a checkpoint has its own"] = 24,
    draws: Draws = Draws(samples=1000),  # noqa: B008 (frozen)
    rng: np.random.Generator,
) -> Result:
    """Statistics over samples of `METRICS`, per site and for the composite after it.

    Args:
        source: a trace, or a parameterization to draw stacks from.
        layers: matrices in a drawn stack.
        draws: how many stacks and how.
        rng: the only source of randomness.

    Returns:
        A row for every kind, site and metric. In the summary ``column_error_max`` and
        ``row_error_max`` are the largest |sum - 1| of all single matrices; everything that
        begins with ``composite`` or ``amax`` is of the product of all of them.

    Raises:
        UsageError: layers below 1.
        TooLarge: more samples and sites than fit in memory.
    """
    require(layers >= 1, f"--layers {layers}", "at least 1")
    places = sources.sites(source, layers)
    n, d = sources.samples(source, draws), source.d
    require_memory(
        2 * 8 * n * len(places) * (2 * d + len(METRICS) - 2),
        f"{n:,} samples of {len(places)} sites",
    )
    record = _Record(n, len(places), d)
    meta = {} if isinstance(source, Parameterization) else source.meta
    return Result(
        schema=SCHEMA,
        steps=_steps(source, draws, rng, layers, record),
        summarise=lambda: _summary(record, len({p.layer for p in places})),
        total=sources.steps(source, draws, layers),
        meta={**meta, "d": d, "title": sources.title(source)},
    )


@dataclass
class _Record:
    """Every value of every metric: ``(sites, samples, values per matrix)``."""

    samples: int
    sites: int
    d: int
    values: dict[tuple[str, str], Any] = field(default_factory=dict)

    def put(self, kind: str, site: int, start: int, measured: dict[str, Any]) -> None:
        for metric, v in measured.items():
            shape = (self.sites, self.samples, v.shape[-1])
            store = self.values.setdefault((kind, metric), np.full(shape, np.nan))
            store[site, start : start + len(v)] = v


def _steps(
    source: Source, draws: Draws, rng: np.random.Generator, layers: int, record: _Record
) -> Iterator[Columns]:
    start = 0
    for block in sources.blocks(source, draws, rng, layers):
        composite = np.broadcast_to(np.eye(record.d), block[:, 0].shape)
        for site in range(record.sites):
            h = block[:, site].astype(np.float64, copy=False)
            composite = h @ composite
            record.put("site", site, start, _measure(h))
            record.put("composite", site, start, _measure(composite))
        start += len(block)
        yield {}
    yield _rows(record, sources.sites(source, layers))


def _measure(h: Any) -> dict[str, Any]:
    """Every metric of ``(n, d, d)`` matrices, ``(n, values)`` each."""
    d = h.shape[-1]
    size = np.abs(h)
    modulus = np.sort(np.abs(eigenvalues(h)), axis=-1)
    single = {
        "spectral_norm": np.linalg.norm(h, ord=2, axis=(-2, -1)),
        "lambda_2": modulus[:, -2] if d > 1 else np.full(len(h), np.nan),
        "barycenter_distance": np.sqrt(np.square(h - 1 / d).sum((-2, -1))),
        "amax_forward": size.sum(-1).max(-1),
        "amax_backward": size.sum(-2).max(-1),
    }
    return {"row_sum": h.sum(-1), "column_sum": h.sum(-2)} | {
        k: v[:, None] for k, v in single.items()
    }


def _rows(record: _Record, places: Any) -> Columns:
    """The table: kind, then site, then metric."""
    site = np.arange(record.sites)[:, None]
    kinds = np.array(["site", "composite"])[:, None, None]
    per_kind = [
        [_statistics(record.values[kind, metric]) for metric in METRICS] for kind in kinds.ravel()
    ]
    numbers = np.moveaxis(np.array(per_kind), 1, 2)  # (kind, site, metric, statistic)
    return {
        "kind": kinds,
        "depth": np.where(kinds == "site", 1, site + 1),
        "site": site,
        "layer": np.array([p.layer for p in places])[:, None],
        "branch": np.array([p.branch for p in places])[:, None],
        "metric": np.array(list(METRICS)),
        **{name: numbers[..., k] for k, name in enumerate(STATISTICS)},
    }


def _statistics(values: Any) -> Any:
    """``(sites, samples, k) -> (sites, 7)``."""
    flat = np.sort(values.reshape(len(values), -1), axis=1)
    p10, p50, p90 = (_percentile(flat, q) for q in (0.1, 0.5, 0.9))
    columns = (flat.mean(1), flat.std(1), flat[:, 0], p10, p50, p90, flat[:, -1])
    return np.stack(columns, axis=1)


def _percentile(ordered: Any, q: float) -> Any:
    """Linear interpolation between order statistics, as ``numpy.quantile``."""
    at = q * (ordered.shape[1] - 1)
    low = int(at)
    high = min(low + 1, ordered.shape[1] - 1)
    return ordered[:, low] + (at - low) * (ordered[:, high] - ordered[:, low])


def _summary(record: _Record, layers: int) -> Summary:
    single = {m: record.values["site", m] for m in ("row_sum", "column_sum")}
    last = {m: record.values["composite", m][-1] for m in METRICS}
    return {
        "layers": layers,
        "sites": record.sites,
        "samples": record.samples,
        "column_error_max": float(np.abs(single["column_sum"] - 1).max()),
        "row_error_max": float(np.abs(single["row_sum"] - 1).max()),
        "composite_column_min": float(last["column_sum"].min()),
        "composite_column_max": float(last["column_sum"].max()),
        "composite_row_min": float(last["row_sum"].min()),
        "composite_row_max": float(last["row_sum"].max()),
        "composite_spectral_norm_max": float(last["spectral_norm"].max()),
        "amax_forward_max": float(last["amax_forward"].max()),
        "amax_backward_max": float(last["amax_backward"].max()),
    }


COLOURS = ("#0072b2", "#e69f00")


def draw(result: "pa.Table", figure: "Figure") -> None:
    """Sums of every matrix, sums of the composite, norm of the composite; inexact side first."""
    rows = _by_metric(result)
    sides = sorted(("row_sum", "column_sum"), key=lambda m: -_spread(rows["site", m]))
    panels = figure.subplots(1, 3, sharex=True)
    figure.suptitle(
        json.loads(result.schema.metadata[b"birkhoff"])["meta"]["title"], fontsize="medium"
    )
    for axes, kind in zip(panels, ("site", "composite"), strict=False):
        for side, colour in zip(sides, COLOURS, strict=True):
            _band(axes, rows[kind, side], colour, side.replace("_", " "))
        axes.axhline(1, color="0.5", lw=0.6, ls=":")
        axes.set(xlabel="site in order of depth", ylabel=f"sums of the {_NAMES[kind]}")
        axes.xaxis.get_major_locator().set_params(integer=True)
    panels[0].legend(fontsize="x-small", title="median, 10-90 %, range", title_fontsize="x-small")
    norm = rows["composite", "spectral_norm"]
    _band(panels[2], norm, COLOURS[0], "composite")
    panels[2].axhline(1, color="0.5", lw=0.6, ls=":")
    panels[2].set(xlabel="site in order of depth", ylabel="spectral norm of the composite")


_NAMES = {"site": "matrix at the site", "composite": "composite up to the site"}


def _by_metric(result: "pa.Table") -> dict[tuple[str, str], dict[str, Any]]:
    kind, metric = result["kind"].to_numpy(), result["metric"].to_numpy()
    return {
        (k, m): {
            name: result[name].to_numpy()[(kind == k) & (metric == m)]
            for name in ("site", *STATISTICS)
        }
        for k in ("site", "composite")
        for m in METRICS
    }


def _spread(rows: dict[str, Any]) -> float:
    return float(max(abs(rows["max"] - 1).max(), abs(rows["min"] - 1).max()))


def _band(axes: "Axes", rows: dict[str, Any], colour: str, label: str) -> None:
    axes.fill_between(rows["site"], rows["min"], rows["max"], color=colour, alpha=0.18, lw=0)
    axes.fill_between(rows["site"], rows["p10"], rows["p90"], color=colour, alpha=0.35, lw=0)
    axes.plot(rows["site"], rows["p50"], color=colour, lw=1.2, marker=".", ms=3, label=label)
