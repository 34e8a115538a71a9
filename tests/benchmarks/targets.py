"""Reach of go-mHC by targets, d = 4, s = 2: ours against plain torch.

    python tests/benchmarks/targets.py [targets] [rounds]

CPU seconds (user and system) of whole processes, medians over rounds in which both ways run in
turn; then what each reached: the share of targets hit within 1e-3, and the cells of a 200 x 200
grid that hold an eigenvalue of the matrices it ends with.
"""

import json
import resource
import statistics
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
NUMBERS = [int(word) for word in sys.argv[1:]]
TARGETS, ROUNDS = (*NUMBERS, *(10_000, 5)[len(NUMBERS) :])


def run(command):
    """Seconds of a process, and what it printed."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    return seconds, json.loads(done.stdout)


def main():
    plain = [sys.executable, str(HERE / "plain_torch_targets.py"), str(TARGETS)]
    ours = [str(Path(sys.executable).with_name("birkhoff")), "spectrum", "--method", "go-mhc"]
    ours += ["--d", "4", "--s", "2", "--probe", "targets", "-n", str(TARGETS), "--json"]
    rounds = [(run(plain), run(ours)) for _ in range(ROUNDS)]
    theirs, mine = (statistics.median(r[k][0] for r in rounds) for k in (0, 1))
    (_, torch_reached), (_, summary) = rounds[-1]
    cells = round(summary["area_reached"] / (2 / summary["resolution"]) ** 2)
    print(f"{TARGETS:,} targets, d = 4, s = 2; whole processes, median of {ROUNDS} rounds")
    print(f"{'':14}{'plain torch':>12}{'birkhoff':>10}{'ratio':>8}")
    print(f"{'CPU seconds':14}{theirs:12.2f}{mine:10.2f}{theirs / mine:8.1f}")
    print(f"{'targets hit':14}{torch_reached['hits']:12.3f}{summary['hits']:10.3f}")
    print(f"{'cells reached':14}{torch_reached['cells']:12}{cells:10}")


if __name__ == "__main__":
    main()
