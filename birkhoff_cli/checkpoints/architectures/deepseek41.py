"""DeepSeek-V4.1: V4 with gates that are computed one site earlier."""

from birkhoff_cli.checkpoints.architectures._keys import FUSED, HYPER

ARCHITECTURES = ("deepseek41",)
FORMAT = "deepseek-v4"
TENSORS = {FUSED: r"layers.\1.hc_\2_\3"}
CONFIG = {"model_type": "deepseek_v4"}
KEYS = HYPER
ABOUT = "H_pre of a site is computed one site before; H is not affected"
