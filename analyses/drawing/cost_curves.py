"""Costs over the number of streams, hollow where nothing can run."""

from typing import TYPE_CHECKING, Any

import numpy as np

from birkhoff_cli.analyses.core import palette

if TYPE_CHECKING:
    import pyarrow as pa
    from matplotlib.axes import Axes


TOP = 300
"""A curve that is not feasible leaves the picture that far above all that are."""


CROWDED = 1.2
"""Sizes less than this factor apart share a tick."""


def draw_costs(axes: "Axes", result: "pa.Table", names: tuple[str, ...]) -> None:
    """Columns over d, the first solid and the second dashed, a colour for every method."""
    method, d = (result[name].to_numpy() for name in ("method", "d"))
    possible = result["reason"].is_null().to_numpy()
    axes.set(xscale="log", yscale="log")
    seen = []
    for word, own_look in palette.looks(dict.fromkeys(method.tolist())).items():
        look: dict[str, Any] = {"color": own_look.colour, "marker": own_look.marker}
        look |= {"ms": 4.5, "lw": 1.1}
        for name, dashes in zip(names, ("-", "--"), strict=False):
            own, y = method == word, result[name].to_numpy().astype(float)
            axes.plot(d[own], y[own], dashes, **look, label=word if dashes == "-" else None)
            beyond = own & ~possible
            axes.plot(d[beyond], y[beyond], ls="", **look | {"mfc": "white"})
            seen.append(y[own & possible])
    _limits(axes, d, np.concatenate(seen))


def _limits(axes: "Axes", d: Any, seen: Any) -> None:
    """What is feasible and some room above it; a tick for every d that has room."""
    seen = seen[seen > 0]
    if seen.size:
        axes.set_ylim(seen.min() / 2, min(axes.get_ylim()[1], TOP * seen.max()))
    ticks: list[int] = []
    for size in sorted({int(v) for v in d}):
        if not ticks or size >= CROWDED * ticks[-1]:
            ticks.append(size)
    axes.set_xticks(ticks, [str(size) for size in ticks])
    axes.minorticks_off()
    axes.grid(alpha=0.25, lw=0.5)
