"""The plain torch way to the reach by targets: the baseline of `targets.py`.

Appendix A.5.1 of go-mHC as it is usually written: Adam on the skew parameters, batches of 100,
the loss the squared distance of the nearest eigenvalue to its target, autograd through
``linalg.eigvals``; the trivial eigenvalue stays in. Prints CPU seconds, hits and coverage as JSON.
"""

import json
import sys
from time import process_time

TARGETS, D, S = (*map(int, sys.argv[1:]), *(10_000, 4, 2)[len(sys.argv) - 1 :])
BATCH, STEPS, CELLS = 100, 100, 200

import numpy as np  # noqa: E402
import torch  # noqa: E402

torch.set_num_threads(1)
torch.set_default_dtype(torch.float64)
torch.manual_seed(0)
n = D * S
row, col = torch.tril_indices(n, n, -1)
eye = torch.eye(n)
roots, hits = [], 0
for _ in range(TARGETS // BATCH):
    target = torch.complex(2 * torch.rand(BATCH) - 1, 2 * torch.rand(BATCH) - 1)
    theta = torch.randn(BATCH, len(row), requires_grad=True)
    adam = torch.optim.Adam([theta], lr=0.1)
    for _ in range(STEPS):
        skew = torch.zeros(BATCH, n, n)
        skew[:, row, col] = theta
        skew = skew - skew.mT
        q = torch.linalg.solve(eye + skew, eye - skew)
        h = q.square().reshape(BATCH, D, S, D, S).sum((2, 4)) / S
        eigenvalues = torch.linalg.eigvals(h)
        distance = (eigenvalues - target[:, None]).abs().square().min(1).values
        adam.zero_grad()
        distance.sum().backward()
        adam.step()
    found = eigenvalues.detach().numpy()
    hits += int((np.abs(found - target.numpy()[:, None]).min(1) < 1e-3).sum())
    roots.append(found)
flat = np.concatenate(roots).ravel()
flat = flat[np.abs(flat - 1) > 1e-9]
edges = np.linspace(-1, 1, CELLS + 1)
cells = np.histogram2d(flat.real, flat.imag, bins=[edges, edges])[0] > 0
print(json.dumps({"cpu": process_time(), "hits": hits / TARGETS, "cells": int(cells.sum())}))
