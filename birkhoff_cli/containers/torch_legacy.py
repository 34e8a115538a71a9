"""What torch.save wrote before 1.6: a row of pickles. Rare; the one place that imports torch."""

import hashlib
import pickle
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from numpy.typing import NDArray

from birkhoff_cli.analyses.core.errors import BadInput, TooLarge
from birkhoff_cli.containers.names import require_stored
from birkhoff_cli.containers.plain import split
from birkhoff_cli.containers.store import (
    CODES,
    DAMAGED,
    Store,
    TensorInfo,
    escape,
    refusing,
    where,
)

if TYPE_CHECKING:
    import torch


MAGIC = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19."
"""The pickled number with which torch.save began its files before 1.6."""


class TorchLegacy(Store):
    """A file that torch has loaded whole."""

    container = "torch"

    loaded: "dict[str, torch.Tensor]"

    def _values(self, name: str) -> NDArray[Any]:
        import torch

        tensor = self.loaded[name].detach()
        stored = tensor.untyped_storage().nbytes() // tensor.itemsize
        require_stored(self.path, name, self.tensors[name], stored)
        if tensor.dtype == torch.bfloat16:
            tensor = tensor.float()
        values: NDArray[Any] = tensor.resolve_neg().numpy().copy()
        return values


def open_file(path: Path) -> TorchLegacy:
    """Load with torch's own unpickler for weights: no code runs, and there is no other way.

    Raises:
        BadInput: damaged, incomplete, or it holds more than tensors and plain data.
    """
    with path.open("rb") as file:
        store = TorchLegacy(path, file, file.seek(0, 2))
        with refusing(path):
            root = _load(path, file)
            if file.tell() != store.size:
                raise BadInput(f"{where(path)}: goes on behind its end; {DAMAGED}")
            store.loaded, store.config = split(path, root, _tensor_type())
        store.tensors = {name: _info(path, name, t) for name, t in store.loaded.items()}
        file.seek(0)
        store._note("file", hashlib.file_digest(file, "sha256").digest(), store.size)
    return store


def _load(path: Path, file: BinaryIO) -> Any:
    import torch

    file.seek(0)
    try:
        with warnings.catch_warnings(action="ignore"):  # they tell about torch, not about the file
            return torch.load(file, map_location="cpu", weights_only=True, mmap=False)
    except pickle.UnpicklingError as error:
        # torch's own text advises to load the file unsafely.
        raise BadInput(
            f"{where(path)}: torch refuses this old file, which is damaged or holds more than "
            f"tensors; in its own environment save the state_dict tensors alone, as safetensors"
        ) from error
    except MemoryError as error:  # the sizes stand in a pickle that only torch reads
        raise TooLarge(
            f"{where(path)}: what this old file says it holds does not fit in memory; "
            f"allow more, or save it again with a newer torch"
        ) from error


def _tensor_type() -> "type[torch.Tensor]":
    import torch

    return torch.Tensor


def _info(path: Path, name: str, tensor: "torch.Tensor") -> TensorInfo:
    import torch

    dtype = str(tensor.dtype).removeprefix("torch.")
    if tensor.layout is not torch.strided or dtype not in CODES:
        raise BadInput(f"{where(path)}: tensor '{escape(name)}' is not a plain array; {DAMAGED}")
    return TensorInfo(tuple(tensor.shape), dtype)
