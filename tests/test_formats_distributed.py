"""Checkpoints of torch.distributed.checkpoint, as Megatron writes them."""

import argparse
import enum
import os
import pickle
import shutil
import signal
import subprocess
import sys
import types
import warnings

import numpy as np
import pytest

from birkhoff_cli import checkpoints as formats
from birkhoff_cli.analyses.core.errors import BadInput, BirkhoffError, Unsupported, UsageError
from birkhoff_cli.analyses.parameterizations.mhc import MHC
from birkhoff_cli.containers import open_store

SITES = {"attn": "self_attention", "mlp": "mlp"}
ARGS = {"enable_mhc_connections": True, "mhc_num_residual_streams": 3, "num_layers": 2}
ARGS |= {"hidden_size": 5, "mhc_sinkhorn_iterations": 7}
DATA = "__0_0.distcp"


def model(rng, stacked=True, n=3, width=5, layers=2):
    rows = n * (n + 2)
    shapes = {"mapping_proj.weight": (rows, n * width), "bias": (rows,)}
    shapes |= {f"alpha_{kind}": (1,) for kind in ("pre", "post", "res")}
    middle, first = ([""], (layers,)) if stacked else ([f"{i}." for i in range(layers)], ())
    return {
        f"decoder.layers.{number}{site}_hyper_connection.{tensor}": rng.normal(
            size=(*first, *shape)
        ).astype(np.float32)
        for number in middle
        for site in SITES.values()
        for tensor, shape in shapes.items()
    }


def saved(folder, tensors, args=None):
    """Written by torch itself, with the arguments as Megatron adds them."""
    import torch
    import torch.distributed.checkpoint as dcp

    state = {name: torch.from_numpy(array) for name, array in tensors.items()}
    state["optimizer.state"] = torch.zeros(3)
    if args is not None:
        state["common_state/shard_0_1"] = [{"args": argparse.Namespace(**args), "iteration": 4}]
    with warnings.catch_warnings(action="ignore"):
        planner = dcp.DefaultSavePlanner(flatten_state_dict=False)
        writer = dcp.FileSystemWriter(folder)
        dcp.save(state, storage_writer=writer, planner=planner, no_dist=True)
    return folder


def bias_of(tensors, layer, branch):
    site = f"{SITES[branch]}_hyper_connection.bias"
    stacked = tensors.get(f"decoder.layers.{site}")
    return tensors[f"decoder.layers.{layer}.{site}"] if stacked is None else stacked[layer]


def test_static_matrices_are_those_that_the_trained_model_applied(checkpoints):
    folder = checkpoints / "megatron_main"
    truth = np.load(folder / "truth.npz")
    found = formats.read(folder)
    trace = found.trace()
    assert (found.format, found.d, found.layers, found.width) == ("megatron", 4, 4, 64)
    assert [s.name for s in trace.sites] == truth["site_names"].tolist()
    error = np.abs(trace.matrices[0] - truth["H_static"]).max()
    assert error <= 1e-5, f"largest error {error:.2e}"
    print(f"largest error {error:.2e}")
    assert found.assumptions == ()
    assert {s.name: (s.value, s.source) for s in found.settings} == {
        "streams": (4, "stored"),
        "variant": ("main", "config"),
        "iters": (20, "config"),
    }
    again = formats.read(folder / "iter_0000300")
    assert again.inputs == found.inputs


def test_little_is_read_and_torch_is_not_needed(checkpoints):
    folder = checkpoints / "megatron_main" / "iter_0000300"
    code = "import sys; from pathlib import Path; from birkhoff_cli import checkpoints as c; "
    code += "c.read(Path(sys.argv[1])).trace(); print('torch' in sys.modules)"
    run = subprocess.run(
        [sys.executable, "-c", code, folder], capture_output=True, text=True, check=True
    )
    assert run.stdout.strip() == "False"
    with open_store(folder) as store:
        before = store.bytes_read
        store.read("decoder.layers.mlp_hyper_connection.bias")
        assert store.bytes_read == before + 4 * 1641
        assert before < 40_000


