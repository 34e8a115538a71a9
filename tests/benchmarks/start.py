"""Small commands: this checkout against another one, such as a worktree of an earlier version.

    python tests/benchmarks/start.py FOLDER [rounds]

CPU seconds (user and system) of whole processes, medians over rounds in which both run in turn,
and the median ratio of the rounds. What a command costs here is its imports.
"""

import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
GO = ("--method", "go-mhc", "--s", "2")
COMMANDS = (
    ("--help",),
    ("methods",),
    ("inspect", "examples/go-mhc-s2.pt"),
    ("degeneration", "examples/go-mhc-s2.pt"),
    ("depth-drift", "examples/go-mhc-s2.pt"),
    ("depth-drift", "TRACE"),
    ("sample", *GO, "-n", "10"),
    ("spectrum", *GO, "-n", "1000"),
    ("spectrum", *GO, "--probe", "targets", "-n", "100"),
    ("fit", "--method", "go-mhc:s=2", "--targets", "2", "--epochs", "2"),
)


def run(root, words):
    """CPU seconds of a command of a checkout."""
    alone = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    alone.pop("PYTHONDONTWRITEBYTECODE", None)  # compiling would count
    command = [sys.executable, "-m", "birkhoff_cli", *words]
    process = subprocess.Popen(
        command, env={**alone, "PYTHONPATH": str(root)}, cwd=root, stdout=-3, stderr=-3
    )
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, command
    return used.ru_utime + used.ru_stime


def main(other, rounds):
    print(f"{'':44}{'other':>8}{'this':>8}{'ratio':>8}")
    with tempfile.TemporaryDirectory() as folder:
        trace = str(Path(folder) / "trace.parquet")
        run(ROOT, ("trace", "examples/go-mhc-s2.pt", "-o", trace, "-q"))
        for command in COMMANDS:
            words = [trace if word == "TRACE" else word for word in command]
            for root in (other, ROOT):
                run(root, words)
            both = [(run(other, words), run(ROOT, words)) for _ in range(rounds)]
            then, now = (statistics.median(pair[k] for pair in both) for k in range(2))
            ratio = statistics.median(new / old for old, new in both)
            print(f"{' '.join(command)[:43]:44}{then:8.3f}{now:8.3f}{ratio:8.2f}", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 7)
