"""``birkhoff inspect`` for people and for CI: what it says, what it refuses, when it fails."""

import json

import numpy as np
import pytest
from safetensors.numpy import save_file

from birkhoff_cli import checkpoints as formats
from birkhoff_cli.analyses.core.errors import BadInput
from birkhoff_cli.checkpoints.sites.unread import unread
from birkhoff_cli.commands import inspect
from test_formats_distributed import ARGS, saved
from test_formats_distributed import model as megatron_model
from test_formats_sharded import CONFIG, NAMINGS, sharded, tensors


def half(model, *names):
    return {k: v.astype(np.float16) if k in names else v for k, v in model.items()}


def test_settings_say_where_they_come_from(birkhoff, tmp_path, rng):
    config = {k: v for k, v in CONFIG.items() if k != "hc_eps"}
    sharded(tmp_path / "f", tensors(rng), config=config)
    run = birkhoff("inspect", "f", "--set", "iters=3", "--json")
    summary = json.loads(run.stdout)
    said = {s["setting"]: (s["value"], s["source"]) for s in summary["settings"]}
    assert said == {
        "hc_mult": (2, "stored"),
        "iters": (3, "set"),
        "eps": (1e-6, "default"),
        "rms_norm_eps": (1e-6, "config"),
    }
    assert summary["assumptions"] == [
        "eps 1e-06 (transformers' default; not stored in the file); --set eps=VALUE overrides"
    ]
    assert "comb^T x_in" in summary["convention"]
    assert "x_out[i] = sum_j H[i, j] x_in[j]" in summary["orientation"]
    assert summary["inputs"] == ["static", "gaussian"]


def test_sites_whose_dtype_differs_are_shown(birkhoff, tmp_path, rng):
    model = half(tensors(rng), "layers.1.hc_attn_base")
    sharded(tmp_path / "f", model)
    rows = json.loads(birkhoff("inspect", "f", "--json").stdout)["dtypes"]
    assert {"tensor": "fn", "dtype": "float32", "count": 4, "first": "layers.0.hc_attn_fn"} in rows
    assert [r for r in rows if r["tensor"] == "base"] == [
        {"tensor": "base", "dtype": "float32", "count": 3, "first": "layers.0.hc_attn_base"},
        {"tensor": "base", "dtype": "float16", "count": 1, "first": "layers.1.hc_attn_base"},
    ]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda model: model, None),
        (
            lambda model: half(model, "layers.1.hc_ffn_fn"),
            "1 of 12 mixing tensors are stored in less than float32 (layers.1.hc_ffn_fn: float16)",
        ),
        (lambda model: half(model, *model), "12 of 12 mixing tensors are stored in less than"),
        (
            lambda model: {**model, "layers.1.hc_ffn_fn": model["layers.1.hc_ffn_fn"] * np.ones(1)},
            "stored in mixed dtypes (float32, float64)",
        ),
        (lambda model: {**model, "head.weight": np.zeros(3, np.float16)}, None),
    ],
)
def test_fail_on_dtype_is_an_exit_code_after_all_was_written(
    birkhoff, tmp_path, rng, change, sentence
):
    sharded(tmp_path / "f", change(tensors(rng)))
    run = birkhoff("inspect", "f", "--fail-on", "dtype", "-o", "sites.csv")
    assert run.returncode == (1 if sentence else 0), run.stderr
    assert len((tmp_path / "sites.csv").read_text().splitlines()) == 5
    assert "deepseek_v4" in run.stdout
    if sentence:
        assert sentence in run.stderr and run.stderr.count("\n") == 1
    assert birkhoff("inspect", "f").returncode == 0


def test_one_checkpoint_of_a_series_is_enough_to_fail(birkhoff, tmp_path, rng):
    sharded(tmp_path / "ckpt_1", tensors(rng))
    sharded(tmp_path / "ckpt_2", half(tensors(rng), "layers.1.hc_ffn_fn"))
    run = birkhoff("inspect", "ckpt_1", "ckpt_2", "--fail-on", "dtype")
    assert run.returncode == 1 and "ckpt_2: 1 of 12 mixing tensors" in run.stderr


