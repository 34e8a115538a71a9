"""Models that transformers builds and saves itself: what is read is what its modules compute."""

import warnings
from copy import deepcopy

import numpy as np
import pytest

from birkhoff_cli import checkpoints as formats
from birkhoff_cli.analyses.core.errors import BirkhoffError
from birkhoff_cli.commands import inspect

torch = pytest.importorskip("torch")
transformers = pytest.importorskip(
    "transformers", minversion="5.23", reason="the extra 'transformers' is not installed"
)

SMALL = {
    **{"vocab_size": 32, "hidden_size": 32, "moe_intermediate_size": 16, "num_hidden_layers": 3},
    **{"num_attention_heads": 2, "q_lora_rank": 8, "max_position_embeddings": 64},
    **{"num_experts_per_tok": 1, "n_routed_experts": 2, "index_n_heads": 1, "index_head_dim": 8},
    **{"hc_mult": 3, "hc_sinkhorn_iters": 5, "hc_eps": 1e-4, "rms_norm_eps": 1e-3},
    **{"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2},
}
V4 = {"head_dim": 16, "num_key_value_heads": 1, "o_groups": 1, "o_lora_rank": 8, "index_topk": 4}
LATENT = {"kv_lora_rank": 8, "v_head_dim": 16, "qk_nope_head_dim": 16, "intermediate_size": 16}
LATENT |= {"num_key_value_heads": 2, "index_topk": 16}
GLM = {"linear_head_dim": 8, "linear_num_heads": 2, "qk_rope_head_dim": 0}
VISION = {"depth": 1, "hidden_size": 16, "num_heads": 2, "intermediate_size": 16}
VISION |= {"out_hidden_size": 32, "projection_intermediate_size": 16}


def deepseek_v4():
    return transformers.DeepseekV4ForCausalLM(transformers.DeepseekV4Config(**SMALL, **V4))


def glm5_next():
    config = transformers.Glm5NextConfig(
        text_config={**SMALL, **LATENT, **GLM}, vision_config=VISION
    )
    return transformers.Glm5NextForConditionalGeneration(config)


def hy_v4():
    small = {k: v for k, v in SMALL.items() if k != "hc_sinkhorn_iters"}
    config = transformers.HYV4Config(**small, **LATENT, qk_rope_head_dim=8, hc_magnitude=1.5)
    return transformers.HYV4ForCausalLM(config)


MODELS = (deepseek_v4, glm5_next, hy_v4)


@pytest.fixture(scope="module", params=MODELS, ids=lambda build: build.__name__)
def model(request):
    """With learned numbers far from where they start."""
    torch.manual_seed(0)
    with warnings.catch_warnings(action="ignore"):
        built = request.param()
    for module in sites(built):
        for parameter in (module.fn, module.base, module.scale):
            torch.nn.init.normal_(parameter)
    return built


def sites(model):
    """Modules of the sites in order of depth."""
    named = {n: m for n, m in model.named_modules() if n.endswith(("attn_hc", "mlp_hc", "ffn_hc"))}
    order = sorted(named, key=lambda n: (int(n.split(".")[-2]), "attn" not in n))
    return [named[name] for name in order]


@pytest.mark.parametrize("original", [True, False], ids=["default", "own layout"])
def test_what_is_read_is_what_the_modules_compute(model, original, tmp_path, rng):
    with warnings.catch_warnings(action="ignore"):
        model.save_pretrained(tmp_path / "f", max_shard_size="20KB", save_original_format=original)
    assert len(list((tmp_path / "f").glob("*.safetensors"))) > 2
    found = formats.read(tmp_path / "f")
    comb = type(model).__name__ != "HYV4ForCausalLM"
    assert (found.format, found.method) == ("deepseek_v4", "mhc" if comb else "identity")
    assert (found.d, found.width, found.layers, found.assumptions) == (3, 32, 3, ())
    assert {s.source for s in found.settings} == {"stored", "config"}
    assert inspect.run(found, strict=True, fail_on="dtype").failed() is None
    with found.opened() as store:
        connections = tuple(found.connect(store))
    streams = torch.from_numpy(rng.normal(size=(1, 50, 3, 32))).float()
    static = found.trace().matrices[0]
    for site, module, h in zip(connections, sites(model), static, strict=True):
        check(site(streams[0].numpy()), outputs(module, streams), streams)
        fn = module.fn.detach().clone()
        module.fn.data.zero_()  # nothing follows the streams any more
        np.testing.assert_allclose(h, outputs(module, streams)[1][0], atol=1e-5)
        module.fn.data.copy_(fn)


def test_a_model_saved_in_half_precision_fails_the_check(model, tmp_path):
    with warnings.catch_warnings(action="ignore"):
        deepcopy(model).bfloat16().save_pretrained(tmp_path / "f", max_shard_size="20KB")
    found = formats.read(tmp_path / "f")
    assert "18 of 18 mixing tensors" in inspect.run(found, fail_on="dtype").failed()
    assert found.trace().matrices.dtype == np.float32


def outputs(module, streams):
    """H_post, H and what the branch reads, of all tokens."""
    with torch.no_grad():
        post, *comb, read = module(streams)
    h = comb[0][0].transpose(-1, -2) if comb else torch.eye(3).expand(streams.shape[1], 3, 3)
    return post[0].numpy(), h.numpy(), read[0].numpy()


def check(weights, wanted, streams):
    post, h, read = wanted
    np.testing.assert_allclose(weights.mixing, h, atol=1e-5)
    np.testing.assert_allclose(weights.post, post, atol=1e-5)
    collapsed = np.einsum("tj,tjc->tc", weights.pre, streams[0].numpy())
    np.testing.assert_allclose(collapsed, read, atol=1e-5)


def test_a_model_without_hyper_connections_is_refused(tmp_path):
    small = {"vocab_size": 32, "hidden_size": 16, "intermediate_size": 16}
    small |= {"num_hidden_layers": 1, "num_attention_heads": 2, "num_key_value_heads": 2}
    with warnings.catch_warnings(action="ignore"):
        plain = transformers.LlamaForCausalLM(transformers.LlamaConfig(**small))
        plain.save_pretrained(tmp_path / "f")
    with pytest.raises(BirkhoffError, match="none that one of the .* known formats explains"):
        formats.read(tmp_path / "f")
