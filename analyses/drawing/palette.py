"""Colours of pictures, told apart by colour-blind readers too.

Source: Okabe & Ito, Color Universal Design (2008).
"""

from typing import TYPE_CHECKING, Any

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

CURVES = (BLUE, ORANGE, GREEN, PURPLE, SKY, VERMILION, YELLOW, BLACK)
"""Of lines side by side, in this order."""

LIGHTEST = 0.88
"""Share of a colour map that is dark enough for a line on white."""


def shades(count: int) -> Any:
    """Colours of so many lines, from dark to light."""
    import matplotlib as mpl

    return mpl.colormaps["viridis"](np.linspace(0, LIGHTEST, count))


def scale(low: float, high: float) -> "ScalarMappable":
    """Colours of lines by a number between ``low`` and ``high``, and what a colour bar needs."""
    import matplotlib as mpl

    return mpl.cm.ScalarMappable(
        mpl.colors.Normalize(low, high), mpl.colors.ListedColormap(shades(256))
    )
