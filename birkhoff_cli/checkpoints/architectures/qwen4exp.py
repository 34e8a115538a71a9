"""Qwen4-Exp: gates and no mixing matrix, H = I."""

from birkhoff_cli.checkpoints.architectures._keys import COMMON

ARCHITECTURES = ("qwen4exp",)
FORMAT = "qwen4-exp"
GATES = r"blk\.([0-9]{1,6})\.hc_"
SITES = {"attn": "attn", "ffn": "mlp"}
PARTS = {
    "norm": "hc_norm",
    "down": "input_mix_weight_down",
    "up": "input_mix_weight_up",
    "inject": "block_inject_weight",
}
TENSORS = {
    f"{GATES}{site}_{part}": rf"layers.\1.{branch}_hyper_connection.{name}.weight"
    for site, branch in SITES.items()
    for part, name in PARTS.items()
}
UNGATED = "converters differ in whether the gain of the norm is stored less 1, and do not say it"
CONFIG = {"model_type": "qwen4_exp"}
KEYS = COMMON | {
    "hyper_connection.count": "hc_count",
    "hyper_connection.low_rank": "hc_lowrank",
}
