"""What Sinkhorn normalises, read in blocks: drawn logits, stored logits, or matrices."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from birkhoff_cli.analyses.core.arrays import Array, aligned, lanes
from birkhoff_cli.analyses.core.errors import BadInput, UsageError
from birkhoff_cli.analyses.core.fold import Blocks
from birkhoff_cli.analyses.core.parameterization import Parameterization
from birkhoff_cli.analyses.core.random_numbers import LOGITS, block_generator
from birkhoff_cli.analyses.core.source import Drawn, Source
from birkhoff_cli.analyses.geometry.sinkhorn import Balancing

MAX_ENTRIES = 64_000
"""Entries of logits that have random numbers of their own."""
AT_ONCE = 16_000
"""4 x 4 matrices that are measured together, so that they stay in cache; fewer of larger ones."""
READ = 2 * AT_ONCE
"""4 x 4 matrices that are drawn together: more numbers of a site are counted in fewer calls."""
PARAMETERS = ("gaussian", "uniform", "init")
"""Distributions that draw parameters, which are logits, not matrices."""


class Stage(NamedTuple):
    """Some samples of all sites, as lanes ``(d, d, sites, n)``: a site's samples side by side.

    Attributes:
        z: what is exponentiated and normalised: logits over the temperature, or the logarithm of
            matrices.
        h: the matrices that are applied.
        logits: where they are known.
        method: the map that made ``h`` of them.
    """

    z: Array
    h: Array
    logits: Array | None = None
    method: Parameterization | None = None

    @property
    def balancing(self) -> Balancing | None:
        """How the method balances the logits, where both are known."""
        return None if self.method is None else self.method.balancing()

    def parts(self) -> "Iterator[Stage]":
        """The same samples, so many at a time that the matrices of all sites stay in cache."""
        step = max(1, AT_ONCE * 16 // (len(self.h) ** 2 * self.h.shape[2]))
        for start in range(0, self.h.shape[3], step):
            cut = slice(start, start + step)
            logits = None if self.logits is None else np.ascontiguousarray(self.logits[..., cut])
            z, h = (np.ascontiguousarray(x[..., cut]) for x in (self.z, self.h))
            yield Stage(z, h, logits, self.method)


def parameters(logits: Array) -> Array:
    """Lanes ``(d, d, ...)`` as parameters ``(..., d * d)`` of a method, flat; a view."""
    return logits.reshape(len(logits) ** 2, -1).T


def open_stages(source: Source) -> Blocks[Stage]:
    """Blocks of a source, with logits where they are known."""
    if source.drawn:
        return _DrawnLogits(source.drawn, _logits_method(source.drawn))
    if source.map and source.theta is not None and source.map.balancing():
        return _StoredLogits(source.map, source.theta.astype(np.float64))
    return _Matrices(source)


def _logits_method(source: Drawn) -> Parameterization:
    """The method, if its parameters are logits and its draws those of parameters."""
    method, draws = source.method, source.draws
    if method.balancing() is None:
        raise UsageError(
            f"--method {method.name} has no logits that Sinkhorn normalises; use --method mhc"
        )
    if draws.draw not in (None, *PARAMETERS):
        raise UsageError(f"--draw {draws.draw} draws no logits; use {', '.join(PARAMETERS)}")
    if (draws.dtype, draws.device) != ("float64", "cpu"):
        raise UsageError("sinkhorn compares roundings itself; leave --dtype and --device out")
    return method


@dataclass(frozen=True)
class _DrawnLogits:
    """Logits that are drawn."""

    source: Drawn
    method: Parameterization

    @property
    def block(self) -> int:
        """Stacks drawn at a time."""
        return max(1, MAX_ENTRIES // (self.source.layers * self.source.d**2))

    @property
    def group(self) -> int:
        """Such blocks that are measured as one."""
        return max(1, READ * 16 // (self.block * self.source.layers * self.source.d**2))

    @property
    def blocks(self) -> int:
        return -(-self.source.samples // (self.block * self.group))

    def read(self, numbers: range) -> Iterator[Stage]:
        for number in numbers:
            drawn = range(number * self.group, (number + 1) * self.group)
            theta = [self._draw(k) for k in drawn if k * self.block < self.source.samples]
            yield _stage(self.method, np.concatenate(theta))

    def _draw(self, number: int) -> Array:
        """Parameters of a block ``(n, layers, d * d)``."""
        source, method = self.source, self.method
        n = min(self.block, source.samples - number * self.block)
        rng = block_generator(source.seed, number, LOGITS)
        theta = method.theta(n * source.layers, rng, source.how, source.draws.scale)
        return theta.reshape(n, source.layers, -1)


@dataclass(frozen=True)
class _StoredLogits:
    """The logits of a checkpoint, one sample of them."""

    method: Parameterization
    theta: Array
    blocks: int = 1

    def read(self, numbers: range) -> Iterator[Stage]:
        return (_stage(self.method, self.theta) for _ in numbers)


@dataclass(frozen=True)
class _Matrices:
    """Matrices whose logits are not known."""

    source: Source

    @property
    def blocks(self) -> int:
        return self.source.blocks

    def read(self, numbers: range) -> Iterator[Stage]:
        for block in self.source.read(numbers):
            h = _in_lanes(block)
            _refuse_block(h, self.source)
            with np.errstate(divide="ignore"):
                yield Stage(np.log(h), h)


def _stage(method: Parameterization, theta: Array) -> Stage:
    """Of parameters ``(n, sites, d * d)`` of a method that balances logits."""
    logits = _in_lanes(theta.reshape(*theta.shape[:-1], method.d, method.d))
    balancing = method.balancing()
    z = logits / balancing.tau if balancing else logits
    balance = balancing.quick if balancing else method
    h = lanes(balance(parameters(logits)), 2).reshape(logits.shape)
    return Stage(z, h, logits, method)


def _in_lanes(block: Array) -> Array:
    """``(n, sites, d, d)`` as contiguous lanes ``(d, d, sites, n)`` in float64."""
    n, sites, d = block.shape[:3]
    out = aligned((d, d, sites, n), float)
    for site in range(sites):
        out[:, :, site] = lanes(block[:, site], 2)
    return out


def _refuse_block(h: Array, source: Source) -> None:
    """Only what is at least 0 and has no empty row or column can be normalised."""
    if h.min() > 0:
        return
    empty = [(h.max(axis) == 0).any(0) for axis in (0, 1)]
    for bad, what in (
        (h.min((0, 1)) < 0, "a negative entry"),
        (empty[0] | empty[1], "a row or column of zeros"),
    ):
        if bad.any():
            site = source.sites[int(np.argwhere(bad.T)[0, 1])]
            raise BadInput(
                f"{source.title}: the matrix of layer {site.layer}, {site.branch} has {what}, "
                f"which Sinkhorn cannot normalise; use a model with nonnegative mixing"
            )


def sum_error(h: Array, axis: int) -> Array:
    """Largest |sum - 1| over one axis, ``(...)``."""
    return np.abs(h.sum(axis) - 1).max(-1)
