"""Containers: tensors of every dtype and layout as they were saved, one by one, and the rest."""

import argparse
import json
import pathlib
import zipfile

import numpy as np
import pytest

import files
from birkhoff_cli.analyses.core.errors import BadInput, BirkhoffError, TooLarge, Unsupported
from birkhoff_cli.containers import escape, open_store

DTYPES = ("float64", "float32", "float16", "bfloat16", "int64", "int32", "int16", "int8", "uint8")
DTYPES += ("bool", "uint16", "uint32", "uint64", "complex64", "complex128")


def as_numpy(tensor):
    """What a store should give: bfloat16 as float32, all else as it is."""
    import torch

    return (tensor.float() if tensor.dtype is torch.bfloat16 else tensor).numpy()


def tensors_of_every_dtype():
    import torch

    torch.manual_seed(0)
    values = 40 * torch.rand(3, 4)
    return {dtype: values.to(getattr(torch, dtype)) for dtype in DTYPES}


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
def test_a_torch_file_gives_every_dtype_back(tmp_path, legacy):
    import torch

    saved = tensors_of_every_dtype()
    if legacy:  # that format is older than these dtypes
        saved = {k: t for k, t in saved.items() if k not in ("uint16", "uint32", "uint64")}
    path = tmp_path / "state"
    torch.save(saved, path, _use_new_zipfile_serialization=not legacy)
    with open_store(path) as store:
        assert {n: i.dtype for n, i in store.tensors.items()} == {d: d for d in saved}
        for dtype, tensor in saved.items():
            found, expected = store.read(dtype), as_numpy(tensor)
            assert found.dtype == expected.dtype
            np.testing.assert_array_equal(found, expected)


