"""Methods fitted to 64 targets: ours against the plain full-data torch loop, and how both grow.

    python tests/benchmarks/fit.py [epochs] [rounds] [data points]

CPU seconds (user and system) of whole processes, medians over rounds in which both ways run in
turn, on the same targets, data and starts; then the largest relative difference between the mean
losses of both at the epochs that ours keeps, and where each method ends: four methods at d = 4.
Then one round each of fewer epochs, more data points and other d, there without KromHC.
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


def methods(d):
    """Those that the plain loop has at d."""
    every = {"go-mhc:s=2": GoMHC(d, s=2), "go-mhc:s=3": GoMHC(d, s=3), "mhc-lite": MHCLite(d)}
    return every | ({"kromhc": KromHC(4)} if d == 4 else {})


def problem(d, examples):
    """What ``birkhoff fit --seed 0`` draws."""
    rng = np.random.Generator(np.random.SFC64(0))
    of_targets, of_data, *of_methods = rng.spawn(2 + len(methods(d)))
    targets = polytope.sinkhorn_uniform(64, d, of_targets)
    blocks = list(Data(examples).blocks(64, d, of_data.spawn(3)[1]))
    x, noise = (np.concatenate(part) for part in zip(*blocks, strict=True))
    y = x @ targets.swapaxes(1, 2) + noise.swapaxes(0, 1)
    starts = {
        name: method.theta(64, child, "init")
        for (name, method), child in zip(methods(d).items(), of_methods, strict=True)
    }
    return {"x": x, "y": y, **starts}


def run(command):
    """Seconds of a process, and what it printed."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    return seconds, json.loads(done.stdout)


def our_curves(file, names):
    """Mean loss over targets at the kept epochs, by method."""
    table = pq.read_table(file)
    kept = np.unique(table["epoch"].to_numpy())
    means = table["loss"].to_numpy().reshape(len(names), len(kept), -1).mean(2)
    return kept, dict(zip(names, means, strict=True))


def commands(folder, d, epochs, examples):
    """Plain torch, and ours, on the same problem."""
    np.savez(folder / "problem.npz", **problem(d, examples))
    words = [word for name in methods(d) for word in ("--method", name)]
    words += ["--d", str(d), "--epochs", str(epochs), "--examples", str(examples)]
    ours = [sys.executable, "-m", "birkhoff_cli", "fit", *words, "--json", "-q"]
    ours += ["-o", str(folder / "ours.parquet")]
    plain = [sys.executable, str(HERE / "plain_torch_fit.py"), str(folder / "problem.npz")]
    return [*plain, str(folder / "plain.npz"), str(epochs)], ours


def growth(folder):
    print(f"\n{'epochs':>8}{'points':>8}{'d':>4}{'plain torch':>13}{'birkhoff':>10}{'ratio':>8}")
    tenth = max(10, EPOCHS // 10)
    cases = ((EPOCHS // 2, 100, 4), (tenth, 100, 4), (tenth, 1000, 4), (tenth, 100, 3))
    for epochs, examples, d in (*cases, (tenth, 100, 6)):
        theirs, mine = (run(command)[0] for command in commands(folder, d, epochs, examples))
        line = f"{epochs:8,}{examples:8,}{d:4}{theirs:13.2f}{mine:10.2f}{theirs / mine:8.1f}"
        print(line, flush=True)


def main(folder):
    plain, ours = commands(folder, 4, EPOCHS, EXAMPLES)
    rounds = [(run(plain), run(ours)) for _ in range(ROUNDS)]
    theirs, mine = (statistics.median(r[k][0] for r in rounds) for k in (0, 1))
    print(f"64 targets x {EPOCHS:,} epochs, d = 4, {EXAMPLES:,} points; median of {ROUNDS} rounds")
    print(f"{'':16}{'plain torch':>12}{'birkhoff':>10}{'ratio':>8}")
    print(f"{'CPU seconds':16}{theirs:12.2f}{mine:10.2f}{theirs / mine:8.1f}")
    kept, curves = our_curves(folder / "ours.parquet", methods(4))
    with np.load(folder / "plain.npz") as plain_curves:
        for name, fit in zip(methods(4), rounds[-1][1][1]["fits"], strict=True):
            other = plain_curves[name][kept]
            off = np.abs(curves[name] / other - 1).max()
            print(f"{name:12} curves differ by {off:.1e}; ", end="")
            print(f"final {fit['final_loss']:.6f}, floor drawn {fit['floor_drawn']:.6f}, ", end="")
            print(f"converged after {fit['epochs_to_convergence']}")
    growth(folder)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        main(Path(scratch))
