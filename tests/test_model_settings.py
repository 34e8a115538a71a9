"""``config.json`` under every name and at every depth; multi-token prediction under every name."""

import json

import numpy as np
import pytest
from safetensors.numpy import save_file

from birkhoff_cli import checkpoints
from birkhoff_cli.analyses.core.errors import BadInput
from birkhoff_cli.checkpoints.sites import config as configured
from test_formats_sharded import CONFIG, tensors

SAID = {k: v for k, v in CONFIG.items() if k != "hc_sinkhorn_iters"}
ITERS = 5


@pytest.fixture
def model(rng):
    return tensors(rng)


def read(folder, model, config):
    folder.mkdir(exist_ok=True)
    save_file(model, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(config))
    return checkpoints.read(folder)


@pytest.mark.parametrize("key", configured.ITERS)
@pytest.mark.parametrize("value", [ITERS, float(ITERS)])
def test_iterations_under_every_name(tmp_path, model, key, value):
    found = read(tmp_path / "m", model, {**SAID, key: value})
    assert found.map.iters == ITERS
    assert {s.name: s.source for s in found.settings}["iters"] == "config"
    assert not any("is a setting that is not known" in said for said in found.assumptions)


PARTS = {
    "text_config": lambda c: {"text_config": c},
    "llm_config": lambda c: {"llm_config": c, "vision_config": {"hidden_size": 7}},
    "two deep": lambda c: {"thinker_config": {"audio": {"dim": 3}, "text_config": c}},
    "of no known name": lambda c: {"decoder": {"main": c}},
    "outside of the part": lambda c: {
        **{k: v for k, v in c.items() if k.startswith("hc_")},
        "text_config": {k: v for k, v in c.items() if not k.startswith("hc_")},
    },
}


@pytest.mark.parametrize("part", PARTS)
def test_settings_of_a_part_of_the_model(tmp_path, model, part):
    config = {"model_type": "mine", **PARTS[part]({**SAID, "hc_sinkhorn_iters": ITERS})}
    assert read(tmp_path / "m", model, config).map.iters == ITERS


def test_nothing_said_under_a_name_is_nothing_said(tmp_path, model):
    found = read(tmp_path / "m", model, {**SAID, "hc_sinkhorn_iters": None})
    assert found.map.iters == 20
    assert any("sinkhorn iterations 20" in said for said in found.assumptions)


@pytest.mark.parametrize(
    "key", ["mhc_tau", "hc_temperature", "sinkhorn_mode", "hyper_connection_x"]
)
def test_a_setting_that_is_not_known_is_named(tmp_path, model, key):
    found = read(tmp_path / "m", model, {**CONFIG, key: 0.5})
    assert any(
        f"{key} = 0.5 of the configuration is a setting" in said for said in found.assumptions
    )


@pytest.mark.parametrize(
    "prefix", ["mtp", "mtp_layers", "model.mtp", "nextn", "draft", "mtp.layers"]
)
def test_sites_of_multi_token_prediction_are_left_out_and_counted(tmp_path, model, prefix):
    whole = read(tmp_path / "m", model, CONFIG).trace().matrices
    more = {
        f"{prefix}.{name if prefix != 'mtp.layers' else name.removeprefix('layers.')}": array + 1
        for name, array in model.items()
        if name.startswith("layers.0.")
    }
    found = read(tmp_path / "both", model | more, CONFIG)
    np.testing.assert_array_equal(found.trace().matrices, whole)
    assert [a for a in found.assumptions if "mtp sites" in a][0].startswith("2 mtp sites")


def test_no_sentence_claims_that_no_code_saves_it_so(tmp_path, model):
    cut = {name: array for name, array in model.items() if name != "layers.1.hc_ffn_scale"}
    for arrays, config in ((cut, CONFIG), (model, {**CONFIG, "num_hidden_layers": 9})):
        with pytest.raises(BadInput) as error:
            read(tmp_path / "m", arrays, config)
        assert "no code" not in str(error.value) and "rename" not in str(error.value)
