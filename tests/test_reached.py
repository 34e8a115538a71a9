"""The share of the polytope that methods reach, and what is farthest, against what is known."""

import json

import numpy as np
import pytest

from birkhoff_cli import method
from birkhoff_cli.analyses import decompose
from birkhoff_cli.analyses.core.errors import UsageError
from birkhoff_cli.analyses.geometry.cover import cover
from birkhoff_cli.analyses.geometry.image import Image
from birkhoff_cli.analyses.geometry.polytope import uniform
from birkhoff_cli.analyses.geometry.targets import binomial_error, uniform_targets
from birkhoff_cli.analyses.parameterizations.be_hc import BEHC

pytest.importorskip("torch")


def test_targets_are_uniform_and_those_of_the_seed():
    """An entry has the variance 2/45 at d = 3 and 18/605 at d = 4 (docs/mathematics.md 7)."""
    for d, variance in ((3, 2 / 45), (4, 18 / 605)):
        h = uniform_targets(d, 20_000, 1).matrices
        assert h.shape == (20_000, 1, d, d) and h.min() >= 0
        assert max(np.abs(h.sum(axis) - 1).max() for axis in (-1, -2)) < 1e-14
        assert h.var() == pytest.approx(variance, rel=0.03)
    few, again = uniform_targets(3, 5, 7), uniform_targets(3, 5, 7)
    np.testing.assert_array_equal(few.matrices, again.matrices)
    assert not np.array_equal(few.matrices, uniform_targets(3, 5, 8).matrices)


@pytest.mark.parametrize(
    "name, low, high",
    [
        ("mhc-lite", 1, 1),
        ("mhc", 1, 1),
        ("go-mhc:s=1", 0, 0),
        ("go-mhc:s=1,field=complex", 0.62, 0.88),  # exactly 8 pi^2 / 105 = 0.752, 4 errors
        ("identity", 0, 0),
    ],
)
def test_known_shares_at_d_3(name, low, high):
    targets = uniform_targets(3, 160, 3)
    summary = decompose.run(targets, method=method(name, d=3), starts=12).summary
    assert low <= summary["share_reached"] <= high
    assert summary["tolerance"] == 1e-6 and summary["matrices"] == 160
    p50, p90, largest = (summary[f"distance_{key}"] for key in ("p50", "p90", "max"))
    assert p50 <= p90 <= largest
    if name == "identity":
        far = np.linalg.norm(targets.matrices[:, 0] - np.eye(3), axis=(1, 2))
        assert [p50, p90, largest] == pytest.approx([*np.quantile(far, (0.5, 0.9)), far.max()])


def test_the_tolerance_decides_what_is_reached():
    h = np.stack([np.eye(3), 0.9 * np.eye(3) + 0.1 / 3])
    found = decompose.run(h, method=method("identity", d=3), tolerance=1e-3).summary
    assert found["share_reached"] == 0.5
    found = decompose.run(h, method=method("identity", d=3), tolerance=1).summary
    assert found["share_reached"] == 1
    for tolerance in (0, -1, np.inf, np.nan):
        with pytest.raises(UsageError, match="--tolerance"):
            decompose.run(h, method=method("identity", d=3), tolerance=tolerance)


def test_the_error_of_a_share_is_binomial():
    assert binomial_error(0.5, 10_000) == pytest.approx(0.005, rel=1e-3)
    assert binomial_error(0, 200) == pytest.approx(np.sqrt(2 * 202 / 204**3))
    assert 0 < binomial_error(1, 1) < 0.3


@pytest.mark.parametrize("d", [2, 3, 5])
def test_a_derangement_is_farthest_from_the_identity(d, rng):
    found = cover(Image(method("identity", d=d), 1, rng), rng)
    assert found.distance == pytest.approx(np.sqrt(2 * d)) and found.proven
    assert np.trace(found.matrix) == 0


