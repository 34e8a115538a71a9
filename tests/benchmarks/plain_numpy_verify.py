"""One known Sinkhorn the plain way: run it on all logits, and compare with ``np.allclose``.

    python tests/benchmarks/plain_numpy_verify.py LOGITS.npy OUTPUT.npy

What one writes who already knows that it is DeepSeek-V4's: 20 iterations in float32.
"""

import sys

import numpy as np

EPS = np.float32(1e-6)


def v4(z, iters=20, eps=EPS):
    h = np.exp(z - z.max(-1, keepdims=True))
    h = h / h.sum(-1, keepdims=True) + eps
    h = h / (h.sum(-2, keepdims=True) + eps)
    for _ in range(iters - 1):
        h = h / (h.sum(-1, keepdims=True) + eps)
        h = h / (h.sum(-2, keepdims=True) + eps)
    return h


if __name__ == "__main__":
    logits, output = (np.load(path) for path in sys.argv[1:])
    assert np.allclose(v4(logits), output, rtol=1e-4, atol=1e-7)
