"""Where matrices come from: drawn from a parameterization, or recorded in a trace."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from typing import Annotated, Any, Literal, TypeAlias

import numpy as np

from birkhoff_cli.analyses.core.arrays import Array
from birkhoff_cli.analyses.core.errors import Unsupported, UsageError
from birkhoff_cli.analyses.core.parameterization import Parameterization, require
from birkhoff_cli.analyses.core.trace import MixingTrace, Site

Source: TypeAlias = Parameterization | MixingTrace

MAX_SAMPLES = 1 << 40
"""More are a slip of the keyboard: they would be drawn for weeks."""


@dataclass(frozen=True)
class Draws:
    """How many matrices to draw from a parameterization, and how. Of no effect for a trace."""

    samples: Annotated[int, "matrices (with layers: stacks of them) to draw"] = 100_000
    draw: Annotated[
        str | None,
        "gaussian, uniform or init parameters, or a sampler of the method: haar, dirichlet, "
        "sinkhorn-uniform, polytope; the default depends on the method",
    ] = None
    scale: Annotated[
        float | None, "spread of the parameters: 1 if not given, 0 around the start of init"
    ] = None
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
        require(
            self.scale is None or 0 <= self.scale < np.inf,
            f"--scale {self.scale}",
            "a finite number, 0 or more",
        )

    def evaluator(self) -> Callable[[Parameterization, Array], Array] | None:
        """How to apply a map; None for numpy in float64.

        Raises:
            Unsupported: there is no such device here.
        """
        if self.device == "cpu":
            return None if self.dtype == "float64" else _in_float32
        return through_torch(self.device, self.dtype)


def blocks(
    source: Source, draws: Draws, rng: np.random.Generator, layers: int = 1
) -> Iterator[Array]:
    """Matrices ``(n, sites, d, d)``, in order of samples: those of a trace in float64.

    Drawn matrices have the dtype of ``draws``. A sampler that needs no parameters draws in float64,
    and is rounded to it.

    Args:
        source: a trace, or a map to draw from.
        draws: how to draw.
        rng: the only source of randomness.
        layers: depth of a drawn stack; each layer is drawn independently.

    Raises:
        UsageError: a device for a sampler that runs no map.
    """
    if isinstance(source, MixingTrace):
        yield from (block.astype(np.float64) for block in source)
        return
    how = draws.draw or source.default_draw
    if draws.device != "cpu" and how in source.samplers():
        raise UsageError(f"--draw {how} draws matrices without the map; leave --device out")
    evaluate = draws.evaluator()
    step = block_size(source, layers)
    for start in range(0, draws.samples, step):
        n = min(step, draws.samples - start)
        parts = [
            source.draw(min(source.lanes, n * layers - i), rng, draws.draw, draws.scale, evaluate)
            for i in range(0, n * layers, source.lanes)
        ]
        h = parts[0] if len(parts) == 1 else np.concatenate(parts)
        h = h.astype(draws.dtype, copy=False)
        yield h[:, None] if layers == 1 else h.reshape(n, layers, source.d, source.d)


def block_size(source: Parameterization, layers: int) -> int:
    """Stacks drawn at a time."""
    if layers == 1:
        return source.lanes
    return max(1, 4_000_000 // (layers * source.d**2))


def steps(source: Source, draws: Draws, layers: int = 1) -> int:
    """How many blocks there will be."""
    if isinstance(source, MixingTrace):
        return source.blocks
    return -(-draws.samples // block_size(source, layers))


def samples(source: Source, draws: Draws) -> int:
    """How many samples there will be."""
    return source.samples if isinstance(source, MixingTrace) else draws.samples


def sites(source: Source, layers: int = 1) -> tuple[Site, ...]:
    """The sites of a trace, or those of a drawn stack: one to a layer."""
    if isinstance(source, MixingTrace):
        return source.sites
    return tuple(Site(layer, "drawn", f"layer {layer}") for layer in range(layers))


def title(source: Source) -> str:
    """A short name for pictures: the checkpoint's, or the method with its options.

    A dollar sign is escaped: in a picture it would begin a formula.
    """
    if isinstance(source, MixingTrace):
        return source.source.replace("$", r"\$")
    values = {f.name: getattr(source, f.name) for f in fields(source)}
    return ", ".join(
        [source.name, *(f"{k} = {v}" for k, v in values.items() if v not in (None, ()))]
    )


def _in_float32(method: Parameterization, theta: Array) -> Array:
    return method(theta.astype(np.float32))


def through_torch(device: str, dtype: str) -> Callable[[Parameterization, Array], Array]:
    """Apply a map to torch tensors on a device, and bring the matrices back as numpy arrays.

    Raises:
        Unsupported: there is no such device here.
    """
    import torch

    if device == "cuda" and not torch.cuda.is_available():
        raise Unsupported("--device cuda: torch finds no GPU on this machine; use --device cpu")
    kind = getattr(torch, dtype)

    def evaluate(method: Parameterization, theta: Array) -> Any:
        there = torch.as_tensor(np.ascontiguousarray(theta), device=device, dtype=kind)
        return method(there).cpu().numpy()

    return evaluate
