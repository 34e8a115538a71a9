"""An array of square matrices as a trace: what its axes mean, and what it does not say."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, Literal, Protocol, TypeAlias, runtime_checkable

import numpy as np

from birkhoff_cli.analyses.core.arrays import Array
from birkhoff_cli.analyses.core.errors import BadInput, TooLarge, Unsupported
from birkhoff_cli.analyses.core.memory import require_memory
from birkhoff_cli.analyses.core.shapes import Shaped
from birkhoff_cli.analyses.core.trace import MixingTrace, Site, in_memory

Axis: TypeAlias = Literal["samples", "sites"]
"""What the first axis of an array ``(n, d, d)`` is."""

AXES = "axes"
"""Key in ``meta`` for that axis, of such arrays only; None until an analysis says what it is."""

MAX_SITES = 1 << 15
"""Of a model: 16,384 layers of two."""

WHAT = {
    "samples": "n samples of one site",
    "sites": "n sites of one sample, in order of depth",
}
OTHER: dict[str, Axis] = {"samples": "sites", "sites": "samples"}
ASSUMED = (
    "rows are outputs, x_out[i] = sum_j H[i, j] x_in[j]: an array does not say; transpose it if not"
)


@runtime_checkable
class _Numbers(Protocol):
    """What numpy can read."""

    def __array__(self) -> Array: ...


def is_array(value: Any) -> bool:
    """Whether a value is numpy's, torch's, or of another library that hands its numbers over."""
    return isinstance(value, _Numbers)


def array_trace(array: Shaped[Array, "*axes d d"]) -> MixingTrace:
    """The trace of an array in memory.

    Args:
        array: ``(d, d)``, ``(n, d, d)`` or ``(samples, sites, d, d)`` real numbers, in our
            orientation; of any library. float32 stays, all else becomes float64. What n is says
            the analysis that takes the trace.

    Raises:
        BadInput: other axes, or no matrix.
        Unsupported: numbers that are not real.
    """
    values = _numbers(array)
    shape = values.shape
    if not 2 <= len(shape) <= 4 or shape[-1] != shape[-2] or min(shape) < 1:
        raise BadInput(
            f"an array of shape {shape}: expected square matrices, and at least one: (d, d), "
            f"(n, d, d) or (samples, sites, d, d)"
        )
    whole = values.reshape(four_axes(shape))
    sites = array_sites(whole.shape[1], "array")
    return in_memory(whole, sites, "array", meta=assuming({}, shape))


def assuming(facts: dict[str, Any], shape: Sequence[int]) -> dict[str, Any]:
    """Provenance with what an array of this shape does not say."""
    axes = {AXES: None} if len(shape) == 3 and shape[0] > 1 else {}
    return facts | axes | {"assumptions": [ASSUMED]}


def settled(trace: MixingTrace, axes: Axis) -> MixingTrace:
    """A trace whose axes are known: if nobody has said yet what n is, it is what ``axes`` says."""
    return along(trace, axes) if trace.meta.get(AXES, "") is None else trace


def along(trace: MixingTrace, axes: Axis) -> MixingTrace:
    """An array (n, d, d) as it was read, or with its n matrices as sites in order of depth.

    Raises:
        TooLarge: so many sites do not fit in memory.
    """
    assumption = f"an array (n, d, d) is {WHAT[axes]}; --set {AXES}={OTHER[axes]} if it is not"
    meta = trace.meta | {AXES: axes, "assumptions": [*trace.meta["assumptions"], assumption]}
    if axes == "samples":
        return replace(trace, meta=meta)

    def read(block: int, first: int) -> Iterator[Array]:
        del block
        for matrices in trace.reader(trace.samples, 0) if first == 0 else iter(()):
            yield matrices.swapaxes(0, 1)

    require_memory(trace.samples * trace.d**2 * trace.dtype.itemsize, trace.source)
    sites = array_sites(trace.samples, trace.sites[0].branch, trace.source)
    return replace(trace, samples=1, sites=sites, reader=read, meta=meta)


def four_axes(shape: tuple[int, ...]) -> tuple[int, int, int, int]:
    """One sample, samples of one site, or samples of sites: ``(sample, site, d, d)``."""
    samples, sites, *_ = (*shape[:-2], 1, 1)
    return samples, sites, shape[-2], shape[-1]


def array_sites(count: int, branch: str, source: str = "an array") -> tuple[Site, ...]:
    """Sites by number: an array has no names.

    Raises:
        TooLarge: more than any model has, see `require_sites`.
    """
    require_sites(count, source)
    return tuple(Site(k, branch, f"site {k}") for k in range(count))


def require_sites(count: int, source: str) -> None:
    """Hold that a file has no more sites than a model: what is kept of each takes 10 kB.

    Raises:
        TooLarge: it has.
    """
    if count > MAX_SITES:
        raise TooLarge(
            f"{source}: has {count:,} sites, and no model has more than {MAX_SITES:,}; if they are "
            f"samples of one site, save them as (samples, 1, d, d)"
        )


def real(array: Array) -> Array:
    """Native float32 as it is, everything else as float64."""
    return array.astype(np.float32 if array.dtype.str[1:] == "f4" else np.float64, copy=False)


def _numbers(array: Array) -> Array:
    """A copy, so that the trace stays what it is; bfloat16 through float32, which numpy knows."""
    from array_api_compat import is_torch_array

    if is_torch_array(array):
        there = array.detach().cpu()
        array = (there.float() if str(there.dtype) == "torch.bfloat16" else there).numpy()
    values = np.array(array)
    if values.dtype.kind not in "fiu":
        raise Unsupported(
            f"an array of {values.dtype}: only real numbers, integer or floating, can be mixing "
            f"matrices"
        )
    return real(values)
