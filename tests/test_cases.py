"""Files and folders as people really have them: what is right of each is beside it."""

import json
from pathlib import Path

import numpy as np
import pytest

from birkhoff_cli import checkpoints as formats
from birkhoff_cli.analyses.core.errors import Unsupported

TRUE = (
    *("file_beside_config", "glm_mhc_keys", "logits_original", "motif3", "padded_fn"),
    *("peft_modules_to_save", "pytorch_bin_index", "torchtitan_dcp"),
)
KNOWN = (*TRUE, "gguf_deepseek4", "gguf_mtp_block", "hf_trainer", "unet_h_res_logits")
"""Cases of known matrices: those beside `TRUE` have tests of their own."""

SETTINGS = {"unet_h_res_logits": {"variant": "unet"}}


def error_of(path: Path, cases: Path, name: str) -> float:
    found = formats.read(path, SETTINGS.get(name)).trace().matrices[0]
    truth = np.load(cases / f"{name}.H_static.npy")
    assert found.shape == truth.shape
    return float(np.abs(found - truth).max())


@pytest.mark.parametrize("name", TRUE)
def test_matrices_are_the_true_ones(cases, name):
    assert error_of(cases / name, cases, name) <= 1e-5


def test_every_case_of_known_matrices_is_tested(cases):
    known = {p.name.removesuffix(".H_static.npy") for p in cases.glob("*.H_static.npy")}
    assert known == set(KNOWN)


@pytest.mark.parametrize("file", ["model.pt", "ema.pt"])
def test_logits_of_a_u_net_by_the_mathematics_that_was_said(cases, file):
    assert error_of(cases / "unet_h_res_logits" / file, cases, "unet_h_res_logits") <= 1e-5


def test_a_folder_of_a_trainer_is_its_model(cases):
    assert error_of(cases / "hf_trainer" / "checkpoint-500", cases, "hf_trainer") <= 1e-5


def test_a_run_of_a_trainer_is_a_series(birkhoff, cases):
    run = birkhoff("degeneration", cases / "hf_trainer", "--json")
    assert run.returncode == 0, run.stderr
    assert [step["step"] for step in json.loads(run.stdout)["steps"]] == [500, 1000]


@pytest.mark.parametrize("path", ["step-1000", "step-1000/__0_0.distcp"])
def test_a_distributed_checkpoint_by_itself_and_by_a_part(cases, path):
    assert error_of(cases / "torchtitan_dcp" / path, cases, "torchtitan_dcp") <= 1e-5


@pytest.mark.parametrize("part", [1, 2])
def test_a_part_of_a_model_stands_for_all_of_it(cases, part):
    path = cases / "pytorch_bin_index" / f"pytorch_model-0000{part}-of-00002.bin"
    assert error_of(path, cases, "pytorch_bin_index") <= 1e-5
    index = cases / "pytorch_bin_index" / "pytorch_model.bin.index.json"
    assert error_of(index, cases, "pytorch_bin_index") <= 1e-5


def test_an_adapter_without_mixers_says_where_they_are(cases):
    with pytest.raises(Unsupported, match=r"in its base model.*modules_to_save"):
        formats.read(cases / "peft_without_mixers")


def test_two_models_in_a_folder_are_both_named(birkhoff, cases):
    run = birkhoff("inspect", cases / "unet_h_res_logits", "--set", "variant=unet")
    assert run.returncode == 3
    assert "model.pt" in run.stderr and "ema.pt" in run.stderr


def test_hy_v4_mixes_nothing(birkhoff, cases):
    found = formats.read(cases / "hyv4_release")
    np.testing.assert_array_equal(found.trace().matrices[0], [np.eye(4)] * 6)
    assert birkhoff("inspect", cases / "hyv4_release").returncode == 0


def test_gemma3n_is_altup_and_mixes_what_follows_its_streams(birkhoff, cases):
    path = cases / "gemma3n_altup"
    found = formats.read(path)
    assert found.method == "altup" and "AltUp" in found.convention
    np.testing.assert_array_equal(found.trace().matrices[0], [np.eye(4)] * 3)
    run = birkhoff("depth-drift", path, "--inputs", "gaussian", "-n", "20", "--json")
    assert run.returncode == 0, run.stderr
    assert json.loads(run.stdout)["row_error_max"] > 1e-3
    run = birkhoff("inspect", path)
    assert run.returncode == 0 and "altup" in run.stdout.lower()


def test_a_file_of_a_model_and_its_average_that_are_the_same_is_read_and_said(cases):
    found = formats.read(cases / "unet_h_res_logits" / "ema.pt", {"variant": "unet"})
    assert any("'ema' is the same" in said for said in found.assumptions)
