"""Sinkhorn's convergence, variants and roundings: ours against vectorised numpy.

    python tests/benchmarks/sinkhorn.py [samples] [rounds]

CPU seconds (user and system) and peak memory of whole processes, medians over rounds in which
both ways run in turn: ``birkhoff sinkhorn --method mhc --engine 1`` as installed, and
plain_numpy_sinkhorn.py, which measures the same. Then ours on what a trace holds, and its growth
with samples, layers, d and the spread of the logits.
"""

import statistics
import sys
import tempfile
from pathlib import Path

from processes import BIRKHOFF, run

SAMPLES, ROUNDS = (*map(int, sys.argv[1:]), *(2000, 3)[len(sys.argv) - 1 :])
PLAIN = Path(__file__).with_name("plain_numpy_sinkhorn.py")


def options(samples, layers, d, scale):
    return ("--method", "mhc", "--d", d, "-n", samples, "--layers", layers, "--scale", scale)


def ours(*shape):
    return run(BIRKHOFF, "sinkhorn", *options(*shape), "--engine", "1", "-q")


def compared():
    shape = (SAMPLES, 24, 4, 1.0)
    rounds = [(ours(*shape), run(sys.executable, PLAIN, *shape)) for _ in range(ROUNDS)]
    cpu = [statistics.median(r[k][0] for r in rounds) for k in range(2)]
    print(f"{SAMPLES:,} samples x 24 layers x 4 x 4, scale 1; median of {ROUNDS} rounds")
    print(f"{'':20}{'CPU s':>9}{'us/matrix':>11}{'peak MiB':>10}{'to ours':>9}")
    for k, name in enumerate(("birkhoff sinkhorn", "plain numpy")):
        mib = max(r[k][1] for r in rounds)
        each = cpu[k] / SAMPLES / 24 * 1e6
        print(f"{name:20}{cpu[k]:9.2f}{each:11.1f}{mib:10.0f}{cpu[k] / cpu[0]:9.2f}")


def recorded():
    """Matrices of a trace, whose logits are not known."""
    with tempfile.TemporaryDirectory() as folder:
        matrices = Path(folder) / f"{SAMPLES}_48_4_one.npy"
        trace = matrices.with_suffix(".parquet")
        run(sys.executable, PLAIN.with_name("drift.py"), "--write", matrices)
        run(BIRKHOFF, "trace", matrices, "-o", trace, "-q")
        s, mib = run(BIRKHOFF, "sinkhorn", trace, "--engine", "1", "-q")
    each = s / SAMPLES / 48 * 1e6
    print(f"\na trace of {SAMPLES:,} tokens x 48 sites: {s:.2f} s, {each:.1f} us, {mib:.0f} MiB")


def growth():
    print(
        f"\n{'samples':>8}{'layers':>7}{'d':>4}{'scale':>7}{'CPU s':>9}{'us/matrix':>11}{'MiB':>6}"
    )
    for shape in (
        *((SAMPLES, 24, 4, 1.0), (10 * SAMPLES, 24, 4, 1.0), (SAMPLES, 96, 4, 1.0)),
        *((SAMPLES, 24, 4, 4.0), (SAMPLES, 24, 4, 8.0), (SAMPLES, 24, 2, 1.0)),
        *((SAMPLES // 4, 24, 8, 1.0), (SAMPLES // 16, 24, 16, 1.0)),
    ):
        s, mib = ours(*shape)
        samples, layers, d, scale = shape
        each = s / samples / layers * 1e6
        print(f"{samples:8,}{layers:7}{d:4}{scale:7g}{s:9.2f}{each:11.1f}{mib:6.0f}")


if __name__ == "__main__":
    compared()
    recorded()
    growth()
