"""What targets and a frontier add to the numbers of a region, declared without their searches."""

from birkhoff_cli.analyses.core.quantities import AT_LEAST_0, SHARE, quantity

TARGETS = (
    quantity("targets", "points of the plane that eigenvalues were moved to", range=AT_LEAST_0),
    quantity("hits", "share of targets with an eigenvalue within 1e-3", range=SHARE),
)
"""What targets add to those of a region, besides the errors of sums."""

FRONTIER = (
    quantity("area_discretisation", "error of the area by the grid of angles", range=AT_LEAST_0),
    quantity(
        "area_uncertainty",
        "area that may be missing: what the search may have missed, or what is not known",
        range=AT_LEAST_0,
    ),
    quantity("proven", "whether the area is proven"),
    quantity("proven_by", "why, or where it comes from"),
    quantity("area_found", "area that the search found", range=AT_LEAST_0),
    quantity("area_found_error", "error of that area", range=AT_LEAST_0),
    quantity("area_outside", "area that the search found outside the region", range=AT_LEAST_0),
    quantity(
        "gap_max",
        "largest distance from the boundary of the region to the curve",
        range=AT_LEAST_0,
        good="near 0",
    ),
    quantity("gap_expected", "what that distance should be, where it is known", range=AT_LEAST_0),
    quantity("gap_proven", "whether that is proven; null where nothing is known"),
)
"""What a frontier adds to those of a region."""
