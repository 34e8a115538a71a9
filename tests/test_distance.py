"""Distances: closed forms, other ways to compute them, and what a distance must satisfy."""

import itertools
import json

import numpy as np
import pytest
import scipy.linalg
import scipy.optimize
import scipy.spatial.transform
import scipy.special
import scipy.stats

from birkhoff_cli.analyses import distance
from birkhoff_cli.analyses.core.errors import BadInput
from birkhoff_cli.analyses.core.trace import Site, in_memory
from birkhoff_cli.analyses.geometry import distances
from birkhoff_cli.analyses.parameterizations.go_mhc import GoMHC
from birkhoff_cli.analyses.parameterizations.mhc import MHC
from birkhoff_cli.analyses.parameterizations.shc import SHC

CYCLE = np.eye(3)[[1, 2, 0]]


def orthostochastic(d, n, seed=0):
    return GoMHC(d, s=1).draw(n, np.random.default_rng(seed), "haar")


def doubly_stochastic(d, n, seed=0):
    return MHC(d).draw(n, np.random.default_rng(seed), "sinkhorn-uniform")


def rotation(angle):
    c, s = np.cos(angle) ** 2, np.sin(angle) ** 2
    return np.array([[c, s], [s, c]])


def angle_between(a, b):
    return distances.geodesic(distances.rotations(a), distances.rotations(b))


def lift_error(h):
    r = distances.rotations(h)
    return distances.frobenius(r * r, h)


