"""B_3 in three of its four dimensions, seen from all around, with matrices inside."""

from typing import TYPE_CHECKING, Any

import numpy as np

from birkhoff_cli.analyses.drawing.palette import GREEN, PURPLE
from birkhoff_cli.analyses.geometry import cycles

if TYPE_CHECKING:
    import pyarrow as pa
    from matplotlib.figure import Figure

SIZE = (9.0, 6.4)
"""Of the picture in inches."""

MAX_POINTS = 20_000
"""Points at most in a three-dimensional picture."""

VIEWS = (((20, -65), (12, 15), (89.9, -90)), ((20, -65), (12, 15), (30, 70)))
"""Elevation and azimuth of the three-dimensional pictures of both rows, in degrees."""

ROWS = (
    ("w_re", "Re w", ("(2 3)", "(1 2), (1 3)", "")),
    ("w_im", "Im w", ("(2 3)", "(1 2)", "(1 3)")),
)
"""The third coordinate of a row of pictures, and the names of the swaps."""


def draw_solid(result: "pa.Table", figure: "Figure") -> None:
    """B_3 has the coordinates z and w: rows show (z, Re w) and (z, Im w), columns rotations.

    The three cyclic permutations have a third root of unity as z, and w = 0; the swaps the other
    way round. Every two vertices of B_3 are joined by an edge.
    """
    rows = np.flatnonzero(result["kind"].to_numpy() == "projection")
    rows = rows[:: -(-len(rows) // MAX_POINTS)]
    flat = [result[name].to_numpy()[rows] for name in ("im", "re")]
    root = np.exp(2j * np.pi / 3 * np.arange(3))
    for row, (name, word, swaps) in enumerate(ROWS):
        corners = np.zeros((3, 6))
        corners[:2, :3] = root.imag, root.real
        corners[2, 3:] = root.real if name == "w_re" else root.imag
        labels = (*(cycles.words(3, k) for k in range(3)), *swaps)
        for turn, (elevation, azimuth) in enumerate(VIEWS[row]):
            place = (2, 3, 3 * row + turn + 1)
            axes: Any = figure.add_subplot(*place, projection="3d", proj_type="ortho")
            _polytope(axes, corners, labels if elevation < 80 else labels[:3])
            up = result[name].to_numpy()[rows]
            axes.scatter(*flat, up, s=1, color=GREEN, lw=0, alpha=0.5, rasterized=True)
            axes.view_init(elevation, azimuth)
            axes.set_box_aspect(np.ptp(corners, axis=1), zoom=1.15)
            axes.set_axis_off()
            seen = "from above" if elevation > 80 else f"{word} up"
            axes.set_title(f"(Im z, Re z, {word}), {seen}", fontsize="small", y=1.0)


def _polytope(axes: Any, corners: Any, labels: tuple[str, ...]) -> None:
    """Faces of two cyclic permutations and a swap, all edges, and names of the vertices."""
    faces = [(i, j, k) for i, j in ((0, 1), (1, 2), (0, 2)) for k in (3, 4, 5)]
    axes.plot_trisurf(*corners, triangles=faces, color=PURPLE, alpha=0.08, lw=0)
    for i in range(6):
        for j in range(i):
            axes.plot(*corners[:, [i, j]], color="0.4", lw=0.6)
    for corner, label in zip(corners.T, labels, strict=False):
        axes.text(*(corner * 1.12), label, fontsize="x-small", ha="center", va="center")
