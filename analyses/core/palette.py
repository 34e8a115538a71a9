"""Colours of pictures, told apart by colour-blind readers too.

Source: Okabe & Ito, Color Universal Design (2008).
"""

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from matplotlib.cm import ScalarMappable

BLUE = "#0072b2"
ORANGE = "#e69f00"
GREEN = "#009e73"
VERMILION = "#d55e00"
SKY = "#56b4e9"
PURPLE = "#cc79a7"
YELLOW = "#f0e442"
BLACK = "#000000"
GREY = "#999999"


class Look(NamedTuple):
    """What a line is told apart by: its colour, and without colours its dashes and its mark."""

    colour: str
    dashes: Any
    marker: str


LOOKS = (
    Look(BLUE, "-", "o"),
    Look(ORANGE, "--", "s"),
    Look(GREEN, "-.", "D"),
    Look(VERMILION, ":", "^"),
    Look(SKY, (0, (6, 1, 1, 1, 1, 1)), "v"),
    Look(PURPLE, (0, (5, 3)), "P"),
    Look(BLACK, (0, (1, 2)), "X"),
    Look(GREY, (0, (8, 2, 2, 2)), "*"),
)
"""Of lines side by side, in this order."""


def looks(names: Any) -> dict[str, Look]:
    """A look for every name, from the first again where there are more."""
    return {name: LOOKS[k % len(LOOKS)] for k, name in enumerate(names)}


LIGHTEST = 0.88
"""Share of a colour map that is dark enough for a line on white."""


def shades(count: int) -> Any:
    """Colours of so many lines, from dark to light."""
    import matplotlib as mpl

    return mpl.colormaps["viridis"](np.linspace(0, LIGHTEST, count))


def numbers(low: float, high: float) -> "ScalarMappable":
    """Colours of lines by a number between ``low`` and ``high``, and what a colour bar needs."""
    import matplotlib as mpl

    return mpl.cm.ScalarMappable(
        mpl.colors.Normalize(low, max(high, low + 1)), mpl.colors.ListedColormap(shades(256))
    )


def colour_bar(figure: Any, colours: Any, beside: Any, label: str) -> None:
    """What colours mean: whole numbers, such as layers and steps, beside some axes."""
    from matplotlib.ticker import MaxNLocator

    bar = figure.colorbar(colours, ax=beside, label=label)
    bar.locator = MaxNLocator(integer=True)
