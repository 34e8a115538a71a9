"""Arrays of numpy or torch behind one name, and the layout in which small matrices are fast.

A *lane* array has the batch axes last: ``(d, d, *batch)``. Arithmetic between rows of many
small matrices is then arithmetic between long contiguous vectors. Functions take and return
the batch first; they turn to lanes inside, and the turn is a view.
"""

import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import wraps
from typing import Any, ParamSpec, TypeAlias, TypeVar

import numpy as np

Array: TypeAlias = Any
"""A ``numpy.ndarray`` or a ``torch.Tensor``; the shape is in the docstring."""

Parameters = ParamSpec("Parameters")
Value = TypeVar("Value")

LANES = 2000
"""Matrices that one vectorised step works on: 8 x 8 float64 lanes of them fit a 1 MB cache."""

CACHE_LINE = 64


def namespace(array: Array) -> Any:
    """The array API namespace of ``array``; does not import torch for a numpy array."""
    if isinstance(array, np.ndarray | np.generic):
        return np
    from array_api_compat import array_namespace

    return array_namespace(array)


def aligned(shape: tuple[int, ...], dtype: Any) -> Array:
    """An uninitialised numpy array whose rows begin where a cache line does, if they are long.

    Vector stores that straddle cache lines take 1.6 times as long.
    """
    size = math.prod(shape)
    step = np.dtype(dtype).itemsize
    raw = np.empty(size + CACHE_LINE // step, dtype=dtype)
    start = (-raw.ctypes.data % CACHE_LINE) // step
    return raw[start : start + size].reshape(shape)


SMALL_BUFFER = 512
"""Numbers in the buffers of `without_copies`: fewer would slow down arithmetic that converts."""


def without_copies(function: Callable[Parameters, Value]) -> Callable[Parameters, Value]:
    """Let numpy read lanes where they are, inside a function of numpy arrays.

    Where rows are apart, or one row meets many, numpy copies as many of them as its buffer holds
    (8192 numbers, four rows of `LANES`) to go over all in one loop: two or three times as long as
    a loop for each row. A buffer of less than a row leaves no reason to. It changes no number of
    elementwise arithmetic, but the order in which an array that is not contiguous is summed to one
    number: so it is set here and not for the whole process, of which a user may have the rest.
    """

    @wraps(function)
    def inside(*arguments: Parameters.args, **named: Parameters.kwargs) -> Value:
        before = np.setbufsize(SMALL_BUFFER)
        try:
            return function(*arguments, **named)
        finally:
            np.setbufsize(before)

    return inside


def lanes(array: Array, axes: int) -> Array:
    """A view ``(..., a, b)`` as ``(a, b, ...)``: the last ``axes`` axes first."""
    return _turned(array, array.ndim - axes)


def batch_first(array: Array, axes: int) -> Array:
    """The inverse of `lanes`."""
    return _turned(array, axes)


def _turned(array: Array, first: int) -> Array:
    """The axes from ``first`` on, then those before; ten times faster than ``moveaxis``."""
    order = (*range(first, array.ndim), *range(first))
    return array.transpose(order) if isinstance(array, np.ndarray) else array.permute(order)


def like(values: Any, array: Array) -> Array:
    """``values`` as a constant of the dtype and on the device of ``array``."""
    xp = namespace(array)
    if xp is np:
        return np.asarray(values, dtype=array.real.dtype)
    return xp.asarray(values, dtype=array.dtype, device=array.device)


def taken(array: Array, index: Array) -> Array:
    """``array[..., index]`` of an index that is always the same; see `constant`."""
    if not _is_torch(array):
        return array[..., index]
    return array[..., _on_device(index, "int64", array.device)]


def constant(values: Array, array: Array) -> Array:
    """As `like`, of a few values that are always the same: no call waits for a device."""
    if not _is_torch(array):
        return like(values, array)
    return _on_device(values, str(array.dtype).removeprefix("torch."), array.device)


def _is_torch(array: Array) -> bool:
    return not isinstance(array, np.ndarray | np.generic) and "torch" in type(array).__module__


FILLED = 4096
"""Entries of a constant that are filled in on a device one by one; more are copied to it."""

_CONSTANTS: dict[Any, Array] = {}


def _on_device(values: Array, dtype: str, device: Any) -> Array:
    """A constant tensor, made without a copy from this memory, and once."""
    import torch

    options: dict[str, Any] = {"dtype": getattr(torch, dtype), "device": device}
    if values.size > FILLED or not values.size or torch.compiler.is_compiling():
        return torch.tensor(values, **options)
    key = (values.tobytes(), values.dtype.str, values.shape, dtype, device)
    if (there := _CONSTANTS.get(key)) is None:
        with torch.inference_mode(False):  # else it could not be used where gradients are taken
            each = [torch.full((), value, **options) for value in values.ravel().tolist()]
            there = torch.stack(each).reshape(values.shape)
        if type(there) is torch.Tensor:  # and not what torch only pretends to compute
            _CONSTANTS[key] = there
    return there


_ASKING = ContextVar("whether a device may be asked for a number", default=True)


@contextmanager
def without_asking() -> Iterator[None]:
    """Inside, no number of a device decides what is computed: asking for one waits for the device.

    What would follow a number goes the way that is right for all of them.
    """
    token = _ASKING.set(False)
    try:
        yield
    finally:
        _ASKING.reset(token)


def may_ask(array: Array) -> bool:
    """Whether a number of the array may be asked for: always in this memory."""
    return _ASKING.get() or not _is_torch(array) or array.device.type == "cpu"


def regrouped(parts: Iterable[Array], size: int) -> Iterator[Array]:
    """The same rows, ``size`` at a time; copied only where a group spans several parts."""
    waiting: list[Array] = []
    missing = size
    for part in parts:
        while len(part) >= missing:
            yield np.concatenate([*waiting, part[:missing]]) if waiting else part[:missing]
            part, waiting, missing = part[missing:], [], size
        if len(part):
            waiting.append(part)
            missing -= len(part)
    if waiting:
        yield np.concatenate(waiting)
