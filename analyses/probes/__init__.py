"""Ways to look for the eigenvalues of a method: by drawing, by aiming, by pushing outwards.

A probe is columns that stream, counted as they go by, and a summary that is known at the end.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

from birkhoff_cli.analyses.core.result import Summary
from birkhoff_cli.analyses.core.table import Columns


class Probe(NamedTuple):
    """What `birkhoff_cli.analyses.core.result.Result` needs, besides a schema."""

    columns: tuple[str, ...]
    """Names of the columns that its steps hold."""
    steps: Iterator[Columns]
    """The rows, step by step; a step without rows is empty."""
    summary: Callable[[], Summary]
    """The numbers; call it after the last step."""
    total: int
    """About how many steps."""
