"""The mixing matrices a model applied: what every checkpoint becomes."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from analyses.core.errors import BadInput


class Site(NamedTuple):
    """One place where streams are mixed: the attention or the mlp branch of a layer."""

    layer: int
    branch: str
    name: str


@dataclass(frozen=True)
class MixingTrace:
    """Residual mixing matrices of one model, over samples and depth.

    Attributes:
        matrices: ``(sample, site, d, d)``, ``x_out = H @ x_in``, sites in the order in which
            the streams meet them. A static matrix has one sample.
        sites: layer, branch and name of every site, in the same order.
        source: where the matrices come from, for titles and messages.
        meta: provenance for file metadata: format, settings, assumptions, digests.
    """

    matrices: Any
    sites: tuple[Site, ...]
    source: str
    meta: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse what no later step could use: a matrix that is not finite."""
        bad = np.argwhere(~np.isfinite(self.matrices).all(axis=(-1, -2)))
        if len(bad):
            sample, site = (int(i) for i in bad[0])
            more = f" (and {len(bad) - 1} more)" if len(bad) > 1 else ""
            raise BadInput(
                f"{self.source}: the mixing matrix of layer {self.sites[site].layer}, "
                f"{self.sites[site].branch}, sample {sample} holds NaN or infinity{more}; "
                f"the run has probably diverged, try an earlier checkpoint"
            )

    @property
    def d(self) -> int:
        """Number of streams."""
        return int(self.matrices.shape[-1])

    @property
    def samples(self) -> int:
        """Number of samples."""
        return int(self.matrices.shape[0])

    @property
    def block(self) -> int:
        """Samples in a block: few enough to fit in a cache together."""
        one = int(np.prod(self.matrices.shape[1:]))
        return max(1, 500_000 // max(1, one))

    def blocks(self) -> Iterator[Any]:
        """Float64 blocks ``(sample, site, d, d)``, in order."""
        for start in range(0, self.samples, self.block):
            yield self.matrices[start : start + self.block].astype(np.float64)
