"""Recorded checkpoints and cases by any path, prefix, folder and part that others have."""

import argparse
import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from birkhoff_cli import checkpoints as formats
from birkhoff_cli.containers import open_store
from birkhoff_cli.testing.formats import WRAPPERS
from test_cases import KNOWN

torch = pytest.importorskip("torch")

TRAINED = (
    *("gomhc_toy_s1", "hf_v4_origfmt", "kromhc_n4", "lucid_mhc", "megatron_main", "mhclite_hc_n4"),
    *("mhclite_mhc_lite_n4", "mhclite_mhc_n4", "tb_mhc_ortho", "tb_mhc_tau1"),
)
STEPS = (1, 50, 100, 400)
SETTINGS = {"gomhc_toy_s1": {"s": "1"}, "unet_h_res_logits": {"variant": "unet"}}
FILES = (".pt", ".bin", ".safetensors", ".distcp", ".gguf", ".json")


def truths():
    """What is recorded: the folder or file, and its static matrices."""
    for name in TRAINED:
        yield f"checkpoints/{name}", f"checkpoints/{name}/truth.npz"
    for step in STEPS:
        series = "checkpoints/series_mhc_n4"
        yield f"{series}/ckpt_{step:06}.pt", f"{series}/truth_{step:06}.npz"
    for name in KNOWN:
        own = {"unet_h_res_logits": "/model.pt", "hf_trainer": "/checkpoint-500"}.get(name, "")
        yield f"cases/{name}{own}", f"cases/{name}.H_static.npy"


RECORDED = dict(truths())


@pytest.fixture(params=RECORDED)
def recorded(request, shared):
    """A path, its settings, and its static matrices."""
    path, truth = shared / request.param, shared / RECORDED[request.param]
    arrays = np.load(truth)
    h = arrays["H_static"] if truth.suffix == ".npz" else arrays
    name = next(part for part in (path.name, path.parent.name) if part in request.param.split("/"))
    return path, SETTINGS.get(name, SETTINGS.get(path.parent.name, {})), h


def right(path, settings, truth):
    found = formats.read(path, settings).trace().matrices[0]
    assert found.shape == truth.shape
    np.testing.assert_allclose(found, truth, atol=1e-5, err_msg=str(path))


def test_by_every_file_and_folder_of_it(recorded):
    path, settings, truth = recorded
    inside = (
        [p for p in path.rglob("*") if p.is_dir() or p.suffix in FILES] if path.is_dir() else []
    )
    beside = ("optimizer", "scheduler", "rng_state", "training_args", "common", "val.")
    for place in (path, *inside):
        sidecar = place.suffix == ".json" and not place.name.endswith(".index.json")
        if not sidecar and not place.name.startswith(beside):
            right(place, settings, truth)


def held(path):
    """Tensors and everything else of a checkpoint, as torch would hold them."""
    with open_store(path) as store:
        tensors = {name: torch.from_numpy(store.read(name)) for name in store.tensors}
        config = dict(store.config)
    if isinstance(config.get("args"), dict):
        config["args"] = argparse.Namespace(**config["args"])
    return tensors, config


def written(folder, tensors, config):
    """A checkpoint: what torch would save, and a configuration beside it."""
    folder.mkdir(parents=True, exist_ok=True)
    beside = {name: config[name] for name in config if name.endswith(".json")}
    torch.save(
        {"model": tensors, **{k: v for k, v in config.items() if k not in beside}},
        folder / "ckpt.pt",
    )
    for name, said in beside.items():
        (folder / name).write_text(json.dumps(said))
    return folder / "ckpt.pt"


NAMED_BY_MODULES = [name for name in RECORDED if "gguf" not in name]


@pytest.mark.parametrize("recorded", NAMED_BY_MODULES, indirect=True)
def test_behind_every_wrapper(recorded, tmp_path):
    path, settings, truth = recorded
    tensors, config = held(path)
    for k, wrapper in enumerate((*WRAPPERS, "policy.actor_net", "_orig_mod.net")):
        wrapped = {f"{wrapper}.{name}": tensor for name, tensor in tensors.items()}
        file = written(tmp_path / str(k), wrapped, config)
        right(file, settings, truth)
        right(file.parent, settings, truth)


def in_parts(tensors, folder):
    """Safetensors in two parts without an index."""
    folder.mkdir(parents=True)
    arrays = {name: tensor.contiguous().numpy().copy() for name, tensor in tensors.items()}
    for part in (1, 2):
        own = {name: arrays[name] for name in sorted(arrays)[part - 1 :: 2]}
        save_file(own, folder / f"model-0000{part}-of-00002.safetensors")


@pytest.mark.parametrize("recorded", NAMED_BY_MODULES, indirect=True)
def test_in_deeper_folders_with_settings_above_and_in_parts(recorded, tmp_path):
    path, settings, truth = recorded
    tensors, config = held(path)
    said = config.get("config.json")
    if len(config) > bool(said) + ("format" in config) or len(tensors) < 2:
        file = written(tmp_path / "a" / "b" / "c", tensors, config)
        right(tmp_path / "a", settings, truth)
        right(file, settings, truth)
        return  # what the file says of itself is in no part
    deep = tmp_path / "run" / "checkpoint-7"
    in_parts(tensors, deep)
    if said:
        (tmp_path / "run" / "config.json").write_text(json.dumps(said))
    for place in (deep, *deep.iterdir(), Path(f"{deep}/../checkpoint-7")):
        right(place, settings, truth)
    if said:
        (deep / "config.json").write_text(json.dumps(said))
        (tmp_path / "run" / "config.json").unlink()
    right(deep / "model-00002-of-00002.safetensors", settings, truth)
    right(tmp_path / "run", settings, truth)
