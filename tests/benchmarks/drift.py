"""Drift over depth of recorded matrices: ours against vectorised numpy, and against reading.

    python tests/benchmarks/drift.py [tokens] [rounds] [--full]

CPU seconds (user and system) and peak memory of whole processes, medians over rounds in which
all ways run in turn, on one Parquet trace of mHC matrices (20 sweeps, float32):
``birkhoff depth-drift --engine 1`` as installed; reading the file with pyarrow and nothing else;
numpy with ``linalg.svd`` and ``linalg.eigvals`` for the same numbers. Then ours and numpy where
both sides are exact (go-mHC) and where neither is (mHC rounded to bf16), and the growth of ours
with tokens, sites and d.
``--full`` adds 1,048,576 tokens of 48 sites once, ours and the reading alone.
"""

import statistics
import sys
import tempfile
from pathlib import Path

import numpy as np
from processes import BIRKHOFF, run

FULL = "--full"
READ, WRITE = "--read", "--write"  # how this file calls itself
NUMBERS = [int(word) for word in sys.argv[1:] if word.isdigit()]
TOKENS, ROUNDS = (*NUMBERS, *(65_536, 3)[len(NUMBERS) :])
PLAIN = Path(__file__).with_name("plain_numpy_drift.py")


def write(folder, tokens, sites, d, kind="one"):
    """One trace as npy and, through ``birkhoff trace``, as Parquet.

    Another process makes it: what this one holds would count as the peak of those it starts.
    """
    path = Path(folder) / f"{tokens}_{sites}_{d}_{kind}.npy"
    parquet = path.with_suffix(".parquet")
    run(sys.executable, __file__, WRITE, path)
    run(BIRKHOFF, "trace", path, "-o", parquet, "-q")
    return path, parquet


def draw(path):
    """Matrices as many as the name of the file says, distinct for 16,384 tokens."""
    *shape, kind = path.stem.split("_")
    tokens, sites, d = map(int, shape)
    rng, step = np.random.default_rng(0), max(1, 16_384 * 16 // d**2)
    pool = np.empty((min(step, tokens), sites, d, d), np.float32)
    for row in range(0, len(pool), 256):
        part = pool[row : row + 256]
        part[:] = matrices(kind, d, len(part) * sites, rng).reshape(part.shape)
    h = np.lib.format.open_memmap(path, "w+", np.float32, (tokens, *pool.shape[1:]))
    for start in range(0, tokens, len(pool)):
        h[start : start + len(pool)] = pool[: tokens - start]


def matrices(kind, d, n, rng):
    """Of which both sides are exact, one is, or neither."""
    from birkhoff_cli.analyses.geometry.rounding import FORMATS
    from birkhoff_cli.analyses.parameterizations.go_mhc import GoMHC
    from birkhoff_cli.analyses.parameterizations.mhc import MHC

    if kind == "both":
        return GoMHC(d).draw(n, rng)
    h = MHC(d).draw(n, rng, scale=3.0)
    return FORMATS["bf16"](h) if kind == "neither" else h


def read(path):
    """Decode every matrix, and no more."""
    import pyarrow.parquet as pq

    for batch in pq.ParquetFile(path).iter_batches(columns=["matrix"]):
        batch["matrix"].flatten().flatten().to_numpy()


def ours(parquet):
    return run(BIRKHOFF, "depth-drift", parquet, "--engine", "1", "-q")


def reading(parquet):
    return run(sys.executable, __file__, READ, parquet)


def compared(folder):
    npy, parquet = write(folder, TOKENS, 48, 4)
    rounds = [
        (ours(parquet), reading(parquet), run(sys.executable, PLAIN, npy)) for _ in range(ROUNDS)
    ]
    cpu = [statistics.median(r[k][0] for r in rounds) for k in range(3)]
    memory = [max(r[k][1] for r in rounds) for k in range(3)]
    print(f"{TOKENS:,} tokens x 48 sites x 4 x 4; median of {ROUNDS} rounds")
    print(f"{'':24}{'CPU s':>9}{'ns/matrix':>11}{'peak MiB':>10}{'to ours':>9}")
    for name, s, mib in zip(
        ("birkhoff depth-drift", "reading", "plain numpy"), cpu, memory, strict=True
    ):
        print(f"{name:24}{s:9.2f}{s / TOKENS / 48 * 1e9:11.0f}{mib:10.0f}{s / cpu[0]:9.2f}")


def sides(folder):
    """What it costs where no eigenvalue is known, and where more is."""
    tokens = TOKENS // 4
    print(f"\n{'sides exact':>12}{'ours, us/matrix':>17}{'plain numpy':>13}{'to ours':>9}")
    for kind in ("both", "one", "neither"):
        npy, parquet = write(folder, tokens, 48, 4, kind)
        rounds = [(ours(parquet)[0], run(sys.executable, PLAIN, npy)[0]) for _ in range(ROUNDS)]
        mine, plain = (statistics.median(r[k] for r in rounds) / tokens / 48e-6 for k in range(2))
        print(f"{kind:>12}{mine:17.2f}{plain:13.2f}{plain / mine:9.2f}")


def growth(folder):
    quarter = TOKENS // 4
    print(f"\n{'tokens':>9}{'sites':>7}{'d':>4}{'CPU s':>9}{'ns/matrix':>11}{'peak MiB':>10}")
    for tokens, sites, d in (
        *((quarter, 48, 4), (2 * quarter, 48, 4), (quarter, 12, 4), (quarter, 96, 4)),
        *((min(quarter, quarter * 16 // d**2), 48, d) for d in (2, 3, 5, 6, 7, 8, 16)),
    ):
        s, mib = ours(write(folder, tokens, sites, d)[1])
        print(f"{tokens:9,}{sites:7}{d:4}{s:9.2f}{s / tokens / sites * 1e9:11.0f}{mib:10.0f}")


def full(folder):
    _, parquet = write(folder, 1_048_576, 48, 4)
    (s, mib), (alone, _) = ours(parquet), reading(parquet)
    print(f"\n1,048,576 tokens x 48 sites x 4 x 4: {s:.1f} s, {mib:.0f} MiB at most; ", end="")
    print(f"reading alone {alone:.1f} s, {s / alone:.1f} times less")


def main():
    with tempfile.TemporaryDirectory() as folder:
        compared(folder)
        sides(folder)
        growth(folder)
        if FULL in sys.argv:
            full(folder)


if __name__ == "__main__":
    if READ in sys.argv:
        read(sys.argv[-1])
    elif WRITE in sys.argv:
        draw(Path(sys.argv[-1]))
    else:
        main()
