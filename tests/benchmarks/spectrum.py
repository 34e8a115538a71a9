"""A million go-mHC matrices, their eigenvalues and histogram: ours against plain torch.

    python tests/benchmarks/spectrum.py [samples] [rounds]

CPU seconds (user and system), medians over rounds in which both ways run in turn. The stages are
measured inside one process each; the last row is whole processes. Then one round of whole
processes each of fewer samples and of other d and s.
"""

import json
import resource
import statistics
import subprocess
import sys
from pathlib import Path
from time import process_time

HERE = Path(__file__).parent
STAGES = "--stages"  # how this file calls itself to time ours
NUMBERS = [int(word) for word in sys.argv[1:] if word != STAGES]
SAMPLES, ROUNDS = (*NUMBERS, *(1_000_000, 5)[len(NUMBERS) :])


def our_stages():
    started = process_time()
    import numpy as np

    from birkhoff_cli import process
    from birkhoff_cli.analyses.core.arrays import lanes
    from birkhoff_cli.analyses.geometry.eigenvalues import eigenvalue_parts
    from birkhoff_cli.analyses.parameterizations.go_mhc import GoMHC
    from birkhoff_cli.analyses.regions.karpelevic import Karpelevic
    from birkhoff_cli.analyses.regions.perfect_mirsky import PerfectMirsky
    from birkhoff_cli.analyses.statistics.coverage import Coverage

    process.keep_freed_memory()
    stages = {"start": process_time() - started, "draw": 0.0, "eigenvalues": 0.0, "histogram": 0.0}
    method, rng = GoMHC(4, s=2), np.random.Generator(np.random.SFC64(0))
    count = Coverage(PerfectMirsky(4), Karpelevic(4), 200)
    for _ in range(SAMPLES // method.lanes):
        started = process_time()
        h = method.draw(method.lanes, rng)
        drawn = process_time()
        re, im = eigenvalue_parts(h)
        found = process_time()
        count.add(0, lanes(re, 1), lanes(im, 1))
        stages["draw"] += drawn - started
        stages["eigenvalues"] += found - drawn
        stages["histogram"] += process_time() - found
    print(json.dumps(stages))


def run(command):
    """Stages it prints (if any) and the CPU seconds of the whole process."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    return (json.loads(done.stdout) if done.stdout else {}) | {"whole process": seconds}


def commands(samples, d, s):
    """Plain torch, and ours."""
    numbers = [str(number) for number in (samples, d, s)]
    ours = [sys.executable, "-m", "birkhoff_cli", "spectrum", "--method", f"go-mhc:d={d},s={s}"]
    ours += ["-n", str(samples), "--engine", "1", "-q"]
    return [sys.executable, str(HERE / "plain_torch_spectrum.py"), *numbers], ours


def growth():
    print(f"\n{'samples':>11}{'d':>4}{'s':>4}{'plain torch':>13}{'birkhoff':>10}{'ratio':>8}")
    some = SAMPLES // 5 // 10_000 * 10_000 or 10_000
    for samples, d, s in (
        (some, 4, 2),
        (some, 3, 2),
        (some, 4, 1),
        (some, 4, 3),
        (some // 2, 8, 2),
    ):
        theirs, mine = (run(command)["whole process"] for command in commands(samples, d, s))
        line = f"{samples:11,}{d:4}{s:4}{theirs:13.2f}{mine:10.2f}{theirs / mine:8.1f}"
        print(line, flush=True)


def main():
    plain, command = commands(SAMPLES, 4, 2)
    ours = [sys.executable, __file__, str(SAMPLES), STAGES]
    rounds = [(run(plain), run(ours) | run(command)) for _ in range(ROUNDS)]
    print(f"{SAMPLES:,} matrices, d = 4, s = 2, independent draws; median of {ROUNDS} rounds")
    print(f"{'CPU seconds':16}{'plain torch':>12}{'birkhoff':>10}{'ratio':>8}")
    for stage in rounds[0][0]:
        torch_s, our_s = (statistics.median(r[k][stage] for r in rounds) for k in (0, 1))
        print(f"{stage:16}{torch_s:12.2f}{our_s:10.2f}{torch_s / our_s:8.1f}")
    growth()


if __name__ == "__main__":
    our_stages() if STAGES in sys.argv else main()
