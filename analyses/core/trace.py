"""The mixing matrices a model applied: what every checkpoint becomes."""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from math import prod
from pathlib import PurePath
from typing import Any, NamedTuple, NewType, TypeAlias

import numpy as np

from birkhoff_cli.analyses.core.arrays import Array
from birkhoff_cli.analyses.core.errors import BadInput, Unsupported
from birkhoff_cli.analyses.core.memory import require_memory
from birkhoff_cli.analyses.core.parameterization import Parameterization
from birkhoff_cli.analyses.core.table import Schema, column

MAX_PARAMETERS = 8_000_000
"""Numbers that a block of matrices is made of: of mhc-lite a matrix of d = 8 has 40,320."""

Reader: TypeAlias = Callable[[int, int], Iterator[Array]]
"""From a number of samples and a first sample to blocks of that many, from there on in order."""


REPOSITORY = re.compile(r"hf://[^/]+/([^/@]+)(?:@(?:refs/[^/]+/)?[^/]+)?")
"""The URL of a whole model on a hub."""


def name_of(source: str) -> str:
    """A file's name without its folder, for metadata: the same wherever the file is.

    A model on a hub has its name without the revision: where a process asks for what was typed,
    another one asks for the commit that it was resolved to.
    """
    if repository := REPOSITORY.fullmatch(source):
        return repository[1]
    return PurePath(source).name or source


def caption(source: str) -> str:
    """A file's name in a picture, where a dollar sign would begin a formula."""
    return name_of(source).replace("$", r"\$")


class Site(NamedTuple):
    """One place where streams are mixed: the attention or the mlp branch of a layer."""

    layer: int
    branch: str
    name: str


def site_schema(note: str = "", nullable: bool = False) -> Schema:
    """The columns that `site_columns` fills.

    Args:
        note: what all three of them say besides.
        nullable: whether rows may belong to no site.
    """
    return (
        column("site", "int32", f"site in order of depth{note}", nullable=nullable),
        column("layer", "int32", f"layer of that site{note}", nullable=nullable),
        column("branch", "string", f"branch of that site: {BRANCHES}{note}", nullable=nullable),
    )


BRANCHES = "attn or mlp; file for a plain array"


def site_columns(sites: Sequence[Site]) -> dict[str, Array]:
    """The columns that say where a matrix belongs, ``(sites,)`` each."""
    return {
        "site": np.arange(len(sites)),
        "layer": np.array([site.layer for site in sites], int),
        "branch": np.array([site.branch for site in sites], str),
    }


