"""Text of pictures: how small it may be, and how much of it fits in a width."""

import re
from textwrap import wrap
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axis import Axis

SMALL = 8.0
"""Points of the smallest text: less cannot be read where pictures are shown."""

TITLE = 9.0
"""Points of a title."""

LETTER = 0.56
"""Mean width of a letter, in ems."""

NEAR_ONE = 1e-4
"""Distance of an axis's ends from 1 up to which ticks say it: more digits cannot be read."""

MIN_LETTERS = 16
"""Letters in a line at least, however narrow a part of a picture is."""


def fit_width(text: str, inches: float, points: float = SMALL) -> str:
    """Text in as many lines as a width takes."""
    letters = max(MIN_LETTERS, int(72 * inches / (LETTER * points)))
    return "\n".join(wrap(text, letters, break_long_words=False, break_on_hyphens=False))


def tick(value: float, is_distance: bool) -> str:
    """A number at an axis: ``0.25``, ``1e-7``; as a distance from 1 ``1+2e-7``."""
    text = f"1{value - 1:+.2g}" if is_distance and value != 1 else f"{value:.7g}"
    return text.replace("e-0", "e-")


def write_numbers(axis: "Axis") -> None:
    """Writes all ticks of an axis alike: as distances from 1 where all that it shows is near 1."""

    def written(value: float, _: float) -> str:
        low, high = axis.get_view_interval()
        return tick(value, max(abs(low - 1), abs(high - 1)) <= NEAR_ONE)

    axis.set_major_formatter(written)


def label(key: str) -> str:
    """A key as words: ``sweeps_1e_3`` is ``sweeps 1e-3``."""
    return POWER.sub(r"1e-\1", key.replace("_", " "))


POWER = re.compile(r"\b1e (\d+)\b")
