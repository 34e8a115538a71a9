"""Arithmetic in which a kernel may run, and the numbers that a dump can hold.

Narrow formats are simulated in float32 by rounding after every operation.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from birkhoff_cli.analyses.core.arrays import Array


class Arithmetic(NamedTuple):
    """How a kernel computes.

    Attributes:
        storage: format of what every operation gives.
        softmax: format in which the exponential and the first softmax are computed.
        eps_rounded: whether eps is a number of that storage too.
        logarithms: whether a kernel without eps works on logarithms; the format in which it then
            takes their sums is ``softmax``.
    """

    storage: str
    softmax: str
    eps_rounded: bool = True
    logarithms: bool = False


ARITHMETICS: Mapping[str, Arithmetic] = {
    "float64": Arithmetic("float64", "float64"),
    "float32": Arithmetic("float32", "float32"),
    "bf16": Arithmetic("bf16", "bf16", eps_rounded=False),
    "bf16, softmax in float32": Arithmetic("bf16", "float32", eps_rounded=False),
    "bf16, softmax in float32, eps in bf16": Arithmetic("bf16", "float32"),
    "bf16, logarithms": Arithmetic("bf16", "bf16", logarithms=True),
    "bf16, logarithms, sums in float32": Arithmetic("bf16", "float32", logarithms=True),
    "fp16": Arithmetic("fp16", "fp16", eps_rounded=False),
    "fp16, softmax in float32": Arithmetic("fp16", "float32", eps_rounded=False),
    "fp16, softmax in float32, eps in fp16": Arithmetic("fp16", "float32"),
    "fp16, logarithms": Arithmetic("fp16", "fp16", logarithms=True),
    "fp16, logarithms, sums in float32": Arithmetic("fp16", "float32", logarithms=True),
}

ULP: Mapping[str, float] = {
    "float64": 2.0**-52,
    "float32": 2.0**-23,
    "bf16": 2.0**-7,
    "fp16": 2.0**-10,
}
"""Distance of neighbours between 1 and 2."""

SMALLEST: Mapping[str, float] = {
    "float64": 1e-280,
    "float32": 1e-30,
    "bf16": 1e-30,
    "fp16": 2.0**-14,
}
"""Entries below it are left out of relative errors: few digits of them are left."""


def round_to(values: Array, name: str) -> Array:
    """The nearest numbers of a format, ties to even; bf16 and fp16 as float32."""
    if name == "bf16":
        bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
        # half a unit less one bit, and one more where the last kept bit is odd: ties to even
        even = bits + (np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1)))
        kept = (even & np.uint32(0xFFFF0000)).view(np.float32)
        return np.where(np.isnan(values), np.float32(np.nan), kept)
    if name == "fp16":
        with np.errstate(over="ignore"):
            return values.astype(np.float16).astype(np.float32)
    return values.astype(name, copy=False)


def format_of(values: Array) -> str:
    """The narrowest format that holds all values, whatever they are stored in."""
    if values.dtype.itemsize == 8:
        with np.errstate(over="ignore"):
            if not np.array_equal(values.astype(np.float32), values, equal_nan=True):
                return "float64"
        values = values.astype(np.float32)
    for name in ("bf16", "fp16"):
        if np.array_equal(round_to(values, name), values, equal_nan=True):
            return name
    return "float32"


def unit_of(values: Array, name: str) -> Array:
    """Distance from each value to the next larger number of a format."""
    exponent = np.frexp(np.maximum(np.abs(values), SMALLEST[name]))[1]
    unit: Any = np.ldexp(ULP[name], exponent - 1)
    return unit
