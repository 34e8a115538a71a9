"""The state of a fold as data: text and arrays, from which the state is made again.

Nothing in it is run. A state names classes, and only those that are marked here with `data` can be
meant; what such a class does not keep, such as functions and regions, is taken from a fresh state
of the same fold.
"""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np

from birkhoff_cli.analyses.core.arrays import Array
from birkhoff_cli.analyses.core.errors import Unsupported

Class = TypeVar("Class", bound=type)

PLAIN = (type(None), bool, int, float, str)
DTYPE_KINDS = "biufU"
"""Kinds of arrays: truths, whole numbers, floats, text."""

_classes: dict[str, tuple[type, tuple[str, ...]]] = {}
"""Classes of states by name, and the attributes that each does not keep."""


def data(*fixed: str) -> Callable[[Class], Class]:
    """Mark a class whose instances are kept: an object with attributes, or a named tuple.

    Args:
        fixed: attributes that a fresh state of the same fold has too, and that are no data.
    """

    def mark(class_: Class) -> Class:
        _classes[_name(class_)] = class_, fixed
        return class_

    return mark


def _name(class_: type) -> str:
    return f"{class_.__module__}:{class_.__qualname__}"


def dump(value: Any, arrays: list[Array]) -> Any:
    """What JSON can hold, and arrays beside it, to which it refers by number.

    Raises:
        Unsupported: a part of the state is no data.
    """
    if type(value) in PLAIN:
        return value
    if isinstance(value, np.ndarray | np.generic):
        return _dump_array(np.asarray(value), arrays, isinstance(value, np.generic))
    name = _name(type(value))
    if name in _classes:
        _, fixed = _classes[name]
        if isinstance(value, tuple):
            return {"class": name, "items": [dump(item, arrays) for item in value]}
        kept = {n: dump(v, arrays) for n, v in vars(value).items() if n not in fixed}
        return {"class": name, "kept": kept}
    if isinstance(value, dict) and type(value) is dict:
        return {"pairs": [[dump(k, arrays), dump(v, arrays)] for k, v in value.items()]}
    if type(value) in (list, tuple):
        return {type(value).__name__: [dump(item, arrays) for item in value]}
    raise Unsupported(
        f"the state of this analysis holds {type(value).__name__}, which a file cannot keep; leave "
        f"--part out"
    )


def _dump_array(array: Array, arrays: list[Array], is_scalar: bool) -> Any:
    if array.dtype == object:
        items = [dump(item, arrays) for item in array.ravel().tolist()]
        return {"objects": items, "shape": list(array.shape)}
    if array.dtype.kind not in DTYPE_KINDS:
        raise Unsupported(f"the state of this analysis holds {array.dtype}; leave --part out")
    arrays.append(np.ascontiguousarray(array))
    return {
        "scalar" if is_scalar else "array": len(arrays) - 1,
        "dtype": array.dtype.str,
        "shape": list(array.shape),
    }


def load(kept: Any, arrays: Sequence[Any], fresh: Any = None) -> Any:
    """The value that `dump` was given.

    Args:
        kept: what `dump` returned.
        arrays: bytes of the arrays beside it.
        fresh: a value of the same structure, as far as there is one, for what is not kept.

    Raises:
        ValueError, KeyError, TypeError, IndexError or AttributeError: something is damaged.
    """
    if type(kept) in PLAIN:
        return kept
    if "class" in kept:
        return _load_instance(kept, arrays, fresh)
    if "pairs" in kept:
        pairs = [(load(key, arrays), value) for key, value in kept["pairs"]]
        known = fresh if isinstance(fresh, dict) else {}
        return {key: load(value, arrays, known.get(key)) for key, value in pairs}
    for class_ in (list, tuple):
        if (items := kept.get(class_.__name__)) is not None:
            alike = isinstance(fresh, class_) and len(fresh) == len(items)
            own = fresh if alike else [None] * len(items)
            return class_(load(item, arrays, f) for item, f in zip(items, own, strict=True))
    return _load_array(kept, arrays)


def _load_instance(kept: dict[str, Any], arrays: Sequence[Any], fresh: Any) -> Any:
    class_, fixed = _classes[kept["class"]]
    if "items" in kept:
        return class_(*(load(item, arrays) for item in kept["items"]))
    if fresh is not None and type(fresh) is not class_:
        raise ValueError("a state of another fold")
    value: Any = object.__new__(class_)
    own = {} if fresh is None else vars(fresh)
    for name in fixed:
        vars(value)[name] = own[name]
    for name, part in kept["kept"].items():
        vars(value)[name] = load(part, arrays, own.get(name))
    return value


def _load_array(kept: dict[str, Any], arrays: Sequence[Any]) -> Any:
    shape = tuple(kept["shape"])
    if "objects" in kept:
        array = np.empty(len(kept["objects"]), object)
        array[:] = [load(item, arrays) for item in kept["objects"]]
        return array.reshape(shape)
    dtype = np.dtype(kept["dtype"])
    if dtype.kind not in DTYPE_KINDS:
        raise ValueError("type of an array")
    is_scalar = "scalar" in kept
    raw = arrays[kept["scalar" if is_scalar else "array"]]
    array = np.frombuffer(raw, dtype).reshape(shape).copy()
    return array[()] if is_scalar else array
