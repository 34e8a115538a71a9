"""The verdict on the matrices of a site, from the means of what is measured of them."""

from math import sqrt
from typing import Any, Literal, get_args

import numpy as np

from birkhoff_cli.analyses.core.quantities import judged
from birkhoff_cli.analyses.core.questions import Question
from birkhoff_cli.analyses.core.result import Summary
from birkhoff_cli.analyses.core.sentences import short

Verdict = Literal[
    "saturated", "identity-degenerate", "near-permutation", "near-uniform", "signed", "mixing"
]
WORDS: dict[str | None, str] = {
    "saturated": "logits spread further than the iterations can balance",
    "identity-degenerate": "matrices sit at the identity",
    "near-permutation": "matrices sit at permutations",
    "near-uniform": "matrices average all streams alike",
    "signed": "matrices have negative entries",
    "mixing": "matrices mix",
}
"""What a verdict says, in words."""

NEAR, SIGNED = 0.2, 0.01
"""Distance over ``sqrt(d - 1)`` up to which matrices are near; share of mass to be signed."""

SATURATED = 0.01
"""Mean of the largest |sum - 1| above which a Sinkhorn has not balanced its logits."""

JUDGED = judged(
    "what the matrices of all sites are; null for d = 1, or if they are not finite",
    "mixing",
    "distance up to which matrices are at I, a permutation, or J/d",
)
"""The verdict on all sites, and what it was found by."""

Numbers = dict[str, Any]


def judge(numbers: Numbers, d: int, sum_error: Any = 0.0) -> Any:
    """The first verdict that holds, for every site or for all; None for d = 1.

    Args:
        numbers: means over samples.
        d: number of streams.
        sum_error: the mean of the largest |sum - 1| of matrices that a Sinkhorn balanced; 0 of
            others, which may have any sums.
    """
    near = NEAR * sqrt(d - 1)
    holds = [
        np.broadcast_to(np.asarray(sum_error) > SATURATED, np.shape(numbers["identity_distance"])),
        numbers["identity_distance"] <= near,
        numbers["permutation_distance"] <= near,
        numbers["barycenter_distance"] <= near,
        numbers["negative_mass"] >= SIGNED,
    ]
    *others, rest = get_args(Verdict)
    labels = np.select(holds, others, rest)
    return labels.astype(object) if d > 1 else np.full(labels.shape, None)


def mixing_question(summary: Summary, answer: str) -> Question:
    """Whether a model mixes, of a summary with a verdict and its threshold."""
    verdict = summary["verdict"]
    return Question(
        "Does it mix, or sit at the identity?",
        answer,
        verdict,
        None if verdict is None else verdict == "mixing",
        f"at I, a permutation or J/d if the mean distance to it is at most "
        f"{short(summary['threshold'])}, a fifth of the way from I to J/d",
    )
