"""Matrices as somebody hands them over, numpy's or torch's, as numpy arrays."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from birkhoff_cli.analyses.core.arrays import Array
from birkhoff_cli.analyses.core.errors import BadInput, UsageError
from birkhoff_cli.analyses.core.trace import Site


def numbers(site: Site, matrices: Array) -> NDArray[Any]:
    """Matrices ``(n, d, d)`` of numpy, float64 as they are and everything else in float32."""
    if hasattr(matrices, "detach"):
        there = matrices.detach().cpu()
        matrices = (there if str(there.dtype) == "torch.float64" else there.float()).numpy()
    values = np.asarray(matrices)
    if values.ndim < 2 or values.shape[-1] != values.shape[-2] or values.shape[-1] < 1:
        raise BadInput(f"{site.name}: matrices of shape {values.shape}; expected (..., d, d)")
    if values.dtype.kind not in "fiu":
        raise UsageError(f"{site.name}: matrices of {values.dtype}; expected real numbers")
    values = values.astype(np.float64 if values.dtype == np.float64 else np.float32, copy=False)
    return values.reshape(-1, *values.shape[-2:])
