"""The plain torch way to fit mixing matrices: the baseline of `fit.py`.

Section 5.1 of go-mHC as it is usually written: every epoch applies the matrices to all of the
data, autograd through ``linalg.solve``, softmax and Kronecker products, ``torch.optim.Adam``; all
targets in one batch, one thread, float64. Reads the data, the targets and the starts of `fit.py`;
writes the mean loss of every epoch. Prints CPU seconds as JSON.
"""

import itertools
import json
import sys
from time import process_time

FILE, OUT, EPOCHS, RATE = sys.argv[1], sys.argv[2], int(sys.argv[3]), 1e-2

import numpy as np  # noqa: E402
import torch  # noqa: E402

torch.set_num_threads(1)
torch.set_default_dtype(torch.float64)


def go_mhc(theta, d, s):
    n = d * s
    row, col = torch.tril_indices(n, n, -1)
    skew = torch.zeros(len(theta), n, n)
    skew[:, row, col] = theta
    skew = skew - skew.mT
    eye = torch.eye(n)
    q = torch.linalg.solve(eye + skew, eye - skew)
    return q.square().reshape(-1, d, s, d, s).sum((2, 4)) / s


def permutations(d):
    return torch.eye(d)[torch.tensor(list(itertools.permutations(range(d))))]


def mhc_lite(theta, vertices):
    return torch.einsum("bk,kij->bij", torch.softmax(theta, -1), vertices)


def kromhc(theta, vertices):
    first, second = mhc_lite(theta[:, :2], vertices), mhc_lite(theta[:, 2:], vertices)
    return torch.einsum("bij,bkl->bikjl", first, second).reshape(-1, 4, 4)


given = np.load(FILE)
x, y = torch.from_numpy(given["x"]), torch.from_numpy(given["y"])
d = y.shape[-1]
of_two, of_all = permutations(2), permutations(d)
MAPS = {
    "go-mhc:s=2": lambda theta: go_mhc(theta, d, 2),
    "go-mhc:s=3": lambda theta: go_mhc(theta, d, 3),
    "mhc-lite": lambda theta: mhc_lite(theta, of_all),
    "kromhc": lambda theta: kromhc(theta, of_two),
}
curves, seconds = {}, {}
for name, matrices in MAPS.items():
    if name not in given:
        continue
    started = process_time()
    theta = torch.from_numpy(given[name]).clone().requires_grad_()
    adam = torch.optim.Adam([theta], lr=RATE)
    losses = np.empty(EPOCHS + 1)
    for epoch in range(EPOCHS + 1):
        loss = (x @ matrices(theta).mT - y).square().mean((1, 2))
        losses[epoch] = loss.detach().mean()
        adam.zero_grad()
        loss.sum().backward()
        adam.step()
    curves[name], seconds[name] = losses, process_time() - started
np.savez(OUT, **curves)
print(json.dumps({"cpu": process_time(), **seconds}))