EXTRA = {
    "a third kind of site": ("layers.0.hc_moe_fn", "'layers.0.hc_moe_fn'"),
    "misspelt": (
        "layers.1.hc_attn_bsae",
        "'layers.1.hc_attn_bsae' (near 'layers.0.hc_attn_base')",
    ),
    "a site misspelt": ("layers.0.hc_atn_fn", "(near 'layers.0.hc_attn_fn')"),
    "of a newer version": ("layers.1.hc_attn_gain", "'layers.1.hc_attn_gain'"),
    "with a control character": ("layers.1.hc_attn_\x1b", r"'layers.1.hc_attn_\x1b'"),
}


@pytest.mark.parametrize("case", EXTRA)
def test_strict_refuses_tensors_that_nobody_reads(birkhoff, tmp_path, rng, case):
    name, sentence = EXTRA[case]
    sharded(tmp_path / "f", {**tensors(rng), name: np.zeros(3, np.float32)})
    assert birkhoff("inspect", "f").returncode == 0
    run = birkhoff("inspect", "f", "--strict")
    assert run.returncode == 3 and run.stderr.count("\n") == 1
    assert sentence in run.stderr and "leave --strict out" in run.stderr


BESIDE = (
    *("layers.0.attn.wq_a.weight", "layers.0.attn_norm.weight", "layers.0.ffn.gate.weight"),
    *("layers.0.ffn.experts.0.w1.weight", "layers.1.attn.indexer.weights_proj.weight"),
    *("hc_head_fn", "hc_head_base", "model.hc_head.hc_scale", "mtp.0.hc_attn_fn", "head.weight"),
    *("model.language_model.layers.0.self_attn.dt_bias", "layers.0.attn.norm.weight"),
    *("model.hc_pre.hc_head.hc_head_scale", "mtp.0.hc_head_fn", "model.mtp_layers.0.x.hc_y"),
)


@pytest.mark.parametrize("naming", NAMINGS)
def test_strict_lets_all_other_tensors_pass(tmp_path, rng, naming):
    more = {name: np.zeros(3, np.float32) for name in BESIDE}
    found = formats.read(sharded(tmp_path / "f", {**more, **tensors(rng, naming)}))
    inspect.run(found, strict=True)


def test_strict_knows_what_megatron_has_beside_its_sites(tmp_path, rng):
    more = ("decoder.hc_head_fn", "decoder.layers.self_attention.linear_qkv.bias")
    more += ("mtp.layers.0.transformer_layer.mlp_hyper_connection.bias",)
    tensors = {**megatron_model(rng), **{name: np.zeros((3, 15), np.float32) for name in more}}
    inspect.run(formats.read(saved(tmp_path / "f", tensors, ARGS)), strict=True)
    tensors["decoder.layers.mlp_hyper_connection.alpha_new"] = np.zeros(3, np.float32)
    found = formats.read(saved(tmp_path / "g", tensors, ARGS))
    with pytest.raises(BadInput, match="alpha_new"):
        inspect.run(found, strict=True)


def test_strict_holds_for_every_recorded_checkpoint(checkpoints):
    for folder in checkpoints.iterdir():
        path = folder / "ckpt_000400.pt" if folder.name.startswith("series") else folder
        set_ = {"s": "1"} if folder.name.startswith("gomhc") else {}
        result = inspect.run(formats.read(path, set_), strict=True, fail_on="dtype")
        assert result.failed() is None


def test_a_missing_tensor_is_refused_with_the_name_it_may_have(tmp_path, rng):
    model = tensors(rng)
    model["layers.1.hc_attn_bsae"] = model.pop("layers.1.hc_attn_base")
    folder = sharded(tmp_path / "f", model)
    with pytest.raises(BadInput, match="layer 1, attn has no base, but 'layers.1.hc_attn_bsae';"):
        formats.read(folder)


def test_nothing_is_unread_where_the_site_is_the_whole_module():
    names = ["static_alpha", "static_beta", "branch.0.weight", "linear.weight", "static_alpah"]
    stored = dict(zip(names, names, strict=True))
    sites = [("static_alpha", "static_alpha"), ("static_beta", "static_beta")]
    assert list(unread(stored, sites)) == [("static_alpah", "static_alpha")]


def test_a_wrapped_model_has_no_more_tensors_than_the_model(tmp_path, rng):
    wrapped = {f"_orig_mod.module.{name}": array for name, array in tensors(rng).items()}
    save_file(wrapped, tmp_path / "f.safetensors")
    inspect.run(formats.read(tmp_path / "f.safetensors"), strict=True)
