"""Text of pictures: how small it may be, and how much of it fits in a width."""

import re
from textwrap import wrap

SMALL = 8.0
"""Points of the smallest text: less cannot be read where pictures are shown."""

TITLE = 9.0
"""Points of a title."""

LETTER = 0.56
"""Mean width of a letter, in ems."""

NEAR_ONE = 1e-4
"""Distance from 1 up to which a tick says that distance: more digits cannot be read."""

MIN_LETTERS = 16
"""Letters in a line at least, however narrow a part of a picture is."""


def fit_width(text: str, inches: float, points: float = SMALL) -> str:
    """Text in as many lines as a width takes."""
    letters = max(MIN_LETTERS, int(72 * inches / (LETTER * points)))
    return "\n".join(wrap(text, letters, break_long_words=False, break_on_hyphens=False))


def tick(value: float) -> str:
    """A number at an axis: ``0.25``, ``1e-07``; near 1 its distance from that, ``1+2e-7``."""
    text = f"{value:.6g}"
    if 0 < abs(value - 1) <= NEAR_ONE:
        text = f"1{value - 1:+.2g}"
    return text.replace("e-0", "e-")


def label(key: str) -> str:
    """A key as words: ``sweeps_1e_3`` is ``sweeps 1e-3``."""
    return POWER.sub(r"1e-\1", key.replace("_", " "))


POWER = re.compile(r"\b1e (\d+)\b")
