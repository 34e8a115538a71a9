"""Projections, decompositions and distances: by their definitions, and by the edge theorem."""

import itertools
import json

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from birkhoff_cli.analyses import decompose
from birkhoff_cli.analyses.core.errors import BadInput, UsageError
from birkhoff_cli.analyses.core.trace import Site, in_memory
from birkhoff_cli.analyses.geometry import decomposition, polytope
from birkhoff_cli.analyses.geometry.projection import nearest_doubly_stochastic, nearest_permutation
from birkhoff_cli.analyses.parameterizations.go_mhc import GoMHC
from birkhoff_cli.analyses.parameterizations.identity import Identity
from birkhoff_cli.analyses.parameterizations.mhc_lite import MHCLite

SIDES = st.integers(1, 8)


def trace(h):
    h = np.asarray(h)
    h = h.reshape(-1, 1, *h.shape[-2:])
    return in_memory(h, (Site(0, "attn", "site 0"),), "test")


@st.composite
def squares(draw, scale=100.0):
    d = draw(SIDES)
    entries = st.one_of(st.floats(-scale, scale), st.integers(-2, 2).map(float))
    return draw(arrays(float, (3, d, d), elements=entries))


@st.composite
def mixtures(draw):
    """Doubly stochastic matrices of every number of terms, dust included."""
    d, rng = draw(SIDES), np.random.default_rng(draw(st.integers(0, 2**32)))
    count = draw(st.integers(1, 12))
    weights = rng.dirichlet(np.full(count, draw(st.sampled_from([0.01, 0.3, 1.0, 30.0]))), 4)
    perms = np.stack([[rng.permutation(d) for _ in range(count)] for _ in range(4)])
    return decomposition.rebuild(weights, perms)


def assert_nearest(a, x):
    """Feasible, and no vertex of the polytope lies ahead: <A - X, P - X> <= 0 for every P."""
    scale = max(1.0, np.abs(a).max())
    d = a.shape[-1]
    assert x.min() >= 0
    assert max(np.abs(x.sum(k) - 1).max() for k in (-1, -2)) < 1e-12 * d
    best = nearest_permutation(a - x)[:, :, None] == np.arange(d)
    ahead = ((a - x) * (best - x)).sum((-2, -1))
    assert ahead.max() < 1e-12 * d * scale


@settings(deadline=None)
@given(squares())
def test_the_nearest_doubly_stochastic_matrix_satisfies_the_optimality_conditions(a):
    x = nearest_doubly_stochastic(a)
    assert_nearest(a, x)
    assert np.abs(nearest_doubly_stochastic(x) - x).max() < 1e-12


@settings(deadline=None)
@given(squares(scale=3.0), st.integers(0, 2**32))
def test_a_projection_brings_no_two_points_further_apart(a, seed):
    b = a + np.random.default_rng(seed).standard_normal(a.shape)
    apart = nearest_doubly_stochastic(a) - nearest_doubly_stochastic(b)
    assert (np.linalg.norm(apart, axis=(1, 2)) <= np.linalg.norm(a - b, axis=(1, 2)) + 1e-12).all()


@pytest.mark.parametrize("scale", [1.0, 1e3, 1e6])
@pytest.mark.parametrize("d", [2, 4, 16])
def test_the_nearest_at_every_scale(scale, d, rng):
    a = rng.standard_normal((200, d, d)) * scale
    assert_nearest(a, nearest_doubly_stochastic(a))


def test_the_nearest_agrees_with_a_general_solver(rng):
    from scipy.optimize import minimize

    for d in (2, 3):
        a = rng.standard_normal((d, d))
        sums = np.vstack([np.kron(np.eye(d), np.ones(d)), np.kron(np.ones(d), np.eye(d))])
        found = minimize(
            lambda x, a=a: ((x - a.ravel()) ** 2).sum(),
            np.full(d * d, 1 / d),
            bounds=[(0, None)] * d * d,
            constraints={"type": "eq", "fun": lambda x, sums=sums: sums[:-1] @ x - 1},
            options={"ftol": 1e-15, "maxiter": 500},
            method="SLSQP",
        )
        assert np.abs(nearest_doubly_stochastic(a[None])[0].ravel() - found.x).max() < 1e-6