@pytest.mark.parametrize("stacked", [True, False], ids=["stacked", "numbered"])
@pytest.mark.parametrize("variant", ["main", "dev"])
def test_both_layouts_give_the_matrix_of_the_branch(tmp_path, rng, stacked, variant):
    tensors = model(rng, stacked)
    if variant == "dev":
        args = {"enable_hyper_connections": True, "num_residual_streams": 3}
        more = {"decoder.hc_head_fn": np.zeros((3, 15), np.float32)}
    else:
        args, more = ARGS, {}
    found = formats.read(saved(tmp_path / "f", {**tensors, **more}, args))
    assert (found.d, found.layers, found.width) == (3, 2, 5)
    said = {s.name: (s.value, s.source) for s in found.settings}
    assert said["variant"] == (variant, "config" if variant == "main" else "default")
    assumed = 0 if variant == "main" else 2 if stacked else 3  # numbered layers: how many?
    assert len(found.assumptions) == assumed
    for site, h in zip(found.sites, found.trace().matrices[0], strict=True):
        logits = bias_of(tensors, site.layer, site.branch)[6:].reshape(3, 3)
        x = np.exp(logits.astype(np.float64))
        if variant == "dev":
            x = x / x.sum(-1, keepdims=True) + 1e-6
            x = x / (x.sum(-2, keepdims=True) + 1e-6)
            for _ in range(19):
                x = x / (x.sum(-1, keepdims=True) + 1e-6)
                x = x / (x.sum(-2, keepdims=True) + 1e-6)
            x = x.T
        else:
            for _ in range(7):
                x = x / x.sum(-1, keepdims=True)
                x = x / x.sum(-2, keepdims=True)
        np.testing.assert_allclose(h, x, atol=2e-6)


def test_without_arguments_main_is_assumed_and_can_be_set(tmp_path, rng):
    folder = saved(tmp_path / "f", model(rng))
    found = formats.read(folder)
    assert [a.split(",")[0].split(" (")[0] for a in found.assumptions] == [
        "mathematics of Megatron's branch main",
        "sinkhorn iterations 20",
    ]
    chosen = formats.read(folder, {"variant": "dev", "iters": "2"})
    assert chosen.map == MHC(3, "megatron-dev", 2) and chosen.assumptions == ()
    assert "h_res^T" in chosen.convention
    with pytest.raises(UsageError, match="expected main or dev"):
        formats.read(folder, {"variant": "paper"})


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"mhc_num_residual_streams": 4}, "mhc_num_residual_streams = 4, its tensors say 3"),
        ({"num_layers": 9}, "num_layers = 9, its tensors say 2"),
        ({"hidden_size": 9}, "hidden_size = 9, its tensors say 5"),
        ({"mhc_sinkhorn_iterations": 10**6}, "= 1000000, expected a number, 0 to 100000"),
    ],
)
def test_arguments_that_contradict_the_tensors_are_refused(tmp_path, rng, change, sentence):
    folder = saved(tmp_path / "f", model(rng), {**ARGS, **change})
    with pytest.raises(BadInput, match=sentence):
        formats.read(folder)


def hybrid(rng, kinds):
    """One site per layer, as a HybridStack has it, around layers of various kinds."""
    numbered = model(rng, False, layers=len(kinds))
    tensors = {k.replace("mlp_hyper", "hyper"): v for k, v in numbered.items() if "mlp" in k}
    for layer, inner in enumerate(kinds):
        for part in inner:
            tensors[f"decoder.layers.{layer}.inner_layer.{part}.weight"] = np.zeros(3, np.float32)
    return tensors


