"""Text of pictures: how small it may be, and how much of it fits in a width."""

from textwrap import wrap

SMALL = 8.0
"""Points of the smallest text: less cannot be read where pictures are shown."""

TITLE = 9.0
"""Points of a title."""

LETTER = 0.56
"""Mean width of a letter, in ems."""

MIN_LETTERS = 16
"""Letters in a line at least, however narrow a part of a picture is."""


def fit_width(text: str, inches: float, points: float = SMALL) -> str:
    """Text in as many lines as a width takes."""
    letters = max(MIN_LETTERS, int(72 * inches / (LETTER * points)))
    return "\n".join(wrap(text, letters, break_long_words=False, break_on_hyphens=False))
