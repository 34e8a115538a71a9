"""Keys and names that converters share."""

COMMON = {
    "embedding_length": "hidden_size",
    "attention.layer_norm_rms_epsilon": "rms_norm_eps",
}
HYPER = COMMON | {
    "hyper_connection.count": "hc_mult",
    "hyper_connection.sinkhorn_iterations": "hc_sinkhorn_iters",
    "hyper_connection.epsilon": "hc_eps",
}
FUSED = r"blk\.([0-9]{1,6})\.hc_(attn|ffn)_(fn|base|scale)"
"""The one matrix of all logits of a site, what is added to it, and three scales."""
