"""What every analysis that streams keeps: cut anywhere, or beside other samples, the same numbers.

An analysis is in this contract as soon as the result of a trace is that of a fold.
"""

import inspect
import json
import pickle
from dataclasses import dataclass
from typing import Annotated, get_args, get_origin

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.random.bit_generator import ISeedSequence

from birkhoff_cli.analyses.core import discover
from birkhoff_cli.analyses.core.fold import fold_range
from birkhoff_cli.analyses.core.random_numbers import block_generator
from birkhoff_cli.analyses.core.source import Drawn, Draws, Source
from birkhoff_cli.analyses.core.table import arrow_schema, record_batch
from birkhoff_cli.analyses.core.trace import MixingTrace, Site, in_blocks, in_memory
from birkhoff_cli.analyses.parameterizations.mhc import MHC
from birkhoff_cli.commands import trace as trace_command

SITES = tuple(Site(k // 2, ("attn", "mlp")[k % 2], f"site {k}") for k in range(3))
D = 4


@dataclass(frozen=True)
class Small(MixingTrace):
    """A trace whose blocks have five samples."""

    @property
    def block(self):
        return 5


def trace(h):
    """Of gates, too: the first two rows of every matrix."""
    whole, gates = in_memory(h, SITES, "test"), np.concatenate([h[..., :2, :], h], axis=-2)
    how = {"dtype": whole.dtype, "gates": in_blocks(gates)}
    return Small(D, whole.samples, SITES, "test", whole.reader, **how)


def usual(n, seed=0):
    return MHC(D).draw(n * 3, np.random.default_rng(seed), scale=2.0).reshape(n, 3, D, D)


def strange():
    """Off by 1e-6 on both sides, at a vertex, and over six hundred orders of magnitude."""
    h = usual(3, seed=1)
    h[0, 1] *= 1 + 1e-6 * np.arange(D)
    h[1, :] = np.eye(D)[[1, 2, 3, 0]]
    h[2, 2] = np.exp(np.linspace(-690, 0, D * D)).reshape(D, D)
    return h


def runs():
    """Names of analyses, from a trace to a result, and the draws of those that can draw."""
    modules = {n: discover.member("birkhoff_cli.analyses", n) for n in ANALYSES}
    for name, module in (modules | {"trace": trace_command}).items():
        first, *others = inspect.signature(module.run, eval_str=True).parameters.values()
        kind = first.annotation
        kind, *marks = get_args(kind) if get_origin(kind) is Annotated else (kind,)
        if any(o.default is o.empty or "MixingTrace" in str(o.annotation) for o in others):
            continue
        if kind in (Source, MixingTrace):
            yield name, module.run, next((m for m in marks if isinstance(m, Draws)), None)
        elif kind == tuple[MixingTrace, ...]:
            yield name, lambda source, run=module.run: run((source,)), None


ANALYSES = discover.members("birkhoff_cli.analyses")
RESULTS = {name: (run, draws, run(trace(usual(2)))) for name, run, draws in runs()}
STREAMING = {name: run for name, (run, _, result) in RESULTS.items() if result.fold}
DRAWN = {name: RESULTS[name][1] for name in STREAMING if RESULTS[name][1] is not None}
PER_SAMPLE = [n for n in STREAMING if "sample" in {c.name for c in RESULTS[n][2].schema}]


def test_the_analyses_that_stream_are_here():
    assert {"spectrum", "slice", "heatmap", "sinkhorn", "degeneration", "trace"} <= {*STREAMING}
    assert {"spectrum", "slice", "trace"} <= {*PER_SAMPLE} and {"spectrum", "heatmap"} <= {*DRAWN}


def of_whole(result):
    return list(result.steps), result.summarise()


def travelled(fold, state):
    """A state as the file of a part keeps it."""
    arrays = []
    kept = json.loads(json.dumps(fold.dump(state, arrays)))
    return fold.load(kept, [array.tobytes() for array in arrays])


def of_ranges(result, cuts):
    """Rows and summary of ranges whose states travelled as bytes and as data, and were merged."""
    fold, source = result.fold
    ends = sorted({0, *(c % source.blocks for c in cuts), source.blocks})
    rows, whole = [], None
    for first, last in zip(ends, ends[1:], strict=False):
        state = fold.start()
        rows += fold_range(fold, source, range(first, last), state)
        state = travelled(fold, pickle.loads(pickle.dumps(state)))
        whole = state if whole is None else fold.merge(whole, state)
    last_rows, summary = fold.finish(whole)
    return rows + list(last_rows), summary


def as_bytes(result, found):
    rows, summary = found
    schema = arrow_schema(result.schema)
    table = [record_batch(schema, columns).to_pylist() for columns in rows if columns]
    return repr(table), json.dumps(dict(summary), default=float)


@pytest.mark.parametrize("name", STREAMING)
@settings(max_examples=5)
@given(st.lists(st.integers(0, 100), max_size=4))
def test_any_cut_of_a_trace_gives_the_same_bytes(name, cuts):
    source = trace(np.concatenate([usual(33), strange()]))
    whole, cut = STREAMING[name](source), STREAMING[name](source)
    assert as_bytes(whole, of_whole(whole)) == as_bytes(cut, of_ranges(cut, cuts))


@dataclass(frozen=True)
class SmallDraws(Drawn):
    """Draws whose blocks have sixteen samples."""

    @property
    def block(self):
        return 16


@pytest.mark.parametrize("name", DRAWN)
def test_any_cut_of_a_draw_gives_the_same_bytes(name):
    layers = DRAWN[name].layers and 3
    source = SmallDraws(MHC(D), Draws(samples=85, layers=layers), seed=3)
    assert source.blocks == 6
    whole, cut = STREAMING[name](source), STREAMING[name](source)
    assert as_bytes(whole, of_whole(whole)) == as_bytes(cut, of_ranges(cut, [1, 2, 4]))


def test_a_block_is_drawn_alone():
    source = Drawn(MHC(D), Draws(samples=5000), seed=7)
    every = list(source)
    assert len(every) == source.blocks == 3
    assert np.array_equal(next(source.read(range(2, 3))), every[2])
    alone = MHC(D).draw(source.block, block_generator(7, 1))
    assert np.array_equal(alone, every[1][:, 0])
    other = block_generator(8, 1).random(4), block_generator(7, 1, 1).random(4)
    assert not any(np.array_equal(block_generator(7, 1).random(4), x) for x in other)


class Words(ISeedSequence):
    """The first numbers of a generator, by which another one is started."""

    def __init__(self, generator):
        self.generator = generator

    def generate_state(self, n_words, dtype=np.uint32):
        return self.generator.random_raw(n_words).astype(dtype)


@pytest.mark.parametrize("seed", [0, 7, (7, 2)])
def test_the_number_of_a_block_is_in_the_counter_of_philox(seed):
    """So the same matrices can be drawn elsewhere, and a later version draws them again."""
    key = np.random.SeedSequence(seed).generate_state(2, np.uint64)
    philox = np.random.Philox(key=key, counter=[0, 0, 5, 1])
    expected = np.random.Generator(np.random.SFC64(Words(philox))).random(4)
    assert np.array_equal(block_generator(seed, 5, 1).random(4), expected)


@pytest.mark.parametrize("name", PER_SAMPLE)
def test_the_rows_of_a_sample_do_not_depend_on_its_neighbours(name):
    one, two = usual(12), strange()
    alone = [STREAMING[name](trace(h)).table.to_pydict() for h in (one, two)]
    both = STREAMING[name](trace(np.concatenate([one, two]))).table.to_pydict()
    for column, values in both.items():
        second = [x + 12 for x in alone[1][column]] if column == "sample" else alone[1][column]
        assert values == alone[0][column] + second, column


JOINS = {
    "min": np.fmin,
    "entry_min": np.fmin,
    "max": np.fmax,
    "sum_error": np.fmax,
    "entry_max": np.fmax,
    "unknown": np.add,
    "mass_unknown": np.add,
    "effective_streams_unknown": np.add,
    "histogram": np.add,
}


@pytest.mark.parametrize("name", [name for name in STREAMING if name not in PER_SAMPLE])
def test_the_statistics_of_a_union_are_those_of_its_parts(name):
    """One strange sample used to change the numbers of all others."""
    one, two = usual(12), strange()
    parts = [STREAMING[name](trace(h)).table.to_pydict() for h in (one, two)]
    both = STREAMING[name](trace(np.concatenate([one, two]))).table.to_pydict()
    joined = JOINS.keys() & both.keys()
    assert joined
    for column in joined:
        a, b = (np.array(part[column], float) for part in parts)
        expected = JOINS[column](a, b)
        np.testing.assert_allclose(np.array(both[column], float), expected, rtol=1e-12)


@pytest.mark.parametrize("name", [name for name in STREAMING if name not in PER_SAMPLE])
def test_the_order_of_samples_does_not_matter(name):
    h = np.concatenate([usual(12), strange()])
    tables = [STREAMING[name](trace(x)).table.to_pydict() for x in (h, h[::-1])]
    for column, values in tables[0].items():
        other = tables[1][column]
        if column in ("mean", "std") or not isinstance(values[0], float):
            continue
        np.testing.assert_allclose(
            np.array(values, float), np.array(other, float), rtol=1e-9, atol=1e-15, err_msg=column
        )
