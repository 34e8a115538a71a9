"""Numbers as narrow formats hold them: rounded to nearest, ties to even.

What lies beyond the largest number of a format is held at it. ``ml_dtypes`` rounds a float64 to
float32 on the way, in which models compute.

Source: IEEE 754-2019, 4.3; Open Compute Project, 8-bit Floating Point Specification, 1.0 (2023).
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np

from birkhoff_cli.analyses.core.arrays import Array

FLOATS: Mapping[str, str] = {
    "bf16": "bfloat16",
    "fp16": "float16",
    "fp8-e4m3": "float8_e4m3fn",
    "fp8-e5m2": "float8_e5m2",
}
"""Names of types of ``ml_dtypes``, or of numpy."""

INTEGERS: Mapping[str, int] = {"int8": 8, "int6": 6, "int4": 4}
"""Bits of whole numbers that are multiplied by one step."""

MATRIX, ROW = (-2, -1), (-1,)
"""Axes of the numbers that share a step."""


def rounded(x: Array, dtype: str) -> Array:
    """The nearest numbers of a floating-point format, as float64.

    Args:
        x: of any shape.
        dtype: name of a type of ``ml_dtypes``, or ``float16``.
    """
    import ml_dtypes

    limits = ml_dtypes.finfo(dtype)  # type: ignore[no-untyped-call]
    largest = float(limits.max)  # a cast alone makes more than that infinite, or NaN
    held = np.clip(x, -largest, largest)
    if limits.bits == 8:  # a cast costs four times as much
        return _to_even(held.astype(np.float32), limits).astype(np.float64)
    return held.astype(limits.dtype).astype(np.float64)


def _to_even(x: Array, limits: Any) -> Array:
    """Float32 numbers within the largest of a format, rounded to it.

    A number with the last bit of the format as its own is added and taken away. Below the smallest
    normal number of the format all have the same last bit.
    """
    exponent = np.asarray(x.view(np.int32) & 0x7F80_0000)
    np.maximum(exponent, np.float32(limits.smallest_normal).view(np.int32), out=exponent)
    large = exponent.view(np.float32)
    large *= np.float32(1.5 * 2 ** (23 - limits.nmant))
    rounded = x + large
    rounded -= large
    return np.copysign(rounded, x)


def symmetric(x: Array, bits: int, axes: tuple[int, ...] = MATRIX) -> Array:
    """Numbers in ``2^bits - 1`` equal steps, from minus to plus the largest modulus.

    Args:
        x: float64 of any shape.
        bits: of the whole number that is stored.
        axes: of the numbers that share a step.
    """
    step = np.abs(x).max(axes, keepdims=True) / (2 ** (bits - 1) - 1)
    return np.rint(np.divide(x, step, out=np.zeros_like(x), where=step > 0)) * step


def stored(x: Array, format: str, axes: tuple[int, ...] = MATRIX) -> Array:
    """Numbers as a format of `FLOATS` or `INTEGERS` holds them, as float64.

    Args:
        x: of any shape.
        format: its name.
        axes: of the numbers that share a step, if they are whole numbers.
    """
    if format in FLOATS:
        return rounded(x, FLOATS[format])
    return symmetric(np.asarray(x, np.float64), INTEGERS[format], axes)


FORMATS: Mapping[str, Callable[[Array], Array]] = {
    name: partial(stored, format=name) for name in (*FLOATS, "int8")
}
"""Of 8 bits or more: what stored logits and matrices are in use."""
