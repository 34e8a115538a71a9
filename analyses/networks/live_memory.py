"""How much memory a piece of torch code takes at its peak, the same at every run."""

import weakref
from collections.abc import Callable
from typing import Any


def peak_bytes(call: Callable[[], Any], *arguments: Any) -> int:
    """Most bytes that tensors made inside a call take at once, its result included.

    What an operation of torch allocates for itself while it runs is not seen. The storages of
    tensors ``given`` are not counted, nor are views of them.
    """
    import torch
    from torch.utils._python_dispatch import TorchDispatchMode
    from torch.utils._pytree import tree_leaves

    known = {tensor.untyped_storage().data_ptr() for tensor in arguments}
    sizes: dict[int, int] = {}
    peak = 0

    class Watch(TorchDispatchMode):  # type: ignore[no-untyped-call]
        def __torch_dispatch__(
            self, function: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            nonlocal peak
            del types
            result = function(*args, **(kwargs or {}))
            for tensor in tree_leaves(result):
                if not isinstance(tensor, torch.Tensor):
                    continue
                storage = tensor.untyped_storage()
                if storage.data_ptr() in known or id(storage) in sizes:
                    continue
                sizes[id(storage)] = storage.nbytes()  # one object as long as the storage lives
                weakref.finalize(storage, sizes.pop, id(storage), None)
            peak = max(peak, sum(sizes.values()))
            return result

    with Watch():  # type: ignore[no-untyped-call]
        result = call()
    del result
    return peak
