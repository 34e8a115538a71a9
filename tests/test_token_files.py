"""Files of tokens, and the matrices that a model applies to them."""

import hashlib
import os

import numpy as np
import pytest

from birkhoff_cli import checkpoints as formats
from birkhoff_cli import streams, tokens
from birkhoff_cli.analyses.core.errors import BadInput, Unsupported, UsageError
from birkhoff_cli.analyses.core.threads import one_thread
from birkhoff_cli.streams import Inputs
from test_language_model import BLOCK, VOCABULARY, saved, worst


@pytest.fixture(autouse=True)
def alone():
    with one_thread():
        yield


def trace(path, file, seed=0, **options):
    return streams.trace(formats.read(path), Inputs(f"tokens={file}", **options), seed)


def written(path, array):
    np.save(path, array) if path.suffix == ".npy" else array.tofile(path)
    return path


@pytest.mark.parametrize("dtype, suffix", [("<u2", "bin"), ("<u4", "bin"), (">i8", "npy")])
def test_the_matrices_of_a_trained_model_on_its_tokens(checkpoints, tmp_path, dtype, suffix):
    folder = checkpoints / "mhclite_mhc_lite_n4"
    truth = np.load(folder / "truth.npz")["H"]
    count, sites = truth.shape[:2]
    recorded = np.load(folder / "tokens.npy")
    file = written(tmp_path / f"val.{suffix}", recorded.astype(dtype))
    found = trace(folder / "ckpt.pt", file)
    assert (found.samples, found.dtype) == (256, np.float32)
    assert worst(found.matrices[:count, :sites], truth) <= 1e-5
    assert found.matrices.tobytes() == found.matrices.tobytes()  # read again, the same bytes
    assert [len(block) for block in found.reader(100, 0)] == [100, 100, 56]
    short = trace(folder / "ckpt.pt", file, sequences=2, length=64)
    assert short.samples == 128
    assert worst(short.matrices[:count, :sites], truth[:128]) <= 1e-5


def test_provenance_has_the_bytes_that_were_read(tmp_path):
    saved(tmp_path / "ckpt.pt")
    values = np.arange(100, dtype=np.uint16) % VOCABULARY
    file = written(tmp_path / "val.bin", values)
    meta = trace(tmp_path / "ckpt.pt", file, sequences=3, length=5).meta
    static, (model, read) = formats.read(tmp_path / "ckpt.pt").inputs[0], meta["inputs"]
    assert read["sha256"] == hashlib.sha256(values[:15].tobytes()).hexdigest()
    assert (read["name"], read["size"], read["dtype"]) == ("val.bin", 200, "uint16")
    assert model["size"] == static["size"] and model["sha256"] != static["sha256"]
    assert meta["streams"] == {"kind": "tokens", "sequences": 3, "length": 5, "random": False}


def test_sequences_stand_one_after_another_or_anywhere(tmp_path):
    values = np.arange(1000, dtype=np.uint16)
    file = written(tmp_path / "val.bin", values)
    found, _ = tokens.read(file, 3, 20, 1000)
    assert np.array_equal(found, values[:60].reshape(3, 20)) and found.dtype == np.int64
    drawn = [tokens.read(file, 50, 990, 1000, np.random.default_rng(k))[0] for k in (0, 0, 1)]
    assert np.array_equal(drawn[0], drawn[1]) and not np.array_equal(drawn[0], drawn[2])
    assert (np.diff(drawn[0], axis=1) == 1).all()
    assert set(drawn[0][:, 0]) == set(range(11))  # the first place, the last, and all between
    whole, _ = tokens.read(file, 2, 1000, 1000, np.random.default_rng(0))
    assert np.array_equal(whole, [values, values])


def test_the_seed_chooses_random_places(tmp_path):
    saved(tmp_path / "ckpt.pt")
    rng = np.random.default_rng(0)
    file = written(tmp_path / "val.bin", rng.integers(0, VOCABULARY, 500).astype(np.uint16))
    first, again, other = (
        trace(tmp_path / "ckpt.pt", file, seed=k, random=True).matrices for k in (1, 1, 2)
    )
    assert np.array_equal(first, again) and not np.array_equal(first, other)


def test_how_wide_a_token_is(tmp_path):
    values = np.array([5, 0, 7, 1, 2, 0])
    for dtype in ("<u2", "<u4"):
        file = written(tmp_path / f"{dtype[1:]}.bin", values.astype(dtype))
        assert tokens.read(file, 1, 6, 8)[0].tolist() == [values.tolist()]
    large = written(tmp_path / "large.bin", np.array([70_000, 5], "<u4"))
    assert tokens.read(large, 1, 2, 100_000)[0].tolist() == [[70_000, 5]]
    zeros = written(tmp_path / "zeros.bin", np.zeros(8, "<u2"))
    assert tokens.read(zeros, 1, 8, 8)[0].tolist() == [[0] * 8]


def some(dtype="<u2", n=200):
    return (np.arange(n) % VOCABULARY).astype(dtype).tobytes()


