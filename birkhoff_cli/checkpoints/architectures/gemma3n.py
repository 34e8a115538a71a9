"""Gemma-3n: AltUp."""

from birkhoff_cli.checkpoints.architectures._keys import COMMON

ARCHITECTURES = ("gemma3n",)
FORMAT = "gemma3n-altup"
LAYER = r"blk\.([0-9]{1,6})\.altup_"
TENSORS = {
    LAYER + "predict_coef": r"layers.\1.altup.prediction_coefs.weight",
    LAYER + "correct_coef": r"layers.\1.altup.correction_coefs.weight",
    LAYER + "correct_scale": r"layers.\1.altup.correct_output_scale",
    LAYER + "router": r"layers.\1.altup.modality_router.weight",
    LAYER + "router_norm": r"layers.\1.altup.router_norm.weight",
}
CONFIG = {"model_type": "gemma3n"}
KEYS = COMMON | {
    "altup.active_idx": "altup_active_idx",
    "altup.num_inputs": "altup_num_inputs",
}
