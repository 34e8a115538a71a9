"""Convergence and changes of Sinkhorn the plain way: vectorised numpy and ``linalg.eigvals``.

    python tests/benchmarks/plain_numpy_sinkhorn.py SAMPLES LAYERS D SCALE

What ``birkhoff sinkhorn --method mhc`` measures: residuals after 1 to 1,000 sweeps of all
matrices that are not done, nine code bases, ten roundings, and their products over depth.
"""

import sys

import ml_dtypes
import numpy as np

BLOCK = 128
KINDS = ("bfloat16", "float16", "float8_e4m3fn", "float8_e5m2")
BASES = (
    *((20, "columns", 0.0, 0.0), (20, "rows", 0.0, 0.0), (20, "rows", 1e-12, 0.0)),
    *((20, "columns", 0.0, 1e-6), (20, "rows", 1e-6, 0.0), (20, "columns", 0.0, 1e-6)),
    *((10, "columns", 0.0, 0.0), (20, "rows", 0.0, 1e-6), (20, "rows", 1e-8, 0.0)),
)
"""Sweeps, side first, floor and addend of sums; all with logits as they are."""


def balanced(z, sweeps, first, floor=0.0, addend=0.0):
    axes = (-2, -1) if first == "columns" else (-1, -2)
    h = np.exp(z - z.max(axes[0], keepdims=True))
    for _ in range(sweeps):
        for axis in axes:
            h = h / (np.maximum(h.sum(axis, keepdims=True), floor) + addend)
    return h


def error(h):
    return np.maximum(np.abs(h.sum(-1) - 1).max(-1), np.abs(h.sum(-2) - 1).max(-1))


def converge(z):
    h = np.exp(z - z.max(-2, keepdims=True))
    after, needed = [], np.full((2, len(h)), 1001.0)
    todo = np.arange(len(h))
    for k in range(1, 1001):
        h = h / h.sum(-2, keepdims=True)
        h = h / h.sum(-1, keepdims=True)
        residual = error(h)
        for row, tolerance in zip(needed, (1e-3, 1e-6), strict=True):
            row[todo] = np.where(residual <= tolerance, np.minimum(row[todo], k), row[todo])
        if k in (1, 2, 3, 5, 10, 20, 50, 100):
            after.append(residual)
        if k % 100 == 0:
            left = residual > 1e-6
            h, todo = h[left], todo[left]
            if not len(h):
                break
    return [*after, *needed]


def rounded(x):
    for kind in KINDS:
        yield x.astype(np.float32).astype(getattr(ml_dtypes, kind, kind)).astype(float)
    step = np.abs(x).max((-2, -1), keepdims=True) / 127
    yield np.rint(x / step) * step


def second(h):
    return np.sort(np.abs(np.linalg.eigvals(h)), axis=-1)[..., -2]


def changes(h, applied):
    for new, old in ((h, applied), (composite(h), composite(applied))):
        yield np.abs(new - old).max((-2, -1))
        yield np.abs(new.sum(-1) - 1).max(-1)
        yield np.abs(new.sum(-2) - 1).max(-1)
    yield np.abs(second(h) - second(applied))
    yield np.linalg.norm(composite(h), 2, axis=(-2, -1))


def composite(h):
    product = h[:, 0]
    for site in range(1, h.shape[1]):
        product = h[:, site] @ product
    return product


def main(samples, layers, d, scale):
    rng = np.random.default_rng(0)
    kept = []
    for start in range(0, samples, BLOCK):
        n = min(BLOCK, samples - start)
        z = scale * rng.standard_normal((n, layers, d, d))
        h = balanced(z, 20, "columns")
        others = [balanced(z, *base) for base in BASES]
        others += [balanced(x, 20, "columns") for x in rounded(z)]
        others += list(rounded(h))
        kept.append([converge(z.reshape(-1, d, d)), [list(changes(x, h)) for x in others]])
    return kept


if __name__ == "__main__":
    main(*map(int, sys.argv[1:4]), float(sys.argv[4]))
