"""B_3 in three of its four dimensions, seen from all around, with matrices inside."""

from typing import TYPE_CHECKING, Any

import numpy as np

from birkhoff_cli.analyses.core.lettering import SMALL, fit_width
from birkhoff_cli.analyses.core.palette import GREEN, PURPLE
from birkhoff_cli.analyses.geometry import cycles

if TYPE_CHECKING:
    import pyarrow as pa
    from matplotlib.figure import Figure

SIZE = (8.3, 5.6)
"""Of the picture in inches."""

MAX_POINTS = 20_000
"""Points at most in a three-dimensional picture."""

VIEWS = (((18, -62), (24, 20)), ((18, -62), (24, 20)))
"""Elevation and azimuth of the two views of either row, in degrees."""

ROWS = (
    ("w_re", "Re w", ("(2 3)", "(1 2), (1 3)", "")),
    ("w_im", "Im w", ("(2 3)", "(1 2)", "(1 3)")),
)
"""The coordinate that goes up in a row of pictures, and the names of the swaps."""

SOLID_OF = (
    "z: the third roots of unity, weighted as the three cyclic permutations are; w: the same of "
    "the swaps. The plane of z lies flat; where Re w or Im w goes up, the other one is not seen."
)
"""What the coordinates are."""


def draw_solid(result: "pa.Table", figure: "Figure") -> None:
    """B_3 has the coordinates z and w: rows show (z, Re w) and (z, Im w), columns rotations.

    The three cyclic permutations have a third root of unity as z, and w = 0; the swaps the other
    way round. Every two vertices of B_3 are joined by an edge. The last column is seen from above.
    """
    rows = np.flatnonzero(result["kind"].to_numpy() == "projection")
    rows = rows[:: -(-len(rows) // MAX_POINTS)]
    flat = [result[name].to_numpy()[rows] for name in ("im", "re")]
    root = np.exp(2j * np.pi / 3 * np.arange(3))
    for row, (name, word, swaps) in enumerate(ROWS):
        corners = np.zeros((3, 6))
        corners[:2, :3] = root.imag, root.real
        corners[2, 3:] = root.real if name == "w_re" else root.imag
        labels = (*(cycles.notation(3, k) for k in range(3)), *swaps)
        for turn, (elevation, azimuth) in enumerate(VIEWS[row]):
            axes: Any = figure.add_subplot(2, 3, 3 * row + turn + 1, projection="3d")
            axes.set_proj_type("ortho")
            _polytope(axes, corners, labels)
            up = result[name].to_numpy()[rows]
            axes.scatter(*flat, up, s=1, color=GREEN, lw=0, alpha=0.5, rasterized=True)
            axes.view_init(elevation, azimuth)
            axes.set_box_aspect(np.ptp(corners, axis=1), zoom=ZOOM)
            axes.set_axis_off()
            side = ("front", "side")[turn]
            axes.set_title(f"{word} upwards, from the {side}", fontsize=SMALL, y=1.06)
    _from_above(result, figure, rows)
    figure.supxlabel(fit_width(SOLID_OF, SIZE[0]), fontsize=SMALL)


ZOOM = 1.2
"""Of three-dimensional axes, which leave much room around what they show."""


def _from_above(result: "pa.Table", figure: "Figure", rows: Any) -> None:
    """The plane of z, and that of w: what is seen along the other coordinate."""
    for panel, names, word in ((3, ("im", "re"), "z"), (6, ("w_im", "w_re"), "w")):
        axes = figure.add_subplot(2, 3, panel)
        across, up = (result[name].to_numpy()[rows] for name in names)
        axes.scatter(across, up, s=1, color=GREEN, lw=0, alpha=0.5, rasterized=True)
        root = np.exp(2j * np.pi / 3 * np.arange(4))
        axes.plot(root.imag, root.real, color="0.4", lw=0.8)
        labels = [cycles.notation(3, k) for k in range(3)] if word == "z" else SWAPS
        for corner, label in zip(root[:3], labels, strict=True):
            at = (corner.imag * 1.05, corner.real * 1.16)
            axes.text(*at, label, fontsize=SMALL, ha="center", va="center")
        axes.set(xlim=(-1.15, 1.15), ylim=(-0.75, 1.3), aspect="equal")
        axes.set_axis_off()
        axes.set_title(f"plane of {word}", fontsize=SMALL)


SWAPS = ("(2 3)", "(1 2)", "(1 3)")
"""Permutations whose w are the third roots of unity, in their order."""


def _polytope(axes: Any, corners: Any, labels: tuple[str, ...]) -> None:
    """Faces of two cyclic permutations and a swap, all edges, and names of the vertices."""
    faces = [(i, j, k) for i, j in ((0, 1), (1, 2), (0, 2)) for k in (3, 4, 5)]
    axes.plot_trisurf(*corners, triangles=faces, color=PURPLE, alpha=0.08, lw=0)
    for i in range(6):
        for j in range(i):
            axes.plot(*corners[:, [i, j]], color="0.4", lw=0.6)
    for corner, label in zip(corners.T, labels, strict=False):
        centered = {"ha": "center", "va": "center", "bbox": BEHIND}
        axes.text(*(corner * 1.17), label, fontsize=SMALL, zorder=10, **centered)


BEHIND = {"facecolor": "white", "alpha": 0.85, "lw": 0, "pad": 0.6}
"""The ground of a name, so that an edge behind it does not cross its letters."""
