"""Files and folders as people really have them: what is right of each is beside it."""

import json
from pathlib import Path

import numpy as np
import pytest

from birkhoff_cli import checkpoints as formats
from birkhoff_cli.analyses.core.errors import Unsupported
from conftest import ROOT

CASES = ROOT.parent / "shared" / "cases"
there = pytest.mark.skipif(not CASES.is_dir(), reason=f"the cases are not at {CASES}")
TRUE = sorted(p.name.removesuffix(".H_static.npy") for p in CASES.glob("*.H_static.npy"))
LATER = {"gguf_deepseek4", "gguf_mtp_block", "unet_h_res_logits", "hf_trainer"}
SETTINGS = {"unet_h_res_logits": {"variant": "unet"}}


def error_of(path: Path, name: str) -> float:
    found = formats.read(path, SETTINGS.get(name)).trace().matrices[0]
    truth = np.load(CASES / f"{name}.H_static.npy")
    assert found.shape == truth.shape
    return float(np.abs(found - truth).max())


@there
@pytest.mark.parametrize("name", [name for name in TRUE if name not in LATER])
def test_matrices_are_the_true_ones(name):
    assert error_of(CASES / name, name) <= 1e-5


@there
@pytest.mark.parametrize("file", ["model.pt", "ema.pt"])
def test_logits_of_a_u_net_by_the_mathematics_that_was_said(file):
    assert error_of(CASES / "unet_h_res_logits" / file, "unet_h_res_logits") <= 1e-5


@there
def test_a_folder_of_a_trainer_is_its_model():
    assert error_of(CASES / "hf_trainer" / "checkpoint-500", "hf_trainer") <= 1e-5


@there
def test_a_run_of_a_trainer_is_a_series(birkhoff):
    run = birkhoff("degeneration", CASES / "hf_trainer", "--json")
    assert run.returncode == 0, run.stderr
    assert [step["step"] for step in json.loads(run.stdout)["steps"]] == [500, 1000]


@there
@pytest.mark.parametrize("path", ["step-1000", "step-1000/__0_0.distcp"])
def test_a_distributed_checkpoint_by_itself_and_by_a_part(path):
    assert error_of(CASES / "torchtitan_dcp" / path, "torchtitan_dcp") <= 1e-5


@there
@pytest.mark.parametrize("part", [1, 2])
def test_a_part_of_a_model_stands_for_all_of_it(part):
    path = CASES / "pytorch_bin_index" / f"pytorch_model-0000{part}-of-00002.bin"
    assert error_of(path, "pytorch_bin_index") <= 1e-5
    index = CASES / "pytorch_bin_index" / "pytorch_model.bin.index.json"
    assert error_of(index, "pytorch_bin_index") <= 1e-5


@there
def test_an_adapter_without_mixers_says_where_they_are():
    with pytest.raises(Unsupported, match=r"in its base model.*modules_to_save"):
        formats.read(CASES / "peft_without_mixers")


@there
def test_two_models_in_a_folder_are_both_named(birkhoff):
    run = birkhoff("inspect", CASES / "unet_h_res_logits", "--set", "variant=unet")
    assert run.returncode == 3
    assert "model.pt" in run.stderr and "ema.pt" in run.stderr


@there
def test_hy_v4_mixes_nothing(birkhoff):
    found = formats.read(CASES / "hyv4_release")
    np.testing.assert_array_equal(found.trace().matrices[0], [np.eye(4)] * 6)
    assert birkhoff("inspect", CASES / "hyv4_release").returncode == 0


@there
def test_gemma3n_is_altup_and_mixes_what_follows_its_streams(birkhoff):
    path = CASES / "gemma3n_altup"
    found = formats.read(path)
    assert found.method == "altup" and "AltUp" in found.convention
    np.testing.assert_array_equal(found.trace().matrices[0], [np.eye(4)] * 3)
    run = birkhoff("depth-drift", path, "--inputs", "gaussian", "-n", "20", "--json")
    assert run.returncode == 0, run.stderr
    assert json.loads(run.stdout)["row_error_max"] > 1e-3
    run = birkhoff("inspect", path)
    assert run.returncode == 0 and "altup" in run.stdout.lower()


@there
def test_a_file_of_a_model_and_its_average_that_are_the_same_is_read_and_said():
    found = formats.read(CASES / "unet_h_res_logits" / "ema.pt", {"variant": "unet"})
    assert any("'ema' is the same" in said for said in found.assumptions)
