"""How alike the streams of a model are before a site mixes them, after it, and with the branch."""

import numpy as np

from birkhoff_cli.analyses.core.arrays import Array
from birkhoff_cli.analyses.core.errors import BadInput
from birkhoff_cli.analyses.networks.language_model import LanguageModel, states
from birkhoff_cli.analyses.networks.token_run import TokenRun, inference

STAGES = ("in", "mixed", "out")
"""Streams before mixing, after it, and after the branch has written."""


def measure_similarities(model: LanguageModel, tokens: Array, source: TokenRun) -> Array:
    """Mean cosines over pairs of streams, ``(sites, stages, samples)``; NaN for a single stream.

    Args:
        model: through which the tokens run.
        tokens: ``(sequences, length)``.
        source: names the file and its sites in errors.

    Raises:
        BadInput: streams that are not finite.
    """
    import torch

    with inference(model):
        out = []
        for state in states(model, tokens):
            stages = torch.stack([mean_cosine(x) for x in (state.before, state.mixed, state.after)])
            out.append(stages.flatten(1).numpy())
    cosines = np.stack(out)
    bad = np.flatnonzero(~np.isfinite(cosines).all(axis=(1, 2)))
    if len(bad) and model.connections[0].d > 1:
        site = source.sites[bad[0]]
        raise BadInput(
            f"{source.source}: the streams of layer {site.layer}, {site.branch} are not finite; "
            f"the run has probably diverged, try an earlier checkpoint"
        )
    return cosines


def mean_cosine(streams: Array) -> Array:
    """Mean cosine over pairs of the streams ``(..., d, width)``; NaN for a single one."""
    import torch
    from torch.nn.functional import normalize

    d = streams.shape[-2]
    largest = streams.abs().amax(-1, keepdim=True)  # whose square may be out of range
    unit = normalize(streams / largest.clamp_min(torch.finfo(streams.dtype).tiny), dim=-1)
    gram = unit @ unit.mT
    off = gram.sum((-2, -1)) - gram.diagonal(dim1=-2, dim2=-1).sum(-1)
    return off / (d * (d - 1)) if d > 1 else off * float("nan")
