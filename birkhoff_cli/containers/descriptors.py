"""A torch pickle read as a description of its tensors; no code of the file is ever run.

The pickle machine runs with a fixed table of harmless operations, and with a fixed table of the
names it may mention. Each of those names becomes an inert record of what was asked for.
"""

import io
import pickle
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

from analyses.core.errors import BadInput
from birkhoff_cli.containers.store import BITS, TensorInfo, escape, where

MAX_STEPS = 2_000_000
"""Steps a pickle may take, some 35 per tensor. Each costs at most about 100 bytes."""

MAX_NUMBER = 1 << 48
"""Bound of every size, stride and offset: beyond what memory could address."""

MAX_AXES = 64
MAX_ARGUMENTS = 16
"""A call copies its arguments, and a pickle can repeat a call in three bytes."""


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

    @property
    def extent(self) -> int:
        """Elements from the first to the last one used."""
        if not self.info.size:
            return 0
        return 1 + sum((n - 1) * s for n, s in zip(self.info.shape, self.strides, strict=True))


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


def _number(value: Any) -> int:
    if type(value) is not int or not 0 <= value < MAX_NUMBER:
        raise ValueError("a size, stride or offset")
    return value


def _numbers(values: Any) -> tuple[int, ...]:
    if isinstance(values, Opaque) and values.name == "torch.Size":
        (values,) = values.arguments
    if type(values) is not tuple or len(values) > MAX_AXES:
        raise ValueError("a shape")
    for value in values:
        _number(value)
    return values


