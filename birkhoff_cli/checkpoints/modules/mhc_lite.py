"""Sites of the mhc-lite and KromHC repositories: four types, told by the shape of ``static_alpha``.

The code builds a matrix M and applies its transpose, ``x_out = M^T x_in``, so H = M^T.

Source: github.com/FFTYYY/mhc-lite @ ea19775, github.com/wz1119/KromHC @ 7b15834.
"""

from collections.abc import Callable, Mapping
from math import factorial
from typing import Any, NamedTuple

import numpy as np

from birkhoff_cli.analyses import parameterizations
from birkhoff_cli.analyses.core.parameterization import Parameterization
from birkhoff_cli.analyses.geometry.permutations import inverse_order
from birkhoff_cli.analyses.networks.connection import Connection
from birkhoff_cli.checkpoints.modules import forks
from birkhoff_cli.checkpoints.modules.forks import Entries, Tensors
from birkhoff_cli.checkpoints.sites.values import Array, Shape

ITERS = 20


class Layout(NamedTuple):
    """One ``hyper_conn_type``: the shape of ``static_alpha``, what in it is what, and what H is.

    `map` takes the ``entries`` of mixing in their order; what it has beyond, the dynamic half of
    HC, stays zero. ``options(n, iters)`` are those of the method.
    """

    method: str
    alpha: Callable[[int], Shape]
    entries: Callable[[int], Entries]
    options: Callable[[int, int], Mapping[str, Any]]
    convention: str

    def map(self, n: int, iters: int) -> Parameterization:
        """The method, which is imported here: a file is of one of the types."""
        method: Any = parameterizations.load(self.method)
        map_: Parameterization = method(n, **self.options(n, iters))
        return map_


def _square(n: int) -> Shape:
    return (n, n + 1)


def _permutations(n: int) -> Shape:
    return (n + factorial(min(n, 20)),)  # no file holds 20! of anything


def _inverse(n: int) -> Entries:
    return Entries(np.arange(n), n + inverse_order(n))


def _pairs(n: int) -> Shape:
    """Two coefficients per 2 x 2 factor; a shape that nothing has if n is no power of 2."""
    return (n + 2 * (n.bit_length() - 1) if n > 1 and n.bit_count() == 1 else -1,)


def _in_order(n: int) -> Entries:
    return Entries(np.arange(n), np.arange(n, _pairs(n)[0]))


def _none(n: int, iters: int) -> Mapping[str, Any]:
    del n, iters
    return {}


LAYOUTS: Mapping[str, Layout] = {
    "hc": Layout(
        "hc",
        _square,
        forks.square,
        _none,
        "stores M = static_alpha[:, 1:], applies x_out = M^T x_in; transposed here",
    ),
    "mhc": Layout(
        "mhc",
        _square,
        forks.square,
        lambda _, iters: {"variant": "mhc-lite", "iters": iters},
        "stores logits of M, static_alpha[:, 1:], applies x_out = M^T x_in; transposed here",
    ),
    "mhc_lite": Layout(
        "mhc-lite",
        _permutations,
        _inverse,
        _none,
        "stores logits of permutations, static_alpha[n:], applies x_out = M^T x_in; "
        "every permutation is replaced by its inverse here",
    ),
    "kromhc": Layout(
        "kromhc",
        _pairs,
        _in_order,
        lambda n, _: {"factors": (2,) * (n.bit_length() - 1)},
        "stores logit pairs of 2 x 2 factors, static_alpha[n:]; M is symmetric, nothing is turned",
    ),
}


def connection(type_: str, tensors: Tensors, map_: Parameterization) -> Connection:
    """The site of one type: its tensors, by their names in the code, and the map of H."""
    if type_ == "hc":
        return forks.unconstrained(tensors, map_)
    return forks.together(tensors, map_, LAYOUTS[type_].entries(map_.d))


def theta(layout: Layout, alpha: Array, map_: Parameterization) -> Array:
    """Parameters ``(sites, p)``, of every site's ``static_alpha``."""
    mixing = alpha.reshape(len(alpha), -1)[:, layout.entries(map_.d).mixing]
    more = map_.parameters - mixing.shape[1]
    return np.ascontiguousarray(np.pad(mixing, ((0, 0), (0, more))))


def shapes(type_: str, n: int, width: int) -> dict[str, Shape]:
    """Shapes of a site's tensors; ``hc`` normalises every stream, the others all at once."""
    alpha = LAYOUTS[type_].alpha(n)
    return forks.shapes_apart(n, width) if type_ == "hc" else forks.shapes_together(alpha, n, width)
