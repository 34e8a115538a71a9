"""GGUF: what conversions hold, in parts and in damaged ones, written here byte by byte."""

import json
import struct
import subprocess
import sys
import tracemalloc
from contextlib import contextmanager

import numpy as np
import pytest

from birkhoff_cli.analyses.core.errors import BadInput, BirkhoffError, Unsupported
from birkhoff_cli.checkpoints import read
from birkhoff_cli.containers import open_store
from conftest import ROOT

N, WIDTH, LAYERS = 4, 8, 3
F32, F16, Q8_0, BF16 = 0, 1, 8, 30
UINT32, INT32, FLOAT32, STRING, ARRAY, UINT64, FLOAT64 = 4, 5, 6, 8, 9, 10, 12
FORMS = {UINT32: "<I", INT32: "<i", FLOAT32: "<f", UINT64: "<Q", FLOAT64: "<d"}


def text(word):
    data = word.encode()
    return struct.pack("<Q", len(data)) + data


def key(name, kind, value):
    if kind == STRING:
        return text(name) + struct.pack("<I", kind) + text(value)
    if kind == ARRAY:
        words = b"".join(map(text, value))
        return text(name) + struct.pack("<IIQ", kind, STRING, len(value)) + words
    return text(name) + struct.pack("<I", kind) + struct.pack(FORMS[kind], value)


def encoded(array, code):
    if code == Q8_0:
        blocks = array.reshape(-1, 32)
        scale = (np.abs(blocks).max(1) / 127).astype(np.float16)
        whole = np.rint(blocks / np.maximum(scale.astype(np.float32), 1e-30)[:, None])
        parts = (
            s.tobytes() + b.astype(np.int8).tobytes() for s, b in zip(scale, whole, strict=True)
        )
        return b"".join(parts)
    if code == BF16:
        return (array.astype("<f4").view(np.uint32) >> 16).astype("<u2").tobytes()
    return array.astype("<f2" if code == F16 else "<f4").tobytes()


def gguf(keys, tensors, alignment=32, version=3):
    """A file of keys and of ``name: (array, code)``."""
    infos, data = b"", b""
    for name, (array, code) in tensors.items():
        data += bytes(-len(data) % alignment)
        shape = array.shape[::-1]
        infos += text(name) + struct.pack(f"<I{len(shape)}Q", len(shape), *shape)
        infos += struct.pack("<IQ", code, len(data))
        data += encoded(array, code)
    head = b"GGUF" + struct.pack("<IQQ", version, len(tensors), len(keys)) + b"".join(keys) + infos
    return head + bytes(-len(head) % alignment) + data


def model_keys(architecture="deepseek4", blocks=LAYERS, iters=5, **more):
    a = architecture
    keys = {
        "general.architecture": (STRING, a),
        f"{a}.hyper_connection.count": (UINT32, N),
        f"{a}.hyper_connection.sinkhorn_iterations": (UINT32, iters),
        f"{a}.hyper_connection.epsilon": (FLOAT32, 1e-6),
        f"{a}.attention.layer_norm_rms_epsilon": (FLOAT32, 1e-6),
        f"{a}.block_count": (UINT32, blocks),
        f"{a}.embedding_length": (UINT32, WIDTH),
        "tokenizer.ggml.tokens": (ARRAY, ["a", "bc", ""]),
        **more,
    }
    return [key(name, kind, value) for name, (kind, value) in keys.items()]


def model_tensors(layers=range(LAYERS), seed=0, fn=F32, suffix=".weight"):
    rng = np.random.default_rng(seed)
    rows, tensors = N * (N + 2), {}
    for layer in layers:
        for branch in ("attn", "ffn"):
            stem = f"blk.{layer}.hc_{branch}"
            tensors |= {
                f"{stem}_fn{suffix}": (rng.standard_normal((rows, N * WIDTH)), fn),
                f"{stem}_base{suffix}": (rng.standard_normal(rows), F32),
                f"{stem}_scale{suffix}": (rng.standard_normal(3), F32),
            }
    tensors["token_embd.weight"] = (rng.standard_normal((5, WIDTH)), F32)
    return tensors


def static(base, iters):
    """V4's loop on the logits of a base, transposed as its code applies it."""
    z = base[2 * N :].reshape(N, N)
    m = np.exp(z - z.max(1, keepdims=True))
    m = m / m.sum(1, keepdims=True) + 1e-6
    m /= m.sum(0, keepdims=True) + 1e-6
    for _ in range(iters - 1):
        m /= m.sum(1, keepdims=True) + 1e-6
        m /= m.sum(0, keepdims=True) + 1e-6
    return m.T


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.gguf"


