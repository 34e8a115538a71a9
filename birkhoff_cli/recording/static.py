"""The static matrices of a live model: what its hyper-connections apply where streams say nothing.

Every site is called twice on streams of its own: on random ones, so that a version that mixes
otherwise is refused, and on zeros, whose matrix is the static one. No other part of the model runs.
"""

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from birkhoff_cli.analyses.core.arrays import Array
from birkhoff_cli.analyses.core.errors import BadInput
from birkhoff_cli.analyses.core.trace import MixingTrace, in_memory
from birkhoff_cli.recording.handed import numbers
from birkhoff_cli.recording.libraries._module import Look, every_token
from birkhoff_cli.recording.record import Mixer, mixers_of

if TYPE_CHECKING:
    from torch import nn


def static_trace(model: "nn.Module") -> MixingTrace:
    """The trace of one sample that a checkpoint of the model has with ``--inputs static``.

    Args:
        model: a torch module with hyper-connections of a known library.

    Raises:
        Unsupported: no known hyper-connection in the model, or a variant that is not known.
        BadInput: sites of different d, or matrices that are not finite.
    """
    mixers = sorted(mixers_of(model), key=_depth)
    matrices = [_static(mixer) for mixer in mixers]
    sides = sorted({h.shape[-1] for h in matrices})
    if len(sides) > 1:
        raise BadInput(
            f"{type(model).__name__} has sites of d = {', '.join(map(str, sides))}; give the part "
            f"of it that has one d"
        )
    meta = {
        "format": "module",
        "model": type(model).__name__,
        "libraries": sorted({mixer.library for mixer in mixers}),
        "assumptions": [],
    }
    sites = tuple(mixer.site for mixer in mixers)
    return in_memory(np.stack(matrices)[None], sites, type(model).__name__, meta=meta)


def _depth(mixer: Mixer) -> tuple[int, bool]:
    """Attention before mlp, in whatever order a layer has its modules; else as they come."""
    return mixer.site.layer, mixer.site.branch == "mlp"


def _static(mixer: Mixer) -> NDArray[Any]:
    """H ``(d, d)`` of zeros."""
    import torch

    stacks: list[Array] = []

    def take(look: Look) -> None:
        seen = look(every_token)
        seen.check()
        stacks.append(seen.mixing)

    detach = mixer.attach(take)
    try:
        with torch.no_grad():
            for fill in (_random, torch.zeros_like):
                mixer.feed(fill)
    finally:
        detach()
    matrices: NDArray[Any] = numbers(mixer.site, stacks[-1])[0]
    if not np.isfinite(matrices).all():
        raise BadInput(f"{mixer.site.name} is NaN or infinite; the model has probably diverged")
    return matrices


def _random(streams: Array) -> Array:
    """Streams like these, the same in every call, without touching torch's own generator."""
    values = np.random.default_rng(0).standard_normal(tuple(streams.shape))
    random: Array = streams.new_tensor(values)
    return random
