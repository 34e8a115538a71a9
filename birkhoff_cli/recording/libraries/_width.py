"""Modules with a ``width_connection``: lucidrains', and the repositories that began as copies.

``width_connection(streams)`` returns what the branch reads and the mixed streams. H is computed
from the module's own tensors, as a checkpoint of it is read, and held against those streams.
"""

import copy
from collections.abc import Callable, Iterable
from functools import partial
from math import sqrt
from types import MethodType
from typing import Any

from birkhoff_cli.analyses.core.arrays import Array
from birkhoff_cli.analyses.core.errors import Unsupported
from birkhoff_cli.analyses.networks.connection import Connection
from birkhoff_cli.checkpoints.modules.forks import Tensors
from birkhoff_cli.recording.libraries import _gates as gates
from birkhoff_cli.recording.libraries._module import (
    ADD,
    Detach,
    Fill,
    Give,
    Hook,
    Module,
    Pick,
    Seen,
    aside,
    do_nothing,
    uncompiled,
)

MIXED = "residuals_mixed"
"""Where tokenbender's mHC keeps the mixed streams until the branch has been run."""

FLOAT32, TF32 = 2.0**-23, 2.0**-10
"""Spacing of numbers near 1."""

NO_LENGTH = 1e-30
"""Streams of zeros, which any matrix leaves as they are, are off by 0."""

ROUNDINGS = 4
"""Of a stream on its way through the module and through ours, in units of its precision."""


NAME = "width_connection"


class Watched:
    """A module's ``width_connection``, and who looks at its calls, coming and going in any order.

    It stands in the module itself and hides the method of the class. A copy of the module, in a
    file too, has the copy's own method: ours would mix the copy's streams by the module's tensors.
    """

    def __init__(self, module: Module) -> None:
        """Stand in the module's place; nobody looks yet."""
        self.looking: list[Callable[[Any, Any], None]] = []
        self._module, self._before = module, vars(module).get(NAME)
        self._original = module.width_connection
        self._call = uncompiled(self._watched, self._original)
        setattr(module, NAME, self)
        self._of_replicas = module.register_forward_pre_hook(
            Hook(uncompiled(self._leave_replica, do_nothing))
        )

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """What the module's own returns."""
        return self._call(*args, **kwargs)

    def _watched(self, residuals: Array, *args: Any, **kwargs: Any) -> Any:
        returned = self._original(residuals, *args, **kwargs)
        for look in [*self.looking]:
            look(residuals, returned)
        return returned

    def _leave_replica(self, called: Module, *_: object) -> None:
        """DataParallel's replicas have the attributes of the module, and tensors of their own."""
        if called is not self._module and vars(called).get(NAME) is self:
            delattr(called, NAME)

    def leave(self, look: Callable[[Any, Any], None]) -> None:
        """No longer look; with the last who does the module is as it was."""
        self.looking.remove(look)
        if self.looking:
            return
        self._of_replicas.remove()
        if vars(self._module).get(NAME) is not self:
            return  # somebody else stands before us
        delattr(self._module, NAME)
        if self._before is not None:
            setattr(self._module, NAME, self._before)

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        """The copy's own."""
        if self._before is not None:
            return copy.deepcopy(self._before, memo)
        module = copy.deepcopy(self._module, memo)
        return MethodType(getattr(type(module), NAME), module)

    def __reduce__(self) -> Any:
        """The own one of the module that is read."""
        return (
            (getattr, (self._module, NAME)) if self._before is None else (partial, (self._before,))
        )


def is_width(module: Module) -> bool:
    """Whether a module is of this family, and not one that leaves a single stream alone."""
    has = ("width_connection", "num_residual_streams", "static_alpha", "static_beta", "norm")
    return all(hasattr(module, name) for name in has)


def attach(
    module: Module, connect: Callable[[Tensors], Connection], names: Iterable[str], give: Give
) -> Detach:
    """Hand over H of every call.

    Args:
        module: one site.
        connect: from its tensors to what it does.
        names: of the tensors that ``connect`` needs, by their paths in the module.
        give: takes H ``(..., n, n)``.

    Raises:
        Unsupported: fractions, several inputs of a branch, or channels first.
    """
    _refuse_variants(module)
    names = tuple(names)

    def take(residuals: Array, returned: Any) -> None:
        def look(pick: Pick) -> Seen:
            eps = _precision(residuals)  # by the autocast that the module ran in
            with aside(residuals.device.type):
                return _applied(module, connect, names, residuals, returned, eps, pick)

        give(look)

    there = vars(module).get(NAME)
    watched = there if isinstance(there, Watched) else Watched(module)
    watched.looking.append(take)
    return partial(watched.leave, take)


