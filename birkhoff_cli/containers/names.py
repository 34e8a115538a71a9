"""What a torch pickle may mention: tensors as descriptions, all else as inert records.

Calling a name of `TABLE` looks nothing up, imports nothing, and allocates next to nothing.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from birkhoff_cli.analyses.core.errors import TooLarge
from birkhoff_cli.containers.store import BITS, TensorInfo, escape, where

MAX_NUMBER = 1 << 48
"""Bound of every size, stride and offset: beyond what memory could address."""

MAX_AXES = 64

MAX_EXPANDED = 1 << 20
"""Numbers of a tensor whose storage holds fewer: a file may say that there are any number."""


class Storage(NamedTuple):
    """A record ``data/KEY`` of the archive, which holds ``size`` elements."""

    dtype: str
    key: str
    size: int


class View(NamedTuple):
    """A tensor: a strided view of a storage; offset and strides count elements."""

    storage: Storage
    offset: int
    strides: tuple[int, ...]
    info: TensorInfo
    is_negative: bool = False

    @property
    def extent(self) -> int:
        """Elements from the first to the last one used."""
        if not self.info.size:
            return 0
        return 1 + sum((n - 1) * s for n, s in zip(self.info.shape, self.strides, strict=True))


def require_stored(path: Path, name: str, info: TensorInfo, stored: int) -> None:
    """Hold that a tensor of torch is not many times its storage, as an expanded one may be.

    Args:
        path: of the file.
        name: of the tensor.
        info: what becomes of it.
        stored: numbers in its storage.

    Raises:
        TooLarge: it is.
    """
    if info.size > max(stored, MAX_EXPANDED):
        raise TooLarge(
            f"{where(path)}: tensor '{escape(name)}' is expanded from {stored:,} to {info.size:,} "
            f"numbers; save tensor.contiguous() if all of them are meant"
        )


class Opaque:
    """An object that is not rebuilt: its type, its arguments, its state."""

    __slots__ = ("arguments", "name", "state")

    def __init__(self, name: str, arguments: tuple[Any, ...] = (), state: Any = None) -> None:
        self.name, self.arguments, self.state = name, arguments, state


class Name(NamedTuple):
    """A global that a pickle may mention, and what calling it gives."""

    name: str
    call: Callable[..., Any]
    dtype: str = ""


PROGRAMS = (
    *("megatron", "deepspeed", "lightning", "pytorch_lightning", "lightning_fabric", "omegaconf"),
    *("transformers", "accelerate", "signal"),
)
"""Packages whose objects trainers keep beside the weights: arguments, enumerations, scalers."""


def lookup(module: str, name: str) -> "Name | None":
    """What a pickle may mention under a name; None if it may not.

    What trainers define stays an inert record: it is not looked up, and no code of it runs.
    """
    full = f"{module}.{name}"
    if full not in TABLE and module.partition(".")[0] in PROGRAMS:
        return Name(full, lambda *arguments: Opaque(full, arguments))
    return TABLE.get(full)


def number(value: Any) -> int:
    """A size, stride or offset that memory could have."""
    if type(value) is not int or not 0 <= value < MAX_NUMBER:
        raise ValueError("a size, stride or offset")
    return value


def _numbers(values: Any) -> tuple[int, ...]:
    if isinstance(values, Opaque) and values.name == "torch.Size":
        (values,) = values.arguments
    if type(values) is not tuple or len(values) > MAX_AXES:
        raise ValueError("a shape")
    for value in values:
        number(value)
    return values


def _view(storage: Any, offset: Any, shape: Any, strides: Any, *rest: Any) -> View:
    """``torch._utils._rebuild_tensor_v2``, and ``v3``, where the dtype is the sixth argument."""
    if not isinstance(storage, Storage):
        raise ValueError("a tensor without a storage")
    dtyped = len(rest) >= 3 and isinstance(rest[2], Name)
    if dtyped:
        dtype = rest[2].dtype
        item = BITS[dtype] // 8
        storage = Storage(dtype, storage.key, storage.size * BITS[storage.dtype] // 8 // item)
    info = TensorInfo(_numbers(shape), storage.dtype)
    view = View(storage, number(offset), _numbers(strides), info, _is_negative(rest[2 + dtyped :]))
    inside = view.offset + view.extent <= storage.size
    if len(view.strides) != len(info.shape) or not inside:
        raise ValueError("a tensor larger than its storage")
    return view


def _is_negative(metadata: Sequence[Any]) -> bool:
    """Whether the values are those of the storage with the other sign.

    Of real numbers a conjugate is the number itself, and complex ones are not read.
    """
    notes = metadata[0] if metadata else None
    if not isinstance(notes, dict | None) or {*(notes or ())} - {"neg", "conj"}:
        raise ValueError("notes of a tensor that are not known")
    return bool(notes and notes.get("neg"))


def _parameter(data: Any, *_: Any) -> Any:
    return data


def _ordered() -> dict[Any, Any]:
    """An empty dict; items follow one by one, and any argument would be one to loop over."""
    return {}


def _inert(name: str, dtype: str = "") -> Name:
    return Name(name, lambda *arguments: Opaque(name, arguments), dtype)


STORAGES = {
    **{"DoubleStorage": "float64", "FloatStorage": "float32", "HalfStorage": "float16"},
    **{"BFloat16Storage": "bfloat16", "LongStorage": "int64", "IntStorage": "int32"},
    **{"ShortStorage": "int16", "CharStorage": "int8", "ByteStorage": "uint8"},
    **{"BoolStorage": "bool", "ComplexFloatStorage": "complex64"},
    **{"ComplexDoubleStorage": "complex128"},
}
INERT = (
    *("torch.Size", "torch.device", "argparse.Namespace"),
    *("collections.defaultdict", "collections.deque", "datetime.datetime"),
    *(
        f"pathlib.{pure}{flavour}Path"
        for pure in ("", "Pure")
        for flavour in ("", "Posix", "Windows")
    ),
    *(f"pathlib._local.{flavour}Path" for flavour in ("", "Posix", "Windows")),
    *("numpy.dtype", "numpy.ndarray", "numpy.core.multiarray.scalar"),
    *("numpy.core.multiarray._reconstruct", "numpy._core.multiarray._reconstruct"),
    *("numpy._core.multiarray.scalar", "_codecs.encode"),
    *(
        f"{module}.{name}"
        for module in ("builtins", "__builtin__")
        for name in (
            *("set", "frozenset", "dict", "list", "tuple", "slice", "range", "xrange"),
            *("bool", "int", "long", "float", "complex", "str", "unicode", "bytes", "bytearray"),
        )
    ),
)
TABLE: dict[str, Name] = {
    **{name: _inert(name) for name in INERT},
    **{f"torch.{name}": _inert(name, dtype) for name, dtype in STORAGES.items()},
    **{f"torch.{dtype}": _inert(dtype, dtype) for dtype, bits in BITS.items() if bits >= 8},
    "torch.storage.UntypedStorage": _inert("UntypedStorage", "uint8"),
    "collections.OrderedDict": Name("OrderedDict", _ordered),
    "torch._utils._rebuild_tensor_v2": Name("_rebuild_tensor_v2", _view),
    "torch._utils._rebuild_tensor_v3": Name("_rebuild_tensor_v3", _view),
    "torch._utils._rebuild_parameter": Name("_rebuild_parameter", _parameter),
    "torch._utils._rebuild_parameter_with_state": Name("_rebuild_parameter", _parameter),
}
"""Every name a pickle may mention, under which its object is known to pickle."""
