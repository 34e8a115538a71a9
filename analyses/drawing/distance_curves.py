"""Distances of matrices from what is nearest, as distributions."""

from typing import TYPE_CHECKING, Any

import numpy as np

from birkhoff_cli.analyses.core.arrays import Array
from birkhoff_cli.analyses.core.palette import BLUE, GREEN, ORANGE, PURPLE
from birkhoff_cli.analyses.drawing import captions

if TYPE_CHECKING:
    import pyarrow as pa
    from matplotlib.axes import Axes

DISTANCES: dict[str, tuple[str, dict[str, Any]]] = {
    "permutation_distance": ("permutation", {"color": BLUE}),
    "barycenter_distance": ("J/d", {"color": ORANGE, "ls": "--"}),
    "polytope_distance": ("doubly stochastic matrix", {"color": GREEN, "ls": "-."}),
    "image_distance": ("image", {"color": PURPLE, "ls": ":"}),
}


def draw_distances(axes: "Axes", result: "pa.Table", rows: Array, method: str | None) -> None:
    """Cumulative distributions of distances over the chosen rows, a curve for each column.

    Args:
        axes: where.
        result: a table of `decompose`.
        rows: which of its rows count, ``(rows,)`` of bool.
        method: whose image `image_distance` is from; None if the column is empty.
    """
    for name, (word, style) in DISTANCES.items():
        values = result[name].to_numpy()[rows]
        if not np.isnan(values).all():
            label = f"{method} (upper bound)" if name == "image_distance" else word
            axes.ecdf(values, label=label, **style)
    axes.set(xlabel="Frobenius distance", ylabel="share of matrices at most that far")
    axes.set(xlim=(0, None), ylim=(0, 1.02))
    captions.legend(axes, "from the nearest")