@pytest.mark.parametrize("suffix", [".weight", ""])
def test_static_matrices_are_those_of_the_formula(path, suffix):
    tensors = model_tensors(suffix=suffix)
    path.write_bytes(gguf(model_keys(), tensors))
    found = read(path)
    truth = [static(array, 5) for name, (array, _) in tensors.items() if "_base" in name]
    np.testing.assert_allclose(found.trace().matrices[0], truth, atol=1e-6)
    numbers = {s.name: (s.value, s.source) for s in found.settings}
    assert numbers["iters"] == (5, "config") and numbers["eps"] == (1e-6, "config")
    assert [site.branch for site in found.sites] == ["attn", "mlp"] * LAYERS


@pytest.mark.parametrize("code", [F16, BF16, Q8_0])
def test_narrow_tensors_are_widened(path, code):
    tensors = model_tensors(fn=code)
    path.write_bytes(gguf(model_keys(), tensors))
    array = tensors["blk.0.hc_attn_fn.weight"][0]
    with open_store(path) as store:
        found = store.read("blk.0.hc_attn_fn.weight")
    step = {F16: 2.0**-11, BF16: 2.0**-7, Q8_0: 1 / 127}[code]
    assert np.abs(found - array).max() <= step * np.abs(array).max()
    assert found.shape == array.shape and not np.array_equal(found, array)
    assert read(path).connect is not None


def test_numbers_of_any_type_are_numbers(path):
    more = {"deepseek4.hyper_connection.sinkhorn_iterations": (FLOAT64, 5.0)}
    more |= {"deepseek4.block_count": (UINT64, LAYERS), "deepseek4.embedding_length": (INT32, 8)}
    keys = model_keys(**more)
    path.write_bytes(gguf(keys, model_tensors()))
    assert {s.name: s.value for s in read(path).settings}["iters"] == 5


def test_a_block_of_multi_token_prediction_is_left_out_by_its_tensor(path):
    tensors = model_tensors(range(LAYERS + 1))
    more = {"deepseek4.nextn_predict_layers": (UINT32, 1)}
    tensors[f"blk.{LAYERS}.nextn.eh_proj.weight"] = (np.ones((2, 2)), F32)
    path.write_bytes(gguf(model_keys(blocks=LAYERS + 1, **more), tensors))
    found = read(path)
    assert found.layers == LAYERS
    assert any("multi-token prediction" in said for said in found.assumptions)
    without = model_tensors(range(LAYERS))
    path.write_bytes(gguf(model_keys(blocks=LAYERS, **more), without))  # the key alone says nothing
    assert read(path).layers == LAYERS


def test_an_unknown_architecture_is_refused_by_name_whatever_its_tensors(path):
    path.write_bytes(gguf(model_keys("llama9"), model_tensors()))
    with pytest.raises(Unsupported, match=r"architecture 'llama9' is not known .*known: deepseek4"):
        read(path)


def test_every_part_of_a_split_model_and_its_folder_are_the_model(tmp_path, birkhoff):
    tensors = model_tensors()
    names = list(tensors)
    path = tmp_path / "whole.gguf"
    path.write_bytes(gguf(model_keys(), tensors))
    whole = read(path).trace().matrices
    folder = tmp_path / "split"
    folder.mkdir()
    for part in (1, 2):
        own = {n: tensors[n] for n in names[part - 1 :: 2]}
        keys = model_keys() if part == 1 else [key("split.no", UINT32, 1)]
        (folder / f"m-0000{part}-of-00002.gguf").write_bytes(gguf(keys, own))
    for place in (*folder.iterdir(), folder):
        np.testing.assert_array_equal(read(place).trace().matrices, whole)
    done = birkhoff("depth-drift", folder, "--json")
    assert done.returncode == 0 and json.loads(done.stdout)["sites"] == 2 * LAYERS
    (folder / "m-00002-of-00002.gguf").unlink()
    with pytest.raises(BadInput, match=r"m-00002-of-00002.gguf: is missing \(1 of 2 parts are\)"):
        read(folder / "m-00001-of-00002.gguf")


