"""Where matrices come from: drawn from a parameterization, or recorded in a trace.

Both are read in numbered blocks. A drawn block has random numbers of its own, so that any block
can be drawn alone.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Protocol

import numpy as np

from birkhoff_cli.analyses.core.arrays import Array
from birkhoff_cli.analyses.core.errors import UsageError
from birkhoff_cli.analyses.core.evaluators import in_float32, through_torch
from birkhoff_cli.analyses.core.memory import require_memory
from birkhoff_cli.analyses.core.parameterization import (
    Parameterization,
    require,
    require_scale,
)
from birkhoff_cli.analyses.core.random_numbers import Seed, block_generator
from birkhoff_cli.analyses.core.trace import Site


class Source(Protocol):
    """Matrices of several sites over samples: a `MixingTrace`, or `Drawn` ones."""

    @property
    def d(self) -> int:
        """Number of streams."""

    @property
    def samples(self) -> int:
        """Number of samples of every site."""

    @property
    def sites(self) -> tuple[Site, ...]:
        """Where the matrices of a sample are, in order of depth."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """In which the matrices were computed."""

    @property
    def source(self) -> str:
        """Name for messages."""

    @property
    def title(self) -> str:
        """A short name for pictures, without dollar signs that would begin a formula."""

    @property
    def method_name(self) -> str | None:
        """The method that made the matrices, where it is known."""

    @property
    def meta(self) -> Mapping[str, Any]:
        """Provenance for the metadata of files."""

    @property
    def drawn(self) -> "Drawn | None":
        """The source itself if its matrices are drawn; None if they are as they are."""

    @property
    def map(self) -> Parameterization | None:
        """What made the matrices of `theta`, where both are known."""

    @property
    def theta(self) -> Array | None:
        """Parameters ``(samples, sites, p)``."""

    @property
    def step(self) -> int | None:
        """Training step of the model, where it is known."""

    @property
    def block(self) -> int:
        """Samples in a block; the last one may have fewer."""

    @property
    def blocks(self) -> int:
        """Number of blocks."""

    def read(self, numbers: range) -> Iterator[Array]:
        """Blocks ``(samples, sites, d, d)`` of consecutive numbers."""

    def __iter__(self) -> Iterator[Array]:
        """Every block."""

    def read_parameters(self, numbers: range) -> Iterator[Array]:
        """Blocks ``(samples, sites, p)`` of the parameters that the matrices are made of."""


MAX_SAMPLES = 1 << 40
"""More are a slip of the keyboard: they would be drawn for weeks."""

MAX_LAYERS = 1 << 20
"""Of a stack, which is in memory whole: every layer has a name."""


@dataclass(frozen=True)
class Draws:
    """How many matrices to draw from a parameterization, and how."""

    samples: Annotated[int, "matrices to draw, or stacks of --layers"] = 100_000
    layers: Annotated[int | None, "depth of a drawn stack"] = None
    draw: Annotated[
        str | None,
        "gaussian, uniform, init, or such as haar [the method's own]",
    ] = None
    scale: Annotated[float | None, "spread of the parameters [1; 0 around the start of init]"] = (
        None
    )
    dtype: Annotated[Literal["float64", "float32"], "precision of map and matrices"] = "float64"
    device: Annotated[Literal["cpu", "cuda"], "where the map runs; parameters are drawn alike"] = (
        "cpu"
    )

    def __post_init__(self) -> None:
        """Refuse counts and spreads that mean nothing."""
        require(self.samples >= 1, f"-n/--samples {self.samples}", "at least 1")
        require(
            self.samples <= MAX_SAMPLES, f"-n/--samples {self.samples}", f"{MAX_SAMPLES:,} at most"
        )
        fits = self.layers is None or 1 <= self.layers <= MAX_LAYERS
        require(fits, f"--layers {self.layers}", f"at least 1, {MAX_LAYERS:,} at most")
        require_scale(self.scale)

    def evaluator(self) -> Callable[[Parameterization, Array], Array] | None:
        """How to apply a map; None for numpy in float64.

        Raises:
            Unsupported: there is no such device here.
        """
        if self.device == "cpu":
            return None if self.dtype == "float64" else in_float32
        return through_torch(self.device, self.dtype)


@dataclass(frozen=True)
class Drawn:
    """Matrices drawn from a parameterization, or stacks of them, each layer independently.

    Attributes:
        method: the map.
        draws: how many, and how.
        seed: of all random numbers; a tuple for one of several children of a seed.
    """

    method: Parameterization
    draws: Draws = Draws()
    seed: Seed = 0

    @property
    def d(self) -> int:
        """Number of streams."""
        return self.method.d

    @property
    def samples(self) -> int:
        """Number of matrices, or of stacks."""
        return self.draws.samples

    @property
    def layers(self) -> int:
        """Matrices in a stack."""
        return self.draws.layers or 1

    @property
    def sites(self) -> tuple[Site, ...]:
        """One to a layer."""
        return tuple(Site(layer, "drawn", f"layer {layer}") for layer in range(self.layers))

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the matrices."""
        return np.dtype(self.draws.dtype)

    @property
    def source(self) -> str:
        """The method with its options."""
        return title_of(self.method)

    @property
    def title(self) -> str:
        """The same."""
        return self.source

    @property
    def method_name(self) -> str:
        """The word for the method on the command line."""
        return self.method.name

    @property
    def step(self) -> None:
        """None: drawn matrices are not trained."""
        return None

    @property
    def meta(self) -> dict[str, Any]:
        """Nothing: the command says all."""
        return {}

    @property
    def drawn(self) -> "Drawn":
        """This."""
        return self

    @property
    def map(self) -> None:
        """Nothing: parameters are drawn with the matrices."""
        return None

    @property
    def theta(self) -> None:
        """Nothing."""
        return None

    @property
    def how(self) -> str:
        """The distribution."""
        return self.draws.draw or self.method.default_draw

    @property
    def block(self) -> int:
        """Samples in a block, so that a step on it stays in cache or in memory."""
        if self.draws.layers is None:
            return self.method.lanes
        return max(1, 4_000_000 // (self.layers * self.d**2))

    @property
    def blocks(self) -> int:
        """Number of blocks."""
        return -(-self.samples // self.block)

    def sizes(self, numbers: range) -> Iterator[tuple[int, int]]:
        """Numbers of blocks, and the samples in each."""
        block = self.block
        return ((k, min(block, self.samples - k * block)) for k in numbers)

    def read(self, numbers: range) -> Iterator[Array]:
        """Blocks ``(samples, layers, d, d)`` in the dtype of ``draws``.

        A sampler that needs no parameters draws in float64, and is rounded.

        Raises:
            UsageError: a device for a sampler that runs no map.
        """
        if self.draws.device != "cpu" and not self.method.draws_parameters(self.how):
            raise UsageError(
                f"--draw {self.how} draws matrices without the map; leave --device out"
            )
        evaluate = self.draws.evaluator()
        how, scale = self.how, self.draws.scale
        for h in self._drawn(
            numbers, lambda n, rng: self.method.draw(n, rng, how, scale, evaluate)
        ):
            yield h.astype(self.dtype, copy=False).reshape(-1, self.layers, self.d, self.d)

    def read_parameters(self, numbers: range) -> Iterator[Array]:
        """Blocks ``(samples, layers, p)`` float64, of the same numbers as the matrices of `read`.

        Raises:
            UsageError: a distribution of matrices, which has no parameters.
        """
        how, scale = self.how, self.draws.scale
        if not self.method.draws_parameters(how):
            known = [
                name for name in self.method.distributions if name not in self.method.samplers()
            ]
            raise UsageError(f"--draw {how} draws no parameters; use {', '.join(known)}")
        for theta in self._drawn(numbers, lambda n, rng: self.method.theta(n, rng, how, scale)):
            shape = (len(theta) // self.layers, self.layers, self.method.parameters)
            yield theta.reshape(shape)  # -1 is ambiguous for a method without parameters

    def _drawn(
        self, numbers: range, draw: Callable[[int, np.random.Generator], Array]
    ) -> Iterator[Array]:
        """What is drawn for the matrices of each block, as many at a time as the method says."""
        lanes = self.method.lanes
        for number, n in self.sizes(numbers):
            rng, total = block_generator(self.seed, number), n * self.layers
            require_memory(16 * total * self.d**2, f"{total:,} matrices of d = {self.d}")
            parts = [draw(min(lanes, total - i), rng) for i in range(0, total, lanes)]
            yield parts[0] if len(parts) == 1 else np.concatenate(parts)

    def __iter__(self) -> Iterator[Array]:
        """Every block, as `read`."""
        return self.read(range(self.blocks))


def title_of(method: Parameterization) -> str:
    """The method with all its options, as pictures name it."""
    values = {"d": method.d, **method.options}
    return ", ".join(
        [method.name, *(f"{k} = {v}" for k, v in values.items() if v not in (None, ()))]
    )
