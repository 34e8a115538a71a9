"""Ways to apply a map to parameters: in float32, or through torch on a device."""

from collections.abc import Callable
from typing import Any

import numpy as np

from birkhoff_cli.analyses.core.arrays import Array
from birkhoff_cli.analyses.core.errors import Unsupported
from birkhoff_cli.analyses.core.parameterization import Parameterization


def in_float32(method: Parameterization, theta: Array) -> Array:
    """Matrices of parameters that are rounded to float32."""
    return method(theta.astype(np.float32))


def through_torch(device: str, dtype: str) -> Callable[[Parameterization, Array], Array]:
    """Apply a map to torch tensors on a device, and bring the matrices back as numpy arrays.

    Raises:
        Unsupported: there is no such device here.
    """
    import torch

    if device == "cuda" and not torch.cuda.is_available():
        raise Unsupported("--device cuda: torch finds no GPU on this machine; use --device cpu")
    torch_dtype = getattr(torch, dtype)

    def evaluate(method: Parameterization, theta: Array) -> Any:
        there = torch.as_tensor(np.ascontiguousarray(theta), device=device, dtype=torch_dtype)
        return method(there).cpu().numpy()

    return evaluate
