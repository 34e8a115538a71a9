"""Saying no before memory runs out."""

import os

from birkhoff_cli.analyses.core.errors import TooLarge


def available() -> int:
    """Bytes of memory this machine could give now."""
    return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def require_memory(size: float, what: str) -> None:
    """Refuse work that would take more than half of the available memory.

    Raises:
        TooLarge: saying what is too large, what it would need and what there is.
    """
    limit = available() / 2
    if size > limit:
        raise TooLarge(
            f"{what} would need {size / 2**30:,.1f} GiB and {limit / 2**30:,.1f} GiB may be used; "
            f"make it smaller"
        )
