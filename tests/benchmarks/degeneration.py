"""Degeneration of a trace: against reading the same file, and against vectorised numpy.

    python tests/benchmarks/degeneration.py [samples] [folder]

CPU seconds (user and system) and peak memory of whole processes, of several sizes: how they grow
with samples, sites and d. Reading goes through every block of the Arrow file and checks that it
is finite. Numpy holds all matrices in memory and computes the same numbers: ``linalg.norm``,
the best of all permutations (d = 8: scipy's assignment), ``np.quantile``; svd is
``linalg.norm(ord=2)`` alone. Both get an eighth of the samples. All have one thread: threads that
wait would count.
"""

import json
import os
import resource
import subprocess
import sys
import tempfile
from itertools import permutations
from pathlib import Path

import numpy as np

STEP = "--step"  # how this file calls itself
SEED = 0


def matrices(samples, sites, d):
    """Blocks of nearly doubly stochastic float32 matrices."""
    from birkhoff_cli.analyses.parameterizations.mhc import MHC

    rng = np.random.Generator(np.random.SFC64(SEED))
    step = max(1, 500_000 // (sites * d * d))
    for start in range(0, samples, step):
        n = min(step, samples - start)
        h = MHC(d, iters=5).draw(n * sites, rng, scale=3.0)
        yield h.reshape(n, sites, d, d).astype(np.float32)


def write(path, samples, sites, d):
    from birkhoff_cli import files
    from birkhoff_cli.analyses.core.table import arrow_schema
    from birkhoff_cli.analyses.core.trace import MixingTrace, Site
    from birkhoff_cli.commands import trace
    from birkhoff_cli.tables import by_suffix

    def read(block, _):  # as large as those that are made
        return (
            h[k : k + block] for h in matrices(samples, sites, d) for k in range(0, len(h), block)
        )

    places = tuple(Site(k // 2, ("attn", "mlp")[k % 2], f"site {k}") for k in range(sites))
    result = trace.run(MixingTrace(d, samples, places, "drawn", read))
    schema = arrow_schema(result.schema)
    with files.opened(path) as sink:
        by_suffix(path).write(result.batches(schema), schema, sink, dict)


def read(path, samples, *_):
    from birkhoff_cli.matrices import read

    assert sum(len(block) for block in read(path)) == samples


def ours(path, *_):
    from birkhoff_cli.analyses import degeneration
    from birkhoff_cli.matrices import read

    assert degeneration.run((read(path),)).summary["verdict"]


def overlaps(m):
    """Largest sum of entries that a permutation picks: all of them tried, or scipy's assignment."""
    d = m.shape[-1]
    if d > 5:
        from scipy.optimize import linear_sum_assignment

        return np.array([h[linear_sum_assignment(h, maximize=True)].sum() for h in m])
    vertices = np.stack([np.eye(d)[list(p)] for p in permutations(range(d))])
    return np.einsum("nij,pij->np", m, vertices, optimize=True).max(1)


def numpy(_path, samples, sites, d):
    h = np.concatenate(list(matrices(samples, sites, d)))
    eye = np.eye(d)
    for site in range(sites):
        m = h[:, site].astype(float)
        size = np.abs(m).sum((1, 2))
        overlap = overlaps(m)
        share = m / m.sum(-1, keepdims=True)
        entropy = -(share * np.log(np.maximum(share, 1e-300))).sum(-1)
        np.quantile(m.max(-1), (0.1, 0.5, 0.9))
        for values in (
            (m.argmax(-1) == np.arange(d)).all(-1),
            np.linalg.norm(m - eye, axis=(1, 2)),
            np.linalg.norm(m - 1 / d, axis=(1, 2)),
            np.sqrt(np.maximum(np.square(m).sum((1, 2)) + d - 2 * overlap, 0)),
            1 - np.abs(np.trace(m, axis1=1, axis2=2)) / size,
            np.abs(m).sum(1).max(1) / size,
            np.exp(entropy),
        ):
            values.mean()
    np.quantile(h.max(-1), (0.1, 0.5, 0.9))


def svd(_path, samples, sites, d):
    """Spectral norms alone, as ``linalg.norm`` finds them."""
    for h in matrices(samples, sites, d):
        np.linalg.norm(h.astype(float), 2, axis=(-2, -1))


def nothing(_path, samples, sites, d):
    """What numpy's matrices cost to make."""
    np.concatenate(list(matrices(samples, sites, d)))


STEPS = {step.__name__: step for step in (write, read, ours, numpy, svd, nothing)}


def run(name, *words):
    """CPU seconds and peak memory of a process."""
    command = [sys.executable, __file__, STEP, name, *map(str, words)]
    alone = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    found = subprocess.run(command, check=True, capture_output=True, text=True, env=alone)
    return json.loads(found.stdout)


def child(name, path, *numbers):
    STEPS[name](Path(path), *map(int, numbers))
    used = resource.getrusage(resource.RUSAGE_SELF)
    facts = {"cpu": used.ru_utime + used.ru_stime, "peak": used.ru_maxrss / 1024}
    print(json.dumps(facts))


def main(samples, folder):
    print(f"{'samples x sites x d':24}{'read s':>8}{'ours s':>8}{'ratio':>7}{'peak MB':>9}", end="")
    print("  ns per matrix:   ours  numpy  ratio    svd  ratio")
    sizes = ((samples, 48, 4), (samples // 2, 48, 4), (samples // 2, 24, 4), (samples // 8, 48, 8))
    for n, sites, d in sizes:
        with tempfile.TemporaryDirectory(dir=folder) as made:
            path = Path(made) / "trace.arrow"
            run("write", path, n, sites, d)
            reading, found = run("read", path, n), run("ours", path)
        few = (n // 8, sites, d)
        base = run("nothing", "none", *few)["cpu"]
        numpy, svd = (run(way, "none", *few)["cpu"] - base for way in ("numpy", "svd"))
        each = found["cpu"] / (n * sites) * 1e9
        numpy, svd = (seconds / (few[0] * sites) * 1e9 for seconds in (numpy, svd))
        print(f"{f'{n:,} x {sites} x {d}':24}{reading['cpu']:8.1f}{found['cpu']:8.1f}", end="")
        print(f"{found['cpu'] / reading['cpu']:7.1f}{found['peak']:9,.0f}{'':17}", end="")
        print(
            f"{each:6,.0f}{numpy:7,.0f}{numpy / each:7.1f}{svd:7,.0f}{svd / each:7.1f}", flush=True
        )


if __name__ == "__main__":
    if STEP in sys.argv:
        child(*sys.argv[2:])
    else:
        words = sys.argv[1:]
        main(int(words[0]) if words else 1_048_576, words[1] if len(words) > 1 else None)