def _view(storage: Any, offset: Any, shape: Any, strides: Any, *rest: Any) -> View:
    """``torch._utils._rebuild_tensor_v2``, and ``v3``, where the dtype is the sixth argument."""
    if not isinstance(storage, Storage):
        raise ValueError("a tensor without a storage")
    if len(rest) >= 3 and isinstance(rest[2], Name):
        dtype = rest[2].dtype
        item = BITS[dtype] // 8
        storage = Storage(dtype, storage.key, storage.size * BITS[storage.dtype] // 8 // item)
    info = TensorInfo(_numbers(shape), storage.dtype)
    view = View(storage, _number(offset), _numbers(strides), info)
    inside = view.offset + view.extent <= storage.size and info.size <= storage.size
    if len(view.strides) != len(info.shape) or not inside:
        raise ValueError("a tensor larger than its storage")
    return view


def _parameter(data: Any, *_: Any) -> Any:
    return data


def _ordered() -> dict[Any, Any]:
    return {}


def _put(target: Any, key: Any, value: Any) -> None:
    """Set an item where hashing the key cannot be made slow: text, and numbers of 60 bits."""
    small = type(key) is int and abs(key) < 1 << 60
    if type(target) is dict and (small or isinstance(key, str)):
        if key in target:
            raise ValueError("a key given twice")
        target[key] = value


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
    *(f"pathlib.{pure}{kind}Path" for pure in ("", "Pure") for kind in ("", "Posix", "Windows")),
    *(f"pathlib._local.{kind}Path" for kind in ("", "Posix", "Windows")),
    *("numpy.dtype", "numpy.ndarray", "numpy.core.multiarray.scalar"),
    *("numpy.core.multiarray._reconstruct", "numpy._core.multiarray._reconstruct"),
    *("numpy._core.multiarray.scalar", "_codecs.encode"),
    *(
        f"{module}.{kind}"
        for module in ("builtins", "__builtin__")
        for kind in ("set", "frozenset", "dict", "list", "int", "float", "slice", "complex")
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
"""Every name a pickle may mention. None of the calls looks anything up, imports or allocates."""

STEPS = (
    *("PROTO", "FRAME", "STOP", "MARK", "POP", "POP_MARK", "DUP", "NONE", "NEWTRUE", "NEWFALSE"),
    *("BININT", "BININT1", "BININT2", "LONG1", "LONG4", "BINFLOAT", "BINUNICODE"),
    *("SHORT_BINUNICODE", "BINSTRING", "SHORT_BINSTRING", "BINBYTES", "SHORT_BINBYTES"),
    *("EMPTY_TUPLE", "TUPLE", "TUPLE1", "TUPLE2", "TUPLE3", "EMPTY_LIST", "EMPTY_DICT"),
    *("BINPUT", "LONG_BINPUT", "BINGET", "LONG_BINGET", "MEMOIZE", "BINPERSID"),
    *("GLOBAL", "STACK_GLOBAL"),
)
"""Operations taken over as they are: none of them calls or hashes what the file holds."""


class Steps(dict[int, Callable[[Any], None]]):
    """The operations by their code; looking one up is a step, and steps are counted."""

    left = MAX_STEPS

    def __getitem__(self, code: int) -> Callable[[Any], None]:
        self.left -= 1
        if self.left < 0:
            raise ValueError("too many steps")
        return super().__getitem__(code)


class Descriptor(pickle._Unpickler):
    """Rebuilds tensors as `View`, plain containers as themselves, all else as `Opaque`.

    It is the machine written in Python because that one keeps its memo in a dict: the one in C
    allocates an array of whatever length a file asks for.
    """

    def __init__(self, data: bytes, path: Path) -> None:
        super().__init__(io.BytesIO(data))
        self.path = path
        self.dispatch = Steps(OPERATIONS)  # type: ignore[misc]
        self.stack: list[Any]

    def find_class(self, module: str, name: str) -> Name:
        """Look the name up in `TABLE`.

        Raises:
            BadInput: the name is not there; what it would do is never found out.
        """
        found = TABLE.get(f"{module}.{name}")
        if found is None:
            raise BadInput(
                f"{where(self.path)}: holds the Python object '{escape(f'{module}.{name}', 60)}', "
                f"and reading it would run its code; save the state_dict tensors alone, "
                f"as safetensors"
            )
        return found

    def persistent_load(self, pid: Any) -> Storage:
        """Accept ``("storage", type, decimal key, location, size)`` and nothing else."""
        tag, kind, key, place, size = pid
        decimal = type(key) is str and key.isascii() and key.isdecimal() and len(key) < 20
        if tag != "storage" or type(pid) is not tuple or not decimal or type(place) is not str:
            raise ValueError("a storage")
        if not isinstance(kind, Name) or not kind.dtype:
            raise ValueError("a storage type")
        return Storage(kind.dtype, key, _number(size))

    def _items(self) -> list[Any]:
        return self.pop_mark()  # type: ignore[attr-defined, no-any-return]

    def _reduce(self) -> None:
        arguments, function = self.stack.pop(), self.stack.pop()
        if not isinstance(function, Name) or type(arguments) is not tuple:
            raise ValueError("a call")
        if len(arguments) > MAX_ARGUMENTS:
            raise ValueError("arguments")
        self.stack.append(function.call(*arguments))

    def _build(self) -> None:
        """Keep the state of an `Opaque`; that of a dict is only ``_metadata``."""
        state = self.stack.pop()
        if isinstance(self.stack[-1], Opaque):
            self.stack[-1].state = state

    def _extend(self, values: Iterable[Any]) -> None:
        if type(self.stack[-1]) is list:
            self.stack[-1].extend(values)

    def _update(self, items: list[Any]) -> None:
        for key, value in zip(items[::2], items[1::2], strict=True):
            _put(self.stack[-1], key, value)

    def _push(self, value: Any) -> None:
        self.stack.append(value)


OPERATIONS: dict[int, Callable[[Any], None]] = {
    **{getattr(pickle, s)[0]: pickle._Unpickler.dispatch[getattr(pickle, s)[0]] for s in STEPS},
    pickle.REDUCE[0]: Descriptor._reduce,
    pickle.NEWOBJ[0]: Descriptor._reduce,
    pickle.BUILD[0]: Descriptor._build,
    pickle.APPEND[0]: lambda self: self._extend([self.stack.pop()]),
    pickle.APPENDS[0]: lambda self: self._extend(self._items()),
    pickle.SETITEM[0]: lambda self: self._update([self.stack.pop(-2), self.stack.pop()]),
    pickle.SETITEMS[0]: lambda self: self._update(self._items()),
    pickle.EMPTY_SET[0]: lambda self: self._push(Opaque("builtins.set")),
    pickle.FROZENSET[0]: lambda self: self._push(Opaque("builtins.frozenset", (self._items(),))),
    pickle.ADDITEMS[0]: lambda self: self._items(),
}
