"""Learned weights of the permutations that a method mixes, over depth and steps.

Methods that mix fixed permutations learn one logit for each: be-hc, mhc-lite, every factor of
kromhc and of krom-sum; averaged-go-mhc weights matrices that are learned themselves. These weights
are no decomposition of H, which has others (birkhoff decompose).

alpha_1 is the weight of the identity. The entropy, in nats, is that of the distribution over all
terms of H: 0 if one has all of the weight, ln(terms) if all have the same; its exponential is the
effective number of terms. Of a Kronecker product a term is one permutation for each factor, so that
alpha_1 is a product and the entropy a sum; of a sum of products, a product and its permutations.
Where streams move the weights (--inputs gaussian, tokens=FILE), all of these are means over
samples.

Source: BE-HC, 2.3, figures 5, 6, D.2; mHC-lite; KromHC; go-mHC, H.1, H.2.
"""

from typing import TYPE_CHECKING, Annotated, Any

import numpy as np

from birkhoff_cli.analyses import parameterizations
from birkhoff_cli.analyses.core.analysis import analysis
from birkhoff_cli.analyses.core.errors import BadInput, Unsupported
from birkhoff_cli.analyses.core.fold import Chained, Series, run_fold
from birkhoff_cli.analyses.core.mixture import Mixtures, count_terms, joint, uniform_entropy
from birkhoff_cli.analyses.core.parameterization import Parameterization
from birkhoff_cli.analyses.core.quantities import (
    AT_LEAST_0,
    AT_LEAST_1,
    METHOD,
    SAMPLES,
    SHARE,
    SITES,
    STEP,
    D,
    quantity,
)
from birkhoff_cli.analyses.core.result import Result, Summary
from birkhoff_cli.analyses.core.sentences import count, share, short
from birkhoff_cli.analyses.core.series import check_steps, meta_of_series, over_steps
from birkhoff_cli.analyses.core.source import Draws, Source
from birkhoff_cli.analyses.core.table import column
from birkhoff_cli.analyses.core.trace import site_schema
from birkhoff_cli.analyses.drawing import captions, weight_panels
from birkhoff_cli.analyses.sites.mixtures import Parameters, Step
from birkhoff_cli.analyses.statistics.distributions import QUANTILE_ERROR

if TYPE_CHECKING:
    import pyarrow as pa
    from matplotlib.figure import Figure

EXAMPLES = (
    "birkhoff weights out/be-hc.pt --plot weights.png",
    "birkhoff weights out/be-hc/ckpt_*.pt -o weights.parquet --plot routing.png",
    "birkhoff weights out/mhc-lite.pt --inputs gaussian --json",
    "birkhoff weights --method krom-sum -n 1000 --plot weights.png",
)

