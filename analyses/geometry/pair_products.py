"""Kronecker products of doubly stochastic 2 x 2 matrices, with their gradient.

A factor keeps or swaps two streams, with weights that sum to 1. Row i of a product permutes its
first row by ``j -> i xor j``: the first row alone is computed, as a product of the weights.
"""

import numpy as np

from birkhoff_cli.analyses.core.arrays import Array
from birkhoff_cli.analyses.core.pullback import Differentiable, Pullback

LARGEST_POWER = 700.0
"""Its exponential is finite."""


def pair_products(count: int) -> Differentiable:
    """The map of ``count`` pairs of logits (keep, swap), ``(batch, 2 count)``, with its gradient.

    The weights of a pair are its softmax.
    """
    d = 2**count
    flips = np.arange(d)[:, None] ^ np.arange(d)
    rows = (flips.ravel() == np.arange(d)[:, None]).astype(float)
    columns = np.ascontiguousarray(rows.T)

    def evaluate(theta: Array) -> tuple[Array, Pullback]:
        gap = theta[:, 1::2] - theta[:, ::2]
        pairs = np.empty((count, len(theta), 2))  # weights of keeping and swapping
        pairs[..., 1] = (1 / (1 + np.exp(np.minimum(-gap, LARGEST_POWER)))).T
        np.subtract(1, pairs[..., 1], out=pairs[..., 0])
        products = [pairs[0]]
        for pair in pairs[1:]:
            products.append((products[-1][:, :, None] * pair[:, None]).reshape(len(theta), -1))

        def pullback(gradient: Array) -> Array:
            slope = gradient.reshape(len(theta), -1) @ columns
            pulled_back = np.empty_like(theta)
            for k in range(count - 1, -1, -1):  # from the last factor, whose index is fastest
                wide = slope.reshape(len(theta), -1, 2)
                if k:
                    both = np.vecdot(wide.swapaxes(1, 2), products[k - 1][:, None])
                    slope = np.vecdot(wide, pairs[k][:, None])
                else:
                    both = wide[:, 0]
                change = (both[:, 0] - both[:, 1]) * pairs[k, :, 0] * pairs[k, :, 1]
                pulled_back[:, 2 * k], pulled_back[:, 2 * k + 1] = change, -change
            return pulled_back

        return (products[-1] @ rows).reshape(-1, d, d), pullback

    return evaluate
