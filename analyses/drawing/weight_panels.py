"""Weights of the terms of mixtures over depth: of the identity, their entropy, all of them."""

from math import log
from typing import TYPE_CHECKING, Any

import numpy as np

from birkhoff_cli.analyses.core import palette
from birkhoff_cli.analyses.core.lettering import SMALL
from birkhoff_cli.analyses.core.palette import BLUE
from birkhoff_cli.analyses.drawing import axis, bands, captions

if TYPE_CHECKING:
    import pyarrow as pa
    from matplotlib.axes import Axes
    from matplotlib.figure import SubFigure

    from birkhoff_cli.analyses.core.arrays import Array

MAX_SITES = 8
"""Sites whose heaviest permutations are drawn."""


def draw_depth(figure: "SubFigure", result: "pa.Table") -> None:
    """Three panels: alpha_1, entropy, and the weight of every term at the last step."""
    left, middle, right = figure.subplots(1, 3)
    first = _first_of_site(result)
    steps = np.unique(_step(result))
    colours = palette.numbers(steps[0], steps[-1])
    for axes, name in ((left, "alpha_1"), (middle, "entropy")):
        _over_depth(axes, result, first, name, colours if len(steps) > 1 else None)
    terms = _count_terms(result, first)
    left.axhline(1 / terms, color="0.4", lw=0.8, ls="--", label=f"1/{terms:,}, equal weights")
    left.set(ylabel=r"$\alpha_1$, weight of the identity", ylim=(0, None))
    middle.axhline(log(terms), color="0.4", lw=0.8, ls="--", label=f"ln {terms:,}, equal weights")
    middle.set(ylabel="entropy of the weights (nats)")
    for axes in (left, middle):
        captions.legend(axes)
    if len(steps) > 1:
        figure.colorbar(colours, ax=middle, label="training step")
    _heat(figure, right, result)


def _over_depth(axes: "Axes", result: "pa.Table", first: "Array", name: str, colours: Any) -> None:
    """A line for every step; of a single one also where most samples lie."""
    step, site = _step(result)[first], _column(result, "site")[first]
    mean, low, high = (_column(result, f"{name}{end}")[first] for end in ("", "_p10", "_p90"))
    for number in np.unique(step):
        at = step == number
        colour = BLUE if colours is None else colours.to_rgba(number)
        axes.plot(site[at], mean[at], color=colour, lw=1.3, marker=".", ms=4)
    if colours is None and len(site) > 1:
        bands.band(axes, site, low, high, BLUE, 0.3)
    elif colours is None:
        axes.vlines(site, low, high, color=BLUE, alpha=0.3, lw=6)
    axis.depth(axes)
    axes.set_xlim(-0.5, site.max() + 0.5)


def _heat(figure: "SubFigure", axes: "Axes", result: "pa.Table") -> None:
    """Sites of the last step by terms, mixture after mixture."""
    last = _step(result) == _step(result).max()
    sites = len(np.unique(_column(result, "site")))
    weight = _column(result, "weight")[last].reshape(sites, -1)
    term = _column(result, "term")[last][: weight.shape[1]]
    image = axes.imshow(weight, aspect="auto", cmap="viridis", interpolation="nearest", vmin=0)
    for begin in np.flatnonzero(term == 0)[1:]:
        axes.axvline(begin - 0.5, color="white", lw=1)
    several = (term == 0).sum() > 1
    axes.set(xlabel="term, mixture by mixture" if several else "term", ylabel=axis.DEPTH)
    axis.integers(axes.xaxis, min_n_ticks=1)
    axis.integers(axes.yaxis, min_n_ticks=1)
    figure.colorbar(image, ax=axes, label="weight")


def draw_permutations(figure: "SubFigure", result: "pa.Table") -> None:
    """The heaviest permutation beside the identity at some sites of the last step."""
    rows = [r for r in _rows(result) if not _is_identity(r["permutation"])]
    sites = np.unique([row["site"] for row in rows])
    chosen = np.linspace(0, max(0, len(sites) - 1), min(MAX_SITES, len(sites))).round().astype(int)
    panels = figure.subplots(1, max(1, len(chosen)), squeeze=False)[0]
    if not rows:
        panels[0].axis("off")
        return
    figure.suptitle("heaviest permutations beside the identity", fontsize=SMALL)
    for axes, site in zip(panels, sites[chosen], strict=True):
        row = max((r for r in rows if r["site"] == site), key=lambda r: r["weight"])
        perm = row["permutation"]
        matrix = np.equal.outer(perm, range(len(perm)))
        axes.imshow(matrix, cmap="Blues", vmin=0, vmax=1.3)
        of = "" if row["factor"] is None else f", factor {row['factor']}"
        axes.set_title(f"site {site}{of}\n{row['weight']:.3g}", fontsize=SMALL)
        axes.set(xticks=[], yticks=[])


def _rows(result: "pa.Table") -> list[dict[str, Any]]:
    """Rows of permutations at the last step."""
    import pyarrow.compute as pc

    names = ["site", "factor", "permutation", "weight"]
    last = pc.equal(pc.fill_null(result["step"], 0), int(_step(result).max()))
    kept = result.filter(pc.and_(last, pc.is_valid(result["permutation"])))
    rows: list[dict[str, Any]] = kept.select(names).to_pylist()
    return rows


def _is_identity(permutation: list[int]) -> bool:
    return permutation == [*range(len(permutation))]


def _column(result: "pa.Table", name: str) -> "Array":
    return result[name].to_numpy()


def _step(result: "pa.Table") -> "Array":
    """Steps of the rows; 0 where it is not known, which is of one model."""
    import pyarrow.compute as pc

    return pc.fill_null(result["step"], 0).to_numpy()


def _first_of_site(result: "pa.Table") -> "Array":
    """Indices of the rows with which a site begins."""
    site, step = _column(result, "site"), _step(result)
    return np.flatnonzero(np.r_[True, (np.diff(site) != 0) | (np.diff(step) != 0)])


def _count_terms(result: "pa.Table", first: "Array") -> int:
    """Terms that H mixes, by the factors and summands of the first site."""
    rows = result.slice(0, first[1] if len(first) > 1 else len(result))
    factor, summand = rows["factor"].to_pylist(), rows["summand"].to_pylist()
    is_sum = any(t is not None for t in summand)
    products: dict[Any, dict[Any, int]] = {}
    for f, t in zip(factor, summand, strict=True):
        if t is not None or not is_sum:
            own = products.setdefault(t, {})
            own[f] = own.get(f, 0) + 1
    return int(sum(np.prod([*own.values()], dtype=float) for own in products.values()))
