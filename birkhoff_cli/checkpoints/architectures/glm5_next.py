"""GLM-5-next: the sites of DeepSeek-V4."""

from birkhoff_cli.checkpoints.architectures._keys import FUSED, HYPER

ARCHITECTURES = ("glm5-next", "glm5next")
FORMAT = "deepseek-v4"
TENSORS = {FUSED: r"layers.\1.hc_\2_\3"}
CONFIG = {"model_type": "glm5_next"}
KEYS = HYPER
