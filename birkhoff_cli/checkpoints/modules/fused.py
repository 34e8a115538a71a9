"""Sites whose logits are one matrix times all streams, one after another, over their length.

The rows of the matrix are those of H_pre, of H_post, and of the mixing matrix row by row.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from birkhoff_cli.analyses.core.arrays import namespace
from birkhoff_cli.analyses.core.parameterization import Parameterization
from birkhoff_cli.analyses.networks.connection import Connection, Gate, Norm
from birkhoff_cli.checkpoints.sites.values import Array


@dataclass(frozen=True)
class Fused:
    """What differs between the code bases that have such sites.

    Attributes:
        map: of H.
        transposed: whether the code applies the transpose of the matrix whose logits it has.
        pre: ``(low, height)`` of H_pre, ``low + height * sigmoid``.
        post: the same of H_post.
        norm: how streams are normalised.
        clip: largest argument of those sigmoids.
    """

    map: Parameterization
    transposed: bool
    pre: tuple[float, float] = (0.0, 1.0)
    post: tuple[float, float] = (0.0, 2.0)
    norm: Norm = Norm()
    clip: float | None = None

    def theta(self, base: Array) -> Array:
        """Parameters of the static H of all sites, of their ``base`` ``(sites, n (n + 2))``."""
        return np.ascontiguousarray(base[:, self._mixing])

    def connection(self, tensors: Mapping[str, Any]) -> Connection:
        """One site.

        Args:
            tensors: ``fn`` (n (n + 2), n width), ``base`` (n (n + 2)), ``scale`` (3: of pre, post
                and mixing), and ``gain`` (n width) if the norm has one.
        """
        fn, base, scale = (tensors[name] for name in ("fn", "base", "scale"))
        n, index = self.map.d, np.arange(len(base))
        weight = fn.T if "gain" not in tensors else tensors["gain"][:, None] * fn.T
        return Connection(
            map=self.map,
            d=n,
            width=fn.shape[1] // n,
            mixing=Gate(base[self._mixing], scale[2], self._mixing[None]),
            pre=Gate(base[:n], scale[0], index[None, :n], self.pre, clip=self.clip),
            post=Gate(base[n : 2 * n], scale[1], index[None, n : 2 * n], self.post, clip=self.clip),
            weight=weight,
            norm=self.norm,
        )

    @property
    def _mixing(self) -> Any:
        """Indices of the mixing logits among all, in our orientation."""
        n = self.map.d
        square = 2 * n + np.arange(n * n).reshape(n, n)
        return (square.T if self.transposed else square).ravel()


def joined(parts: Mapping[str, Any], pattern: str) -> Any:
    """One array of the three that a code base keeps apart, of pre, post and mixing.

    Args:
        parts: tensors by name.
        pattern: of the names, with a place for ``pre``, ``post`` and ``res``.
    """
    found = [parts[pattern.format(kind)] for kind in ("pre", "post", "res")]
    xp = namespace(found[0])
    rows = [x.reshape((-1, x.shape[-1])) if "proj" in pattern else x.reshape(-1) for x in found]
    return xp.concat(rows, axis=0)
