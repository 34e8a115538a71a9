"""Regions of the complex plane that hold eigenvalues of matrices: one file, one frozen dataclass.

A member is a subclass of `birkhoff_cli.analyses.geometry.region.Region`, which lists what it has
to say: boundary, distances, what is proven, and its style in a picture.
"""

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
        Unusable: its file cannot be imported, or defines no whole region.
    """
    region: type[Region] = discover.subclass(__name__, name.replace(" ", "-"), Region)
    return region