@dataclass(frozen=True)
class MixingTrace:
    """Residual mixing matrices of one model, over samples and depth.

    They are read in blocks, as often as somebody asks: a trace may be larger than memory.

    Attributes:
        d: number of streams.
        samples: number of samples; a static matrix has one.
        sites: layer, branch and name of every site, in the order in which streams meet them.
        source: where the matrices come from, for titles and messages.
        reader: from a number of samples and a first sample to blocks ``(sample, site, d, d)`` of
            that many, ``x_out = H @ x_in``, from that sample on in order.
        dtype: in which the matrices were computed.
        step: training step of the model, where it is known.
        meta: provenance for file metadata: format, settings, assumptions, digests.
        map: what made static matrices of ``theta``, where that is known.
        theta: its parameters, ``(1, sites, p)``.
        run: the model and the tokens that made them (``networks.token_run.TokenRun``), where
            tokens did.
        parameters: as ``reader``, to blocks ``(sample, site, p)`` of what the matrices are made of
            by the method; None where that is not known.
        gates: as ``reader``, to blocks ``(sample, site, d + 2, d)``: what the branch reads of every
            stream, how much of it each receives, and the matrix. None of recorded matrices alone.
        measured: what a monitor measured in place of matrices (``core.measured.Measured``).
    """

    d: int
    samples: int
    sites: tuple[Site, ...]
    source: str
    reader: Reader = field(repr=False)
    dtype: np.dtype[Any] = np.dtype(np.float32)
    step: int | None = None
    meta: dict[str, Any] = field(default_factory=dict)
    map: Parameterization | None = None
    theta: Array | None = None
    run: Any = field(default=None, repr=False)
    parameters: Reader | None = field(default=None, repr=False)
    gates: Reader | None = field(default=None, repr=False)
    measured: Any = field(default=None, repr=False)

    @property
    def block(self) -> int:
        """Samples in a block: their matrices fit in a cache together, what makes them in memory."""
        sites, parameters = len(self.sites), self.map.parameters if self.map else 0
        of_matrices = 500_000 // max(1, sites * self.d**2)
        return max(1, min(of_matrices, MAX_PARAMETERS // max(1, sites * parameters)))

    @property
    def blocks(self) -> int:
        """Number of blocks that an analysis goes through."""
        return -(-self.samples // self.block)

    @property
    def name(self) -> str:
        """The source without its folder, for metadata."""
        return name_of(self.source)

    @property
    def title(self) -> str:
        """The name of the checkpoint in pictures."""
        return caption(self.source)

    @property
    def method_name(self) -> str | None:
        """The method that the checkpoint says it is of."""
        name: str | None = self.meta.get("method")
        return name

    @property
    def drawn(self) -> None:
        """Nothing: see `birkhoff_cli.analyses.core.source.Drawn`."""
        return None

    def read(self, numbers: range) -> Iterator[Array]:
        """Blocks ``(sample, site, d, d)`` in the trace's dtype, of consecutive numbers.

        Raises:
            BadInput: a matrix that is not finite, which no later step could use.
        """
        return self._checked(self.reader, numbers, "mixing matrix")

    def __iter__(self) -> Iterator[Array]:
        """Every block, as `read`."""
        return self.read(range(self.blocks))

    def read_parameters(self, numbers: range) -> Iterator[Array]:
        """Blocks ``(sample, site, p)`` of the parameters of the matrices that `read` gives.

        Raises:
            Unsupported: they are not known.
        """
        if self.parameters is None:
            raise Unsupported(
                f"{self.source}: holds matrices and not what they were made of; give the checkpoint"
            )
        return islice(self.parameters(self.block, numbers.start * self.block), len(numbers))

    def read_gates(self, numbers: range) -> Iterator[Array]:
        """Blocks ``(sample, site, d + 2, d)``: H_pre, H_post and H, of the samples of `read`.

        Raises:
            Unsupported: they are not known.
            BadInput: one that is not finite.
        """
        if self.gates is None:
            raise Unsupported(
                f"{self.source}: holds mixing matrices, and neither H_pre nor H_post; give the "
                f"checkpoint"
            )
        return self._checked(self.gates, numbers, "H_pre, H_post or H")

    def _checked(self, reader: Reader, numbers: range, what: str) -> Iterator[Array]:
        """Blocks of consecutive numbers, all of them finite."""
        start = numbers.start * self.block
        for block in islice(reader(self.block, start), len(numbers)):
            with np.errstate(over="ignore", invalid="ignore"):
                total = block.sum()
            if not np.isfinite(total):  # one number, or a sum beyond the largest
                self._refuse(block, start, what)
            yield block
            start += len(block)

    def _refuse(self, block: Array, start: int, what: str) -> None:
        bad = np.argwhere(~np.isfinite(block).all(axis=(-1, -2)))
        if not len(bad):
            return
        sample, site = (int(i) for i in bad[0])
        more = f" (and {len(bad) - 1} more)" if len(bad) > 1 else ""
        raise BadInput(
            f"{self.source}: the {what} of layer {self.sites[site].layer}, "
            f"{self.sites[site].branch}, sample {start + sample} holds NaN or infinity{more}; "
            f"the run has probably diverged, try an earlier checkpoint"
        )

    @property
    def matrices(self) -> Array:
        """All of them, ``(sample, site, d, d)``.

        Raises:
            TooLarge: they do not fit in memory.
        """
        shape = (self.samples, len(self.sites), self.d, self.d)
        require_memory(prod(shape) * self.dtype.itemsize, f"{self.source} as a whole")
        out = np.empty(shape, self.dtype)
        start = 0
        for block in self:
            out[start : start + len(block)] = block
            start += len(block)
        return out


Targets = NewType("Targets", MixingTrace)
"""Matrices that a method is to reach: given ones, or uniform ones of the polytope."""


def in_memory(
    matrices: Array,
    sites: tuple[Site, ...],
    source: str,
    *,
    step: int | None = None,
    meta: dict[str, Any] | None = None,
) -> MixingTrace:
    """The trace of an array ``(sample, site, d, d)``."""
    return MixingTrace(
        d=matrices.shape[-1],
        samples=len(matrices),
        sites=sites,
        source=source,
        reader=in_blocks(matrices),
        dtype=matrices.dtype,
        step=step,
        meta=meta or {},
    )


def in_blocks(array: Array) -> Reader:
    """How the samples of an array are read, as many at a time as is asked for."""
    return lambda size, first: (array[k : k + size] for k in range(first, len(array), size))