@pytest.mark.parametrize("variant", ["main", "dev"])
def test_hybrid_layers_have_one_site_each(tmp_path, rng, variant):
    kinds = [("mixer.in_proj", "mixer.norm"), ("self_attention.linear_qkv",), ("mlp.router",)]
    kinds += [("self_attention.linear_proj", "mlp.linear_fc1"), ("other",)]
    tensors = hybrid(rng, kinds)
    folder = saved(tmp_path / "f", tensors, {**ARGS, "num_layers": 5})
    found = formats.read(folder, {"variant": variant})
    assert [s.branch for s in found.sites] == ["mamba", "attn", "mlp", "layer", "layer"]
    assert [s.layer for s in found.sites] == [0, 1, 2, 3, 4] and found.layers == 5
    with found.opened() as store:
        connections = tuple(found.connect(store))
    for layer, (h, site) in enumerate(zip(found.trace().matrices[0], connections, strict=True)):
        bias = tensors[f"decoder.layers.{layer}.hyper_connection.bias"]
        logits = bias[6:].reshape(3, 3)
        wanted = MHC(3, f"megatron-{variant}", 7)(
            (logits.T if variant == "dev" else logits).reshape(1, 9)
        )
        np.testing.assert_array_equal(h, wanted[0])
        np.testing.assert_array_equal(site.weights(None).mixing, wanted[0])
        weight = tensors[f"decoder.layers.{layer}.hyper_connection.mapping_proj.weight"]
        np.testing.assert_array_equal(site.weight, weight.T)


def test_layers_of_two_kinds_are_refused(tmp_path, rng):
    both = {**model(rng), **model(rng, False)}
    mixed = {**hybrid(rng, [("mlp",), ("mlp",)]), **model(rng, False)}
    for name, tensors in (("f", both), ("g", mixed)):
        with pytest.raises(BadInput, match="not of one kind"):
            formats.read(saved(tmp_path / name, tensors, ARGS))


def test_kinds_of_layers_and_modes_that_are_not_known_are_refused(tmp_path, rng):
    odd = {k.replace("mlp_hyper", "moe_hyper"): v for k, v in model(rng, False).items()}
    with pytest.raises(Unsupported, match="kind of layer not known"):
        formats.read(saved(tmp_path / "f", odd, ARGS))
    single = saved(tmp_path / "g", model(rng), {**ARGS, "mhc_single_pass": True})
    with pytest.raises(Unsupported, match="mhc_single_pass"):
        formats.read(single)


def test_the_hundreds_of_arguments_of_a_real_run_are_read_over(tmp_path, rng):
    more = {f"option_{k}": [None, 0.1, "word", [1, 2], {"a": (1,)}][k % 5] for k in range(700)}
    folder = saved(tmp_path / "f", model(rng), {**more, **ARGS})
    assert formats.read(folder).map.iters == 7


class Harmful:
    def __reduce__(self):
        return os.system, ("touch /tmp/birkhoff_was_here",)


def pickled(change):
    """A change of the metadata, by torch's own classes."""

    def run(folder):
        path = folder / ".metadata"
        metadata = pickle.loads(path.read_bytes())
        change(metadata)
        path.write_bytes(pickle.dumps(metadata))

    return run


def stored(**values):
    def change(metadata):
        for key, info in metadata.storage_data.items():
            if key.fqn.endswith("bias"):
                for name, value in values.items():
                    setattr(info, name, value)

    return pickled(change)


def gone(metadata):
    metadata.storage_data = {
        k: v for k, v in metadata.storage_data.items() if not k.fqn.endswith("bias")
    }


def wide(metadata):
    import torch

    for name, entry in metadata.state_dict_metadata.items():
        if name.endswith("bias"):
            entry.size = torch.Size([1 << 20, 1 << 20])


def harmful(metadata):
    metadata.planner_data = Harmful()


def harmful_arguments(folder):
    import torch

    shutil.rmtree(folder)
    tensors = model(np.random.default_rng(0))
    saved(folder, tensors)
    torch.save({"args": Harmful()}, folder / "common.pt")


def huge_chunk(folder):
    stored(length=1 << 40)(folder)
    os.truncate(folder / DATA, 2 << 40)


def cut(folder):
    os.truncate(folder / DATA, 100)


def cut_at_the_end(folder):
    """What lies there is no mixing tensor, and was not missed."""
    path = folder / "__0_0.distcp"
    path.write_bytes(path.read_bytes()[:-1])


