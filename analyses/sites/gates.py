"""What sites read and write of their streams at one training step: statistics over samples."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from birkhoff_cli.analyses.core.arrays import Array
from birkhoff_cli.analyses.core.fold import Fold, Statistics
from birkhoff_cli.analyses.core.result import Summary
from birkhoff_cli.analyses.core.table import Columns
from birkhoff_cli.analyses.core.trace import MixingTrace, site_columns
from birkhoff_cli.analyses.statistics.distributions import Distributions
from birkhoff_cli.analyses.statistics.moments import Moments

GATES = ("pre", "post")
LAST = ("last_gain", "last_overlap", "last_share")
"""What a site reads of what the one before it wrote."""

MAX_EXACT_BYTES = 2**26
"""Bytes of gates up to which their percentiles are exact."""


@dataclass(frozen=True)
class Gates:
    """H_pre, H_post and H, ``(samples, sites, d + 2, d)`` a block."""

    trace: MixingTrace

    @property
    def blocks(self) -> int:
        """Number of blocks."""
        return self.trace.blocks

    def read(self, numbers: range) -> Iterator[Array]:
        """Blocks of consecutive numbers."""
        return self.trace.read_gates(numbers)


class _State(Statistics):
    """Gates and shares by gate, site and stream; effective numbers, sums; what is read again."""

    def __init__(self, trace: MixingTrace) -> None:
        sites, streams = len(trace.sites), len(GATES) * len(trace.sites) * trace.d
        what = f"{trace.source}: gates of {sites} sites"
        self.gates = Distributions(streams, trace.samples, what, MAX_EXACT_BYTES)
        self.shares = Moments(streams)
        self.effective = Moments(len(GATES) * sites)
        self.totals = Moments(len(GATES) * sites)
        self.last = Moments(len(LAST) * sites)


class Step(Fold[_State, Array]):
    """The gates of one trace."""

    def __init__(self, trace: MixingTrace) -> None:
        self.trace, self.sites = trace, len(trace.sites)

    def start(self) -> _State:
        """No samples yet."""
        return _State(self.trace)

    def add(self, state: _State, number: int, block: Array) -> Columns:
        """Take gates and matrices ``(samples, sites, d + 2, d)``."""
        rows = block.astype(np.float64, copy=False)
        gates = rows[:, :, : len(GATES)].transpose(2, 1, 3, 0)  # gate, site, stream, sample
        shares = shares_of(gates, axis=2)
        effective = np.exp(entropy(shares, axis=2))
        state.gates.add(number, gates.reshape(-1, len(block)))
        state.shares.add(number, shares.reshape(-1, len(block)))
        state.effective.add(number, effective.reshape(-1, len(block)))
        state.totals.add(number, gates.sum(2).reshape(-1, len(block)))
        state.last.add(number, read_again(rows).reshape(-1, len(block)))
        return {}

    def finish(self, state: _State) -> tuple[Iterable[Columns], Summary]:
        """A row for every site, gate and stream; of the summary what only this fold knows."""
        shape = (len(GATES), self.sites, self.trace.d)
        columns, shares = state.gates.columns(), state.shares.mean.reshape(shape)
        gates = {n: columns[n].reshape(shape) for n in ("mean", "p10", "p50", "p90")}
        effective, totals = (m.mean.reshape(shape[:2]) for m in (state.effective, state.totals))
        unknown = self.trace.samples - state.effective.count.reshape(shape[:2])
        last = dict(zip(LAST, state.last.mean.reshape(len(LAST), -1), strict=True))
        none = np.full(self.sites, np.nan)  # of post
        rows = {
            "step": self.trace.step,
            **{n: c[:, None, None] for n, c in site_columns(self.trace.sites).items()},
            "gate": np.array(GATES)[:, None],
            "stream": np.arange(self.trace.d),
            **{name: values.swapaxes(0, 1) for name, values in (gates | {"share": shares}).items()},
            "effective_streams": effective.T[:, :, None],
            "unknown": unknown.T[:, :, None],
            **{name: np.stack([v, none], axis=1)[:, :, None] for name, v in last.items()},
        }
        numbers = {"shares": shares, "effective": effective, "totals": totals, **last}
        return (rows,), {**numbers, "quantile_error": state.gates.quantile_error}


def shares_of(gates: Array, axis: int) -> Array:
    """Moduli over their sum; NaN where all are 0."""
    size = np.abs(_scaled(gates, axis))
    with np.errstate(invalid="ignore"):
        shares: Array = size / size.sum(axis, keepdims=True)
    return shares


def entropy(shares: Array, axis: int) -> Array:
    """In nats; NaN where a share is."""
    with np.errstate(divide="ignore", invalid="ignore"):
        parts = np.where(shares == 0, 0.0, shares * np.log(shares))
    total: Array = -parts.sum(axis)
    return total


def read_again(rows: Array) -> Array:
    """`LAST` of every site, ``(3, sites, samples)``; NaN at the first site, and of a gate of zeros.

    Site l reads ``pre_l`` of the streams, in which the output of branch k has the coefficients
    ``H_{l-1} ... H_{k+1} post_k`` and the embedding, of which every stream is a copy, those of
    ``H_{l-1} ... H_0 1`` (docs/mathematics.md 8.1). No H stands between two neighbours: a site's
    own H is beside its branch.

    Args:
        rows: H_pre, H_post and H, ``(samples, sites, d + 2, d)``.
    """
    samples, sites, _, d = rows.shape
    shares = np.full((len(LAST), sites, samples), np.nan)
    written = np.ones((samples, d, 1))  # a column for the embedding, and one for every branch
    factor = np.ones(samples)  # of all columns, which would overflow where H expands
    for site in range(sites):
        pre, post, h = rows[:, site, 0], rows[:, site, 1], rows[:, site, 2:]
        if site:
            shares[:, site] = _of_last(pre, rows[:, site - 1, 1], written)
        with np.errstate(over="ignore", invalid="ignore"):
            columns = [h @ written, (factor[:, None] * post)[..., None]]
            written = np.concatenate(columns, axis=-1)
            size = np.maximum(np.abs(written).max((1, 2)), 1.0)
            written, factor = written / size[:, None, None], factor / size
    return shares


def _of_last(pre: Array, before: Array, written: Array) -> Array:
    """`LAST` of one site, ``(3, samples)``.

    Args:
        pre: what it reads, ``(samples, d)``.
        before: what the site before wrote, ``(samples, d)``.
        written: coefficients of all that is in the streams, up to a factor ``(samples, d, k)``.
    """
    read, wrote = _scaled(pre, 1), _scaled(before, 1)
    gains = np.abs(np.einsum("ni,nik->nk", read, _scaled(written, (1, 2))))
    norms = np.sqrt(np.square(read).sum(-1) * np.square(wrote).sum(-1))
    with np.errstate(invalid="ignore", divide="ignore"):
        overlap = (read * wrote).sum(-1) / norms
        return np.stack([(pre * before).sum(-1), overlap, gains[:, -1] / gains.sum(-1)])


def _scaled(values: Array, axis: int | tuple[int, ...]) -> Array:
    """Over the largest modulus, so that no square and no sum leaves the range; NaN of zeros."""
    with np.errstate(invalid="ignore"):
        scaled: Array = values / np.abs(values).max(axis, keepdims=True)
    return scaled