def test_safetensors_gives_every_dtype_back(tmp_path):
    import torch
    from safetensors.torch import save_file

    saved = tensors_of_every_dtype()
    del saved["complex128"]  # the format has none
    saved |= {"scalar": torch.tensor(2.5), "empty": torch.zeros(0, 3)}
    save_file(saved, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with open_store(tmp_path / "model.safetensors") as store:
        assert store.config == {"format": "pt"}
        assert store.tensors["empty"].shape == (0, 3)
        for key, tensor in saved.items():
            np.testing.assert_array_equal(store.read(key), as_numpy(tensor))


def test_a_dtype_that_numpy_lacks_is_named(tmp_path):
    import torch

    torch.save({"w": torch.zeros(2).to(torch.float8_e4m3fn)}, tmp_path / "f")
    with open_store(tmp_path / "f") as store:
        assert store.tensors["w"].nbytes == 2
        with pytest.raises(Unsupported, match="float8_e4m3fn"):
            store.read("w")


@pytest.mark.parametrize(
    "make",
    [
        lambda t: t.T,
        lambda t: t[1:, ::2],
        lambda t: t[2],
        lambda t: t[1:2, 1:2].squeeze(),
        lambda t: t[:1].expand(3, 6),
        lambda t: t[:0],
    ],
    ids=["transposed", "strided", "row", "scalar", "expanded", "empty"],
)
def test_views_of_a_shared_storage_are_read_as_they_were_seen(tmp_path, make):
    import torch

    base = torch.arange(24.0).reshape(4, 6)
    torch.save({"base": base, "view": make(base)}, tmp_path / "f")
    with open_store(tmp_path / "f") as store:
        np.testing.assert_array_equal(store.read("view"), make(base).numpy())
        np.testing.assert_array_equal(store.read("base"), base.numpy())


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
def test_an_expanded_tensor_is_as_it_was_seen_unless_it_is_many_times_its_storage(tmp_path, legacy):
    """A bias or an H that all sites share was called damaged."""
    import torch

    shared = torch.full((1, 4, 4), 0.25)
    tensors = {"h": shared.expand(6, 4, 4), "bomb": torch.ones(1).expand(1 << 40)}
    torch.save(tensors, tmp_path / "f", _use_new_zipfile_serialization=not legacy)
    with open_store(tmp_path / "f") as store:
        np.testing.assert_array_equal(store.read("h"), np.full((6, 4, 4), 0.25))
        with pytest.raises(TooLarge, match="'bomb' is expanded from 1 to 1,099,511,627,776"):
            store.read("bomb")


def test_big_endian_storages_are_turned(tmp_path):
    values = np.arange(6, dtype=">f4").reshape(2, 3)
    halves = np.array([0x3F80, 0xC000], dtype=">u2")
    path = files.torch_file(
        tmp_path / "f",
        body=files.mapping(
            {
                "a": files.view(files.storage("0", 6), (2, 3)),
                "b": files.view(files.storage("1", 2, "BFloat16Storage"), (2,)),
            }
        ),
        records={"byteorder": b"big", "data/0": values.tobytes(), "data/1": halves.tobytes()},
    )
    with open_store(path) as store:
        np.testing.assert_array_equal(store.read("a"), values)
        np.testing.assert_array_equal(store.read("b"), [1.0, -2.0])
        assert store.read("a").dtype.isnative


def test_what_else_a_checkpoint_holds_is_plain_data(tmp_path):
    import torch

    args = argparse.Namespace(lr=0.5, out=pathlib.Path("a/b"), betas=(0.9, None))
    torch.save(
        {
            "model": {"w": torch.zeros(2)},
            "optimizer": {"state": {0: {"step": torch.zeros(())}}},
            "args": args,
            "best": np.float64(3.0),
            "loss": torch.zeros(()),
            "tags": {"a"},
            "iter_num": 7,
        },
        tmp_path / "f",
    )
    with open_store(tmp_path / "f") as store:
        config = dict(store.config)
    assert config.pop("args") == {"lr": 0.5, "out": "a/b", "betas": [0.9, None]}
    assert config.pop("iter_num") == 7
    assert set(config) == {"best", "tags"} and all(isinstance(v, str) for v in config.values())
    assert json.dumps(config)


@pytest.mark.parametrize("protocol", [3, 4, 5])
def test_later_pickle_protocols_are_read(tmp_path, protocol):
    import torch

    root = {"model": torch.nn.Linear(2, 3).state_dict(), "out": pathlib.Path("a"), "tags": {"a"}}
    torch.save(root, tmp_path / "f", pickle_protocol=protocol)
    with open_store(tmp_path / "f") as store:
        np.testing.assert_array_equal(store.read("weight"), root["model"]["weight"].numpy())
        assert store.config == {"out": "a", "tags": "<builtins.set>"}


def test_a_file_without_a_dictionary_is_described(tmp_path):
    import torch

    torch.save([torch.zeros(1)], tmp_path / "f")
    with pytest.raises(BadInput, match="no dictionary of tensors"):
        open_store(tmp_path / "f")


def test_parameters_and_wrapped_state_dicts_are_tensors(tmp_path):
    import torch

    module = torch.nn.Linear(2, 3)
    torch.save({"state_dict": module.state_dict()}, tmp_path / "a")
    torch.save(dict(module.named_parameters()), tmp_path / "b")
    for file in ("a", "b"):
        with open_store(tmp_path / file) as store:
            np.testing.assert_array_equal(store.read("bias"), module.bias.detach().numpy())


def test_only_what_is_asked_for_is_read(tmp_path):
    path = files.torch_file(tmp_path / "f")
    with open_store(path) as store, zipfile.ZipFile(path) as archive:
        sizes = {i.filename: i.file_size for i in archive.infolist()}
        head = sizes["ckpt/data.pkl"] + sizes["ckpt/byteorder"]
        assert store.bytes_read == head
        wanted = next(iter(store.tensors))
        store.read(wanted)
        store.read(wanted)
        assert store.bytes_read == head + store.tensors[wanted].nbytes


def test_the_digest_depends_on_what_was_read_and_not_on_the_order(tmp_path):
    path = files.torch_file(tmp_path / "f")
    digests = []
    for order in (1, -1):
        with open_store(path) as store:
            before = store.digest()
            for tensor in list(store.tensors)[:3][::order]:
                store.read(tensor)
            digests.append(store.digest())
    assert digests[0] == digests[1] != before
    assert digests[0]["name"] == "f" and digests[0]["size"] == path.stat().st_size
    changed = files.torch_file(tmp_path / "f", records={"data/0": bytes(24)})
    with open_store(changed) as store:
        assert store.digest() == before
        store.read(next(iter(store.tensors)))
        assert store.digest() != digests[0]


def test_the_suffix_does_not_matter(tmp_path):
    data = files.safetensors_bytes({"w": np.ones(2)})
    for suffix in (".pt", ".zip", ".safetensors", ""):
        with open_store(files.written(tmp_path / f"f{suffix}", data)) as store:
            assert list(store.tensors) == ["w"]


def test_a_directory_stands_for_its_one_checkpoint(tmp_path):
    np.savez(tmp_path / "truth.npz", H=np.eye(2))
    np.save(tmp_path / "tokens.npy", np.arange(3))
    (tmp_path / "README.txt").write_text("hello")
    (tmp_path / "sub").mkdir()
    with pytest.raises(BadInput, match=r"4 entries, none a checkpoint \(README.txt"):
        open_store(tmp_path)
    path = files.torch_file(tmp_path / "ckpt.pt")
    with open_store(tmp_path) as store:
        assert store.path == path
    files.torch_file(tmp_path / "ckpt_2.pt")
    with pytest.raises(BadInput, match=r"2 checkpoints \(ckpt.pt, ckpt_2.pt\)"):
        open_store(tmp_path)
    (tmp_path / "pytorch_model.bin.index.json").write_text("{}")
    with pytest.raises(BadInput, match="has no weight_map"):
        open_store(tmp_path)


@pytest.mark.parametrize("parts", [1, 2])
def test_a_file_that_torch_saved_without_checksums_is_read_and_said_to_have_none(tmp_path, parts):
    """It was called damaged, though torch reads it."""
    import torch

    torch.serialization.set_crc32_options(False)
    try:
        for part in range(1, parts + 1):
            name = f"model-{part:05}-of-{parts:05}.bin" if parts > 1 else "model.pt"
            torch.save({f"w{part}": torch.arange(3.0)}, tmp_path / name)
    finally:
        torch.serialization.set_crc32_options(True)
    with open_store(tmp_path) as store:
        assert [store.read(name).tolist() for name in store.tensors] == parts * [[0, 1, 2]]
        assert store.notes == ["the file is as it was saved: it was saved without checksums"]
    torch.save({"w": torch.arange(3.0)}, tmp_path / name)
    data = (tmp_path / name).read_bytes()
    at = data.index(np.arange(3, dtype="<f4").tobytes())
    (tmp_path / name).write_bytes(data[:at] + b"\1" + data[at + 1 :])
    with pytest.raises(BadInput, match="damaged"), open_store(tmp_path / name) as store:
        store.read("w")


@pytest.mark.parametrize("word", [int, str, bool, bytes, tuple, range(3), bytearray(2)])
def test_pythons_own_types_beside_the_tensors_are_inert(tmp_path, word):
    """Protocol 2 calls some of them otherwise: long, unicode, xrange."""
    import collections

    import torch

    beside = collections.defaultdict(word) if callable(word) else word
    torch.save({"w": torch.ones(2), "beside": beside}, tmp_path / "m.pt")
    with open_store(tmp_path / "m.pt") as store:
        assert store.read("w").tolist() == [1, 1]


def test_metadata_of_safetensors_that_is_null_is_none(tmp_path):
    """The library reads it so."""
    data = files.safetensors_bytes({"w": np.ones(2)})
    text = b'{"__metadata__":null,' + data[9 : 8 + int.from_bytes(data[:8], "little")]
    path = tmp_path / "model.safetensors"
    path.write_bytes(files.framed(text, np.ones(2, np.float32).tobytes()))
    with open_store(path) as store:
        assert (store.read("w").tolist(), store.config) == ([1, 1], {})


KINDS = {
    "git-lfs": (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "git lfs pull"),
    "html": (b"\n<!DOCTYPE html><html><head>", "HTML page"),
    "json": (b'{"error": "Repository not found"}', "error message from a server"),
    "ndjson": (b'{"step": 1, "loss": 2.5}\n{"step": 2}\n', "is a log of a training run"),
    "row": (b'{"sample": 0, "matrix": [[1.0]]}\n', "text that names matrices, and no checkpoint"),
    "array of rows": (b'[\n  {\n    "matrix": [[1.0]]\n  }\n]', "in each line an object"),
    "semicolons": (b"sample;matrix_0_0\n0;0,5\n", "tables have commas"),
    "index": (b'{"metadata": {"total_size": 1}, "weight_map": {}}', "index of shards"),
    "hdf5": (b"\x89HDF\r\n\x1a\n" + bytes(64), "HDF5"),
    "7z": (b"7z\xbc\xaf\x27\x1c" + bytes(64), "7z archive"),
    "gzip": (b"\x1f\x8b\x08" + bytes(64), "gzip archive"),
    "npy": (b"\x93NUMPY\x01\x00" + bytes(64), "the format npy, a table or an array"),
    "parquet": (b"PAR1" + bytes(64), "the format parquet"),
    "arrow": (b"ARROW1\0\0" + bytes(64), "the format arrow"),
    "pickle": (b"\x80\x04\x95" + bytes(64), "pickle"),
    "empty": (b"", "empty file"),
    "text": (b"once upon a time", "no known kind"),
    "zeros": (bytes(4096), "no known kind"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_what_people_give_by_mistake_is_named(tmp_path, kind):
    data, sentence = KINDS[kind]
    with pytest.raises(BadInput, match=sentence):
        open_store(files.written(tmp_path / "model.safetensors", data))


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(BadInput, match=r"nowhere\.pt: no such file"):
        open_store(tmp_path / "nowhere.pt")
    with pytest.raises(BadInput, match="no file name"):
        open_store(tmp_path / "nul\0byte")


def test_no_permission_is_said(tmp_path, monkeypatch):
    path = files.torch_file(tmp_path / "f")

    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(pathlib.Path, "open", refuse)
    with pytest.raises(BadInput, match="cannot be opened .Permission denied"):
        open_store(path)


def test_torchscript_is_known_and_refused(tmp_path):
    records = {"constants.pkl": b"\x80\x02)."}
    path = files.torch_file(tmp_path / "f", records=records, compression=zipfile.ZIP_DEFLATED)
    with pytest.raises(Unsupported, match="TorchScript"):
        open_store(path)


def test_names_from_a_file_are_escaped():
    assert escape("a\x1b[31m\nb\u202e\ud800") == "a\\x1b[31m\\nb\\u202e\\ud800"
    assert escape("Größe") == "Größe"
    assert len(escape("x" * 1000)) == 80


def test_the_file_is_closed_whatever_happens(tmp_path):
    for path in (
        files.torch_file(tmp_path / "a", body=files.call(files.name("os", "system"))),
        files.written(tmp_path / "b", files.framed(b'{"a":1}')),
    ):
        with pytest.raises(BirkhoffError):
            open_store(path)  # an open file would raise ResourceWarning, here an error


def test_the_narrow_dtypes_have_the_bits_of_their_library():
    import ml_dtypes

    from birkhoff_cli.containers.store import BITS

    narrow = [name for name in BITS if name.startswith(("float8_", "float6_", "float4_", "bfloat"))]
    assert len(narrow) == 9, narrow
    for name in narrow:
        own = name if hasattr(ml_dtypes, name) else f"{name}fn"
        assert ml_dtypes.finfo(own).bits == BITS[name], name


def test_two_old_files_in_one_are_refused(tmp_path):
    """The first one was read, and nothing said so."""
    torch = pytest.importorskip("torch")
    path = tmp_path / "f.pt"
    state = {n: torch.from_numpy(a) for n, a in files.arrays(files.model_shapes()).items()}
    torch.save({"model": state}, path, _use_new_zipfile_serialization=False)
    with open_store(path) as store:
        assert len(store.tensors) == len(state)
    data = path.read_bytes()
    for more in (data, b"x"):
        path.write_bytes(data + more)
        with pytest.raises(BadInput, match="goes on behind its end"):
            open_store(path)


@pytest.mark.parametrize("new", [True, False], ids=["zip", "before 1.6"])
def test_a_tensor_that_is_stored_with_the_other_sign_is_read_with_its_own(new, tmp_path):
    """The bit that says so was passed over, and every number had the wrong sign."""
    torch = pytest.importorskip("torch")
    values = torch.arange(6.0).reshape(2, 3)
    state = {"a": torch._neg_view(-values), "b": values, "c": torch.nn.Parameter(values)}
    torch.save({"model": state}, tmp_path / "t.pt", _use_new_zipfile_serialization=new)
    with open_store(tmp_path / "t.pt") as store:
        for name in state:
            assert np.array_equal(store.read(name), values.numpy())
