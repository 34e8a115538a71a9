"""What the places of a table's sites leave open, where no digest says that none was lost."""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from birkhoff_cli.analyses.core.trace import Site
from birkhoff_cli.content import Content


class Samples:
    """Numbers of samples as they come, rising, and one that they leave out.

    Numbers equally far apart are as they should be: only one that is missing among neighbours is
    said.
    """

    def __init__(self) -> None:
        """Nothing has come."""
        self._last: int | None = None
        self._gap: int | None = None
        self._has_neighbours = False

    def add(self, numbers: NDArray[np.int64]) -> None:
        """The next ones, each once."""
        if self._last is not None:
            numbers = np.concatenate([[self._last], numbers])
        if not len(numbers):
            return
        self._last = int(numbers[-1])
        steps = np.diff(numbers)
        self._has_neighbours |= bool((steps == 1).any())
        if self._gap is None and len(far := np.flatnonzero(steps > 1)):
            self._gap = int(numbers[far[0]]) + 1

    @property
    def missing(self) -> int | None:
        """The first number that is left out; None if there is none."""
        return self._gap if self._has_neighbours else None


def doubted(
    content: Content,
    facts: dict[str, Any],
    numbers: NDArray[np.int64],
    sites: Sequence[Site],
    missing: int | None = None,
) -> dict[str, Any]:
    """Provenance with what has to be assumed of the places of sites, and of samples.

    Args:
        content: of the file; of one that is as birkhoff wrote it nothing is assumed.
        facts: provenance.
        numbers: of the sites, as the file has them, rising.
        sites: layer and branch of each.
        missing: the number of a sample that is left out.
    """
    doubts = [*_doubts(numbers.tolist(), [site.layer for site in sites])]
    if missing is not None:
        doubts.append(f"the samples are all there are, though none has the number {missing}")
    if not doubts or not content.assumptions:
        return facts
    return facts | {"assumptions": [*facts.get("assumptions", ()), *doubts]}


def gap(numbers: Sequence[int], what: str) -> list[str]:
    """The sentence that a site may be missing, where numbers of all sites leave one out.

    Numbers equally far apart are as they should be.

    Args:
        numbers: one for every site.
        what: "none" does or has, before the number.
    """
    every = sorted({*numbers})
    steps = [after - before for before, after in pairwise(every)]
    if len({*steps}) < 2:
        return []
    missing = next(a for a, b in pairwise(every) if b - a > min(steps)) + min(steps)
    return [f"the {len(numbers)} sites are all there are, though none {what} {missing}"]


def _doubts(numbers: Sequence[int], layers: Sequence[int]) -> Iterator[str]:
    """Numbers of sites, or layers, that leave some out, and layers that fall."""
    if numbers[0] > 0:
        known = f"the {len(numbers)} sites are all there are"
        yield f"{known}, though the first has the number {numbers[0]}"
    yield from gap(numbers, "has the number") or gap(layers, "is of layer")
    falls = next(((a, b) for a, b in pairwise(layers) if b < a), None)
    if falls:
        yield (
            f"the numbers of sites are their order in depth, though layer {falls[1]} stands behind "
            f"layer {falls[0]}"
        )