def feed(module: Module, width: int, fill: Fill) -> None:
    """Mix the streams of one token, each ``width`` long."""
    n, like = module.num_residual_streams, module.static_alpha
    shape = (1, 1, n, width) if not hasattr(module, "channel_first") else (n, 1, width)
    module.width_connection(fill(like.detach().new_empty(shape)))


def _refuse_variants(module: Module) -> None:
    for name, usual in (("num_fracs", 1), ("num_input_views", 1), ("channel_first", False)):
        if (value := getattr(module, name, usual)) != usual:
            raise Unsupported(f"{_name(module)} with {name} = {value} is not known here; {ADD}")


def _applied(
    module: Module,
    connect: Callable[[Tensors], Connection],
    names: tuple[str, ...],
    residuals: Array,
    returned: Any,
    eps: float,
    pick: Pick,
) -> Seen:
    """H ``(tokens, n, n)`` of one call; I where the module returns the streams it was given."""
    import torch

    if not isinstance(returned, tuple) or len(returned) != 3:
        raise Unsupported(f"{_name(module)} returns no streams where it is known to; {ADD}")
    dtype = torch.float64 if residuals.dtype == torch.float64 else torch.float32
    streams = pick(_apart(module, residuals).flatten(0, -3)).to(dtype)
    _, mixed, more = returned
    site = connect({name: _tensor(module, name).to(dtype) for name in names})
    z = site.logits(_before_norm(module, streams))
    weights, logits = site.weights(z), gates.logits_of(site, z)
    pre, post = (gate.expand(*streams.shape[:-1]) for gate in (weights.pre, weights.post))
    if mixed is residuals and MIXED not in more:  # computed, and dropped
        eye = torch.eye(streams.shape[-2], dtype=dtype, device=streams.device)
        return Seen(eye.expand(len(streams), -1, -1), pre, post)
    h = weights.mixing.expand(*streams.shape[:-1], -1)
    there = pick((more[MIXED] if MIXED in more else _apart(module, mixed)).flatten(0, -3))
    off, length = ((h @ streams - there).norm(), (h.abs() @ streams.abs()).norm())
    allowed = _allowed(site, eps)
    off = off / (allowed * length + NO_LENGTH)
    return Seen(h, pre, post, logits, off, _refusal(module, allowed))


def _refusal(module: Module, allowed: Any) -> Callable[[float], Unsupported]:
    """The error for streams that were mixed otherwise, by so many times what rounding explains."""

    def refuse(off: float) -> Unsupported:
        return Unsupported(
            f"{_name(module)} mixed its streams otherwise than known here, by "
            f"{off * float(allowed):.1e} of their length where rounding explains "
            f"{float(allowed):.1e}: another version, or a custom constraint; {ADD}"
        )

    return refuse


def _name(module: Module) -> str:
    return type(module).__name__


def _apart(module: Module, residuals: Array) -> Array:
    """Streams ``(..., n, width)``: they have an axis of their own, or one with the batch."""
    n = module.num_residual_streams
    if not hasattr(module, "channel_first"):  # mHCv2
        return residuals
    batch, *inner, width = residuals.shape
    return residuals.reshape(batch // n, n, *inner, width).movedim(1, -2)


def _before_norm(module: Module, streams: Array) -> Array:
    """What the norm sees: mHCv2 may mix the streams for it."""
    if (mix := getattr(module, "maybe_mix_streams", None)) is None:
        return streams
    return mix.weight[:, :, 0, 0].to(streams.dtype) @ streams


def _tensor(module: Module, name: str) -> Array:
    *path, last = name.split(".")
    for word in path:
        module = getattr(module, word)
    return getattr(module, last).detach()


def _precision(residuals: Array) -> float:
    """Relative rounding of products inside the module, which autocast and TF32 make coarser.

    Never finer than float32's: some modules compute in it whatever their streams are.
    """
    import torch

    device, dtypes = residuals.device.type, [residuals.dtype, torch.float32]
    if torch.amp.is_autocast_available(device) and torch.is_autocast_enabled(device):
        dtypes.append(torch.get_autocast_dtype(device))
    eps = max(torch.finfo(dtype).eps for dtype in dtypes)
    coarse = device == "cuda" and torch.get_float32_matmul_precision() != "highest"
    return max(eps, TF32) if coarse else eps


def _allowed(site: Connection, eps: float) -> Any:
    """How far rounding may move mixed streams, relative to their length.

    Relative roundings of a stream's entries move a logit by scale * |column of weight|, and its
    sum of F products, accumulated in float32 at the least, by sqrt(F) times that.
    """
    if site.weight is None:
        return ROUNDINGS * eps
    steep = site.mixing.scale.abs() * site.weight.norm(dim=0).max()  # a scalar on its device
    return ROUNDINGS * (eps + steep * (eps + FLOAT32 * sqrt(len(site.weight))))
