"""An array (n, d, d): n sites to ``depth-drift``, n samples of one site to every other command."""

import json

import numpy as np
import pytest

from birkhoff_cli import matrices
from test_own_layout import balanced

N, D = 5, 3


@pytest.fixture
def h(tmp_path, rng):
    np.save(tmp_path / "h.npy", h := balanced(rng, N, D))
    np.savez(tmp_path / "h.npz", h)
    np.save(tmp_path / "fortran.npy", np.asfortranarray(h))
    return h


@pytest.mark.parametrize("name", ["h.npy", "h.npz", "fortran.npy"])
@pytest.mark.parametrize(
    "command, setting, samples, sites",
    [
        ("depth-drift", None, 1, N),
        ("depth-drift", "sites", 1, N),
        ("depth-drift", "samples", N, 1),
        ("trace", None, N, 1),
        ("trace", "sites", 1, N),
    ],
)
@pytest.mark.usefixtures("h")
def test_which_it_is_is_said_and_can_be_set(birkhoff, name, command, setting, samples, sites):
    more = ("--set", f"axes={setting}") if setting else ()
    done = birkhoff(command, name, *more, "--json", "-o", "t.parquet")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert (found["samples"], found["sites"]) == (samples, sites)
    other = "samples" if sites == N else "sites"
    assert f"--set axes={other} if it is not" in done.stderr


def test_the_composite_of_an_array_is_that_of_its_product(birkhoff, tmp_path, rng):
    h = rng.random((N, D, D))
    np.save(tmp_path / "h.npy", h)
    found = json.loads(birkhoff("depth-drift", "h.npy", "--json").stdout)
    sums = np.linalg.multi_dot(h[::-1]).sum(1)
    assert abs(found["composite_row_max"] / sums.max() - 1) < 1e-9


def test_sites_are_read_whole_from_the_first_sample_only(tmp_path, h):
    trace = matrices.read(tmp_path / "h.npy", "sites")
    assert trace.matrices.shape == (1, N, D, D) and not list(trace.reader(1, 1))
    np.testing.assert_array_equal(trace.matrices[0], h)
    assert [site.layer for site in trace.sites] == list(range(N))


@pytest.mark.parametrize(
    "shape, setting, sentence",
    [
        ((2, 3, D, D), "axes=sites", "holds no array (n, d, d)"),
        ((D, D), "axes=sites", "holds no array (n, d, d)"),
        ((N, D, D), "axes=layers", "expected samples or sites"),
        ((N, D, D), "iters=3", "--set is for checkpoints"),
    ],
)
def test_what_is_set_without_effect_is_refused(birkhoff, tmp_path, shape, setting, sentence):
    np.save(tmp_path / "h.npy", np.ones(shape) / D)
    done = birkhoff("degeneration", "h.npy", "--set", setting)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert sentence in done.stderr


@pytest.mark.release
@pytest.mark.usefixtures("h")
def test_a_report_reads_an_array_one_way_and_says_it_once(birkhoff, tmp_path):
    """depth-drift took its matrices for sites and the other analyses for samples."""
    done = birkhoff("report", "h.npy", "-o", "r.html", "-q")
    assert done.returncode == 0, done.stderr
    page = (tmp_path / "r.html").read_text()
    assert page.count("<li>an array (n, d, d) is") == 1 and "n samples of one site" in page
    assert "n sites of one sample" not in page
