"""Similarity of streams with H as trained and with H = I, over steps and over depth."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from birkhoff_cli.analyses.core import overview, palette
from birkhoff_cli.analyses.core.arrays import Array
from birkhoff_cli.analyses.core.palette import BLUE, GREEN, ORANGE
from birkhoff_cli.analyses.drawing import axis, bands, captions
from birkhoff_cli.analyses.networks.stream_similarity import STAGES

if TYPE_CHECKING:
    import pyarrow as pa
    from matplotlib.figure import Figure

Labels = Mapping[str, str]
"""Labels by value of the column mixing: the model as trained, then what stands beside it."""

TRAINED, BESIDE, BRANCH = BLUE, ORANGE, GREEN


def draw_similarity(result: "pa.Table", figure: "Figure", labels: Labels) -> None:
    """Over training steps if there are several, else over depth."""
    steps = np.unique(result["step"].to_numpy())
    if len(steps) > 1:
        _over_steps(result, figure, steps, labels)
    else:
        _over_depth(result, figure, labels)


def _pick(result: "pa.Table", mixing: str, streams: str, name: str) -> Array:
    """One column at one stage, ``(steps, sites)``."""
    sites = result["site"].to_numpy().max() + 1
    chosen = (result["mixing"].to_numpy() == mixing) & (result["streams"].to_numpy() == streams)
    return result[name].to_numpy()[chosen].reshape(-1, sites)


def _over_steps(result: "pa.Table", figure: "Figure", steps: Array, labels: Labels) -> None:
    """The papers' figure, a line for every site, and what they leave to the eye: the difference."""
    actual, beside = (_pick(result, mixing, "mixed", "mean") for mixing in labels)
    as_trained, compared = labels.values()
    shades = palette.numbers(0, beside.shape[1] - 1)
    colours = shades.to_rgba(np.arange(beside.shape[1]))
    width, height = figure.get_size_inches()
    figure.set_size_inches(width, height + overview.CURVES_HEIGHT)
    halves: Any = figure.subfigures(2, 1, height_ratios=(height, overview.CURVES_HEIGHT))
    above, below = halves
    panels = above.subplots(1, 3)
    panels[1].sharey(panels[0])
    lines = {
        compared: beside,
        as_trained: actual,
        f"{as_trained}, minus {compared}": actual - beside,
    }
    for axes, (title, values) in zip(panels, lines.items(), strict=True):
        for site in range(values.shape[1]):
            axes.plot(steps, values[:, site], color=colours[site], lw=1, marker=".", ms=3)
        axes.set_title(title)
        axis.steps(axes)
    panels[0].set(ylabel="mean cosine similarity after mixing")
    panels[2].set(ylabel="difference of the means")
    axis.reference(panels[2], 0)
    palette.colour_bar(above, shades, panels[2], axis.DEPTH)
    both = (actual, actual - beside)
    if (sites := actual.shape[1]) > 1:
        depths, names = np.arange(sites), (as_trained, f"{as_trained}, minus {compared}")
        curves = {
            step: {word: (depths, values[k]) for word, values in zip(names, both, strict=True)}
            for k, step in enumerate(steps.tolist())
        }
        overview.draw_curves(below, curves, axis.DEPTH)


def _over_depth(result: "pa.Table", figure: "Figure", labels: Labels) -> None:
    """Both models over depth; and what mixing and branch each change at a site."""
    panels = figure.subplots(1, 2)
    trained = next(iter(labels))
    site = np.arange(_pick(result, trained, "mixed", "mean").shape[1])
    for (mixing, label), colour, dashes in zip(
        labels.items(), (TRAINED, BESIDE), ("-", "--"), strict=True
    ):
        low, mean, high = (_pick(result, mixing, "mixed", n)[0] for n in ("p10", "mean", "p90"))
        if mixing == trained:
            bands.band(panels[0], site, low, high, colour, opacity=0.25)
        else:  # a second band would mix with the first
            panels[0].plot(site, np.transpose([low, high]), color=colour, lw=0.7, ls=":")
        panels[0].plot(site, mean, dashes, color=colour, lw=1.4, marker=".", ms=5, label=label)
    before, mixed, after = (_pick(result, trained, stage, "mean")[0] for stage in STAGES)
    style = {"marker": ".", "ms": 5, "lw": 1.2}
    panels[1].plot(site, mixed - before, color=TRAINED, label="mixing", **style)
    panels[1].plot(site, after - mixed, color=BRANCH, ls="--", label="branch", **style)
    axis.reference(panels[1], 0)
    panels[0].set(ylabel="cosine similarity after mixing")
    panels[1].set(ylabel="change of the mean at the site")
    captions.legend(panels[0], "mean, 10-90 %")
    captions.legend(panels[1], labels[trained])
    for axes in panels:
        axis.depth(axes)
