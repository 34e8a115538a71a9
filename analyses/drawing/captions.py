"""Titles and legends."""

from typing import TYPE_CHECKING, Any

from birkhoff_cli.analyses.core.lettering import LETTER, SMALL, TITLE, fit_width
from birkhoff_cli.analyses.core.metadata import meta_of

if TYPE_CHECKING:
    import pyarrow as pa
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

HANDLE = 4.5
"""Width of what stands before a label of a legend, and of the space after it, in ems."""


def title(result: "pa.Table", figure: "Figure") -> dict[str, Any]:
    """Write the title that a table gives itself above a figure; return what else it says."""
    meta = meta_of(result)
    if meta.get("title"):
        figure.suptitle(fit_width(meta["title"], _inches(figure), TITLE))
    return meta


def legend(axes: "Axes", heading: str | None = None, handles: list[Any] | None = None) -> None:
    """A small legend above axes, where it hides no data: as many columns as there is room for.

    Args:
        axes: their labels are its entries.
        heading: a line above the entries.
        handles: the entries, if not everything in ``axes`` that has a label.
    """
    if handles is None:
        handles = axes.get_legend_handles_labels()[0]
    if not handles:
        return
    labels = [str(handle.get_label()) for handle in handles]
    axes.legend(
        handles=handles,
        ncols=_columns(labels, _inches(axes)),
        title=None if heading is None else fit_width(heading, _inches(axes)),
        alignment="left",
        loc="lower left",
        bbox_to_anchor=(0, 1.01),
        borderaxespad=0,
        borderpad=0.2,
        labelspacing=0.25,
        columnspacing=1.2,
        frameon=False,
        fontsize=SMALL,
        title_fontsize=SMALL,
    )


def legend_under(axes: "Axes") -> None:
    """The same in one column below axes."""
    axes.legend(
        loc="upper center",
        bbox_to_anchor=(0.5, -0.25),
        borderaxespad=0,
        labelspacing=0.3,
        handlelength=1.4,
        frameon=False,
        fontsize=SMALL,
    )


def _columns(labels: list[str], inches: float) -> int:
    """Columns that stand beside one another in a width, with no more rows than they need."""
    widest = max(len(_plain(label)) for label in labels)
    room = max(1, int(72 * inches / (SMALL * (HANDLE + LETTER * widest))))
    return min(room, len(labels))


def _plain(label: str) -> str:
    """About the letters that a formula shows."""
    return label.replace("\\lambda", "l").replace("\\sqrt", "v").translate(FORMULA)


FORMULA = str.maketrans("", "", "${}\\")


def _inches(part: "Figure | Axes") -> float:
    """Width of a figure, a part of one, or of axes before they are moved to where they fit."""
    figure: Any = part.figure  # of a part of a figure its parent, which has the same dots
    return float(part.bbox.width / figure.dpi)


def legend_below(figure: "Figure", axes: "Axes", heading: str | None = None) -> None:
    """One legend of the labels in ``axes`` for all of a figure, below it."""
    entries_below(figure, axes.get_legend_handles_labels()[0], heading)


def entries_below(figure: "Figure", handles: list[Any], heading: str | None = None) -> None:
    """A legend of these entries for all of a figure, below it."""
    labels = [str(handle.get_label()) for handle in handles]
    figure.legend(
        handles=handles,
        loc="outside lower center",
        ncols=_columns(labels, _inches(figure)),
        title=heading,
        frameon=False,
        columnspacing=1.2,
        fontsize=SMALL,
        title_fontsize=SMALL,
    )