def pipe(folder):
    (folder / DATA).unlink()
    os.mkfifo(folder / DATA)


def device(folder):
    (folder / ".metadata").unlink()
    (folder / ".metadata").symlink_to("/dev/zero")


HOSTILE = {
    "a parent": (stored(relative_path="../x"), "no plain file name"),
    "absolute": (stored(relative_path="/etc/passwd"), "no plain file name"),
    "no text": (stored(relative_path=7), "no plain file name"),
    "a missing file": (stored(relative_path="gone"), "gone: no such file"),
    "beyond the end": (stored(offset=1 << 40), "and should have"),
    "a negative offset": (stored(offset=-1), "cannot be understood"),
    "a huge chunk": (huge_chunk, "a chunk is larger than its tensor"),
    "a short chunk": (stored(length=7), "does not end as a zip archive"),
    "another place": (stored(offset=3), "does not end as a zip archive"),
    "transforms": (stored(transform_descriptors=["zstd"]), "chunks are compressed"),
    "no place": (pickled(gone), "a chunk of 'decoder.*bias' is nowhere"),
    "a huge tensor": (pickled(wide), "bias' is not made of its chunks"),
    "code": (pickled(harmful), "holds the Python object 'posix.system'"),
    "code in the arguments": (harmful_arguments, "holds the Python object 'posix.system'"),
    "a file cut short": (cut, "and should have"),
    "a file without its last byte": (cut_at_the_end, "and should have"),
    "a pipe": (pipe, "is a device, pipe or socket"),
    "a device": (device, "is a device, pipe or socket"),
    "no pickle": (lambda f: (f / ".metadata").write_bytes(b"{}"), "cannot be understood"),
    "nothing": (lambda f: (f / ".metadata").write_bytes(b""), "cannot be understood"),
    "a list": (lambda f: (f / ".metadata").write_bytes(b"]."), "cannot be understood"),
    "another backend": (
        lambda f: (f / "metadata.json").write_text('{"sharded_backend": "zarr"}'),
        "backend 'zarr' is not known",
    ),
    "an odd note": (
        lambda f: (f / "latest_checkpointed_iteration.txt").write_text("../3"),
        "is not the number of an iteration",
    ),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_directories_are_refused_in_one_line(tmp_path, rng, case):
    change, sentence = HOSTILE[case]
    folder = saved(tmp_path / "f", model(rng), ARGS)
    change(folder)
    with pytest.raises(BirkhoffError, match=sentence) as error:
        formats.read(folder)
    assert isinstance(error.value, BadInput | Unsupported)
    assert str(error.value).startswith(str(folder)) and str(error.value).isprintable()
    assert not os.path.lexists("/tmp/birkhoff_was_here")


def test_objects_of_megatron_among_the_arguments_are_not_looked_up(tmp_path, rng, monkeypatch):
    import torch

    name = "megatron.core.enums"
    module = types.ModuleType(name)
    module.ModelType = enum.Enum("ModelType", {"one": 1}, module=name)
    with monkeypatch.context() as patch:
        for known in ("megatron", "megatron.core", name):
            patch.setitem(sys.modules, known, module)
        more = {"model_type": module.ModelType.one, "params_dtype": torch.bfloat16}
        more |= {"exit_signal": signal.SIGTERM, "split": None, "data_path": ["a"]}
        folder = saved(tmp_path / "f", model(rng), {**ARGS, **more})
    assert name not in sys.modules
    assert formats.read(folder).map.iters == 7


def test_a_file_of_chunks_that_the_metadata_does_not_list_is_said(tmp_path, rng):
    saved(folder := tmp_path / "d", model(rng), ARGS)
    assert not any("beside it" in text for text in formats.read(folder).assumptions)
    (folder / "__7_0.distcp").write_bytes(next(folder.glob("*.distcp")).read_bytes())
    said = ".metadata lists the whole model, though it has nothing of __7_0.distcp beside it"
    assert said in formats.read(folder).assumptions
