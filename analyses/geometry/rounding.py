"""Numbers as narrow formats hold them: rounded to nearest, ties to even.

A floating-point format has ``precision`` significant bits and a smallest normal number ``2^low``,
below which numbers are evenly spaced. What lies beyond the largest number is held at it.

Source: IEEE 754-2019, 4.3; Open Compute Project, 8-bit Floating Point Specification, 1.0 (2023).
"""

from collections.abc import Callable, Mapping
from functools import partial

import numpy as np

from birkhoff_cli.analyses.core.arrays import Array


def rounded(x: Array, precision: int, low: int, largest: float) -> Array:
    """The nearest numbers of a floating-point format, as float64; every step is exact."""
    _, exponent = np.frexp(x)
    unit = np.maximum(exponent - precision, low - precision + 1)
    return np.clip(np.ldexp(np.rint(np.ldexp(x, -unit)), unit), -largest, largest)


def symmetric_int8(x: Array) -> Array:
    """Each of ``(..., d, d)`` in 255 equal steps, from minus to plus its largest modulus."""
    step = np.abs(x).max((-2, -1), keepdims=True) / 127
    return np.rint(np.divide(x, step, out=np.zeros_like(x), where=step > 0)) * step


FORMATS: Mapping[str, Callable[[Array], Array]] = {
    "bf16": partial(rounded, precision=8, low=-126, largest=(2 - 2**-7) * 2.0**127),
    "fp16": partial(rounded, precision=11, low=-14, largest=65504.0),
    "fp8-e4m3": partial(rounded, precision=4, low=-6, largest=448.0),
    "fp8-e5m2": partial(rounded, precision=3, low=-14, largest=57344.0),
    "int8": symmetric_int8,
}
