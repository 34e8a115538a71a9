"""Random parameters of a method, as arrays of both libraries."""

from typing import Any

import numpy as np

from birkhoff_cli.analyses.core.arrays import Array
from birkhoff_cli.analyses.core.parameterization import Parameterization


def gaussian(method: Parameterization, n: int = 3, scale: float = 1.0, dtype: Any = float) -> Array:
    """Random parameters ``(n, p)``, always the same."""
    drawn = scale * np.random.default_rng(0).normal(size=(n, method.parameters))
    return drawn.astype(dtype)


def libraries() -> dict[str, Any]:
    """How numpy and torch make an array of their own."""
    import torch

    return {"numpy": np.asarray, "torch": torch.asarray}
