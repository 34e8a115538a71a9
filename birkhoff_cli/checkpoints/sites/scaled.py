"""Tensors of 8-bit floats with a scale for every block of 128 x 128, as releases keep weights.

``X`` of fp8 stands beside ``X_scale_inv``; the weight is the product. What rounding to few bits
costs is measured: every stored number is moved by half a step of its format, and H is compared.

Source: DeepSeek-V3's release, ``inference/kernel.py``.
"""

from itertools import islice
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from birkhoff_cli.checkpoints.sites.names import NamedStore
from birkhoff_cli.containers import Store
from birkhoff_cli.containers.store import BITS

if TYPE_CHECKING:
    from birkhoff_cli.checkpoints import Checkpoint

Array = NDArray[np.float32]

NARROW = 16
"""Bits below which a tensor of mixers is pointed out with what that costs."""

SITES, STREAMS = 4, 8
"""Sites on which the cost is measured, and random streams for each."""

MANTISSA = {"float8_e4m3fn": 3, "float8_e4m3fnuz": 3, "float8_e5m2": 2, "float8_e5m2fnuz": 2}
"""Bits of a mantissa behind the point."""

Q8, Q8_BLOCK, Q8_STEPS = "q8_0", 32, 127
"""The format of scaled blocks, numbers of a block, and steps from 0 to the largest of them."""


class _Moved:
    """A store whose narrow numbers are moved by half a step, up or down."""

    def __init__(self, store: Store) -> None:
        self.store, self.rng = store, np.random.default_rng(0)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.store, name)

    def read(self, name: str) -> NDArray[Any]:
        """One tensor, moved."""
        return self._move(name, self.store.read(name))

    def read_unscaled(self, name: str) -> NDArray[Any]:
        """Numbers of 8-bit floats, moved before they are scaled."""
        return self._move(name, self.store.read_unscaled(name))

    def _move(self, name: str, values: NDArray[Any]) -> NDArray[Any]:
        dtype = self.store.tensors[name].dtype
        if dtype not in MANTISSA and dtype != Q8:
            return values
        sign = self.rng.choice(np.array([-1, 1], np.float32), values.shape)
        return np.asarray(values + sign * half_step(values, dtype))


def half_step(values: Array, dtype: str) -> Array:
    """Half the distance to the next number of a narrow format, as far as the values show it."""
    if dtype in MANTISSA:
        exponent = np.frexp(values)[1]
        return np.asarray(np.ldexp(0.5, exponent - 1 - MANTISSA[dtype]), np.float32)
    blocks = values.reshape(-1, min(Q8_BLOCK, values.shape[-1]))
    largest = np.broadcast_to(np.abs(blocks).max(1, keepdims=True), blocks.shape)
    return np.asarray(largest.reshape(values.shape) / (2 * Q8_STEPS), np.float32)


def rounding_cost(checkpoint: "Checkpoint") -> float | None:
    """Largest change of an entry of H, at the first sites on random streams.

    None if no tensor of mixers has fewer than `NARROW` bits, or what follows the streams is not
    known.
    """
    dtypes = {dtype for names in checkpoint.dtypes.values() for dtype in names.values()}
    if checkpoint.connect is None or all(BITS[dtype] >= NARROW for dtype in dtypes):
        return None
    rng, worst = np.random.default_rng(0), 0.0
    with checkpoint.opened() as store:
        moved_store = NamedStore(cast("Store", _Moved(store.store)), store.prefix)
        pairs = zip(checkpoint.connect(store), checkpoint.connect(moved_store), strict=True)
        for site, moved in islice(pairs, SITES):
            streams = rng.standard_normal((STREAMS, site.d, site.width)).astype(np.float32)
            worst = max(worst, float(np.abs(site(streams).mixing - moved(streams).mixing).max()))
    return worst