OF_SITE = "over all terms of the site"
SCHEMA = (
    column("step", "int64", "training step of the model; null if not known", nullable=True),
    *site_schema(),
    column(
        "factor",
        "int32",
        "factor of a Kronecker product, the slowest index first; null if H is none, and of "
        "the weights of a sum",
        nullable=True,
    ),
    column(
        "summand",
        "int32",
        "product of a sum of products; null if H is none, and of the weights of the sum",
        nullable=True,
    ),
    column("term", "int32", "term of the mixture, counted from 0"),
    column(
        "permutation",
        "list<int32>",
        "its permutation, P[i, permutation[i]] = 1; null of a term that is no permutation",
        nullable=True,
    ),
    column("weight", "float64", "weight of the term, mean over samples; a mixture's sum to 1"),
    column("p10", "float64", "10th percentile of the weight over samples"),
    column("p50", "float64", "median of the weight over samples"),
    column("p90", "float64", "90th percentile of the weight over samples"),
    column(
        "alpha_1",
        "float64",
        "weight of the identity at the site, mean over samples; null if no term is it",
        nullable=True,
    ),
    column("alpha_1_p10", "float64", "10th percentile of alpha_1 over samples", nullable=True),
    column("alpha_1_p90", "float64", "90th percentile of alpha_1 over samples", nullable=True),
    column("entropy", "float64", f"entropy of the weights {OF_SITE}, mean", unit="nat"),
    column("entropy_p10", "float64", "10th percentile of the entropy over samples", unit="nat"),
    column("entropy_p90", "float64", "90th percentile of the entropy over samples", unit="nat"),
    column("effective_terms", "float64", "exp(entropy), mean over samples: terms that count"),
    column(
        "dominant",
        "list<int32>",
        "permutation of the heaviest term of H at the site; null if that is none",
        nullable=True,
    ),
)
OVER_SITES = "over sites"
NUMBERS = (
    quantity("terms", "terms that H mixes", range=AT_LEAST_1),
    quantity(
        "alpha_1_mean",
        f"mean {OVER_SITES} of the weight of the identity; null if no term is it",
        range=SHARE,
    ),
    quantity("alpha_1_min", f"smallest {OVER_SITES} of alpha_1", range=SHARE),
    quantity("alpha_1_max", f"largest {OVER_SITES} of alpha_1", range=SHARE),
    quantity("alpha_1_initial", "alpha_1 at the published start of training", range=SHARE),
    quantity("entropy_mean", f"mean {OVER_SITES} of the entropy", unit="nat", range=AT_LEAST_0),
    quantity("entropy_min", f"smallest {OVER_SITES} of the entropy", unit="nat", range=AT_LEAST_0),
    quantity("entropy_max", f"largest {OVER_SITES} of the entropy", unit="nat", range=AT_LEAST_0),
    quantity("entropy_initial", "entropy at the published start", unit="nat", range=AT_LEAST_0),
    quantity("entropy_uniform", "ln(terms): that of equal weights", unit="nat", range=AT_LEAST_0),
    quantity(
        "effective_terms_mean", f"mean {OVER_SITES} of the effective number", range=AT_LEAST_1
    ),
    quantity(
        "identity_dominant_fraction",
        "share of sites whose heaviest term is the identity; null if terms are no permutations",
        range=SHARE,
    ),
    quantity(
        "dominant_permutations",
        "permutations that are the heaviest term of a site, the most frequent first",
        rows=(
            quantity("permutation", "the permutation, P[i, permutation[i]] = 1"),
            quantity("sites", "sites whose heaviest term it is", range=AT_LEAST_0),
            quantity("weight", "mean over these sites of its weight", range=SHARE),
        ),
    ),
    QUANTILE_ERROR,
)
SUMMARY = (METHOD, STEP, D, SITES, SAMPLES, *NUMBERS)

SIZE = (8.3, 5.6)


@analysis
def run(series: Annotated[tuple[Source, ...], Draws(samples=1000)]) -> Result:
    """Weights of every term at every site, at every step.

    Args:
        series: one trace, several of one model in order of training, or draws.

    Returns:
        A row for every step, site and term. The summary has, of the last step, means and extremes
        over sites of alpha_1 and of the entropy, what they are at the published start, and which
        permutations are the heaviest. A series adds ``steps``, the same of every step.

    Raises:
        Unsupported: a method without such weights, or matrices alone.
        BadInput: models that differ in their method or in their sites.
    """
    map_ = _map(series[0])
    _check(series, map_)
    mixtures = map_.mixtures()
    fold = _Weights(series, map_, mixtures)
    parameters = Chained([Parameters(source) for source in series])
    return run_fold(fold, parameters, SCHEMA, meta_of_series(series))


def _map(source: Source) -> Parameterization:
    """The method of a source, which has weights.

    Raises:
        Unsupported: it has none, or none is known.
    """
    map_ = source.drawn.method if source.drawn else source.map
    if map_ is not None and map_.mixtures():
        return map_
    known = ", ".join(_methods())
    if name := source.method_name:
        raise Unsupported(f"{source.title}: {name} has no mixture weights; these have: {known}")
    raise Unsupported(
        f"{source.title}: holds matrices and not the weights they were made with; give a "
        f"checkpoint ({known}), or find a mixture of any matrix by birkhoff decompose"
    )


