"""Two models site by site: what is equal, what is turned, and where they part."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from birkhoff_cli import members
from birkhoff_cli.analyses import diff
from birkhoff_cli.analyses.core.errors import BadInput, UsageError
from birkhoff_cli.analyses.core.trace import Site, in_memory
from birkhoff_cli.analyses.parameterizations.go_mhc import GoMHC


def trace(h, dtype=np.float32):
    sites = tuple(Site(k // 2, ("attn", "mlp")[k % 2], f"site {k}") for k in range(h.shape[1]))
    return in_memory(h.astype(dtype), sites, "test")


def stack(rng, samples=5, sites=6, d=4):
    return GoMHC(d).draw(samples * sites, rng).reshape(samples, sites, d, d)


def test_equal_turned_and_different_sites_are_told_apart(rng):
    h = stack(rng)
    other = h.copy()
    other[:, 2] = h[:, 2].swapaxes(-1, -2)
    other[3, 4, 0, 1] += 1e-3
    result = diff.run(trace(h), trace(other))
    table = result.table
    verdicts = table["verdict"].to_pylist()[:6]
    assert verdicts == ["equal", "equal", "transposed", "equal", "different", "equal"]
    summary = result.summary
    assert (summary["verdict"], summary["first_difference"]) == ("different", "site 2")
    assert (
        summary["sites_equal"],
        summary["sites_transposed"],
        summary["sites_different"],
    ) == (4, 1, 1)
    found = table["difference_max"].to_numpy()[4]
    expected = np.abs(h[:, 4].astype("f4") - other[:, 4].astype("f4")).max()
    assert found == pytest.approx(expected, rel=1e-6)


def test_composites_are_products_of_all_before(rng):
    a, b = stack(rng), stack(rng)
    table = diff.run(trace(a, float), trace(b, float)).table
    found = table["difference_max"].to_numpy()[6:]
    p = q = np.eye(4)
    for site in range(6):
        p, q = a[:, site] @ p, b[:, site] @ q
        assert found[site] == pytest.approx(np.abs(p - q).max(), abs=1e-14)


@given(st.integers(0, 2**32 - 1), st.integers(1, 8))
def test_rounding_to_float32_is_equal_and_more_is_not(seed, d):
    h = stack(np.random.default_rng(seed), d=d)
    assert diff.run(trace(h, float), trace(h)).summary["verdict"] == "equal"
    moved = h + 64 * d * np.finfo("f4").eps
    assert diff.run(trace(h, float), trace(moved, float)).summary["sites_different"] == 6


def test_one_sample_stands_beside_all(rng):
    h = stack(rng)
    summary = diff.run(trace(h[:1]), trace(h)).summary
    assert (summary["samples"], summary["verdict"]) == (5, "different")


def test_against_identity_is_what_the_mixing_contributes(rng):
    h = stack(rng)
    summary = diff.run(trace(h, float), against="identity").summary
    assert summary["difference_max"] == pytest.approx(np.abs(h - np.eye(4)).max())
    eye = np.broadcast_to(np.eye(4), h.shape)
    assert diff.run(trace(eye), against="identity").summary["verdict"] == "equal"


def test_what_cannot_be_compared_is_refused(rng):
    with pytest.raises(UsageError, match="against identity"):
        diff.run(trace(stack(rng)))
    with pytest.raises(UsageError, match="one thing"):
        diff.run(trace(stack(rng)), trace(stack(rng)), against="identity")
    with pytest.raises(BadInput, match="6 sites and test 4"):
        diff.run(trace(stack(rng)), trace(stack(rng, sites=4)))


def test_a_transposed_port_is_found_on_the_command_line(birkhoff, checkpoints, tmp_path):
    path = checkpoints / "mhclite_mhc_n4"
    h = np.load(path / "truth.npz")["H_static"][None]
    np.save(tmp_path / "same.npy", h)
    np.save(tmp_path / "turned.npy", h.swapaxes(-1, -2))
    same = birkhoff("diff", path, "same.npy", "--json", "--fail-on", "transposed")
    assert same.returncode == 0 and json.loads(same.stdout)["verdict"] == "equal"
    done = birkhoff("diff", path, "turned.npy", "--json", "--plot", "d.png", "-o", "d.parquet")
    assert json.loads(done.stdout)["verdict"] == "transposed"
    failed = birkhoff("diff", path, "turned.npy", "--fail-on", "transposed", "-o", "t.parquet")
    assert failed.returncode == 1 and (tmp_path / "t.parquet").exists()
    assert "12 of 12 sites are not equal, the first is layers.0.attn" in failed.stderr
    assert birkhoff("diff", path, "turned.npy", "--fail-on", "different").returncode == 1


def test_the_answer_counts_no_sites_that_there_are_not():
    known = {"difference_max": 0.5, "sites": 8, "verdict": "different", "explanation": None}
    known |= {"first_difference": "0 attn"}
    for different, turned, words in ((8, 0, "8 different"), (3, 5, "3 different and 5 transposed")):
        counts = {"sites_different": different, "sites_transposed": turned}
        said = members.module_of("diff").answer(known | counts)
        assert said.startswith(f"Of 8 sites {words}, by up to 0.5; the first is 0 attn.")
