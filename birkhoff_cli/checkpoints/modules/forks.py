"""Sites of lucidrains' hyper-connections and of the repositories that began as copies of it.

A site's tensors, numpy's or torch's, by their names in the code, become a `Connection`.
``static_alpha`` holds what the branch reads and M together, ``(n, n + 1)`` or flat; the code
applies ``x_out = M^T x_in``. What is normalised is divided by its length, not by its root mean
square plus something: ``x / max(|x|, 1e-12) * sqrt(features) * (gamma + 1)``.

Source: github.com/lucidrains/hyper-connections @ 4775103; FFTYYY/mhc-lite @ ea19775;
wz1119/KromHC @ 7b15834; tokenbender/mHC-manifold-constrained-hyper-connections @ 088310e.
"""

from collections.abc import Mapping
from math import prod, sqrt
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from birkhoff_cli.analyses.core.arrays import Array, namespace, taken
from birkhoff_cli.analyses.core.parameterization import Parameterization
from birkhoff_cli.analyses.networks.connection import Connection, Gate, Norm

Tensors: TypeAlias = Mapping[str, Array]
"""Tensors of one site by their names in the code."""

Indices: TypeAlias = NDArray[np.intp]

SHORTEST = 1e-12
"""Vectors no longer than this are not stretched to unit length."""


class Entries(NamedTuple):
    """Indices into a flat ``static_alpha``: of the n numbers of pre, and of the map's parameters.

    Where one matrix gives all logits at once, its columns are in the same order.
    """

    pre: Indices
    mixing: Indices


HC_NAMES = (
    *("norm.gamma", "static_alpha", "static_beta", "dynamic_alpha_fn", "dynamic_beta_fn"),
    *("dynamic_alpha_scale", "dynamic_beta_scale"),
)
MHC_NAMES = (*HC_NAMES[:5], "pre_branch_scale", "residual_scale", "h_post_scale")
"""Tensors of a site of HC, and of one of mHC."""


def shapes_apart(n: int, width: int) -> dict[str, tuple[int, ...]]:
    """Shapes of a site of HC: every stream is normalised on its own."""
    return {
        **{"norm.gamma": (width,), "static_alpha": (n, n + 1), "static_beta": (n,)},
        **{"dynamic_alpha_fn": (width, n + 1), "dynamic_beta_fn": (width,)},
        **{"dynamic_alpha_scale": (), "dynamic_beta_scale": ()},
    }


def shapes_together(alpha: tuple[int, ...], n: int, width: int) -> dict[str, tuple[int, ...]]:
    """Shapes of a site that normalises all streams as one vector."""
    wide = n * width
    return {
        **{"norm.gamma": (wide,), "static_alpha": alpha, "static_beta": (n,)},
        **{"dynamic_alpha_fn": (wide, prod(alpha)), "dynamic_beta_fn": (wide, n)},
        **{"pre_branch_scale": (1,), "residual_scale": (1,), "h_post_scale": ()},
    }


def square(n: int) -> Entries:
    """``(n, n + 1)``: pre is the first column, M the others; parameters are those of M^T."""
    rows = np.arange(n) * (n + 1)
    return Entries(rows, (rows + 1 + np.arange(n)[:, None]).ravel())


def in_order(map_: Parameterization) -> Entries:
    """Flat: n numbers of pre, then the parameters of the map."""
    return Entries(np.arange(map_.d), np.arange(map_.d, map_.d + map_.parameters))


def together(tensors: Tensors, map_: Parameterization, entries: Entries) -> Connection:
    """A site that normalises all streams as one vector: those of mhc-lite and KromHC.

    Args:
        tensors: ``norm.gamma`` (n width), ``static_alpha``, ``dynamic_alpha_fn`` (n width, its
            size), ``pre_branch_scale``, ``residual_scale``, ``static_beta`` (n),
            ``dynamic_beta_fn`` (n width, n), ``h_post_scale``.
        map_: of H.
        entries: where in ``static_alpha`` its parameters are.
    """
    alpha, beta = tensors["static_alpha"].reshape(-1), tensors["static_beta"]
    n, features = len(beta), len(tensors["norm.gamma"])
    pre, residual = (tensors[k].reshape(()) for k in ("pre_branch_scale", "residual_scale"))
    after = len(alpha) + np.arange(n)
    return Connection(
        map=map_,
        d=n,
        width=features // n,
        mixing=Gate(taken(alpha, entries.mixing), residual, entries.mixing[None]),
        pre=Gate(taken(alpha, entries.pre), pre, entries.pre[None], (0, 1)),
        post=Gate(beta, tensors["h_post_scale"], after[None], (0, 2)),
        weight=_gained(tensors, [tensors["dynamic_alpha_fn"], tensors["dynamic_beta_fn"]]),
        norm=_norm(features),
    )


