"""Folders as trainers leave them: which files are the model, and what is said of the others."""

import argparse
import enum
import json
import signal
import sys
import types
from unittest import mock

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


def test_ranks_lie_in_a_folder_without_a_configuration(tmp_path, model, birkhoff):
    """They were taken for models of their own, and refused as no series."""
    for rank in range(2):
        save_file(model, tmp_path / f"model-rank-{rank}-part-0.safetensors")
    done = birkhoff("depth-drift", ".", "--json")
    assert done.returncode == 0, done.stderr
    assert "2 files of ranks" in done.stderr


def test_parts_and_ranks_that_are_missing_are_refused_or_said(tmp_path, model):
    """Those that were left were taken for the whole."""
    names = sorted(model)
    for k, half in ((0, names[:5]), (2, names[5:])):
        save_file({n: model[n] for n in half}, tmp_path / f"model-rank-0-part-{k}.safetensors")
    with pytest.raises(BadInput, match="holds part 2 of rank 0, and its part 1 is missing"):
        checkpoints.read(tmp_path)
    for part in tmp_path.iterdir():
        part.unlink()
    for rank in (0, 2):
        save_file(model, tmp_path / f"model-rank-{rank}-part-0.safetensors")
    said = "nothing of the model is in the files of rank 1 alone, which are missing"
    assert said in checkpoints.read(tmp_path).assumptions


def test_a_parameter_of_a_universal_checkpoint_without_its_weights_is_refused(tmp_path, model):
    """A layer whose files were lost was left out: what the optimizer kept was still there."""
    for name, tensor in in_torch(model).items():
        torch_save(tmp_path / "zero" / name / "exp_avg.pt", tensor)
        torch_save(tmp_path / "zero" / name / "fp32.pt", tensor)
    last = [name for name in model if ".1." in name]
    for name in last:
        (tmp_path / "zero" / name / "fp32.pt").unlink()
    with pytest.raises(BadInput, match=r"has no fp32\.pt; incomplete"):
        checkpoints.read(tmp_path)


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


AVERAGES = ("ema", "state_dict_ema", "model_ema", "module")


@pytest.mark.parametrize("key", AVERAGES)
@pytest.mark.parametrize("wrapper", ["", "module."])
def test_two_models_in_one_file_are_both_named_with_how_to_choose(tmp_path, model, key, wrapper):
    average = {f"{wrapper}{name}": tensor + 1 for name, tensor in in_torch(model).items()}
    torch_save(tmp_path / "ckpt.pt", {"model": in_torch(model), key: average, "step": 3})
    prefix = "" if key == "module" else key  # a wrapper's word tells nothing apart
    if not prefix:
        with pytest.raises(BadInput, match="are the same tensor; keep one of them"):
            checkpoints.read(tmp_path / "ckpt.pt")
        return
    with pytest.raises(BadInput, match=f"holds 2 models.* give --set prefix= or .*={key}"):
        checkpoints.read(tmp_path / "ckpt.pt")
    alone = {"": model, prefix: {name: array + 1 for name, array in model.items()}}
    for word, arrays in alone.items():
        save_file(arrays, tmp_path / "alone.safetensors")
        found = checkpoints.read(tmp_path / "ckpt.pt", {"prefix": word})
        truth = checkpoints.read(tmp_path / "alone.safetensors")
        np.testing.assert_array_equal(found.trace().matrices, truth.trace().matrices)
        assert found.step == 3


def test_layers_that_a_file_keeps_elsewhere_are_not_left_out_in_silence(tmp_path, model):
    """Half of them under one key, half under another: the first half was read as a whole model."""
    tensors = in_torch(model)
    first = {name: tensor for name, tensor in tensors.items() if ".0." in name}
    rest = {name: tensor for name, tensor in tensors.items() if name not in first}
    assert first and rest
    torch_save(tmp_path / "ckpt.pt", {"model": first, "rest": rest})
    with pytest.raises(BadInput, match="holds 2 models.* give --set prefix= or .*=rest"):
        checkpoints.read(tmp_path / "ckpt.pt")


def test_a_trainers_own_tensors_are_no_second_model(tmp_path, model):
    state = {
        "model": in_torch(model),
        "optimizer": {"exp_avg": in_torch(model)},
        "optim_state": {"exp_avg": in_torch(model), "state": {0: {"step": torch.zeros(())}}},
        "grads": in_torch(model),
        "best_loss": torch.zeros(()),
        "buffers": {"rope": torch.zeros(3)},
    }
    torch_save(tmp_path / "ckpt.pt", state)
    same(tmp_path / "ckpt.pt", model, tmp_path)


