"""Regions of the complex plane that hold eigenvalues of matrices: one file, one frozen dataclass.

A member is a subclass of `birkhoff_cli.analyses.geometry.region.Region`, which lists what it has
to say: boundary, distances, what is proven, and its style in a picture.
"""

import inspect

from birkhoff_cli.analyses.core import discover
from birkhoff_cli.analyses.geometry.region import Region


def names() -> tuple[str, ...]:
    """Every region, as on the command line."""
    return discover.members(__name__)


def headline(name: str) -> str:
    """What the region is, in one sentence; does not import it."""
    return discover.headline(__name__, name)


def load(name: str) -> type[Region]:
    """The class that ``analyses/regions/<name>.py`` defines; hyphens and spaces are the same.

    Raises:
        UsageError: there is no such region; the nearest name is given.
    """
    module = discover.member(__name__, name.replace(" ", "-"))
    classes = (c for _, c in inspect.getmembers(module, inspect.isclass))
    return next(c for c in classes if c.__module__ == module.__name__ and issubclass(c, Region))
