"""DeepSeek-V4, whose names and shapes other architectures have as well."""

from birkhoff_cli.checkpoints.architectures._keys import FUSED, HYPER

ARCHITECTURES = ("deepseek4",)
FORMAT = "deepseek-v4"
TENSORS = {FUSED: r"layers.\1.hc_\2_\3"}
CONFIG = {"model_type": "deepseek_v4"}
KEYS = HYPER