@pytest.mark.parametrize(
    "keys", [("model", "language_model", "encoder"), ("params",), ("net", "g")]
)
def test_dictionaries_in_one_another_are_names(tmp_path, model, keys):
    state = in_torch(model)
    for key in reversed(keys):
        state = {key: state}
    torch_save(tmp_path / "ckpt.pt", {**state, "iteration": 5, "rng_state": [torch.zeros(2)]})
    assert same(tmp_path / "ckpt.pt", model, tmp_path).step == 5


def test_a_dictionary_that_holds_itself_ends(tmp_path):
    inner = {f"k{k}": torch.zeros(1) for k in range(3)}
    for name in "abcdef":
        inner |= {f"{name}{k}": inner.copy() for k in range(3)}
    inner["self"] = inner
    torch_save(tmp_path / "ckpt.pt", {"model": inner})
    with pytest.raises(BadInput, match="none that one of"):
        checkpoints.read(tmp_path / "ckpt.pt")


def test_megatrons_old_layout_with_its_objects(tmp_path, rng):
    from test_formats_distributed import ARGS
    from test_formats_distributed import model as megatron

    tensors = {name: torch.from_numpy(array) for name, array in megatron(rng).items()}
    kind = types.ModuleType("megatron.core.enums")
    kind.ModelType = enum.Enum("ModelType", {"one": 1}, module=kind.__name__)
    with mock.patch.dict(
        sys.modules, {"megatron": kind, "megatron.core": kind, kind.__name__: kind}
    ):
        args = argparse.Namespace(**ARGS, model_type=kind.ModelType.one, exit=signal.SIGTERM)
        state = {"model": tensors, "args": args, "iteration": 300, "checkpoint_version": 3.0}
        for rank in range(2):
            torch_save(tmp_path / "iter_0000300" / f"mp_rank_0{rank}" / "model_optim_rng.pt", state)
    (tmp_path / "latest_checkpointed_iteration.txt").write_text("300")
    found = checkpoints.read(tmp_path)
    assert found.format == "megatron" and found.step == 300 and found.map.iters == 7
    one = checkpoints.read(tmp_path / "iter_0000300" / "mp_rank_01" / "model_optim_rng.pt")
    np.testing.assert_array_equal(found.trace().matrices, one.trace().matrices)


def test_a_folder_of_two_models_says_so_before_what_each_of_them_lacks(birkhoff, tmp_path):
    logits = {f"blocks.{k}.H_res_logits": torch.zeros(4, 4) for k in range(2)}
    for name in ("model.pt", "ema.pt"):
        torch_save(tmp_path / "two" / name, logits)
    for command in ("inspect", "degeneration", "depth-drift"):
        done = birkhoff(command, "two")
        assert (done.returncode, done.stderr.count("\n")) == (3, 1), done.stderr
        assert "model.pt" in done.stderr and "ema.pt" in done.stderr
    assert birkhoff("inspect", "two/ema.pt").returncode == 4


def test_a_second_model_that_is_the_same_is_said(tmp_path, model):
    torch_save(tmp_path / "ckpt.pt", {"model": in_torch(model), "ema": in_torch(model)})
    found = same(tmp_path / "ckpt.pt", model, tmp_path)
    assert "the model under 'ema' is the same, and read once" in found.assumptions


@pytest.mark.parametrize("alone", [True, False])
@pytest.mark.parametrize(
    "given", ["run", "run/global_step9_universal", "run/global_step9_universal/zero"]
)
def test_deepspeeds_universal_checkpoint_by_any_of_its_folders(tmp_path, model, alone, given):
    step = tmp_path / "run" / "global_step9_universal"
    for name, tensor in in_torch(model).items():
        torch_save(step / "zero" / name / "fp32.pt", tensor if alone else {"param": tensor})
        torch_save(step / "zero" / name / "exp_avg.pt", {"param": tensor + 1})
    torch_save(step / "mp_rank_00_model_states.pt", {"module": None, "global_steps": 9})
    (tmp_path / "run" / "latest_universal").write_text("global_step9_universal")
    found = same(tmp_path / given, model, tmp_path)
    assert len(found.inputs[0]["sha256"]) == 64
    (step / "zero" / sorted(model)[0] / "fp32.pt").write_bytes(b"PK\3\4")
    with pytest.raises(BadInput, match=r"fp32\.pt: does not end as a zip archive"):
        checkpoints.read(tmp_path / given)


def iterations(path):
    found = checkpoints.read(path)
    return found.map.iters, {s.name: s.source for s in found.settings}["iters"]


@pytest.mark.parametrize("key", ["config", "hparams", "hyper_parameters", "model_config", "args"])
def test_settings_that_a_torch_file_holds_itself(tmp_path, model, key):
    said = argparse.Namespace(**CONFIG) if key == "args" else {"model": CONFIG, "lr": 1e-3}
    torch_save(tmp_path / "ckpt.pt", {"state_dict": in_torch(model), key: said})
    assert iterations(tmp_path / "ckpt.pt") == (7, "config")