def test_the_farthest_from_a_segment_of_permutations(rng):
    """K = 2: the farthest permutation from the segment I to P, by plain geometry."""
    map_ = BEHC(3, k=2)
    ends = (np.array(map_.permutations)[:, :, None] == np.arange(3)).astype(float)
    t = np.linspace(0, 1, 10_001)[:, None, None]
    segment = t * ends[0] + (1 - t) * ends[1]
    perms = np.array([[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]])
    vertices = perms[:, :, None] == np.arange(3)
    near = np.linalg.norm(vertices[:, None] - segment, axis=(2, 3)).min(1)
    found = cover(Image(map_, 12, rng), rng)
    assert found.proven and found.distance == pytest.approx(near.max(), abs=1e-5)
    inside = uniform(300, 3, rng)
    others = np.linalg.norm(inside[:, None] - segment[::100], axis=(2, 3)).min(1)
    assert others.max() <= found.distance


def test_a_permutation_is_out_of_reach_of_kronecker_products():
    """d = 4: squared distance 3 to A x B (docs/mathematics.md 5.6); nothing farther is proven."""
    rng = np.random.default_rng(0)
    found = cover(Image(method("kromhc", d=4), 4, rng), rng)
    assert found.distance == pytest.approx(3**0.5, abs=1e-6) and not found.proven


def test_what_is_said_without_a_path(birkhoff):
    words = ("decompose", "--method", "be-hc", "--k", "3", "--d", "3", "-n", "6", "--starts", "4")
    done = birkhoff(*words, "--cover", "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert (found["matrices"], found["d"]) == (6, 3) and len(found["cover_entries"]) == 9
    assert found["method"].startswith("be-hc:k=3") and found["cover_proven"] is True
    own = birkhoff("decompose", "--method", "be-hc:k=3,d=3", "-n", "6", "--starts", "4", "--json")
    own = json.loads(own.stdout)
    assert all(found[key] == value for key, value in own.items() if key != "answer")
    for words, said in (
        (("--d", "3"), "no matrices were named"),
        (("--method", "mhc", "--inputs", "gaussian"), "--inputs is for checkpoints"),
        (("--method", "mhc", "--d", "99"), "--d 99"),
        (("--method", "mhc", "-n", "0"), "--samples 0"),
        (("--cover",), "belongs to --method"),
    ):
        done = birkhoff("decompose", *words)
        assert (done.returncode, done.stderr.count("\n")) == (2, 1) and said in done.stderr


@pytest.mark.parametrize("name", ["mhc", "mhc-lite", "kromhc", "be-hc"])
def test_a_method_that_knows_its_image_reaches_all_of_the_polytope_at_d_5(name):
    """Softmax and Sinkhorn reach every positive doubly stochastic matrix; no descent is needed.

    be-hc does with all 120 permutations, and kromhc because 5 is its only factor. What has zeros
    is a limit of these.
    """
    map_ = method(name, d=5, **({"k": 120} if name == "be-hc" else {}))
    targets = np.concatenate([uniform_targets(5, 60, 3).matrices[:, 0], np.eye(5)[None, ::-1]])
    summary = decompose.run(targets, method=map_, starts=2).summary
    assert summary["share_reached"] == 1 and summary["distance_max"] < 1e-12


@pytest.mark.parametrize("k, basis", [(4, "random"), (9, "random"), (5, "local-shift")])
def test_the_nearest_mixture_satisfies_the_optimality_conditions(k, basis, rng):
    """<H - X, P - X> <= 0 for every permutation P of the basis, and X is a mixture of them."""
    map_ = BEHC(5, k=k, basis=basis)
    ends = (np.array(map_.permutations)[:, :, None] == np.arange(5)).astype(float)
    h = np.concatenate([uniform(20, 5, rng), 3 * rng.standard_normal((20, 5, 5)), ends])
    x = map_.nearest(h)
    ahead = np.einsum("nij,nkij->nk", h - x, ends - x[:, None])
    assert ahead.max() < 1e-10 * np.abs(h).max() ** 2
    assert np.abs(x.sum(-1) - 1).max() < 1e-12 and x.min() >= 0
    np.testing.assert_allclose(x[-k:], ends, atol=1e-12)


def test_descents_never_come_nearer_than_what_a_method_knows(rng):
    h = uniform(6, 4, rng)
    map_ = BEHC(4, k=5)
    image = Image(map_, 16, rng)
    searched, _ = image._search(h)
    known, points = image.nearest(h)
    assert (known <= searched + 1e-9).all() and np.abs(known - searched).max() < 1e-3
    np.testing.assert_allclose(np.linalg.norm(points - h, axis=(1, 2)), known)
