"""What is measured of one model beside others: its rows, and its numbers."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any, Literal

import numpy as np

from birkhoff_cli.analyses.comparison.depth import Depth, mixing_of
from birkhoff_cli.analyses.core.arrays import Array
from birkhoff_cli.analyses.core.describe import specification
from birkhoff_cli.analyses.core.fold import run_fold
from birkhoff_cli.analyses.core.models import Model
from birkhoff_cli.analyses.core.random_numbers import generator
from birkhoff_cli.analyses.core.result import Summary
from birkhoff_cli.analyses.core.source import Source
from birkhoff_cli.analyses.core.table import Columns
from birkhoff_cli.analyses.core.trace import site_columns
from birkhoff_cli.analyses.geometry import cycles
from birkhoff_cli.analyses.geometry.hypocycloids import Support
from birkhoff_cli.analyses.probes.references import coverage_of
from birkhoff_cli.analyses.probes.sample import Sampled, parts_of
from birkhoff_cli.analyses.probes.targets import aimed
from birkhoff_cli.analyses.sites.step import BANDS, Step
from birkhoff_cli.analyses.statistics.occupancy import Occupancy

Probe = Literal["targets", "sample"]

REACH = ("coverage", "outside_fraction", "nonreal_fraction", "area_reached", "area_region")
"""Of the numbers of `birkhoff spectrum`."""


class Panel:
    """One model: its eigenvalues, its projections, and what it does over depth."""

    def __init__(self, model: Model, probe: Probe, resolution: int) -> None:
        """Nothing is measured yet.

        Args:
            model: a checkpoint, a series, or draws.
            probe: how to look for eigenvalues of draws; recorded matrices are taken as they are.
            resolution: cells along each side of the grids.
        """
        self.model, self.source = model, model.source
        self.sampled = Sampled(self.source, resolution)
        self.count = self.sampled.start()
        self.hunt = None
        drawn = self.source.drawn
        if drawn is not None and probe == "targets":
            count = coverage_of(self.source, resolution)
            self.hunt = aimed(drawn.method, drawn.samples, count, generator(drawn.seed))
        self.plane = _plane(self.source, resolution, self.count.tolerance)
        self.depth = Depth(self.source) if _is_deep(self.source) else None
        self.steps: list[Summary] = []
        self.numbers: Summary = {}
        self.total = self.source.blocks + (self.hunt.total if self.hunt else 0)
        self.total += sum(trace.blocks for trace in model.series[:-1])

    def rows(self) -> Iterator[Columns]:
        """Every row; a step of the work without rows is empty."""
        name = {"model": self.model.name}
        for part in (self._hunted(), self._blocks(), self._training()):
            for columns in part:
                yield {**name, **columns} if columns else columns

    def _hunted(self) -> Iterator[Columns]:
        for rows in self.hunt.steps if self.hunt else ():
            yield _eigenvalues(rows) if rows else {}

    def _blocks(self) -> Iterator[Columns]:
        """Every block once, for all that is measured of it."""
        state = self.depth.start() if self.depth else None
        for number, block in enumerate(self.source):
            if self.hunt is None:
                yield _eigenvalues(self.sampled.add(self.count, number, parts_of(block)))
            if self.plane:
                yield self._projections(number, block)
            if self.depth and state:
                self.depth.add(state, number, block)
        if self.depth and state:
            rows, self.numbers = self.depth.finish(state)
            yield from rows

    def _projections(self, number: int, block: Array) -> Columns:
        re, im = cycles.point(cycles.coefficients(block.astype(np.float64, copy=False)))
        assert self.plane is not None  # or this is not called
        self.plane.add(number, re, im)
        sample = number * self.source.block + np.arange(len(block))[:, None]
        return {"panel": "projection", "sample": sample, **self._sites, "re": re, "im": im}

    @property
    def _sites(self) -> Mapping[str, Array]:
        """Where recorded matrices belong; draws are alike."""
        return {} if self.source.drawn else site_columns(self.source.sites)

    def _training(self) -> Iterator[Columns]:
        """Row maxima at every step of a series; at the one that there is, if it is known."""
        if not self.depth:
            return
        for trace in self.model.series[:-1]:
            result = run_fold(Step(trace), trace, (), {})
            for _ in result.steps:
                yield {}
            self.steps.append({"step": trace.step, **mixing_of(result.summarise())})
        last = {"step": self.source.step, **self._mixing}
        self.steps.append(last)
        if last["step"] is not None:
            for each in self.steps:
                bands = {name.removeprefix("row_max_"): each[name] for name in BANDS}
                where = {"panel": "training", "step": each["step"], "metric": "row_max"}
                yield {**where, **bands, "value": each["diagonal_fraction"]}

    @property
    def _mixing(self) -> Summary:
        names = ("mixing", *BANDS, "diagonal_fraction", "identity_distance")
        return {name: self.numbers[name] for name in names}

    @property
    def meta(self) -> dict[str, Any]:
        """What the picture needs of it."""
        exact = self.plane.exact if self.plane else None
        return {
            "title": self.model.name,
            "d": self.source.d,
            "sites": len(self.source.sites),
            "depth": self.depth is not None,
            "region": self.count.region.name,
            "support": asdict(exact) if exact else None,
        }

    def summary(self) -> Summary:
        """Its numbers, once every row was taken."""
        reach = self.hunt.summary() if self.hunt else self.count.summary()
        drawn, plane = self.source.drawn, self.plane
        return {
            "name": self.model.name,
            "method": specification(drawn.method) if drawn else self.source.method_name,
            "d": self.source.d,
            "samples": self.source.samples,
            "sites": len(self.source.sites),
            "step": self.source.step,
            "probe": "targets" if self.hunt else "sample",
            **{name: reach[name] for name in REACH},
            "hits": reach.get("hits"),
            "projection_fraction": plane.fraction if plane else None,
            "projection_exact": plane.exact.fraction if plane and plane.exact else None,
            **self.numbers,
            **({"steps": self.steps} if len(self.steps) > 1 else {}),
        }


def _eigenvalues(rows: Columns) -> Columns:
    """All but the trivial one."""
    other = {name: rows[name][..., 1:] for name in ("re", "im")}
    where = {name: rows[name] for name in ("sample", "site", "layer", "branch") if name in rows}
    return {"panel": "reach", **where, **other}


def _plane(source: Source, resolution: int, tolerance: float) -> Occupancy | None:
    """Empty counts in the plane of the cycle, which one or two streams do not have."""
    if source.d < 3:
        return None
    exact = source.drawn.method.projection_support() if source.drawn else None
    return Occupancy(Support("polygon", source.d), exact, resolution, tolerance)


def _is_deep(source: Source) -> bool:
    """Whether it has a depth, or is a checkpoint, of which its sites are wanted."""
    return source.drawn is None or len(source.sites) > 1
