"""Numbers as narrow formats hold them: rounded to nearest, ties to even.

What lies beyond the largest number of a format is held at it. ``ml_dtypes`` rounds a float64 to
float32 on the way, in which models compute.

Source: IEEE 754-2019, 4.3; Open Compute Project, 8-bit Floating Point Specification, 1.0 (2023).
"""

from collections.abc import Callable, Mapping
from functools import partial

import numpy as np

from birkhoff_cli.analyses.core.arrays import Array


def rounded(x: Array, dtype: str) -> Array:
    """The nearest numbers of a floating-point format, as float64.

    Args:
        x: of any shape.
        dtype: name of a type of ``ml_dtypes``, or ``float16``.
    """
    import ml_dtypes

    limits = ml_dtypes.finfo(dtype)  # type: ignore[no-untyped-call]
    largest = float(limits.max)  # a cast alone makes more than that infinite, or NaN
    return np.clip(x, -largest, largest).astype(limits.dtype).astype(np.float64)


def symmetric_int8(x: Array) -> Array:
    """Each of ``(..., d, d)`` in 255 equal steps, from minus to plus its largest modulus."""
    step = np.abs(x).max((-2, -1), keepdims=True) / 127
    return np.rint(np.divide(x, step, out=np.zeros_like(x), where=step > 0)) * step


FORMATS: Mapping[str, Callable[[Array], Array]] = {
    "bf16": partial(rounded, dtype="bfloat16"),
    "fp16": partial(rounded, dtype="float16"),
    "fp8-e4m3": partial(rounded, dtype="float8_e4m3fn"),
    "fp8-e5m2": partial(rounded, dtype="float8_e5m2"),
    "int8": symmetric_int8,
}
