"""Motif-3: one matrix of all logits of a site, or one for each of pre, post and mixing."""

from birkhoff_cli.checkpoints.architectures._keys import HYPER

ARCHITECTURES = ("motif3",)
FORMAT = "motif3"
TENSORS = {
    r"blk\.([0-9]{1,6})\.hc_(attn|ffn)_(fn|base|scale|norm)": r"layers.\1.mhc_\2.\3",
    r"blk\.([0-9]{1,6})\.mhc_(attn|ffn)_((?:pre|post|res)(?:\.bias)?|alpha|norm)": (
        r"layers.\1.mhc_\2.\3"
    ),
}
CONFIG = {"model_type": "motif"}
KEYS = HYPER