def test_the_nearest_permutation_is_the_best_of_all(rng):
    for d in range(1, 7):
        perms = np.array(list(itertools.permutations(range(d))))
        vertices = perms[:, :, None] == np.arange(d)
        h = rng.standard_normal((20, d, d))
        found = nearest_permutation(h)
        distance = np.linalg.norm(h - (found[:, :, None] == np.arange(d)), axis=(1, 2))
        every = np.linalg.norm(h[:, None] - vertices, axis=(2, 3))
        assert np.abs(distance - every.min(1)).max() < 1e-14


@settings(deadline=None)
@given(mixtures())
def test_a_decomposition_is_short_falls_and_adds_up(x):
    weights, perms = decomposition.decompose(x)
    d = x.shape[-1]
    assert weights.shape[1] <= decomposition.terms_bound(d)
    assert weights.min() >= 0 and np.abs(weights.sum(1) - 1).max() < 1e-14
    assert (np.diff(weights, axis=1) <= 1e-14).all()
    assert (np.sort(perms, axis=-1) == np.arange(d)).all()
    assert np.abs(decomposition.rebuild(weights, perms) - x).max() < 1e-12


@pytest.mark.parametrize("d", [3, 4, 5, 6, 16])
def test_generic_matrices_decompose(d, rng):
    x = polytope.uniform(40, d, rng)
    weights, perms = decomposition.decompose(x)
    assert weights.shape[1] <= decomposition.terms_bound(d)
    assert np.abs(decomposition.rebuild(weights, perms) - x).max() < 1e-12


def test_the_bottleneck_found_one_by_one_is_the_one_of_the_table(rng):
    x = polytope.uniform(30, 4, rng)
    together = decomposition._bottleneck(x)
    rows = np.arange(4)
    for matrix, perm in zip(x, together, strict=True):
        alone = decomposition._bottleneck_of_one(matrix)
        assert matrix[rows, alone].min() == matrix[rows, perm].min()


def test_known_matrices_take_known_terms():
    cycle = np.roll(np.eye(4), 1, axis=1)
    h = np.stack([np.eye(4), 0.75 * np.eye(4) + 0.25 * cycle, np.full((4, 4), 0.25)])
    result = decompose.run(trace(h))
    table = result.table
    assert table["sample"].to_pylist() == [0, 1, 1, 2, 2, 2, 2]
    assert table["weight"].to_pylist()[:3] == [1, 0.75, 0.25]
    assert table["permutation"].to_pylist()[:3] == [[0, 1, 2, 3], [0, 1, 2, 3], [1, 2, 3, 0]]
    assert table["image_distance"].null_count == 7
    summary = result.summary
    assert (summary["matrices"], summary["d"], summary["terms_max"]) == (3, 4, 4)
    assert summary["permutation_distance_max"] == pytest.approx(3**0.5)
    assert summary["permutation_distance_min"] == 0 and "distance_max" not in summary


def test_a_matrix_outside_is_measured_against_its_projection():
    h = np.array([[[2.0, 0.0], [0.0, 1.0]]])
    row = decompose.run(trace(h)).table.to_pylist()[0]
    assert row["polytope_distance"] == pytest.approx(1.0)
    assert row["nearest"] == [[1, 0], [0, 1]] and row["row_error"] == row["column_error"] == 1
    assert row["barycenter_distance"] == pytest.approx(np.linalg.norm(h - 0.5))


def edge(d, t):
    return t * np.eye(d) + (1 - t) * np.roll(np.eye(d), 1, axis=1)


def image_distances(method, h, starts=16):
    table = decompose.run(trace(h), method=method, starts=starts).table
    first = table["term"].to_numpy() == 0
    return table["image_distance"].to_numpy()[first]


EDGES = {
    (3, 1): (0.235702, 0.211953, 0.181721, 2**0.5 / 3),
    (3, 2): (0, 0.105977, 0.117851, 0),
    (3, 3): (0.078567, 0, 0.060574, 0),
}


@pytest.mark.parametrize("d, s", EDGES)
def test_the_edge_theorem(d, s):
    """docs/mathematics.md 5.3, t = 1/2, 1/3, 1/4, and 5.2, J/d."""
    h = np.stack([*(edge(d, t) for t in (1 / 2, 1 / 3, 1 / 4)), np.full((d, d), 1 / d)])
    found = image_distances(GoMHC(d, s=s), h)
    assert np.abs(found - EDGES[d, s]).max() < 1e-6