BAD = {
    "empty": (b"", "is empty"),
    "odd": (some() + b"\0", "401 bytes, no whole number of uint16"),
    "wide": (some("<u8"), "looks like 64-bit numbers"),
    "cut": (some("<u4")[:-2], "no whole number of uint32"),
    "short": (some(n=27), "holds 27 tokens, and 28 are needed"),
    "text": ("Streams über streams, read as numbers.\n".encode() * 200, "is text"),
    "beyond": (some(n=20) + b"\xff\xff" + some(), "token 65535 at position 20 .* of 11"),
    "object": (b"\x93NUMPY\x01\x00v\x00{'descr': '|O', ", "cannot be understood"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_holds_no_such_tokens_is_refused(tmp_path, case):
    data, sentence = BAD[case]
    saved(tmp_path / "ckpt.pt")
    (tmp_path / "val.bin").write_bytes(data)
    with pytest.raises(BadInput, match=sentence) as refused:
        trace(tmp_path / "ckpt.pt", tmp_path / "val.bin")
    assert str(refused.value).startswith(f"{tmp_path / 'val.bin'}: ")
    assert "\n" not in str(refused.value) and "; " in str(refused.value)


def test_arrays_that_hold_no_tokens_are_refused(tmp_path):
    saved(tmp_path / "ckpt.pt")
    for array, sentence in (
        (np.zeros(100), "dtype float64"),
        (np.array([None] * 100, object), "cannot be understood"),
        (np.full(100, -1), "token -1 at position 0"),
        (np.full(100, 2**63, np.uint64), "token 9223372036854775808"),
    ):
        np.save(tmp_path / "val.npy", array)
        with pytest.raises(BadInput, match=sentence):
            trace(tmp_path / "ckpt.pt", tmp_path / "val.npy")


@pytest.mark.parametrize("suffix", ["bin", "npy"])
def test_a_file_that_is_cut_while_it_is_read_is_refused(suffix, tmp_path, monkeypatch):
    """It was mapped, and the process ended by SIGBUS."""
    file = written(tmp_path / f"val.{suffix}", np.arange(50_000, dtype=np.uint16))
    real = tokens._stored

    def cut(path, *more):
        stored = real(path, *more)
        os.truncate(path, 5000)
        return stored

    monkeypatch.setattr(tokens, "_stored", cut)
    with pytest.raises(BadInput, match="was cut while it was read"):
        tokens.read(file, 5, 10_000, 1 << 16)
    monkeypatch.undo()
    with pytest.raises(BadInput, match="holds|is shorter than its header says"):
        tokens.read(file, 5, 10_000, 1 << 16)


def test_rows_of_an_array_are_read_one_after_another_however_they_lie(tmp_path):
    values = np.arange(60, dtype=np.uint16).reshape(4, 15)
    for array in (values, np.asfortranarray(values)):
        file = written(tmp_path / "val.npy", array)
        assert tokens.read(file, 3, 20, 60)[0].tolist() == values.reshape(3, 20).tolist()


def test_what_is_no_regular_file_is_refused(tmp_path):
    saved(tmp_path / "ckpt.pt")
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path, tmp_path / "pipe", "/dev/zero", "/proc/self/mem"):
        with pytest.raises(BadInput, match="is no regular file"):
            trace(tmp_path / "ckpt.pt", path)
    with pytest.raises(BadInput, match="no such file"):
        trace(tmp_path / "ckpt.pt", tmp_path / "missing.bin")


def test_sequences_that_the_model_cannot_take_are_refused(tmp_path):
    saved(tmp_path / "ckpt.pt")
    file = written(tmp_path / "val.bin", np.zeros(100, np.uint16))
    for options in ({"length": BLOCK + 1}, {"length": 0}, {"sequences": 0}):
        with pytest.raises(UsageError, match="cannot be"):
            trace(tmp_path / "ckpt.pt", file, **options)


def test_a_format_without_a_forward_pass_says_what_can_be_done(checkpoints):
    with pytest.raises(Unsupported, match="--inputs gaussian"):
        trace(checkpoints / "lucid_mhc", checkpoints / "mhclite_hc_n4" / "val.bin")


def test_the_command_takes_tokens(birkhoff, tmp_path):
    saved(tmp_path / "ckpt.pt")
    (tmp_path / "val.bin").write_bytes(some())
    words = ("depth-drift", "ckpt.pt", "--inputs", "tokens=val.bin")
    done = birkhoff(*words, "--sequences", "5", "--json")
    assert done.returncode == 0, done.stderr
    assert f'"samples": {5 * BLOCK}' in done.stdout
    (tmp_path / "val.bin").write_bytes(b"\xff" * 400)
    done = birkhoff(*words)
    assert done.returncode == 3 and done.stderr.startswith("birkhoff: val.bin: token 65535 at")


def test_the_file_of_tokens_is_not_overwritten(birkhoff, tmp_path):
    saved(tmp_path / "ckpt.pt")
    (tmp_path / "val.bin").write_bytes(some())
    words = ("--inputs", "tokens=val.bin", "--format", "csv", "-o", "./val.bin")
    done = birkhoff("trace", "ckpt.pt", *words)
    assert done.returncode == 5 and "is the input as well" in done.stderr
    assert (tmp_path / "val.bin").read_bytes() == some()


def test_defaults_of_the_environment_do_no_harm_to_other_inputs(birkhoff, tmp_path):
    saved(tmp_path / "ckpt.pt")
    env = {"BIRKHOFF_SAMPLES": "7", "BIRKHOFF_LENGTH": "2", "BIRKHOFF_RANDOM": "1"}
    done = birkhoff("trace", "ckpt.pt", "--json", env=env)
    assert done.returncode == 0 and '"samples": 1,' in done.stdout
    done = birkhoff("trace", "ckpt.pt", "--inputs", "gaussian", "--json", env=env)
    assert done.returncode == 0 and '"samples": 7,' in done.stdout
    done = birkhoff("trace", "ckpt.pt", "-n", "0")
    assert done.returncode == 2 and "--samples has no meaning with --inputs static" in done.stderr


def test_an_array_of_tokens_with_more_behind_it_is_refused(tmp_path):
    """What was behind it was left out in silence."""
    path = tmp_path / "t.npy"
    np.save(path, np.arange(100))
    tokens.read(path, 2, 10, 1 << 16)
    path.write_bytes(path.read_bytes() + b"more")
    with pytest.raises(BadInput, match="is longer than its header says"):
        tokens.read(path, 2, 10, 1 << 16)