def test_settings_between_the_folder_that_is_named_and_the_weights(tmp_path, model):
    deep = tmp_path / "run" / "a" / "b" / "c"
    deep.mkdir(parents=True)
    save_file(model, deep / "model.safetensors")
    (tmp_path / "run" / "config.json").write_text(json.dumps(CONFIG))
    (tmp_path / "config.json").write_text(json.dumps({**CONFIG, "hc_sinkhorn_iters": 9}))
    assert iterations(tmp_path / "run") == (7, "config")
    assert iterations(deep) == (20, "default")


def test_what_a_trainer_goes_on_from_gives_way_to_the_model_beside_it(tmp_path, model):
    folder = tmp_path / "checkpoint-500"
    torch_save(folder / "global_step500" / "zero_pp_rank_0_mp_rank_00_model_states.pt", {})
    (folder / "latest").write_text("global_step500")
    save_file(model, folder / "model.safetensors")
    found = same(folder, model, tmp_path)
    assert any("global_step500 beside it is not read" in said for said in found.assumptions)


def test_a_model_beside_its_steps_says_so(tmp_path, model):
    for step in (5, 10):
        (tmp_path / "run" / f"checkpoint-{step}").mkdir(parents=True)
    save_file(model, tmp_path / "run" / "model.safetensors")
    found = same(tmp_path / "run", model, tmp_path)
    assert any("checkpoint-10, checkpoint-5 beside it" in said for said in found.assumptions)


def test_layers_of_a_pipeline_say_what_to_do(tmp_path):
    torch_save(tmp_path / "layer_00-model_00-model_states.pt", {"hc_attn_base": torch.zeros(3)})
    torch_save(tmp_path / "mp_rank_00_model_states.pt", {"module": None})
    with pytest.raises(Unsupported, match=r"convert it with ds_to_universal\.py"):
        checkpoints.read(tmp_path)


@pytest.mark.parametrize("name", ["model.onnx", "model.pdparams", "model.msgpack"])
def test_a_folder_of_another_program_gets_the_same_sentence_as_its_file(tmp_path, name):
    (tmp_path / name).write_bytes(b"\x08\x07\x12\x07")
    for path in (tmp_path, tmp_path / name):
        with pytest.raises(Unsupported, match="which is not read here; export the model as"):
            checkpoints.read(path)


INDICES = (
    *("model.safetensors.index.fp32.json", "pytorch_model.bin.index.fp16.json", "index.json"),
    *("model.safetensors.index.json.bak", "Model.Safetensors.Index.JSON", "weights.index.json"),
)


@pytest.mark.parametrize("name", INDICES)
@pytest.mark.parametrize("own", ["model.safetensors", "final.safetensors"])
def test_an_index_of_any_name_beside_a_model_is_said(name, own, tmp_path, model):
    """It was passed over in silence."""
    folder = tmp_path / "run"
    folder.mkdir()
    save_file(model, folder / own)
    (folder / name).write_text(json.dumps({"weight_map": dict.fromkeys(model, "other")}))
    found = same(folder, model, tmp_path)
    assert f"{name} beside it is not read; name it to read it" in found.assumptions


def test_an_index_of_a_variant_is_one_and_files_that_none_lists_are_said(tmp_path, model):
    folder = tmp_path / "run"
    folder.mkdir()
    save_file(model, folder / "shard.safetensors")
    listed = json.dumps({"weight_map": dict.fromkeys(model, "shard.safetensors")})
    index = folder / "model.safetensors.index.fp32.json"
    index.write_text(listed)
    same(index, model, tmp_path)
    index.rename(folder / "model.safetensors.index.json")
    same(folder, model, tmp_path)
    save_file({n: a + 1 for n, a in model.items()}, folder / "old-00001-of-00001.safetensors")
    (folder / "val.bin").write_bytes(bytes(8))
    found = same(folder, model, tmp_path)
    said = "old-00001-of-00001.safetensors beside it is not read; name it to read it"
    assert [a for a in found.assumptions if "beside" in a] == [said]


@pytest.mark.parametrize("steps, said", [((5, 9), True), ((3, 5), False)])
def test_a_later_step_than_the_one_that_a_note_names_is_said(steps, said, tmp_path, model):
    """The note of a run that went on was taken for the newest, in silence."""
    for step in steps:
        folder = tmp_path / f"iter_{step:07}" / "mp_rank_00"
        torch_save(folder / "model_optim_rng.pt", {"model": in_torch(model), "iteration": step})
    (tmp_path / "latest_checkpointed_iteration.txt").write_text("5")
    found = checkpoints.read(tmp_path)
    sentence = "iter_0000009 beside it is not read; name it to read it"
    assert found.step == 5 and (sentence in found.assumptions) == said
