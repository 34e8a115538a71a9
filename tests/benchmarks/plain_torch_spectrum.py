"""The plain torch way to a spectral histogram of go-mHC: the baseline of `spectrum.py`.

Batched Cayley map by ``linalg.solve``, batched ``linalg.eigvals``, numpy's 2-d histogram; one
thread, the batch size that is fastest for torch. Prints the CPU seconds of each stage as JSON.
"""

import json
import sys
from time import process_time

SAMPLES, D, S = (*map(int, sys.argv[1:]), *(1_000_000, 4, 2)[len(sys.argv) - 1 :])
BATCH, CELLS = 10_000, 200

started = process_time()
import numpy as np  # noqa: E402
import torch  # noqa: E402

stages = {"start": process_time() - started, "draw": 0.0, "eigenvalues": 0.0, "histogram": 0.0}
torch.set_num_threads(1)
torch.set_default_dtype(torch.float64)
generator = torch.Generator().manual_seed(0)
n = D * S
row, col = torch.tril_indices(n, n, -1)
eye = torch.eye(n)
counts = np.zeros((CELLS, CELLS))
for _ in range(SAMPLES // BATCH):
    started = process_time()
    skew = torch.zeros(BATCH, n, n)
    skew[:, row, col] = 2 * torch.rand(BATCH, len(row), generator=generator) - 1
    skew = skew - skew.mT
    q = torch.linalg.solve(eye + skew, eye - skew)
    h = q.square().reshape(BATCH, D, S, D, S).sum((2, 4)) / S
    drawn = process_time()
    roots = torch.linalg.eigvals(h).numpy().ravel()
    found = process_time()
    counts += np.histogram2d(roots.real, roots.imag, bins=CELLS, range=[[-1, 1]] * 2)[0]
    stages["draw"] += drawn - started
    stages["eigenvalues"] += found - drawn
    stages["histogram"] += process_time() - found
print(json.dumps(stages))
