"""The plane of a cycle: what projects onto it, and what lies in it.

The projection (go-mHC, eq. 38): B becomes ``z = sum_k alpha_k w^k`` with the coefficients ``alpha_k
= tr((P^k)^T B) / d``, P the matrix of the d-cycle and ``w = e^{2 pi i / d}``. The slice: matrices
that are themselves combinations of the powers of P, circulant. For d > 3 the projection is that
onto the plane of the d-cycle, and the slice is that through a 3-cycle, the same as at d = 3.

The exact fractions are of areas. The others are sampled occupancy, the share of the polygon's cells
that a sample hits, low where the density is low. With --solid the picture shows B_3 in three of its
four dimensions.

Source: go-mHC, arXiv:2604.02309, appendix D and figures A12, A13.
"""

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np

from birkhoff_cli.analyses.core import palette
from birkhoff_cli.analyses.core.analysis import analysis
from birkhoff_cli.analyses.core.arrays import LANES, Array
from birkhoff_cli.analyses.core.fold import Blocks, Chained, Series, run_fold
from birkhoff_cli.analyses.core.metadata import meta_of
from birkhoff_cli.analyses.core.parameterization import require
from birkhoff_cli.analyses.core.quantities import (
    AT_LEAST_0,
    METHOD,
    SHARE,
    D,
    Quantity,
    judged,
    quantity,
)
from birkhoff_cli.analyses.core.result import Result, Summary
from birkhoff_cli.analyses.core.sentences import capitalise, count, share
from birkhoff_cli.analyses.core.source import Draws, Source
from birkhoff_cli.analyses.core.table import column
from birkhoff_cli.analyses.core.titles import title
from birkhoff_cli.analyses.core.trace import site_columns, site_schema
from birkhoff_cli.analyses.drawing import captions, cycle_plane, plane, solid
from birkhoff_cli.analyses.geometry.hypocycloids import Support, polygon_area
from birkhoff_cli.analyses.planes.counting import Plane
from birkhoff_cli.analyses.planes.samplers import InSlice, on_slice
from birkhoff_cli.analyses.statistics.occupancy import Occupancy

if TYPE_CHECKING:
    import pyarrow as pa
    from matplotlib.figure import Figure

EXAMPLES = (
    "birkhoff slice --method go-mhc --d 3 --s 2 --draw haar --plot slice.png",
    "birkhoff slice --method go-mhc --d 3 --s 1 --solid --plot solid.png",
    "birkhoff slice --method mhc --d 4 --iters 2 --json",
    "birkhoff slice out/ckpt.pt -o projection.parquet",
)

SCHEMA = (
    column("kind", "string", "projection: of a matrix; slice: a matrix that lies in the plane"),
    column("sample", "int64", "index of the drawn matrix of its kind, or of the sample of a trace"),
    *site_schema("; a path only"),
    column("re", "float64", "Re z: the sum of alpha_k cos(2 pi k / d); 1 at the identity"),
    column("im", "float64", "Im z: the sum of alpha_k sin(2 pi k / d)"),
    column("distance", "float64", "Frobenius distance of the matrix from the plane"),
    column("alpha_0", "float64", "coefficient of the identity; d = 3 only"),
    column("alpha_1", "float64", "coefficient of the cycle (1 2 3); d = 3 only"),
    column("alpha_2", "float64", "coefficient of the cycle (1 3 2); d = 3 only"),
    column("w_re", "float64", "Re of the coordinate w of the three swaps; --solid only"),
    column("w_im", "float64", "Im of it; 0 for the swap of the last two; --solid only"),
)


def _kind(kind: str, of: str) -> tuple[Quantity, ...]:
    """What is known of the projection, or of the slice."""
    return (
        quantity(f"{kind}_fraction", f"share of the polygon's cells that {of} hits", range=SHARE),
        quantity(f"{kind}_exact", "exact share of its area; null where not known", range=SHARE),
        quantity(f"{kind}_set", "the exact set, in words"),
        quantity(f"{kind}_proven", "whether it is proven, or a numerical finding"),
        quantity(f"{kind}_samples", f"points of the {kind}", range=AT_LEAST_0),
    )


