"""Four methods fitted to 64 targets at d = 4: ours against the plain full-data torch loop.

    python tests/benchmarks/fit.py [epochs] [rounds] [data points]

CPU seconds (user and system) of whole processes, medians over rounds in which both ways run in
turn, on the same targets, data and starts; then the largest relative difference between the mean
losses of both at the epochs that ours keeps, and where each method ends.
"""

import json
import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from birkhoff_cli.analyses.fitting.data import Data
from birkhoff_cli.analyses.geometry import polytope
from birkhoff_cli.analyses.parameterizations.go_mhc import GoMHC
from birkhoff_cli.analyses.parameterizations.kromhc import KromHC
from birkhoff_cli.analyses.parameterizations.mhc_lite import MHCLite

HERE = Path(__file__).parent
NUMBERS = [int(word) for word in sys.argv[1:]]
EPOCHS, ROUNDS, EXAMPLES = (*NUMBERS, *(10_000, 3, 100)[len(NUMBERS) :])
METHODS = {
    "go-mhc:s=2": GoMHC(4, s=2),
    "go-mhc:s=3": GoMHC(4, s=3),
    "mhc-lite": MHCLite(4),
    "kromhc": KromHC(4),
}


def problem():
    """What ``birkhoff fit --seed 0`` draws."""
    rng = np.random.Generator(np.random.SFC64(0))
    of_targets, of_data, *of_methods = rng.spawn(2 + len(METHODS))
    targets = polytope.sinkhorn_uniform(64, 4, of_targets)
    blocks = list(Data(EXAMPLES).blocks(64, 4, of_data.spawn(3)[1]))
    x, noise = (np.concatenate(part) for part in zip(*blocks, strict=True))
    y = x @ targets.swapaxes(1, 2) + noise.swapaxes(0, 1)
    starts = {
        name: method.theta(64, child, "init")
        for (name, method), child in zip(METHODS.items(), of_methods, strict=True)
    }
    return {"x": x, "y": y, **starts}


def run(command):
    """Seconds of a process, and what it printed."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    return seconds, json.loads(done.stdout)


def our_curves(file):
    """Mean loss over targets at the kept epochs, by method."""
    table = pq.read_table(file)
    kept = np.unique(table["epoch"].to_numpy())
    means = table["loss"].to_numpy().reshape(len(METHODS), len(kept), -1).mean(2)
    return kept, dict(zip(METHODS, means, strict=True))


def main(folder):
    np.savez(folder / "problem.npz", **problem())
    words = [word for name in METHODS for word in ("--method", name)]
    numbers = ["--epochs", str(EPOCHS), "--examples", str(EXAMPLES), "--json"]
    ours = [str(Path(sys.executable).with_name("birkhoff")), "fit", *words, *numbers]
    ours += ["-o", str(folder / "ours.parquet")]
    plain = [sys.executable, str(HERE / "plain_torch_fit.py"), str(folder / "problem.npz")]
    plain += [str(folder / "plain.npz"), str(EPOCHS)]
    rounds = [(run(plain), run(ours)) for _ in range(ROUNDS)]
    theirs, mine = (statistics.median(r[k][0] for r in rounds) for k in (0, 1))
    print(f"64 targets x {EPOCHS:,} epochs, d = 4, {EXAMPLES:,} points; median of {ROUNDS} rounds")
    print(f"{'':16}{'plain torch':>12}{'birkhoff':>10}{'ratio':>8}")
    print(f"{'CPU seconds':16}{theirs:12.2f}{mine:10.2f}{theirs / mine:8.1f}")
    kept, curves = our_curves(folder / "ours.parquet")
    with np.load(folder / "plain.npz") as plain_curves:
        for name, fit in zip(METHODS, rounds[-1][1][1]["fits"], strict=True):
            other = plain_curves[name][kept]
            off = np.abs(curves[name] / other - 1).max()
            print(f"{name:12} curves differ by {off:.1e}; ", end="")
            print(f"final {fit['final_loss']:.6f}, floor drawn {fit['floor_drawn']:.6f}, ", end="")
            print(f"converged after {fit['epochs_to_convergence']}")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        main(Path(scratch))
