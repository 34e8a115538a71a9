"""Titles and legends."""

from typing import TYPE_CHECKING, Any

from birkhoff_cli.analyses.core.metadata import meta_of

if TYPE_CHECKING:
    import pyarrow as pa
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SMALL = "x-small"


def title(result: "pa.Table", figure: "Figure") -> dict[str, Any]:
    """Write the title that a table gives itself above a figure; return what else it says."""
    meta = meta_of(result)
    figure.suptitle(meta["title"], fontsize="medium")
    return meta


def legend(axes: "Axes", heading: str | None = None, **place: Any) -> None:
    """A small legend within axes; ``place`` says where, and how it looks otherwise."""
    if heading is not None:
        place |= {"title": heading, "title_fontsize": SMALL}
    axes.legend(fontsize=SMALL, **place)


def legend_below(figure: "Figure", axes: "Axes", columns: int, heading: str | None = None) -> None:
    """One legend of the labels in ``axes`` for all of a figure, below it."""
    handles, labels = axes.get_legend_handles_labels()
    below = figure.legend(handles, labels, loc="outside lower center", ncols=columns, frameon=False)
    if heading is not None:
        below.set_title(heading)