def hostile():
    sound = gguf(model_keys(), model_tensors())
    head = b"GGUF" + struct.pack("<I", 3)
    name = text("blk.0.hc_attn_fn.weight")
    many = struct.pack("<QQ", 1, 0) + name + struct.pack("<I", 2)
    array = text("a") + struct.pack("<III", ARRAY, ARRAY, STRING)
    return {
        "a text of 2^60 bytes": head + struct.pack("<QQQ", 0, 1, 1 << 60),
        "10^9 keys": head + struct.pack("<QQ", 0, 10**9),
        "10^9 tensors": head + struct.pack("<QQ", 10**9, 0),
        "an array of arrays": head + struct.pack("<QQ", 0, 1) + array + struct.pack("<Q", 1 << 40),
        "an array of 2^60 numbers": head
        + struct.pack("<QQ", 0, 1)
        + text("a")
        + struct.pack("<IIQ", ARRAY, UINT64, 1 << 60),
        "alignment 0": gguf([key("general.alignment", UINT32, 0)], {}),
        "d of 10^6": head + many + struct.pack("<QQIQ", 10**6, 10**12, 0, 0),
        "an offset outside": head + many + struct.pack("<QQIQ", 8, 4, 0, 1 << 40) + bytes(64),
        "an offset between": head + many + struct.pack("<QQIQ", 8, 4, 0, 7) + bytes(640),
        "a key twice": gguf([key("a", UINT32, 1), key("a", UINT32, 2)], {}),
        "an unknown type": head + struct.pack("<QQ", 0, 1) + text("a") + struct.pack("<I", 77),
        "a name of 100 MB": head + struct.pack("<QQQ", 0, 1, 100 << 20),
        "a vocabulary of 10^7 empty words": head
        + struct.pack("<QQ", 0, 1)
        + text("a")
        + struct.pack("<IIQ", ARRAY, STRING, 10**7),
        "nothing else": b"GGUF",
        "no version": b"GGUF\x03\0",
        "cut in the header": sound[:300],
        "cut in the tensors": sound[:-40],
    }


@pytest.mark.parametrize("case", hostile())
def test_a_hostile_file_is_refused_in_one_line(case, path, birkhoff):
    path.write_bytes(hostile()[case])
    done = birkhoff("inspect", path)
    assert done.returncode == 3, done.stderr
    assert len(done.stderr.splitlines()) == 1 and str(path.name) in done.stderr


@pytest.mark.parametrize("case", [name for name in hostile() if not name.startswith("cut")])
def test_room_behind_a_hostile_header_does_not_make_it_sound(case, path):
    path.write_bytes(hostile()[case])
    with path.open("r+b") as file:
        file.truncate(20 << 30)  # sparse: what is said to be there, is, as zeros
    if case in ("an array of 2^60 numbers", "an offset outside"):
        return  # the one is cut anyway; the other is there now
    with measured() as peak, pytest.raises(BirkhoffError):
        read(path)
    assert peak() < 100 << 20