SUMMARY = (
    *judged(
        "inside, or outside if a point lies outside the polygon",
        "inside",
        "points outside the polygon that are allowed",
    ),
    METHOD,
    D,
    quantity("s", "block size, of go-mHC", range=AT_LEAST_0),
    quantity("field", "real or complex, of methods that have both"),
    quantity("polygon", "what doubly stochastic matrices fill"),
    quantity("area_polygon", "its area", range=AT_LEAST_0),
    *_kind("projection", "the projection of a matrix"),
    *_kind("slice", "a matrix in the plane"),
    quantity("slice_plane", "the plane of the slice"),
    quantity("slice_sampler", "how matrices in it were drawn"),
    quantity("fraction_kind", "what the fractions are"),
    quantity("resolution", "cells along each side of [-1, 1]^2", range=AT_LEAST_0),
    quantity("cells", "cells whose centre is in the polygon", range=AT_LEAST_0),
    quantity("outside_exact", "points outside the exact sets; null where none is known", good="0"),
    quantity("outside_polygon", "points outside the polygon", range=AT_LEAST_0, good="0"),
    quantity("outside_tolerance", "distance from which on a point is outside"),
    quantity(
        "alpha_sum_error_max",
        "largest |sum of the coefficients - 1| of a matrix",
        range=AT_LEAST_0,
        good="near 0",
    ),
    quantity(
        "plane_distance_mean",
        "mean distance of the projected matrices from the plane",
        range=AT_LEAST_0,
    ),
    quantity("plane_distance_min", "smallest such distance", range=AT_LEAST_0),
)

OUTSIDE = 1e-9
"""A point farther than this outside a set counts as outside; float64 stays below."""

SIZE = (8.3, 4.0)

PART = (4.15, 4.0)
"""Size of the picture of one checkpoint in a series: the projection alone."""

BINS = 300


@analysis
def run(
    source: Annotated[Source, Draws()],
    *,
    resolution: Annotated[int, "cells along each side of [-1, 1]^2 for the occupancy"] = 200,
    solid: Annotated[bool, "add the coordinates of B_3 off the plane, and draw it; d = 3"] = False,
) -> Result:
    """Points of the projection of every matrix, and of as many matrices drawn in the slice.

    Args:
        source: matrices that are drawn, or a trace. The slice has samplers of its own, see
            ``slice_sampler``.
        resolution: cells along each side of the grid.
        solid: two more columns, and another picture.

    Returns:
        A row for every matrix, of kind ``projection``, and after these of kind ``slice``. In the
        summary ``projection_fraction`` and ``slice_fraction`` are ``fraction_kind``: the share of
        the ``cells`` whose centre is in the polygon that a sample hits; ``projection_exact`` and
        ``slice_exact`` are shares of its area, ``projection_set`` and ``slice_set`` say of what
        set, ``..._proven`` whether that is proven or a numerical finding; ``outside_exact`` counts
        the samples of both kinds outside these sets, ``outside_polygon`` those outside the
        polygon, by more than ``outside_tolerance``; ``plane_distance_mean`` and ``_min`` are
        Frobenius distances of the projected matrices from the plane. Null is what is not known,
        or where there is no sampler.

    Raises:
        UsageError: d below 3, resolution below 1, solid for d > 3, or no such distribution.
    """
    d = source.d
    require(d >= 3, f"d = {d} (a cycle of {d} spans no plane)", "at least 3 streams")
    require(1 <= resolution <= 20_000, f"--resolution {resolution}", "1 to 20,000")
    require(not solid or d == 3, f"--solid with d = {d}", "d = 3")
    planes = _Planes(source, resolution, solid)
    names = {"alpha_0", "alpha_1", "alpha_2"} if d > 3 else set()
    names |= set() if solid else {"w_re", "w_im"}
    names |= {"site", "layer", "branch"} if source.drawn else set()
    schema = tuple(c for c in SCHEMA if c.name not in names)
    meta = {**source.meta, "d": d, "title": title(source), "sets": planes.sets, "solid": solid}
    return run_fold(planes, Chained(planes.sources), schema, meta)


