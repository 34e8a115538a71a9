"""HY-V4: gates and no mixing matrix, H = I."""

from birkhoff_cli.checkpoints.architectures._keys import FUSED, HYPER

ARCHITECTURES = ("hy_v4",)
FORMAT = "deepseek-v4"
TENSORS = {FUSED: r"layers.\1.hc_\2_\3"}
CONFIG = {"model_type": "hy_v4"}
KEYS = HYPER | {"hyper_connection.magnitude": "hc_magnitude"}