@contextmanager
def measured():
    """The most memory that Python takes inside, in bytes."""
    tracemalloc.start()
    try:
        yield lambda: tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_a_file_that_is_cut_behind_its_mixers_is_refused_and_padding_is_not_missed(path):
    """A tensor of a type that is not read had no size, so that a download cut in it was whole."""
    tensors = model_tensors()
    blocks = np.zeros(2 * 144 // 4, np.float32)
    whole = gguf(model_keys(), tensors | {"output.weight": (blocks, F32)})
    head = struct.pack("<IQI", 1, len(blocks), F32)
    assert whole.count(head) == 1
    data = whole.replace(head, struct.pack("<IQI", 1, 512, 12))  # 12: q4_k, 256 numbers in 144
    path.write_bytes(data)
    right = read(path).theta
    path.write_bytes(data[:-1])
    with pytest.raises(BadInput, match="'output.weight' lies outside the file"):
        read(path)
    path.write_bytes(data + bytes(31))
    assert np.array_equal(read(path).theta, right)


def test_only_descriptions_and_mixing_tensors_of_a_large_file_are_read(path):
    # of a type that is not known here, so nothing says where it ends
    sound = gguf(model_keys(), model_tensors() | {"blk.0.ffn_down.weight": (np.zeros(1), 99)})
    path.write_bytes(sound)
    with path.open("r+b") as file:  # sparse: 20 GB behind the last tensor
        file.truncate(20 << 30)
    with open_store(path) as store:
        assert store.bytes_read < len(sound)
    code = (
        "import sys\n"
        "from birkhoff_cli.checkpoints import read\n"
        "assert len(read(sys.argv[1]).sites) == 6\n"
        "print([w for w in open('/proc/self/status') if w.startswith('VmHWM')][0].split()[1])"
    )
    command = [sys.executable, "-c", code, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    assert int(done.stdout) < 200_000  # kB


@pytest.mark.parametrize("case", ["gguf_deepseek4", "gguf_mtp_block"])
def test_recorded_cases(cases, case):
    truth = np.load(cases / f"{case}.H_static.npy")
    np.testing.assert_allclose(read(cases / case).trace().matrices[0], truth, atol=1e-5)


def test_a_quantised_mixer_is_named_and_fails_a_check_of_dtypes(birkhoff, path):
    path.write_bytes(gguf(model_keys(), model_tensors(fn=Q8_0)))
    done = birkhoff("inspect", path, "--json", "--fail-on", "dtype")
    assert done.returncode == 1
    said = json.loads(done.stdout)
    rows = said["dtypes"]
    assert {row["dtype"] for row in rows if row["tensor"] == "fn"} == {"q8_0"}
    assert 1e-5 < said["rounding_cost"] < 0.1


def test_tensors_that_lie_on_one_another_and_bytes_of_none_are_refused(path):
    """One of two was read with numbers of the other; of two files the first was read."""
    sound = gguf(model_keys(), model_tensors())
    second = [*model_tensors()][1]
    start = sound.index(text(second)) + len(text(second))
    axes = struct.unpack("<I", sound[start : start + 4])[0]
    offset = start + 4 + 8 * axes + 4
    for data, said in (
        (sound + sound, "goes on behind its last tensor"),
        (sound + bytes(32), "goes on behind its last tensor"),
        (sound[:offset] + bytes(8) + sound[offset + 8 :], "lies on another"),
    ):
        path.write_bytes(data)
        with pytest.raises(BadInput, match=said):
            open_store(path)
    path.write_bytes(sound + bytes(31))  # filled up
    open_store(path).close()


@pytest.mark.parametrize(
    "keys, said",
    [
        ({"no": 1, "count": 2}, "part 2 of 2, and is read as part 1 of 1"),
        ({"count": 3}, "one part of 3, and is read as part 1 of 1"),
        ({"no": 0, "count": 2, "tensors.count": 19}, "part 1 of 2, and is read as part 1 of 1"),
    ],
)
def test_a_part_under_another_name_is_not_the_whole(keys, said, path):
    """Its layers were taken for all that there are."""
    split = [key(f"split.{name}", UINT32, value) for name, value in keys.items()]
    path.write_bytes(gguf([*model_keys(blocks=1), *split], model_tensors(range(1))))
    with pytest.raises(BadInput, match=said):
        read(path)


@pytest.mark.parametrize("tensors, numbers", [(20, (0, 1)), (None, (1, 0)), (None, (0, 0))])
def test_parts_say_which_they_are_and_of_how_many_tensors(tensors, numbers, tmp_path):
    every = model_tensors()
    names = list(every)
    for part, number in enumerate(numbers):
        split = [key("split.count", UINT32, 2), key("split.no", UINT32, number)]
        split += [] if tensors is None else [key("split.tensors.count", INT32, tensors)]
        own = {n: every[n] for n in names[part::2]}
        keys = [*(model_keys() if part == 0 else ()), *split]
        (tmp_path / f"m-0000{part + 1}-of-00002.gguf").write_bytes(gguf(keys, own))
    with pytest.raises(BadInput, match="says that (it is part|the model has 20 tensors)"):
        read(tmp_path)


def test_a_merged_model_keeps_the_keys_of_its_parts(path):
    split = [key("split.count", UINT32, 0), key("split.no", UINT32, 0)]
    path.write_bytes(gguf([*model_keys(), *split], model_tensors()))
    assert len(read(path).sites) == 2 * LAYERS


def test_blocks_beyond_the_count_are_said(path):
    """They were left out, and nothing said so."""
    path.write_bytes(gguf(model_keys(blocks=LAYERS - 1), model_tensors()))
    found = read(path)
    said = (
        "the model has 2 blocks, as block_count says, though 1 more have sites, which are left out"
    )
    assert len(found.sites) == 2 * (LAYERS - 1) and said in found.assumptions
