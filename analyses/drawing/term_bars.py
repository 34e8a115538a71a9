"""Weights of the terms of mixtures, a bar for every matrix."""

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes


BARS = 60


def draw_bars(axes: "Axes", matrix: Any, term: Any, weight: Any) -> None:
    """A bar for each of the first `BARS` matrices, dark to light by falling weight."""
    count = int(matrix[-1]) + 1
    bars = min(count, BARS)
    terms = int(term[matrix < bars].max()) + 1
    height = np.zeros((terms, bars))
    height[term[matrix < bars], matrix[matrix < bars]] = weight[matrix < bars]
    bottom = np.cumsum(height, axis=0) - height
    for k in range(terms):
        shade = 0.2 + 0.7 * k / terms
        axes.bar(
            np.arange(bars),
            height[k],
            1.0,
            bottom[k],
            color=str(round(shade, 3)),
            edgecolor="white",
            lw=0.3,
        )
    which = "matrix" if bars == count else f"matrix (the first {bars} of {count:,})"
    axes.set(xlabel=which, ylabel="weight of each permutation", ylim=(0, 1))