def apart(tensors: Tensors, map_: Parameterization | None) -> Connection:
    """A site of lucidrains' mHC, which normalises every stream on its own.

    Versions that drop the mixed streams, where ``map_`` is None, write ``static + scale * 2
    sigmoid(z)`` back, which is ``static + scale + scale * tanh(z / 2)``.

    Args:
        tensors: ``norm.gamma`` (width), ``static_alpha`` (n, n + 1), ``dynamic_alpha_fn``
            (width, n + 1) or one for each proposal, ``pre_branch_scale``, ``residual_scale``,
            ``static_beta`` (n numbers), ``dynamic_beta_fn`` (width numbers), ``h_post_scale``.
        map_: of H; None if M is dropped.
    """
    alpha, beta = tensors["static_alpha"].reshape(-1), tensors["static_beta"].reshape(-1)
    n, width, scale = len(beta), len(tensors["norm.gamma"]), tensors["h_post_scale"]
    fn = tensors["dynamic_alpha_fn"].reshape(-1, width, n + 1)
    proposals, columns = len(fn), tensors["dynamic_beta_fn"].reshape(-1, 1)
    entries, outputs = square(n), proposals * (n + 1) + 1
    pre, residual = (tensors[k].reshape(()) for k in ("pre_branch_scale", "residual_scale"))
    last = (np.arange(n) * outputs + outputs - 1)[None]
    dropped = Gate(beta + scale, scale, last, tanh=True)
    moving = _by_stream(entries.mixing, n, proposals)
    return Connection(
        map=map_,
        d=n,
        width=width,
        mixing=Gate(taken(alpha, entries.mixing), residual, moving),
        pre=Gate(taken(alpha, entries.pre), pre, _by_stream(entries.pre, n, proposals), (0, 1)),
        post=Gate(beta, scale, last, (0, 2)) if map_ else dropped,
        weight=_gained(tensors, [*fn, columns if map_ else columns / 2]),
        norm=_norm(width),
    )


def unconstrained(tensors: Tensors, map_: Parameterization | None, tanh: bool = True) -> Connection:
    """A site of HC, which normalises every stream on its own; all of these repositories have it.

    Args:
        tensors: ``norm.gamma`` (width), ``static_alpha`` (n, n + 1), ``dynamic_alpha_fn``
            (width, n + 1), ``dynamic_alpha_scale``, ``static_beta`` (n), ``dynamic_beta_fn``
            (width), ``dynamic_beta_scale``.
        map_: HC, whose dynamic half stays 0: it is in the static one; None if M is dropped.
        tanh: whether the dynamic part passes through it.
    """
    alpha, beta = tensors["static_alpha"].reshape(-1), tensors["static_beta"]
    n, width, scale = len(beta), len(tensors["norm.gamma"]), tensors["dynamic_alpha_scale"]
    entries = square(n)
    moving = taken(alpha, entries.mixing)
    static = namespace(alpha).concat([moving, namespace(alpha).zeros_like(moving)])
    last = (np.arange(n) * (n + 2) + n + 1)[None]
    return Connection(
        map=map_,
        d=n,
        width=width,
        mixing=Gate(static, scale, _by_stream(entries.mixing, n), tanh=tanh),
        pre=Gate(taken(alpha, entries.pre), scale, _by_stream(entries.pre, n), tanh=tanh),
        post=Gate(beta, tensors["dynamic_beta_scale"], last, tanh=tanh),
        weight=_gained(
            tensors, [tensors["dynamic_alpha_fn"], tensors["dynamic_beta_fn"].reshape(-1, 1)]
        ),
        norm=_norm(width),
    )


def _by_stream(flat: Indices, n: int, proposals: int = 1) -> Indices:
    """Indices ``(proposals, ...)`` into z, where stream s has the outputs of every proposal.

    Behind them it has one more, for what is written back.
    """
    stream, output = np.divmod(flat, n + 1)
    first = stream * (proposals * (n + 1) + 1) + output
    return first + (n + 1) * np.arange(proposals)[:, None]


def _gained(tensors: Tensors, columns: list[Array]) -> Array:
    """Columns beside one another, the norm's gain in their rows."""
    gain = tensors["norm.gamma"] + 1
    return gain[:, None] * namespace(gain).concat(columns, axis=-1)


def _norm(features: int) -> Norm:
    return Norm("floor", SHORTEST / sqrt(features))
