"""An array of square matrices as a trace: what its axes mean, and what it does not say."""

from typing import Any, Literal, Protocol, TypeAlias, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from birkhoff_cli.analyses.core.arrays import Array
from birkhoff_cli.analyses.core.errors import BadInput, Unsupported
from birkhoff_cli.analyses.core.trace import MixingTrace, Site, in_memory

Axis: TypeAlias = Literal["samples", "sites"]
"""What the first axis of an array ``(n, d, d)`` is."""

ASSUMED = (
    "rows are outputs, x_out[i] = sum_j H[i, j] x_in[j]: an array does not say; transpose it if not"
)
AXES = {
    "samples": "n samples of one site; give (1, n, d, d) for n sites",
    "sites": "n sites in order of depth; give (n, 1, d, d) for n samples",
}


@runtime_checkable
class _Numbers(Protocol):
    """What numpy can read."""

    def __array__(self) -> NDArray[Any]: ...


def is_array(value: Any) -> bool:
    """Whether a value is numpy's, torch's, or of another library that hands its numbers over."""
    return isinstance(value, _Numbers)


def array_trace(array: Array, axis: Axis = "samples") -> MixingTrace:
    """The trace of an array in memory.

    Args:
        array: ``(d, d)``, ``(n, d, d)`` or ``(samples, sites, d, d)`` real numbers, in our
            orientation; of any library. float32 stays, all else becomes float64.
        axis: what n is.

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
    assumptions = [ASSUMED]
    if len(shape) == 3:
        assumptions.append(f"an array (n, d, d) is {AXES[axis]}")
    whole = values[None] if len(shape) == 3 and axis == "sites" else values
    whole = whole.reshape(four_axes(whole.shape))
    facts = {"assumptions": assumptions}
    return in_memory(whole, array_sites(whole.shape[1], "array"), "array", meta=facts)


def four_axes(shape: tuple[int, ...]) -> tuple[int, int, int, int]:
    """One sample, samples of one site, or samples of sites: ``(sample, site, d, d)``."""
    samples, sites, *_ = (*shape[:-2], 1, 1)
    return samples, sites, shape[-2], shape[-1]


def array_sites(count: int, branch: str) -> tuple[Site, ...]:
    """Sites by number: an array has no names."""
    return tuple(Site(k, branch, f"site {k}") for k in range(count))


def real(array: NDArray[Any]) -> NDArray[Any]:
    """Native float32 as it is, everything else as float64."""
    return array.astype(np.float32 if array.dtype.str[1:] == "f4" else np.float64, copy=False)


def _numbers(array: Array) -> NDArray[Any]:
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
