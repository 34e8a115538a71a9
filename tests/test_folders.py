"""Folders as trainers leave them: which files are the model, and what is said of the others."""

import json

import numpy as np
import pytest
from safetensors.numpy import save_file

from birkhoff_cli import checkpoints
from birkhoff_cli.analyses.core.errors import BadInput, Unsupported
from test_formats_sharded import CONFIG, tensors

torch = pytest.importorskip("torch")


@pytest.fixture
def model(rng):
    return tensors(rng)


def torch_save(path, state):
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(state, path)


def in_torch(model):
    return {name: torch.from_numpy(array) for name, array in model.items()}


def same(path, model, tmp_path):
    save_file(model, tmp_path / "alone.safetensors")
    found, alone = checkpoints.read(path), checkpoints.read(tmp_path / "alone.safetensors")
    np.testing.assert_array_equal(found.trace().matrices, alone.trace().matrices)
    return found


def test_deepspeed_by_its_note_and_its_ranks(tmp_path, model):
    folder = tmp_path / "run"
    for rank in range(2):
        state = {"module": in_torch(model), "global_steps": 7}
        torch_save(folder / "global_step7" / f"mp_rank_0{rank}_model_states.pt", state)
    torch_save(folder / "global_step7" / "zero_pp_rank_0_mp_rank_00_optim_states.pt", {})
    (folder / "latest").write_text("global_step7\n")
    found = same(folder, model, tmp_path)
    assert found.step == 7 and any("2 files of ranks" in a for a in found.assumptions)


def test_ranks_that_hold_pieces_are_refused(tmp_path, model):
    for rank in range(2):
        part = {name: array + rank for name, array in model.items()}
        save_file(part, tmp_path / f"model-rank-{rank}-part-0.safetensors")
    with pytest.raises(BadInput, match="differs between .* hold pieces"):
        checkpoints.read(tmp_path)


def test_ranks_that_hold_copies_are_one_model(tmp_path, model):
    (tmp_path / "ranks").mkdir()
    for rank in range(2):
        save_file(model, tmp_path / "ranks" / f"model-rank-{rank}-part-0.safetensors")
    same(tmp_path / "ranks", model, tmp_path)


def test_pieces_of_zero_3_say_what_to_do(tmp_path):
    torch_save(tmp_path / "zero_pp_rank_0_mp_rank_00_model_states.pt", {"module": {}})
    with pytest.raises(Unsupported, match=r"run zero_to_fp32\.py"):
        checkpoints.read(tmp_path)


@pytest.mark.parametrize("part", [1, 2, None])
def test_parts_without_an_index_by_any_of_them_and_by_their_folder(tmp_path, model, part):
    folder = tmp_path / "parts"
    folder.mkdir()
    names = sorted(model)
    for k, half in enumerate((names[:5], names[5:]), 1):
        save_file({n: model[n] for n in half}, folder / f"model-0000{k}-of-00002.safetensors")
    path = folder if part is None else folder / f"model-0000{part}-of-00002.safetensors"
    same(path, model, tmp_path)
    (folder / "model-00002-of-00002.safetensors").unlink()
    with pytest.raises(BadInput, match="model-00002-of-00002.safetensors is missing"):
        checkpoints.read(folder)


def test_a_folder_of_a_trainer_without_its_configuration(tmp_path, model):
    folder = tmp_path / "run" / "checkpoint-500"
    folder.mkdir(parents=True)
    save_file(model, folder / "model.safetensors")
    for name in ("optimizer.pt", "scheduler.pt", "rng_state_0.pth", "training_args.bin"):
        torch_save(folder / name, {"state": torch.zeros(2)})
    (tmp_path / "run" / "config.json").write_text(json.dumps(CONFIG))
    found = checkpoints.read(folder)
    assert found.map.iters == 7
    assert "config.json is that of the folder above" in found.assumptions


def test_an_index_without_a_variant_wins_and_the_other_is_named(tmp_path, model):
    folder = tmp_path / "model"
    folder.mkdir()
    save_file(model, folder / "a.safetensors")
    save_file({n: v + 1 for n, v in model.items()}, folder / "b.safetensors")
    for variant, home in (("", "a"), (".fp8", "b")):
        index = {"weight_map": dict.fromkeys(model, f"{home}.safetensors")}
        (folder / f"model{variant}.safetensors.index.json").write_text(json.dumps(index))
    found = same(folder, model, tmp_path)
    assert any("model.fp8.safetensors.index.json beside it" in a for a in found.assumptions)
    other = checkpoints.read(folder / "model.fp8.safetensors.index.json")
    assert not np.array_equal(other.theta, found.theta)
    with other.opened() as store:
        np.testing.assert_array_equal(
            store.read("layers.0.hc_attn_base"), model["layers.0.hc_attn_base"] + 1
        )


def test_one_model_under_two_names_is_read_once_and_the_other_is_named(tmp_path, model):
    folder = tmp_path / "model"
    folder.mkdir()
    save_file(model, folder / "model.safetensors")
    torch_save(folder / "pytorch_model.bin", in_torch(model))
    found = same(folder, model, tmp_path)
    assert any("pytorch_model.bin beside it is not read" in a for a in found.assumptions)


def test_lightning_stores_its_step(tmp_path, model):
    state = {"state_dict": {f"model.{n}": t for n, t in in_torch(model).items()}, "global_step": 9}
    torch_save(tmp_path / "epoch=1.ckpt", state)
    assert same(tmp_path / "epoch=1.ckpt", model, tmp_path).step == 9


def test_another_programs_folder_is_named(tmp_path):
    (tmp_path / "_METADATA").write_text("{}")
    with pytest.raises(Unsupported, match="an Orbax checkpoint, which is not read here"):
        checkpoints.read(tmp_path)
