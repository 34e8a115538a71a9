"""A million go-mHC matrices, their eigenvalues and their histogram: ours against plain torch.

    python tests/benchmarks/spectrum.py [samples] [rounds]

CPU seconds (user and system), medians over rounds in which both ways run in turn. The stages are
measured inside one process each; the last row is whole processes, ``birkhoff`` as installed.
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
GO = ("--method", "go-mhc", "--d", "4", "--s", "2")
OURS = ("spectrum", "--engine", "1", *GO, "--seed", "0", "-q", "-n")


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


def main():
    plain = [sys.executable, str(HERE / "plain_torch_spectrum.py"), str(SAMPLES)]
    ours = [sys.executable, __file__, str(SAMPLES), STAGES]
    command = [str(Path(sys.executable).with_name("birkhoff")), *OURS, str(SAMPLES)]
    rounds = [(run(plain), run(ours) | run(command)) for _ in range(ROUNDS)]
    print(f"{SAMPLES:,} matrices, d = 4, s = 2, independent draws; median of {ROUNDS} rounds")
    print(f"{'CPU seconds':16}{'plain torch':>12}{'birkhoff':>10}{'ratio':>8}")
    for stage in rounds[0][0]:
        torch_s, our_s = (statistics.median(r[k][stage] for r in rounds) for k in (0, 1))
        print(f"{stage:16}{torch_s:12.2f}{our_s:10.2f}{torch_s / our_s:8.1f}")


if __name__ == "__main__":
    our_stages() if STAGES in sys.argv else main()