class _Planes(Series):
    """The projection of every matrix, then the slice if it can be drawn in."""

    def __init__(self, source: Source, resolution: int, solid: bool) -> None:
        self.source, self.resolution = source, resolution
        drawn = source.drawn
        exact: tuple[Support | None, ...] = (None, None)
        self.sampler = None
        if drawn:
            self.sampler = on_slice(drawn.method, drawn.draws)
            exact = drawn.method.projection_support(), drawn.method.slice_support()
        self.projection = Plane("projection", source.block, source.d, exact[0])
        self.slice = Plane("slice", LANES, 3, exact[1])
        for each in (self.projection, self.slice):
            each.resolution, each.solid = resolution, solid
            each.tolerance = max(OUTSIDE, 16 * source.d * float(np.finfo(source.dtype).eps))
        if drawn is None:
            self.projection.where = site_columns(source.sites)
        self.sources: list[Blocks[Array]] = [source]
        if drawn and self.sampler:
            self.sources.append(InSlice(drawn, self.sampler))
        super().__init__([self.projection, self.slice][: len(self.sources)], self.sources)

    @property
    def sets(self) -> dict[str, Any]:
        """The exact sets, for the picture; a kind without rows and set is left out."""
        shown = {"projection": True, "slice": self.sampler is not None}
        return {
            plane.kind: asdict(plane.exact) if plane.exact else None
            for plane in (self.projection, self.slice)
            if shown[plane.kind] or plane.exact
        }

    def summarise(self, summaries: list[Summary]) -> Summary:
        """What `run` documents."""
        source = self.source
        method = source.drawn.method if source.drawn else None
        options = method.options if method else {}
        projected = summaries[0]
        counts = [summary["count"] for summary in summaries]
        known = [count.beyond_exact for count in counts if count.exact]
        through = "a 3-cycle, equal to the slice at d = 3" if source.d > 3 else "the 3-cycle"
        errors = [summary["extremes"].largest["alpha_sum_error_max"] for summary in summaries]
        outside = sum(count.beyond_polygon for count in counts)
        return {
            "verdict": "outside" if outside else "inside",
            "threshold": 0,
            "method": method.name if method else None,
            "d": source.d,
            "s": options.get("s"),
            "field": options.get("field"),
            "polygon": f"regular {source.d}-gon" if source.d > 3 else "triangle",
            "area_polygon": polygon_area(source.d),
            **_facts("projection", projected["count"]),
            **_facts("slice", counts[1] if self.sampler else self.slice.start().count),
            "slice_plane": f"through {through}" if method else None,
            "slice_sampler": self.sampler.description if self.sampler else None,
            "fraction_kind": "sampled occupancy: share of cells hit, not the reach",
            "resolution": self.resolution,
            "cells": int(projected["count"].inside.sum()),
            "outside_exact": sum(known) if known else None,
            "outside_polygon": outside,
            "outside_tolerance": projected["count"].tolerance,
            "alpha_sum_error_max": max(errors),
            "plane_distance_mean": float(projected["distance"].mean[0]),
            "plane_distance_min": projected["extremes"].smallest["plane_distance_min"],
        }


def _facts(kind: str, count: Occupancy) -> dict[str, Any]:
    exact = count.exact
    return {
        f"{kind}_fraction": count.fraction,
        f"{kind}_exact": exact.fraction if exact else None,
        f"{kind}_set": exact.description if exact else None,
        f"{kind}_proven": exact.proven if exact else None,
        f"{kind}_samples": count.total,
    }


def answer(summary: Summary) -> str:
    """How much of the polygon is filled, and whether anything leaves it."""
    clauses = []
    for kind, noun in (("projection", "projections"), ("slice", "matrices in the slice")):
        if (hit := summary[f"{kind}_fraction"]) is not None:
            exact = summary[f"{kind}_exact"]
            known = "" if exact is None else f" (the method reaches {share(exact)} of its area)"
            clauses.append(f"{noun} hit {share(hit)} of the polygon's cells{known}")
    outside = summary["outside_polygon"]
    clauses.append(f"{count(outside, 'point')} outside it" if outside else "none outside it")
    return f"{capitalise(', '.join(clauses))}."


def draw(result: "pa.Table", figure: "Figure") -> None:
    """Density of the projection and of the slice side by side; of B_3 with --solid, all around."""
    meta = meta_of(result)
    sets = meta["sets"]
    if hasattr(figure, "set_size_inches"):  # not a part of another figure
        size = solid.SIZE if meta["solid"] else (SIZE[0] * len(sets) / 2, SIZE[1])
        figure.set_size_inches(*size)
    captions.title(result, figure)
    if meta["solid"]:
        solid.draw_solid(result, figure)
        return
    kinds = result["kind"].to_numpy()
    for axes, kind in zip(figure.subplots(1, len(sets), squeeze=False)[0], sets, strict=True):
        rows = kinds == kind
        re, im = (result[name].to_numpy()[rows] for name in ("re", "im"))
        if "layer" in result.column_names:
            layer = result["layer"].to_numpy()[rows]
            points = plane.by_layer(axes, im, re, layer)
            palette.colour_bar(figure, points, axes, "layer")
        elif mesh := plane.density(axes, re, im, bins=BINS, least=1.0, is_upright=True):
            figure.colorbar(mesh, ax=axes, label="matrices in a cell", shrink=0.8)
        support = Support(**sets[kind]) if sets[kind] else None
        cycle_plane.outline_sets(axes, meta["d"] if kind == "projection" else 3, support)
        cycle_plane.frame(axes, re, im)
        cycle_plane.title(axes, kind, meta["d"], support)
    lines = {str(line.get_label()): line for axes in figure.axes for line in axes.lines}
    captions.entries_below(figure, [line for name, line in lines.items() if name[0] != "_"])
