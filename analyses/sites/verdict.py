"""The verdict on the matrices of a site, from the means of what is measured of them."""

from math import sqrt
from typing import Any, Literal

import numpy as np

Verdict = Literal["identity-degenerate", "near-permutation", "near-uniform", "signed", "mixing"]
WORDS: dict[str | None, str] = {
    "identity-degenerate": "matrices sit at the identity",
    "near-permutation": "matrices sit at permutations",
    "near-uniform": "matrices average all streams alike",
    "signed": "matrices have negative entries",
    "mixing": "matrices mix",
}
"""What a verdict says, in words."""

NEAR, SIGNED = 0.2, 0.01
"""Distance over ``sqrt(d - 1)`` up to which matrices are near; share of mass to be signed."""

Numbers = dict[str, Any]


def judge(numbers: Numbers, d: int) -> Any:
    """The first verdict that holds, for every site or for all; None for d = 1."""
    near = NEAR * sqrt(d - 1)
    holds = [
        numbers["identity_distance"] <= near,
        numbers["permutation_distance"] <= near,
        numbers["barycenter_distance"] <= near,
        numbers["negative_mass"] >= SIGNED,
    ]
    words = np.select(
        holds, ["identity-degenerate", "near-permutation", "near-uniform", "signed"], "mixing"
    )
    return words.astype(object) if d > 1 else np.full(words.shape, None)
