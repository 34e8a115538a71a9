"""Two traces side by side: the same sites, and as many samples, or one beside every other."""

from collections.abc import Iterator

import numpy as np

from birkhoff_cli.analyses.core.arrays import Array
from birkhoff_cli.analyses.core.errors import BadInput
from birkhoff_cli.analyses.core.trace import MixingTrace


def refuse_unlike(a: MixingTrace, b: MixingTrace) -> None:
    """Hold that two traces can be compared site by site.

    Raises:
        BadInput: naming what they have different numbers of.
    """
    for what, one, other in (
        ("streams", a.d, b.d),
        ("sites", len(a.sites), len(b.sites)),
        ("samples", a.samples, b.samples),
    ):
        if one != other and not (what == "samples" and 1 in (one, other)):
            broadcast = ", or one" if what == "samples" else ""
            raise BadInput(
                f"{a.source} has {one:,} {what} and {b.source} {other:,}; "
                f"compare sources with the same number of {what}{broadcast}"
            )


def pairs(a: MixingTrace, b: MixingTrace) -> Iterator[tuple[Array, Array]]:
    """Float64 blocks of as many samples from both, or the one sample beside every block."""
    for one, other in _pairs(a, b):
        yield one.astype(np.float64), other.astype(np.float64)


def _pairs(a: MixingTrace, b: MixingTrace) -> Iterator[tuple[Array, Array]]:
    if 1 not in (a.samples, b.samples):
        yield from zip(a, b, strict=True)  # of the same size, so their blocks are
        return
    single = (a if a.samples == 1 else b).matrices
    for block in b if a.samples == 1 else a:
        yield (single, block) if a.samples == 1 else (block, single)


def assumptions(a: MixingTrace, b: MixingTrace) -> list[str]:
    """What had to be assumed of both, each with the name of its source."""
    return [
        f"{trace.name}: {text}" for trace in (a, b) for text in trace.meta.get("assumptions", ())
    ]
