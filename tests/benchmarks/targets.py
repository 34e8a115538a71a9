"""Reach of go-mHC by targets: ours against plain torch, and how both grow.

    python tests/benchmarks/targets.py [targets] [rounds]

CPU seconds (user and system) of whole processes, medians over rounds in which both ways run in
turn, at d = 4, s = 2; then what each reached: the share of targets hit within 1e-3, and the cells
of a 200 x 200 grid that hold an eigenvalue of the matrices it ends with. Then one round each of
fewer targets and of other d and s.
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


def pair(n, d, s):
    """One round of both ways."""
    numbers = [str(number) for number in (n, d, s)]
    plain = [sys.executable, str(HERE / "plain_torch_targets.py"), *numbers]
    ours = [sys.executable, "-m", "birkhoff_cli", "spectrum", "--method", f"go-mhc:d={d},s={s}"]
    ours += ["--probe", "targets", "-n", str(n), "--json", "-q"]
    return run(plain), run(ours)


def growth():
    print(f"\n{'targets':>9}{'d':>4}{'s':>4}{'plain torch':>13}{'birkhoff':>10}{'ratio':>8}")
    tenth = max(100, TARGETS // 10)
    for n, d, s in ((tenth, 4, 2), (tenth, 3, 2), (tenth, 4, 1), (tenth, 4, 3), (tenth, 8, 2)):
        (theirs, _), (mine, _) = pair(n, d, s)
        print(f"{n:9,}{d:4}{s:4}{theirs:13.2f}{mine:10.2f}{theirs / mine:8.1f}", flush=True)


def main():
    rounds = [pair(TARGETS, 4, 2) for _ in range(ROUNDS)]
    theirs, mine = (statistics.median(r[k][0] for r in rounds) for k in (0, 1))
    (_, torch_reached), (_, summary) = rounds[-1]
    cells = round(summary["area_reached"] / (2 / summary["resolution"]) ** 2)
    print(f"{TARGETS:,} targets, d = 4, s = 2; whole processes, median of {ROUNDS} rounds")
    print(f"{'':14}{'plain torch':>12}{'birkhoff':>10}{'ratio':>8}")
    print(f"{'CPU seconds':14}{theirs:12.2f}{mine:10.2f}{theirs / mine:8.1f}")
    print(f"{'targets hit':14}{torch_reached['hits']:12.3f}{summary['hits']:10.3f}")
    print(f"{'cells reached':14}{torch_reached['cells']:12}{cells:10}")
    growth()


if __name__ == "__main__":
    main()
