"""Sites whose logits are one matrix times all streams, one after another, over their length.

The rows of the matrix are those of H_pre, of H_post, and of the mixing matrix row by row. Code
bases differ in names, in how they cut that matrix into tensors, and in a few numbers.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from math import isqrt
from typing import Any, TypeAlias

import numpy as np

from birkhoff_cli.analyses.core.arrays import namespace
from birkhoff_cli.analyses.core.errors import BadInput
from birkhoff_cli.analyses.core.parameterization import Parameterization
from birkhoff_cli.analyses.networks.connection import Connection, Gate, Norm
from birkhoff_cli.checkpoints import Checkpoint, Setting
from birkhoff_cli.checkpoints.sites.depth import Sites
from birkhoff_cli.checkpoints.sites.names import NamedStore
from birkhoff_cli.checkpoints.sites.values import (
    MAX_STREAMS,
    NOT_ITS_CODE,
    Array,
    Shape,
    Shapes,
    at,
    check_shapes,
    connections,
    dtypes,
    shapes_at,
    value,
)

Tensors: TypeAlias = Mapping[str, Any]


@dataclass(frozen=True)
class Layout:
    """How a code base keeps a site: its tensors by their names in the code.

    Attributes:
        sizes: streams and width, of the shapes at a site.
        shapes: those that a site of these sizes has.
        fn: the matrix ``(n (n + 2), n width)``, the norm's gain in its columns.
        base: what is added to its outputs, ``(n (n + 2))``.
        scale: of what comes of pre, of post and of mixing.
        base_from: names of the tensors that ``base`` takes.
    """

    sizes: Callable[[Mapping[str, Shape]], tuple[int, int]]
    shapes: Callable[[int, int], dict[str, Shape]]
    fn: Callable[[Tensors], Array]
    base: Callable[[Tensors], Array]
    scale: Callable[[Tensors], Any]
    base_from: tuple[str, ...]

    def measured(self, store: NamedStore, sites: Sites) -> tuple[int, int, dict[str, Shape]]:
        """Streams, width and shapes, which every site has.

        Raises:
            BadInput: naming the site that has not.
        """
        site, names = next(iter(sites.items()))
        try:
            n, width = self.sizes(shapes_at(store, names))
        except (KeyError, IndexError, ZeroDivisionError):
            n, width = 0, 0
        if not 1 <= n <= MAX_STREAMS:
            raise BadInput(
                f"{at(store, site)}: its tensors are those of no number of streams up to "
                f"{MAX_STREAMS}; {NOT_ITS_CODE}"
            )
        check_shapes(store, sites, shapes := self.shapes(n, width))
        return n, width, shapes


@dataclass(frozen=True)
class Module:
    """What a site does with its logits.

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

    @property
    def mixing(self) -> Any:
        """Indices of the mixing logits among all, in our orientation."""
        n = self.map.d
        square = 2 * n + np.arange(n * n).reshape(n, n)
        return (square.T if self.transposed else square).ravel()

    def connection(self, layout: Layout, tensors: Tensors) -> Connection:
        """One site, of its tensors."""
        fn, base, scale = (of(tensors) for of in (layout.fn, layout.base, layout.scale))
        n, index = self.map.d, np.arange(len(base))
        return Connection(
            map=self.map,
            d=n,
            width=fn.shape[1] // n,
            mixing=Gate(base[self.mixing], scale[2], self.mixing[None]),
            pre=Gate(base[:n], scale[0], index[None, :n], self.pre, clip=self.clip),
            post=Gate(base[n : 2 * n], scale[1], index[None, n : 2 * n], self.post, clip=self.clip),
            weight=fn.T,
            norm=self.norm,
        )


def checkpoint(
    store: NamedStore,
    sites: Sites,
    layout: Layout,
    module: Module,
    width: int,
    *,
    format: str,
    settings: Iterable[Setting],
    convention: str,
    assumptions: Iterable[str],
) -> Checkpoint:
    """A checkpoint of such sites, whose shapes have been checked; reads what ``base`` needs."""
    n = module.map.d
    shapes = layout.shapes(n, width)
    base = np.stack([_base(store, layout, key, sites) for key in sites])
    return Checkpoint(
        path=store.path,
        format=format,
        method=module.map.name,
        map=module.map,
        theta=np.ascontiguousarray(base[:, module.mixing]),
        sites=tuple(sites),
        d=n,
        layers=len({site.layer for site in sites}),
        width=width,
        settings=(Setting("streams", n, "stored"), *settings),
        convention=convention,
        assumptions=tuple(assumptions),
        dtypes=dtypes(store, sites, shapes),
        inputs=(store.digest(),),
        connect=partial(_connections, sites=sites, shapes=shapes, layout=layout, module=module),
    )


def _base(store: NamedStore, layout: Layout, site: Any, sites: Sites) -> Array:
    return layout.base({t: value(store, site, sites[site], t) for t in layout.base_from})


def _connections(
    store: NamedStore, *, sites: Sites, shapes: Shapes, layout: Layout, module: Module
) -> Iterator[Connection]:
    return connections(store, sites, shapes, partial(module.connection, layout))


def sizes_of(fn: Shape) -> tuple[int, int]:
    """Streams and width, of the shape ``(n (n + 2), n width)``."""
    n = isqrt(fn[0] + 1) - 1
    return n, fn[1] // n


def stacked(*parts: Array) -> Array:
    """Parts below one another, on the first axis."""
    stack: Array = namespace(parts[0]).concat(list(parts), axis=0)
    return stack
