"""``birkhoff verify`` as it is typed, on the recorded dumps and on some that are made here."""

import json

import numpy as np
import pytest


@pytest.mark.parametrize(
    "name, orientation, dtype",
    [
        ("ref.npy", "as is", "float32"),
        ("ref.pt", "as is", "float32"),
        ("ref_bf16.pt", "as is", "bf16"),
        ("both.npz#ref", "as is", "float32"),
        ("both.npz#fused", "result transposed", "float32"),
    ],
)
def test_recorded_dumps_are_those_of_deepseek_v4(birkhoff, cases, name, orientation, dtype):
    dumps = cases / "kernel_dumps"
    done = birkhoff("verify", dumps / name, "--logits", dumps / "logits.npy", "--json")
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert (said["match"], said["iters"], said["eps"]) == ("deepseek-v4", 20, 1e-6)
    assert (said["orientation"], said["dtype"]) == (orientation, dtype)
    assert said["within_rounding"] and said["matching"] == 1


@pytest.fixture
def made(tmp_path):
    rng = np.random.default_rng(0)
    z = rng.normal(0, 3, (200, 4, 4)).astype(np.float32)
    h = np.exp(z.astype(float) - z.max(2, keepdims=True))
    for _ in range(5):
        h /= h.sum(2, keepdims=True) + 1e-6
        h /= h.sum(1, keepdims=True) + 1e-6
    np.save(tmp_path / "z.npy", z)
    np.save(tmp_path / "h.npy", h.astype(np.float32))
    np.save(tmp_path / "random.npy", rng.dirichlet(np.ones(4), (200, 4)))
    np.savez(tmp_path / "several.npz", one=h, other=z)
    return tmp_path


def test_what_differs_is_printed_and_drawn(birkhoff, made):
    done = birkhoff("verify", "h.npy", "--logits", "z.npy", "-o", "near.parquet", "--plot", "a.png")
    assert done.returncode == 0, done.stderr
    assert "iterations 5 instead of 20" in done.stdout and "xing" in done.stdout
    again = birkhoff("plot", "near.parquet", "--plot", "b.png")
    assert again.returncode == 0, again.stderr
    assert (made / "a.png").read_bytes() == (made / "b.png").read_bytes()


@pytest.mark.usefixtures("made")
def test_a_mismatch_is_exit_1_where_it_was_asked_for(birkhoff):
    words = ("verify", "random.npy", "--logits", "z.npy", "--json")
    assert birkhoff(*words).returncode == 0
    done = birkhoff(*words, "--fail-on", "mismatch")
    assert done.returncode == 1 and json.loads(done.stdout)["match"] is None
    assert len(done.stderr.splitlines()) == 1 and "no known Sinkhorn" in done.stderr
    against = ("verify", "h.npy", "--against", "random.npy", "--fail-on", "mismatch")
    assert birkhoff(*against).returncode == 1


@pytest.mark.usefixtures("made")
@pytest.mark.parametrize(
    "words, code, sentence",
    [
        (["h.npy"], 2, "verify needs --logits INPUT, or --against REFERENCE"),
        (["h.npy", "--logits", "z.npy", "--against", "z.npy"], 2, "give one of them"),
        (["h.npy", "--logits", "z.npy", "--gradient", "z.npy"], 2, "needs --cotangent"),
        (["several.npz", "--logits", "z.npy"], 3, "holds one 200x4x4, other 200x4x4; choose one"),
        (["several.npz#third", "--logits", "z.npy"], 3, "has no 'third'"),
        (["h.npy", "--logits", "none.npy"], 3, "none.npy: no such file"),
    ],
)
def test_what_cannot_be_compared_is_refused_in_a_line(birkhoff, words, code, sentence):
    done = birkhoff("verify", *words)
    assert (done.returncode, len(done.stderr.splitlines())) == (code, 1), done.stderr
    assert sentence in done.stderr


def test_arrays_of_other_sizes_are_refused(birkhoff, made):
    np.save(made / "few.npy", np.zeros((3, 4, 4)))
    done = birkhoff("verify", "h.npy", "--logits", "few.npy")
    assert (
        done.returncode == 3 and "--logits holds 3 of 4 x 4 and h.npy 200 of 4 x 4" in done.stderr
    )
