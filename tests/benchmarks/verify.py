"""Which Sinkhorn made a dump: ours against running one known Sinkhorn on it in plain numpy.

    python tests/benchmarks/verify.py [matrices] [rounds]

CPU seconds (user and system) and peak memory of whole processes, medians over rounds in which all
ways run in turn, on float32 logits and what DeepSeek-V4's 20 iterations make of them:
``birkhoff verify`` as installed, which searches; ``np.allclose`` with that one recipe, which does
not; loading both files and nothing else. Then kernels of other kinds, ours alone.
"""

import statistics
import sys
import tempfile
from pathlib import Path

import numpy as np
from plain_numpy_verify import v4
from processes import run

LOAD = "--load"  # how this file calls itself
NUMBERS = [int(float(word)) for word in sys.argv[1:] if word[0].isdigit()]
MATRICES, ROUNDS = (*NUMBERS, *(1_000_000, 3)[len(NUMBERS) :])
PLAIN = Path(__file__).with_name("plain_numpy_verify.py")
BIRKHOFF = (sys.executable, "-m", "birkhoff_cli")
KERNELS = {
    "V4, 7 iterations, eps 1e-5": lambda z: v4(z, 7, np.float32(1e-5)),
    "V4, result transposed": lambda z: v4(z).swapaxes(1, 2),
    "V4, rounded to fp16": lambda z: v4(z).astype(np.float16),
    "random matrices": lambda z: np.random.default_rng(1).random(z.shape, np.float32),
}


def ours(logits, output):
    return run(*BIRKHOFF, "verify", output, "--logits", logits, "-q")


def compared(folder, z):
    logits, output = Path(folder) / "z.npy", Path(folder) / "h.npy"
    np.save(logits, z)
    np.save(output, v4(z))
    ways = {
        "birkhoff verify": lambda: ours(logits, output),
        "plain numpy, one recipe": lambda: run(sys.executable, PLAIN, logits, output),
        "loading": lambda: run(sys.executable, __file__, LOAD, logits, output),
    }
    rounds = [[way() for way in ways.values()] for _ in range(ROUNDS)]
    cpu = [statistics.median(r[k][0] for r in rounds) for k in range(len(ways))]
    memory = [max(r[k][1] for r in rounds) for k in range(len(ways))]
    print(f"{MATRICES:,} matrices of 4 x 4, float32; median of {ROUNDS} rounds")
    print(f"{'':28}{'CPU s':>9}{'ns/matrix':>11}{'peak MiB':>10}{'to ours':>9}")
    for name, s, mib in zip(ways, cpu, memory, strict=True):
        print(f"{name:28}{s:9.2f}{s / MATRICES * 1e9:11.0f}{mib:10.0f}{s / cpu[0]:9.2f}")


def others(folder, z):
    logits, output = Path(folder) / "z.npy", Path(folder) / "other.npy"
    print(f"\n{'other kernels, ours alone':28}{'CPU s':>9}{'ns/matrix':>11}{'peak MiB':>10}")
    for name, kernel in KERNELS.items():
        np.save(output, kernel(z))
        s, mib = ours(logits, output)
        print(f"{name:28}{s:9.2f}{s / MATRICES * 1e9:11.0f}{mib:10.0f}")


def main():
    z = np.random.default_rng(0).standard_normal((MATRICES, 4, 4), np.float32) * 3
    with tempfile.TemporaryDirectory() as folder:
        compared(folder, z)
        others(folder, z)


if __name__ == "__main__":
    if LOAD in sys.argv:
        for path in sys.argv[2:]:
            np.load(path).sum()
    else:
        main()
