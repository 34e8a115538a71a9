"""Learned weights of the sites of a model at one training step: statistics over samples."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import accumulate, pairwise

import numpy as np

from birkhoff_cli.analyses.core.arrays import Array
from birkhoff_cli.analyses.core.fold import Fold, Statistics
from birkhoff_cli.analyses.core.mixture import Mixtures, dominant, joint
from birkhoff_cli.analyses.core.result import Summary
from birkhoff_cli.analyses.core.source import Source
from birkhoff_cli.analyses.core.table import Columns
from birkhoff_cli.analyses.core.trace import site_columns
from birkhoff_cli.analyses.statistics.distributions import Distributions, largest_error

JOINT = ("alpha_1", "entropy", "effective_terms")
"""Numbers of the distribution over all terms of a site."""

MAX_EXACT_BYTES = 2**26
"""Bytes of weights up to which their percentiles are exact."""


@dataclass(frozen=True)
class Parameters:
    """The parameters that matrices are made of, ``(samples, sites, p)`` a block."""

    source: Source

    @property
    def blocks(self) -> int:
        """Number of blocks."""
        return self.source.blocks

    def read(self, numbers: range) -> Iterator[Array]:
        """Blocks of consecutive numbers."""
        return self.source.read_parameters(numbers)


class _State(Statistics):
    """Weights by site and term, and numbers of the distributions of sites, by number and site."""

    def __init__(self, sites: int, terms: int, samples: int, title: str) -> None:
        what = f"{title}: {terms:,} weights at {sites:,} sites"
        self.weights = Distributions(sites * terms, samples, what, MAX_EXACT_BYTES)
        self.joint = Distributions(len(JOINT) * sites, samples, what, MAX_EXACT_BYTES)


class Step(Fold[_State, Array]):
    """The weights of one source."""

    def __init__(self, source: Source, mixtures: Mixtures) -> None:
        self.source, self.mixtures, self.sites = source, mixtures, len(source.sites)
        self.terms = sum(part.terms for part in mixtures)

    def start(self) -> _State:
        """No samples yet."""
        return _State(self.sites, self.terms, self.source.samples, self.source.title)

    def add(self, state: _State, number: int, block: Array) -> Columns:
        """Take the weights of parameters ``(samples, sites, p)``."""
        weights = [part.weights(block) for part in self.mixtures]
        identity, entropy = joint(self.mixtures, weights)
        numbers = np.stack([identity, entropy, np.exp(entropy)])
        state.joint.add(number, numbers.transpose(0, 2, 1).reshape(-1, len(block)))
        every = np.concatenate(weights, axis=-1)
        state.weights.add(number, every.transpose(1, 2, 0).reshape(-1, len(block)))
        return {}

    def finish(self, state: _State) -> tuple[Iterable[Columns], Summary]:
        """A row for every site and term; of the summary what only this fold knows."""
        columns = state.weights.columns()
        weights = {n: columns[n].reshape(self.sites, -1) for n in ("mean", "p10", "p50", "p90")}
        together = {
            name: values.reshape(len(JOINT), self.sites)
            for name, values in state.joint.columns().items()
        }
        heaviest = [dominant(self.mixtures, self._split(row)) for row in weights["mean"]]
        sites = {
            **dict(zip(JOINT, together["mean"], strict=True)),
            "alpha_1_p10": together["p10"][0],
            "alpha_1_p90": together["p90"][0],
            "entropy_p10": together["p10"][1],
            "entropy_p90": together["p90"][1],
            "dominant": _objects([permutation for permutation, _ in heaviest]),
        }
        rows = {
            "step": self.source.step,
            **{n: c[:, None] for n, c in (site_columns(self.source.sites) | sites).items()},
            **_of_terms(self.mixtures),
            "weight": weights.pop("mean"),
            **weights,
        }
        numbers = {
            **{name: sites[name].tolist() for name in JOINT},
            "dominant": heaviest,
            "quantile_error": largest_error(state.weights, state.joint),
        }
        return (rows,), numbers

    def _split(self, weights: Array) -> list[Array]:
        """Weights of one site, mixture by mixture."""
        ends = accumulate((part.terms for part in self.mixtures), initial=0)
        return [weights[begin:end] for begin, end in pairwise(ends)]


def _of_terms(mixtures: Mixtures) -> Columns:
    """What says which term a weight is of, ``(terms,)`` each."""
    of = [(part, term) for part in mixtures for term in range(part.terms)]
    return {
        "factor": np.array([part.factor for part, _ in of], object),
        "summand": np.array([part.summand for part, _ in of], object),
        "term": np.array([term for _, term in of]),
        "permutation": _objects(
            [None if p.permutations is None else p.permutations[term].tolist() for p, term in of]
        ),
    }


def _objects(values: list[object]) -> Array:
    """A column of lists of any length, or none."""
    column = np.empty(len(values), object)
    for k, value in enumerate(values):  # at once numpy would make a second axis of equal lengths
        column[k] = None if value is None else np.array(value, np.int32)
    return column
