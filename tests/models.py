"""Small checkpoints of every format, as stores in memory."""

from math import factorial

import numpy as np

from birkhoff_cli.testing.stores import Model


def built(shapes, config=None, container="safetensors", settings=None) -> Model:
    """Normal numbers in every tensor."""
    rng = np.random.default_rng(0)
    arrays = {k: rng.normal(size=s).astype(np.float32) for k, s in shapes.items()}
    return Model(arrays, config or {}, container, settings or {})


def layered(site, pattern, layers=3, branches=("attn", "mlp")):
    """Shapes of every site, by a pattern with places for layer, branch and tensor."""
    return {
        pattern.format(layer, branch, tensor): shape
        for layer in range(layers)
        for branch in branches
        for tensor, shape in site.items()
    }


N, WIDTH = 4, 5
HC = {
    **{"norm.gamma": (WIDTH,), "static_alpha": (N, N + 1), "static_beta": (N,)},
    **{"dynamic_alpha_fn": (WIDTH, N + 1), "dynamic_beta_fn": (WIDTH,)},
    **{"dynamic_alpha_scale": (), "dynamic_beta_scale": ()},
}
LOGITS = {"H_res_logits": (N, N), "H_pre_logits": (N,), "H_post_logits": (N,)}
SCALES = {"pre_branch_scale": (1,), "residual_scale": (1,), "h_post_scale": ()}
APART = {**dict(list(HC.items())[:5]), **SCALES}
V4 = {"fn": (N * (N + 2), N * WIDTH), "base": (N * (N + 2),), "scale": (3,)}
HY = {"fn": (2 * N, N * WIDTH), "base": (2 * N,), "scale": (2,)}
MEGATRON = {
    **{"mapping_proj.weight": (N * (N + 2), N * WIDTH), "bias": (N * (N + 2),)},
    **{f"alpha_{kind}": (1,) for kind in ("pre", "post", "res")},
}


def together(alpha):
    """A site that normalises all streams as one vector."""
    wide = N * WIDTH
    return {
        **{"norm.gamma": (wide,), "static_alpha": alpha, "static_beta": (N,), **SCALES},
        **{"dynamic_alpha_fn": (wide, int(np.prod(alpha))), "dynamic_beta_fn": (wide, N)},
    }


def gpt(site, **args):
    """nanoGPT's layout, with the configuration of mhc-lite."""
    shapes = layered(site, "transformer.h.{}.hc_{}.{}")
    said = {"n_layer": 3, "n_embd": WIDTH, "hyper_conn_n": N, **args}
    return built(shapes, {"model_args": said, "iter_num": 7}, "torch")


def tokenbender(mhc):
    """nanoGPT's layout, with the configuration of tokenbender."""
    shapes = layered({**HC, **(LOGITS if mhc else {})}, "transformer.h.{}.hc_{}.{}")
    config = {"n_layer": 3, "n_embd": WIDTH, "hc_num_streams": N, "mhc": mhc}
    return built(shapes, {"config": config}, "torch")


def v4(site, pattern, branches=("attn", "ffn"), **config):
    """DeepSeek-V4's tensors in one of their namings."""
    said = {"hc_mult": N, "num_hidden_layers": 3, "hc_sinkhorn_iters": 7, **config}
    return built(layered(site, pattern, branches=branches), {"config.json": said})


def megatron(shapes):
    """Megatron's tensors, with the arguments of branch main."""
    args = {"enable_mhc_connections": True, "mhc_num_residual_streams": N, "num_layers": 3}
    return built(shapes, {"args": args, "iteration": 7}, "distributed")


BRANCHES = ("self_attention_hyper_connection", "mlp_hyper_connection")
STACKED = {
    f"decoder.layers.{branch}.{tensor}": (3, *shape)
    for branch in BRANCHES
    for tensor, shape in MEGATRON.items()
}
BIG, WIDE = N * (N + 2), N * WIDTH
PARTS = {"pre": N, "post": N, "res": N * N}
MOTIF = {
    **{f"proj_{kind}.weight": (rows, WIDE) for kind, rows in PARTS.items()},
    **{"bias_pre": (N,), "bias_post": (N,), "bias_res": (N, N), "rms_norm.weight": (WIDE,)},
    **{f"alpha_{kind}": (1,) for kind in PARTS},
}
XING = {"hc_fn": (BIG, WIDE), "hc_base": (BIG,), "hc_scale": (3,)}
XING_APART = {
    **{"mapping_weight": (BIG, WIDE), "bias": (BIG,)},
    **{f"alpha_{kind}": (1,) for kind in PARTS},
}
PANGU = {"phi.weight": (BIG, WIDE), "norm_gamma": (WIDE,), "branch_alpha": (3,)}
PANGU |= {"branch_beta": (BIG,)}
GLM = {"mapping_proj.weight": (BIG, WIDE), "bias": (BIG,), "scale": (3,), "norm.weight": (WIDE,)}
MAXTEXT = {
    **{f"{kind}_alpha": (WIDE, rows) for kind, rows in PARTS.items()},
    **{"pre_beta": (N,), "post_beta": (N,), "res_beta": (N, N), "mhc_norm-scale": (WIDE,)},
    **{f"{kind}_alpha_scale": (1,) for kind in PARTS},
}
ALTUP = {
    **{"prediction_coefs.weight": (N * N, N), "correction_coefs.weight": (N, N)},
    **{"modality_router.weight": (N, WIDTH), "router_norm.weight": (WIDTH,)},
    "correct_output_scale": (WIDTH,),
}
QWEN = {"hc_norm.weight": (WIDE,), "input_mix_weight_down.weight": (2, WIDE)}
QWEN |= {"input_mix_weight_up.weight": (WIDE, 2), "block_inject_weight.weight": (N, WIDE)}