@pytest.mark.parametrize("s, expected", [(1, 1 - 0.5**0.5), (2, 0)])
def test_the_edge_theorem_for_a_four_cycle(s, expected):
    found = image_distances(GoMHC(4, s=s), edge(4, 1 / 2)[None])
    assert abs(found[0] - expected) < 1e-5


def test_the_image_of_complete_and_of_trivial_methods(rng):
    h = polytope.uniform(5, 3, rng)
    assert image_distances(MHCLite(3), h).max() < 1e-6
    assert np.allclose(image_distances(Identity(3), h), np.linalg.norm(h - np.eye(3), axis=(1, 2)))


def test_a_method_never_comes_nearer_than_the_polytope(rng):
    h = rng.random((6, 3, 3))
    table = decompose.run(trace(h), method=GoMHC(3, s=2), starts=4).table
    nearer = table["polytope_distance"].to_numpy() - table["image_distance"].to_numpy()
    assert nearer.max() < 1e-9


def test_a_run_that_means_nothing_is_refused():
    with pytest.raises(UsageError, match="expected 3, or no --d"):
        decompose.run(trace(np.eye(3)), method=GoMHC(4))
    with pytest.raises(UsageError, match="--starts 0"):
        decompose.run(trace(np.eye(3)), starts=0)
    with pytest.raises(BadInput, match="entry of modulus 1e"):
        decompose.run(trace(1e30 * np.eye(3)))


@pytest.mark.parametrize("format", ["parquet", "arrow", "csv", "ndjson"])
def test_a_pipe_is_decomposed(format, birkhoff):
    words = ("sample", "--method", "mhc", "--iters", "2", "--d", "3", "-n", "9", "-q")
    table = birkhoff(*words, "-o", "-", "--format", format, text=False).stdout
    done = birkhoff("decompose", "-", "--json", input=table, text=False)
    summary = json.loads(done.stdout)
    assert done.returncode == 0
    unmarked = b"birkhoff: assumed: the file is complete; nothing in it marks its end\n"
    assert done.stderr == (unmarked if format in ("csv", "ndjson") else b"")
    assert summary["matrices"] == 9 and summary["terms_max"] <= 5
    assert 0 < summary["polytope_distance_max"] < 1 and summary["reconstruction_error_max"] < 1e-12


def test_the_command_line(birkhoff, tmp_path):
    np.save(tmp_path / "c.npy", edge(3, 1 / 2))
    method = ("--method", "go-mhc", "--s", "1", "--starts", "4")
    words = ("decompose", "c.npy", *method, "--seed", "3", "-o", "t.parquet", "--plot", "t.png")
    assert birkhoff(*words).returncode == 0
    table = pq.read_table(tmp_path / "t.parquet", page_checksum_verification=True)
    assert table["permutation"].to_pylist() == [[0, 1, 2], [1, 2, 0]]
    facts = json.loads(table.schema.metadata[b"birkhoff"])
    assert facts["options"]["s"] == 1 and facts["meta"]["inputs"][0]["name"] == "c.npy"
    first = (tmp_path / "t.parquet").read_bytes()
    birkhoff(*words)
    assert (tmp_path / "t.parquet").read_bytes() == first
    summary = json.loads(birkhoff("decompose", "c.npy", *method, "--d", "3", "--json").stdout)
    assert summary["distance_max"] == pytest.approx(0.235702, abs=1e-5)
    birkhoff("decompose", "c.npy", "-o", "t.csv")
    header = (tmp_path / "t.csv").read_text().splitlines()[0]
    assert '"permutation_0","permutation_1","permutation_2"' in header and '"nearest_2_2"' in header


@pytest.mark.parametrize(
    "words, code, said",
    [
        ((), 2, "no matrices were named"),
        (("absent.npy",), 3, "no such file"),
        (("c.npy", "--s", "2"), 2, "say --method too"),
        (("c.npy", "--method", "go-mhc", "--d", "4"), 2, "expected 3, or no --d"),
        (("c.npy", "--method", "kromhc", "--factors", "2,2"), 2, "for d = 3"),
        (("c.npy", "--method", "nope"), 2, "known: averaged-go-mhc"),
        (("c.npy", "-o", "c.npy", "--format", "csv"), 5, "is the input as well"),
    ],
)
def test_a_mistake_gets_one_line(words, code, said, birkhoff, tmp_path):
    np.save(tmp_path / "c.npy", edge(3, 1 / 2))
    done = birkhoff("decompose", *words)
    assert done.returncode == code and said in done.stderr and done.stderr.count("\n") == 1
