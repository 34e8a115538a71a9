"""A torch pickle read as a description of its tensors; no code of the file is ever run.

The pickle machine runs with a fixed table of harmless operations, with the fixed table of names of
`names`, and for a bounded number of steps.
"""

import io
import pickle
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from birkhoff_cli.analyses.core.errors import BadInput
from birkhoff_cli.containers.names import Name, Opaque, Storage, lookup, number
from birkhoff_cli.containers.store import escape, where

MAX_STEPS = 2_000_000
"""Steps a pickle may take, some 70 per tensor. Each costs a microsecond and 100 bytes at most."""

CALL = 20
"""Steps that a call counts for, beyond its own."""

MAX_ARGUMENTS = 16
"""A call copies its arguments, and a pickle can repeat a call in three bytes."""

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

    def __init__(self, path: Path) -> None:
        super().__init__(OPERATIONS)
        self.path, self.left = path, MAX_STEPS

    def __getitem__(self, code: int) -> Callable[[Any], None]:
        self.left -= 1
        if self.left < 0:
            raise BadInput(
                f"{where(self.path)}: describing its tensors takes more than {MAX_STEPS:,} steps; "
                f"save the state_dict tensors alone, as safetensors"
            )
        return super().__getitem__(code)


class Descriptor(pickle._Unpickler):
    """Rebuilds tensors as `View`, plain containers as themselves, all else as `Opaque`.

    It is the machine written in Python because that one keeps its memo in a dict: the one in C
    allocates an array of whatever length a file asks for.
    """

    def __init__(self, data: bytes, path: Path) -> None:
        super().__init__(io.BytesIO(data))
        self.path = path
        self.dispatch: Steps = Steps(path)  # type: ignore[misc]
        self.stack: list[Any]

    def find_class(self, module: str, name: str) -> Name:
        """Look the name up in `birkhoff_cli.containers.names`.

        Raises:
            BadInput: the name is not there; what it would do is never found out.
        """
        value = lookup(module, name)
        if value is None:
            raise BadInput(
                f"{where(self.path)}: holds the Python object '{escape(f'{module}.{name}', 60)}', "
                f"and reading it would run its code; save the state_dict tensors alone, "
                f"as safetensors"
            )
        return value

    def persistent_load(self, pid: Any) -> Storage:
        """Accept ``("storage", type, decimal key, location, size)`` and nothing else."""
        tag, storage_type, key, device, size = pid
        decimal = type(key) is str and key.isascii() and key.isdecimal() and len(key) < 20
        if tag != "storage" or type(pid) is not tuple or not decimal or type(device) is not str:
            raise ValueError("a storage")
        if not isinstance(storage_type, Name) or not storage_type.dtype:
            raise ValueError("a storage type")
        return Storage(storage_type.dtype, key, number(size))

    def _items(self) -> list[Any]:
        return self.pop_mark()  # type: ignore[attr-defined, no-any-return]

    def _reduce(self) -> None:
        self.dispatch.left -= CALL
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


def _put(target: Any, key: Any, value: Any) -> None:
    """Set an item where hashing the key cannot be made slow: text, and numbers of 60 bits."""
    small = type(key) is int and abs(key) < 1 << 60
    if type(target) is dict and (small or isinstance(key, str)):
        if key in target:
            raise ValueError("a key given twice")
        target[key] = value


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
