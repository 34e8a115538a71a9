"""Xing4.0: the names and shapes of DeepSeek-V4, and other mathematics."""

from birkhoff_cli.checkpoints.architectures._keys import FUSED, HYPER

ARCHITECTURES = ("xing4_0",)
FORMAT = "xing4"
TENSORS = {FUSED: r"layers.\1.\2_hc.hc_\3"}
CONFIG = {"model_type": "xing4_0"}
KEYS = HYPER | {
    "hyper_connection.clamp_min": "mhc_h_res_clamp_min",
    "hyper_connection.clamp_max": "mhc_h_res_clamp_max",
    "hyper_connection.h_res_clamp_min": "mhc_h_res_clamp_min",
    "hyper_connection.h_res_clamp_max": "mhc_h_res_clamp_max",
}