def configured(site, pattern, branches=("attn", "ffn"), settings=None, **config):
    """A model beside its ``config.json``, with bounds of sizes that matter."""
    said = {"num_hidden_layers": 3, **config}
    return built(
        layered(site, pattern, branches=branches), {"config.json": said}, settings=settings
    )


TOKENS = {"theta": (N * N,), "norm_mix": (WIDTH,), "norm_mlp": (WIDTH,)}
TOKENS |= {"inner": (4 * WIDTH, WIDTH), "outer": (WIDTH, 4 * WIDTH)}
MODELS = {
    "mhc-lite hc": gpt(HC, hyper_conn_type="hc"),
    "mhc-lite mhc": gpt(together((N, N + 1)), hyper_conn_type="mhc"),
    "mhc-lite mhc_lite": gpt(together((N + factorial(N),)), hyper_conn_type="mhc_lite"),
    "kromhc": gpt(together((N + 4,)), hyper_conn_type="kromhc"),
    "trained": gpt(together((N + N * N,)), hyper_conn_type="mhc", hyper_conn_options={}),
    "tokenbender mhc": tokenbender(True),
    "tokenbender hc": tokenbender(False),
    "lucidrains hc": built(layered(HC, "net.layers.{}.{}.{}"), container="torch"),
    "lucidrains mhc": built(layered(APART, "layers.{}.{}.{}"), container="torch"),
    "lucidrains one list": built(layered(APART, "layers.{}.{}{}", branches=("",))),
    "logits": built(layered(LOGITS, "net.{}.{}{}", branches=("",)), settings={"variant": "unet"}),
    "v4 modules": v4(V4, "model.layers.{}.{}_hc.{}"),
    "v4 original": v4(V4, "model.layers.{}.hc_{}_{}"),
    "v4 release": v4(V4, "layers.{}.hc_{}_{}"),
    "hy_v4": v4(HY, "model.layers.{}.{}_hc.{}", ("attn", "mlp")),
    "megatron stacked": megatron(STACKED),
    "megatron numbered": megatron(layered(MEGATRON, "decoder.layers.{}.{}.{}", branches=BRANCHES)),
    "megatron hybrid": megatron(
        layered(MEGATRON, "decoder.layers.{}.{}.{}", branches=("hyper_connection",))
    ),
    "motif3": configured(
        MOTIF, "model.layers.{}.mhc_{}.{}", mhc_expansion_rate=N, mhc_sinkhorn_iters=3
    ),
    "xing4": configured(XING, "model.layers.{}.{}_hc.{}", hc_mult=N, hc_sinkhorn_iters=3),
    "xing4 apart": configured(XING_APART, "model.layers.{}.{}_hc.{}", mhc_h_res_clamp_max=2.0),
    "openpangu2": configured(
        PANGU,
        "model.layers.{}.{}_mhc_module.{}",
        ("attn", "mlp"),
        {"orientation": "transposed"},
        mhc_num_stream=N,
        mhc_recur_norm=3,
    ),
    "glm in megatron": configured(
        GLM, "decoder.layers.{}.{}_hyper_connection.{}", ("self_attention", "mlp")
    ),
    "maxtext": configured(
        MAXTEXT, "params-decoder-layers_{}-mhc_{}-{}", ("attention", "mlp"), hc_sinkhorn_iters=3
    ),
    "maxtext scanned": built(
        {
            f"params.decoder.layers.mhc_{branch}.{tensor.replace('-', '.')}": (
                *shape[:1],
                3,
                *shape[1:],
            )
            for branch in ("attention", "mlp")
            for tensor, shape in MAXTEXT.items()
        }
    ),
    "gemma3n": configured(
        ALTUP, "model.language_model.layers.{}.altup{}.{}", ("",), altup_active_idx=1
    ),
    "qwen4": configured(
        QWEN, "model.layers.{}.{}_hyper_connection.{}", ("attn", "mlp"), hc_count=N
    ),
    "gguf": built(
        layered(V4, "blk.{}.hc_{}_{}.weight", branches=("attn", "ffn")),
        {
            "gguf": {
                **{"general.architecture": "deepseek4", "deepseek4.block_count": 3},
                **{"deepseek4.hyper_connection.count": N},
            }
        },
        "gguf",
    ),
    "own": built(
        layered({"hc.H_res": (N, N)}, "net.blocks.{}.{}.{}"),
        settings={"tensors": "net.blocks.{layer}.{branch}.hc.H_res", "as": "matrices"},
    ),
    "notebook": built({"raw_u": (3, 6, 6)}, container="torch", settings={"s": "2"}),
    "tokens": built(
        layered(TOKENS, "blocks.{}.{}{}", branches=("",)),
        {
            "model_args": {
                **{"hyper_conn_type": "mhc", "hyper_conn_n": N, "hyper_conn_options": {}},
                **{"n_embd": WIDTH, "n_layer": 3, "block_size": N},
            }
        },
        "torch",
    ),
}