def trace(matrices, name="a"):
    places = tuple(
        Site(k // 2, "attn" if k % 2 == 0 else "mlp", "") for k in range(matrices.shape[1])
    )
    return in_memory(matrices, places, name)


def test_identity_and_cycle():
    eye = np.eye(3)
    assert distances.frobenius(eye, CYCLE) == pytest.approx(6**0.5)
    assert distances.spectral(eye, CYCLE) == pytest.approx(3**0.5), "|1 - e^(2 pi i / 3)|"
    assert angle_between(eye, CYCLE) == pytest.approx(2 * np.pi / 3)
    assert distances.spectral_wasserstein(eye, CYCLE) == pytest.approx(2**0.5)
    assert distances.divergence(eye, CYCLE) == np.inf


def test_divergence_of_the_barycenter():
    d = 5
    assert distances.divergence(np.eye(d), np.full((d, d), 1 / d)) == pytest.approx(np.log(d))
    assert distances.divergence(np.full((d, d), 1 / d), np.eye(d)) == np.inf


@pytest.mark.parametrize("a, b", [(0.1, 1.2), (0.0, np.pi / 2), (0.7, 0.7), (0.3, 0.4)])
def test_two_streams_turn_by_the_angle(a, b):
    assert angle_between(rotation(a), rotation(b)) == pytest.approx(abs(a - b), abs=1e-12)


@pytest.mark.parametrize("d", [1, 2, 3, 4, 5])
def test_orthostochastic_matrices_have_their_rotations(d):
    h = orthostochastic(d, 20)
    r = distances.rotations(h)
    assert np.abs(r.swapaxes(-1, -2) @ r - np.eye(d)).max() < 1e-13
    assert lift_error(h).max() < 1e-13
    assert distances.rotations(h[3]).shape == (d, d) and np.array_equal(
        distances.rotations(h[3]), r[3]
    )


def test_the_barycenter_is_a_lift_only_where_there_is_a_hadamard_matrix():
    """docs/mathematics.md 5.2: its distance to orthostochastic matrices, which no lift can beat."""
    for d, least in ((2, 0), (3, 2**0.5 / 3), (4, 0), (5, 0.4)):
        found = lift_error(np.full((d, d), 1 / d))
        assert found >= least - 1e-12
        assert found < 1e-12 or least > 0


@pytest.mark.parametrize("d", [3, 4])
def test_geodesic_is_the_least_logarithm_over_all_signs(d):
    a, b = orthostochastic(d, 3), orthostochastic(d, 3, seed=1)
    r, s = distances.rotations(a), distances.rotations(b)
    signs = [np.diag(x) for x in itertools.product((1.0, -1.0), repeat=d)]
    for k in range(3):
        turns = (r[k].T @ x @ s[k] @ y for x, y in itertools.product(signs[: 2 ** (d - 1)], signs))
        proper = [q for q in turns if np.linalg.det(q) > 0]
        best = min(np.linalg.norm(scipy.linalg.logm(q)) for q in proper) / 2**0.5
        assert distances.geodesic(r, s)[k] == pytest.approx(best, rel=1e-9)


def test_geodesic_is_a_metric_that_no_relabelling_changes():
    a, b, c = (orthostochastic(4, 200, seed) for seed in range(3))
    ab, bc, ac = angle_between(a, b), angle_between(b, c), angle_between(a, c)
    assert np.allclose(ab, angle_between(b, a), atol=1e-12)
    assert (ac <= ab + bc + 1e-9).all() and (ab > 0).all()
    assert angle_between(a, a).max() < 1e-7, "an angle loses half the digits near 0"
    rows, columns = [2, 0, 3, 1], [1, 3, 2, 0]
    moved = angle_between(a[:, rows][:, :, columns], b[:, rows][:, :, columns])
    assert np.allclose(ab, moved, atol=1e-9)


def test_where_there_is_no_lift():
    signed = SHC(4).draw(5, np.random.default_rng(0))
    assert (signed.min((1, 2)) < 0).all()
    assert np.isnan(distances.rotations(signed)).all()
    assert np.isnan(distances.rotations(np.eye(6))).all()
    singular = np.array([[0.5, 0.5], [0.0, 0.0]])
    assert np.isnan(distances.rotations(singular)).all()
    assert np.isnan(distances.geodesic(distances.rotations(signed), np.eye(4))).all()


def test_divergence_against_scipy():
    a, b = doubly_stochastic(4, 50), doubly_stochastic(4, 50, seed=1)
    plain = scipy.special.rel_entr(a, b).sum((1, 2)) / 4
    for axis in (-1, -2):
        assert np.allclose(distances.divergence(a, b, axis), plain, rtol=1e-10)
    assert (distances.divergence(a, a) == 0).all()
    scaled = distances.divergence(3 * a, b * np.arange(1, 5)[:, None])
    assert np.allclose(scaled, plain), "rows are distributions, whatever their sums"
    assert np.isnan(distances.divergence(a, -b)).all()
    zeros = np.eye(4) / 2 + CYCLE_4 / 2
    assert np.isfinite(distances.divergence(zeros, b)).all(), "0 log 0 is 0"
    assert (distances.divergence(b, zeros) == np.inf).all()


CYCLE_4 = np.eye(4)[[1, 2, 3, 0]]


@pytest.mark.parametrize("d", [1, 2, 4, 5])
def test_wasserstein_is_the_best_of_all_pairings(d):
    a, b = doubly_stochastic(d, 10), doubly_stochastic(d, 10, seed=1)
    x, y = np.linalg.eigvals(a), np.linalg.eigvals(b)
    ways = [np.mean(abs(x - y[:, list(p)]) ** 2, axis=1) for p in itertools.permutations(range(d))]
    found = distances.spectral_wasserstein(a, b)
    assert np.allclose(found, np.sqrt(np.min(ways, axis=0)), atol=1e-7)


def test_spectra_of_symmetric_matrices_are_nearer_than_the_matrices():
    """Hoffman & Wielandt, for normal matrices."""
    a, b = doubly_stochastic(5, 300), doubly_stochastic(5, 300, seed=1)
    a, b = (a + a.swapaxes(1, 2)) / 2, (b + b.swapaxes(1, 2)) / 2
    bound = distances.frobenius(a, b) / 5**0.5
    assert (distances.spectral_wasserstein(a, b) <= bound + 1e-9).all()


def test_norms_against_linalg():
    a, b = doubly_stochastic(4, 20), doubly_stochastic(4, 20, seed=1)
    singular = scipy.linalg.svdvals(a[7] - b[7])
    assert distances.spectral(a, b)[7] == pytest.approx(singular[0])
    assert distances.frobenius(a, b)[7] == pytest.approx(np.linalg.norm(singular))


def test_every_pair_has_its_row():
    a = doubly_stochastic(4, 30).reshape(5, 6, 4, 4)
    b = orthostochastic(4, 30).reshape(5, 6, 4, 4)
    result = distance.run(trace(a), trace(b, "b"))
    table = result.table.to_pylist()
    assert [(r["sample"], r["site"]) for r in table] == list(np.ndindex(5, 6))
    assert [r["branch"] for r in table[:2]] == ["attn", "mlp"] and table[5]["layer"] == 2
    for row in (table[0], table[17], table[29]):
        one, other = a[row["sample"], row["site"]], b[row["sample"], row["site"]]
        assert row["frobenius"] == pytest.approx(np.linalg.norm(one - other))
        assert row["spectral"] == pytest.approx(np.linalg.norm(one - other, 2))
        assert row["kl_rows"] == pytest.approx(scipy.special.rel_entr(one, other).sum() / 4)
        assert row["geodesic"] == pytest.approx(angle_between(one, other))
        assert row["lift_error"] == pytest.approx(lift_error(one))
    means = {r["distance"]: r["mean"] for r in result.summary["distances"]}
    assert means["frobenius"] == pytest.approx(np.linalg.norm(a - b, axis=(2, 3)).mean())
    assert result.summary["pairs"] == 30


def test_one_sample_is_compared_with_every_sample():
    a = doubly_stochastic(4, 30).reshape(5, 6, 4, 4)
    one = orthostochastic(4, 6)[None]
    whole = np.repeat(one, 5, axis=0)
    for left, right, full in (
        (a, one, (a, whole)),
        (one, a, (whole, a)),
    ):
        broadcast = distance.run(trace(left), trace(right)).table
        assert broadcast.equals(distance.run(trace(full[0]), trace(full[1])).table)


def test_what_is_not_defined_is_null_and_counted():
    a = np.stack(
        [np.eye(4), doubly_stochastic(4, 1)[0], SHC(4).draw(1, np.random.default_rng(0))[0]]
    )
    result = distance.run(trace(a[:, None]), trace(CYCLE_4[None, None]))
    table = result.table.to_pydict()
    assert table["kl_rows"] == table["kl_columns"] == [None] * 3, "infinite, infinite, negative"
    assert table["geodesic"][2] is table["lift_error"][2] is None
    signed = np.hypot(np.pi / 4, 3 * np.pi / 4)  # a 4-cycle of determinant 1: roots of -1
    assert table["geodesic"][0] == pytest.approx(signed)
    rows = {r["distance"]: r for r in result.summary["distances"]}
    assert rows["kl_rows"] == {
        "distance": "kl_rows", "mean": None, "median": None, "max": None, "undefined": 3
    }  # fmt: skip
    assert rows["geodesic"]["undefined"] == 1 and rows["frobenius"]["undefined"] == 0


@pytest.mark.parametrize(
    "shape, said",
    [((2, 3, 3, 3), "4 streams and b 3"), ((2, 2, 4, 4), "3 sites"), ((3, 3, 4, 4), "2 samples")],
)
def test_sources_that_do_not_fit(shape, said):
    a, b = np.zeros((2, 3, 4, 4)), np.zeros(shape)
    with pytest.raises(BadInput, match=said):
        distance.run(trace(a), trace(b, "b"))


def test_on_the_command_line(birkhoff, tmp_path):
    np.save(tmp_path / "a.npy", doubly_stochastic(4, 6))
    np.save(tmp_path / "b.npy", np.stack([np.eye(4)] * 6))
    np.save(tmp_path / "c.npy", doubly_stochastic(3, 6))
    done = birkhoff("distance", "a.npy", "b.npy", "--json", "-o", "d.ndjson", "--plot", "d.png")
    assert done.returncode == 0
    summary = json.loads(done.stdout, parse_constant=pytest.fail)
    assert {"pairs", "d", "sites", "distances"} <= summary.keys()
    lines = (tmp_path / "d.ndjson").read_text().splitlines()
    rows = [json.loads(line, parse_constant=pytest.fail) for line in lines]
    assert len(rows) == 6 and rows[0]["kl_rows"] is None
    assert (tmp_path / "d.png").stat().st_size > 10_000
    done = birkhoff("distance", "a.npy", "c.npy")
    assert done.returncode == 3 and done.stderr.splitlines()[-1].startswith("birkhoff: a.npy has 4")


def test_the_lift_is_no_nearest_orthostochastic_matrix_and_the_help_says_so(birkhoff):
    """A search over rotations comes nearer than the polar factor of the sign-fixed root."""
    h = doubly_stochastic(3, 5)
    polar = lift_error(h)
    rng = np.random.default_rng(0)
    starts = scipy.stats.special_ortho_group(3, seed=rng).rvs(6)

    def apart(v, start, matrix):
        turn = scipy.spatial.transform.Rotation.from_rotvec(v).as_matrix()
        return np.linalg.norm((start @ turn) ** 2 - matrix)

    nearest = [
        min(scipy.optimize.minimize(apart, np.zeros(3), (q, m)).fun for q in starts) for m in h
    ]
    assert (polar >= np.array(nearest) - 1e-6).all()
    assert polar.mean() > 1.05 * np.mean(nearest)
    words = " ".join(birkhoff("distance", "--help").stdout.split())
    assert "polar factor" in words and "need not be the nearest orthostochastic matrix" in words
    (about,) = (c.about for c in distance.SCHEMA if c.name == "geodesic")
    assert "polar factors" in about


@pytest.mark.parametrize("size", [1e-300, 1e-200, 1e-160, 1e160, 1e200, 1e300])
def test_no_distance_underflows_or_overflows(size):
    """Frobenius and Wasserstein were 0 below 1e-162 and infinite above 1e154."""
    a, b = doubly_stochastic(4, 5), doubly_stochastic(4, 5, seed=1)
    for measure in (distances.frobenius, distances.spectral, distances.spectral_wasserstein):
        assert measure(size * a, size * b) == pytest.approx(size * measure(a, b), rel=1e-12)
    assert angle_between(size * a, b) == pytest.approx(angle_between(a, b), abs=1e-12)
    kl = distances.divergence(a, b)
    assert distances.divergence(size * a, size * b) == pytest.approx(kl, rel=1e-12)


def test_near_a_permutation_the_distance_is_that_of_the_small_entries():
    eye = np.eye(4)
    near = eye + 1e-200 * (1 - eye)
    assert distances.frobenius(near, eye) == pytest.approx(1e-200 * 12**0.5)
