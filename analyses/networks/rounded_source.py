"""Matrices before and after rounding, in blocks of the same samples."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from birkhoff_cli.analyses.core.arrays import Array
from birkhoff_cli.analyses.core.errors import BadInput
from birkhoff_cli.analyses.core.trace import MixingTrace
from birkhoff_cli.analyses.geometry.rounding import MATRIX, ROW, stored
from birkhoff_cli.analyses.networks.language_model import LanguageModel
from birkhoff_cli.analyses.networks.rounded import Rounding, Run, round_model, run_tokens
from birkhoff_cli.analyses.networks.token_run import (
    TokenRun,
    batches,
    in_torch,
    inference,
    sequences_in_batch,
)


class Version(NamedTuple):
    """Some samples, as they are or rounded.

    Attributes:
        rounding: None for what is not rounded, which comes first.
        matrices: ``(n, sites, d, d)`` float64.
        run: the losses, where tokens were run.
    """

    rounding: Rounding | None
    matrices: Array
    run: Run | None = None


@dataclass(frozen=True)
class RoundedMatrices:
    """Matrices of a trace, or made again from its parameters once these are rounded."""

    trace: MixingTrace
    roundings: Sequence[Rounding]

    @property
    def blocks(self) -> int:
        """Those of the trace."""
        return self.trace.blocks

    def read(self, numbers: range) -> Iterator[list[Version]]:
        """Blocks of all versions."""
        for block in self.trace.read(numbers):
            h = block.astype(np.float64)
            yield [Version(None, h), *(Version(r, self._rounded(r, h)) for r in self.roundings)]

    def _rounded(self, rounding: Rounding, h: Array) -> Array:
        if rounding.what == "matrices":
            return stored(h, rounding.format, ROW if rounding.scales == "row" else MATRIX)
        theta, map_ = self.trace.theta, self.trace.map
        assert theta is not None and map_ is not None  # else it is not asked for
        tensors = stored(theta, rounding.format, ROW)  # one per site
        matrices = map_(tensors.astype(theta.dtype))
        return self._finite(rounding, np.asarray(matrices, np.float64))

    def _finite(self, rounding: Rounding, h: Array) -> Array:
        if not np.isfinite(h).all():
            raise BadInput(
                f"{self.trace.source}: its parameters in {rounding.format} make matrices that "
                f"hold NaN or infinity; leave {rounding.format} out of --formats"
            )
        return h


@dataclass(frozen=True)
class RoundedRuns:
    """Tokens through a model as it is, and through every rounded one."""

    run: TokenRun
    roundings: Sequence[Rounding]

    @property
    def blocks(self) -> int:
        """Number of batches."""
        return -(-len(self.run.tokens) // sequences_in_batch(self.run.tokens))

    def read(self, numbers: range) -> Iterator[list[Version]]:
        """Batches of all versions."""
        model, step = self.run.load(), sequences_in_batch(self.run.tokens)
        models: list[tuple[Rounding | None, LanguageModel]] = [(None, in_torch(model))]
        models += [(r, in_torch(round_model(model, r))) for r in self.roundings]
        for tokens in batches(self.run.tokens[numbers.start * step : numbers.stop * step]):
            versions = []
            for rounding, each in models:
                with inference(each):
                    run = run_tokens(each, tokens)
                versions.append(Version(rounding, self._finite(rounding, run.matrices), run))
            yield versions

    def _finite(self, rounding: Rounding | None, h: Array) -> Array:
        if not np.isfinite(h).all():
            rounded = "" if rounding is None else f" with {rounding.what} in {rounding.format}"
            raise BadInput(
                f"{self.run.source}: a matrix{rounded} holds NaN or infinity; the run has probably "
                f"diverged, try an earlier checkpoint"
            )
        return h
