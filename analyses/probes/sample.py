"""Eigenvalues of drawn matrices, or of those of a trace."""

from collections.abc import Iterator

import numpy as np

from birkhoff_cli.analyses.core import source as sources
from birkhoff_cli.analyses.core.arrays import lanes
from birkhoff_cli.analyses.core.parameterization import Parameterization
from birkhoff_cli.analyses.core.source import Draws, Source
from birkhoff_cli.analyses.core.table import Columns
from birkhoff_cli.analyses.geometry.coverage import Coverage
from birkhoff_cli.analyses.geometry.eigenvalues import eigenvalue_parts
from birkhoff_cli.analyses.probes import Probe

OF_A_PATH = ("site", "layer", "branch")


def sampled(source: Source, draws: Draws, count: Coverage, rng: np.random.Generator) -> Probe:
    """Every matrix once, in order.

    Args:
        source: a map to draw from, or a trace.
        draws: how many and how.
        count: where to count.
        rng: the only source of randomness.
    """
    where = () if isinstance(source, Parameterization) else OF_A_PATH
    columns = ("sample", *where, "index", "re", "im")
    return Probe(
        columns, _steps(source, draws, count, rng), count.summary, sources.steps(source, draws)
    )


def _steps(
    source: Source, draws: Draws, count: Coverage, rng: np.random.Generator
) -> Iterator[Columns]:
    places = sources.sites(source)
    where = {
        "site": np.arange(len(places))[:, None],
        "layer": np.array([s.layer for s in places])[:, None],
        "branch": np.array([s.branch for s in places])[:, None],
    }
    start = 0
    for block in sources.blocks(source, draws, rng):
        re, im = eigenvalue_parts(block)
        count.add(lanes(re, 1), lanes(im, 1))
        sample = np.arange(start, start + len(block))[:, None, None]
        start += len(block)
        yield {"sample": sample, "index": np.arange(block.shape[-1]), "re": re, "im": im, **where}