def _methods() -> list[str]:
    """Methods with mixture weights."""
    return [name for name, cls in parameterizations.load_all().items() if cls().mixtures()]


def _check(series: tuple[Source, ...], map_: Parameterization) -> None:
    for source in series:
        if _map(source) != map_ or len(source.sites) != len(series[0].sites):
            raise BadInput(
                f"{source.title} and {series[0].title}: differ in their method or in their sites; "
                f"give checkpoints of one model"
            )
    check_steps(series)


class _Weights(Series):
    """Every source in order of training."""

    def __init__(
        self, series: tuple[Source, ...], map_: Parameterization, mixtures: Mixtures
    ) -> None:
        folds = [Step(source, mixtures) for source in series]
        super().__init__(folds, [Parameters(source) for source in series])
        self.series, self.map, self.mixtures = series, map_, mixtures

    def summarise(self, summaries: list[Summary]) -> Summary:
        """The numbers of the last step, and those of every step."""
        pairs = zip(self.series, summaries, strict=True)
        steps = [self._headline(source, numbers) for source, numbers in pairs]
        return over_steps(steps)

    def _headline(self, source: Source, numbers: Summary) -> dict[str, Any]:
        alpha, entropy = numbers["alpha_1"], numbers["entropy"]
        start = self.map.initial()
        first, disorder = joint(self.mixtures, [part.weights(start) for part in self.mixtures])
        return {
            "method": self.map.name,
            "step": source.step,
            "d": source.d,
            "sites": len(source.sites),
            "samples": source.samples,
            "terms": count_terms(self.mixtures),
            "alpha_1_mean": _known(np.mean(alpha)),
            "alpha_1_min": _known(min(alpha)),
            "alpha_1_max": _known(max(alpha)),
            "alpha_1_initial": _known(first),
            "entropy_mean": float(np.mean(entropy)),
            "entropy_min": min(entropy),
            "entropy_max": max(entropy),
            "entropy_initial": float(disorder),
            "entropy_uniform": uniform_entropy(self.mixtures),
            "effective_terms_mean": float(np.mean(numbers["effective_terms"])),
            **_dominant(numbers["dominant"], source.d),
            "quantile_error": numbers["quantile_error"],
        }


def _known(value: Any) -> float | None:
    return None if np.isnan(value) else float(value)


def _dominant(heaviest: list[tuple[tuple[int, ...] | None, float]], d: int) -> Summary:
    """Which permutations are the heaviest, and how often that is the identity."""
    weights: dict[tuple[int, ...], list[float]] = {}
    for permutation, weight in heaviest:
        if permutation is not None:
            weights.setdefault(permutation, []).append(weight)
    identity = len(weights.get(tuple(range(d)), ())) / len(heaviest) if weights else None
    order = sorted(weights.items(), key=lambda item: (-len(item[1]), item[0]))
    rows = [
        {"permutation": [*permutation], "sites": len(own), "weight": float(np.mean(own))}
        for permutation, own in order
    ]
    return {"identity_dominant_fraction": identity, "dominant_permutations": rows}


def answer(summary: Summary) -> str:
    """How much of the weight the identity has, and over how many terms it is spread."""
    spread = (
        f"the effective number of terms is {short(summary['effective_terms_mean'])} of "
        f"{summary['terms']:,}"
    )
    if summary["alpha_1_mean"] is None:
        return f"On average over {count(summary['sites'], 'site')} {spread}."
    begin = summary["alpha_1_initial"]
    return (
        f"The identity has {share(summary['alpha_1_mean'])} of the weight on average over "
        f"{count(summary['sites'], 'site')}, {share(begin)} at the published start; {spread}."
    )


def draw(result: "pa.Table", figure: "Figure") -> None:
    """alpha_1, entropy and weights over depth, at every step; permutations of some sites."""
    captions.title(result, figure)
    halves: Any = figure.subfigures(2, 1, height_ratios=(2, 1))
    weight_panels.draw_depth(halves[0], result)
    weight_panels.draw_permutations(halves[1], result)
