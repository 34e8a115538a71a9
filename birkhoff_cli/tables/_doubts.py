"""What the places of a table's sites leave open, where no digest says that none was lost."""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from birkhoff_cli.analyses.core.trace import Site
from birkhoff_cli.content import Content


def doubted(
    content: Content, facts: dict[str, Any], numbers: NDArray[np.int64], sites: Sequence[Site]
) -> dict[str, Any]:
    """Provenance with what has to be assumed of the places of sites.

    Args:
        content: of the file; of one that is as birkhoff wrote it nothing is assumed.
        facts: provenance.
        numbers: of the sites, as the file has them, rising.
        sites: layer and branch of each.
    """
    doubts = [*_doubts(numbers.tolist(), [site.layer for site in sites])]
    if not doubts or not content.assumptions:
        return facts
    return facts | {"assumptions": [*facts.get("assumptions", ()), *doubts]}


def _doubts(numbers: Sequence[int], layers: Sequence[int]) -> Iterator[str]:
    """Numbers of sites that leave some out, and layers that fall.

    Numbers equally far apart are as they should be.
    """
    steps = [after - before for before, after in pairwise(numbers)]
    if len({*steps}) > 1:
        before = next(a for a, b in pairwise(numbers) if b - a > min(steps))
        missing = before + min(steps)
        yield f"the {len(numbers)} sites are all there are, though none has the number {missing}"
    falls = next(((a, b) for a, b in pairwise(layers) if b < a), None)
    if falls:
        yield (
            f"the numbers of sites are their order in depth, though layer {falls[1]} stands behind "
            f"layer {falls[0]}"
        )
