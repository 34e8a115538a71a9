"""How much of given matrices, or of the polytope, a method reaches, as numbers of a summary."""

from typing import Any

import numpy as np

from birkhoff_cli.analyses.core.arrays import Array
from birkhoff_cli.analyses.core.describe import specification
from birkhoff_cli.analyses.core.quantities import AT_LEAST_0, SHARE, quantity
from birkhoff_cli.analyses.geometry.cover import cover
from birkhoff_cli.analyses.geometry.image import Image
from birkhoff_cli.analyses.geometry.targets import binomial_error

REACHED = (
    quantity(
        "share_reached",
        "share of the matrices that --method reaches; descents that miss make it too small",
        range=SHARE,
        good="1",
    ),
    quantity("share_error", "standard error of it, if the matrices are independent draws"),
    quantity("tolerance", "distance up to which a matrix is reached"),
    *(
        quantity(
            f"distance_{key}",
            f"{word} of the upper bounds on the distances to what --method reaches",
            range=AT_LEAST_0,
            good="near 0",
        )
        for key, word in (("p50", "median"), ("p90", "90th percentile"), ("max", "largest"))
    ),
)
"""What `summarise_reach` gives."""

COVERED = (
    quantity(
        "cover_distance",
        "distance of the doubly stochastic matrix that is farthest from what --method reaches, of "
        "those found: a lower bound on the covering radius as far as descents find the nearest",
        range=AT_LEAST_0,
        good="near 0",
    ),
    quantity("cover_proven", "whether none is farther, by convexity and trying all permutations"),
    quantity("cover_entries", "entries of that matrix, row by row"),
)
"""What `summarise_cover` gives."""


def summarise_image(
    image: Image | None,
    distances: list[Array],
    tolerance: float,
    rng: np.random.Generator | None,
) -> dict[str, Any]:
    """What is known of the distances to the image of a method; nothing without one.

    Args:
        image: of the method.
        distances: to it, in parts.
        tolerance: see `summarise_reach`.
        rng: of the search for the farthest matrix; None if there is none.
    """
    if image is None:
        return {}
    reached = summarise_reach(np.concatenate(distances), tolerance)
    farthest = {} if rng is None else summarise_cover(image, rng)
    return {"method": specification(image.method), **reached, **farthest}


def summarise_reach(distances: Array, tolerance: float) -> dict[str, Any]:
    """Share within the tolerance, and percentiles, of distances ``(n,)``."""
    reached = float((distances <= tolerance).mean())
    p50, p90 = np.quantile(distances, (0.5, 0.9))
    return {
        "share_reached": reached,
        "share_error": binomial_error(reached, len(distances)),
        "tolerance": tolerance,
        "distance_p50": float(p50),
        "distance_p90": float(p90),
        "distance_max": float(distances.max()),
    }


def summarise_cover(image: Image, rng: np.random.Generator) -> dict[str, Any]:
    """The matrix that is farthest from an image, and how far."""
    covering = cover(image, rng)
    return {
        "cover_distance": covering.distance,
        "cover_proven": covering.proven,
        "cover_entries": [float(entry) for entry in covering.matrix.ravel()],
    }
