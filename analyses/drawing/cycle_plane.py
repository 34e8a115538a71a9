"""The plane of a cycle: the polygon in it, its vertices, and exact supports."""

from typing import TYPE_CHECKING

import numpy as np

from birkhoff_cli.analyses.core.arrays import Array
from birkhoff_cli.analyses.core.lettering import SMALL
from birkhoff_cli.analyses.drawing import plane
from birkhoff_cli.analyses.geometry import cycles
from birkhoff_cli.analyses.geometry.hypocycloids import Support

if TYPE_CHECKING:
    from matplotlib.axes import Axes


LONG_NAMES = 4
"""Vertices from which on the name of one is long."""


def outline_sets(axes: "Axes", d: int, support: Support | None) -> None:
    """The polygon of the d-cycle with its vertices named, and the exact support in it."""
    re, im = Support("polygon", d).boundary()
    axes.plot(im, re, color="0.35", lw=0.8, label="doubly stochastic matrices")
    for k in range(d):
        x, y = im[k] * 1.06, re[k] * 1.1
        side = "center" if abs(x) < 0.1 else "left" if x > 0 else "right"
        axes.text(x, y, cycles.notation(d, k), ha=side, va="center", fontsize=SMALL)
    if support is not None and support.shape not in ("polygon", "plane"):
        bound_re, bound_im = support.boundary()
        marker = "o" if support.shape == "point" else ""
        style = {"marker": marker, "ls": "-.", "label": "exact support"}
        plane.outline(axes, bound_im, bound_re, width=1.3, **style)
    axes.set(xlabel=f"Im z = $\\Sigma_k\\; \\alpha_k \\sin(2 \\pi k/{d})$")
    axes.set(ylabel=f"Re z = $\\Sigma_k\\; \\alpha_k \\cos(2 \\pi k/{d})$")


def frame(axes: "Axes", re: Array, im: Array) -> None:
    """Leave room for the names of the vertices, beside and below them, and for points beyond."""
    wide = max(1.0, float(np.abs(im).max(initial=0)))
    wide *= 1.45 if len(axes.texts) < LONG_NAMES else 1.75
    low = min(*(float(line.get_ydata().min()) for line in axes.lines), float(re.min(initial=0)))  # type: ignore[union-attr]
    high = max(1.0, float(re.max(initial=0)))
    axes.set(xlim=(-wide, wide), ylim=(low - 0.25, high + 0.25), aspect="equal")


def title(axes: "Axes", kind: str, d: int, support: Support | None) -> None:
    """What is shown, projection or slice, and what is known of its exact support."""
    head = f"projection onto the plane of the {d}-cycle"
    if kind == "slice":
        head = f"slice: matrices that lie in the plane of {'the' if d == 3 else 'a'} 3-cycle"
    exact = "exact support not known"
    if support is not None:
        is_filled = support.shape == "scallops"
        exact = f"{support.fraction:.4f} of the area" if is_filled else support.description
        exact = f"exact: {exact}{'' if support.proven else ' (found numerically)'}"
    axes.set_title(f"{head}\n{exact}", fontsize=SMALL)
