"""Long commands: this checkout against another one, such as a worktree of an earlier version.

    python tests/benchmarks/earlier.py FOLDER [rounds] [case ...]

CPU seconds (user and system) and peak memory of whole processes, medians over rounds in which
both run in turn, and the median ratio of the rounds. Cases are how degeneration grows with
samples, sites and d, inspect with tensors, report with sites, frontier with d, and how draws,
targets, fits and what reads a trace (drift, degenerate, sinkhorn) grow with what they go through.
Traces are of mHC matrices, float32, in Arrow files; the checkpoint is sharded and has the sites of
DeepSeek-V4-Flash and the names of its experts; frontiers come with the area that each found. All
have one process and one thread.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import checkpoint_size
import degeneration

ROOT = Path(__file__).parents[2]
WRITE = "--write"  # how this file calls itself
TRACES = ((65_536, 48, 4), (16_384, 48, 4), (16_384, 12, 4), (8_192, 48, 8))
EXPERTS = (256, 64)
MODELS = ("go-mhc-s2.pt", "kromhc.pt")
DRAWS, TARGETS, EPOCHS = (100_000, 1_000_000, 10_000_000), (10_000, 100_000), (1_000, 10_000)
TOKENS = (4_096, 65_536)
FRONTIERS = (("mhc-lite", 4), ("go-mhc:s=2", 3), ("go-mhc:s=2", 4), ("go-mhc:s=2", 5))

Case = tuple[str, list[str]]


def run(root, words):
    """Summary, CPU seconds and peak MiB of a command of a checkout."""
    alone = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    alone["BIRKHOFF_ENGINE"] = "1"  # version 0.1 has no other
    alone.pop("PYTHONDONTWRITEBYTECODE", None)  # compiling would count
    command = [sys.executable, "-m", "birkhoff_cli", *words, "--json"]
    process = subprocess.Popen(
        command, env={**alone, "PYTHONPATH": str(root)}, cwd=root, stdout=subprocess.PIPE, text=True
    )
    text = process.stdout.read()
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, command
    return json.loads(text), used.ru_utime + used.ru_stime, used.ru_maxrss / 1024


def make(words):
    """Files that another process makes: what this one holds would count as a peak."""
    alone = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, __file__, WRITE, *map(str, words)], check=True, env=alone)


def traces(folder) -> Iterator[Case]:
    for samples, sites, d in TRACES:
        path = folder / f"{samples}_{sites}_{d}.arrow"
        make([path, samples, sites, d])
        yield f"{samples:,} x {sites} x {d}", ["degeneration", str(path)]


def checkpoints(folder) -> Iterator[Case]:
    for experts in EXPERTS:
        make([folder / f"experts_{experts}", experts])
        count = checkpoint_size.LAYERS * (6 + 6 * experts)
        yield f"{count:,} tensors", ["inspect", str(folder / f"experts_{experts}")]


def reports(folder) -> Iterator[Case]:
    for model in MODELS:
        page = str(folder / "report.html")
        yield model, ["report", str(ROOT / "examples" / model), "-o", page]


def frontiers(_folder) -> Iterator[Case]:
    for method, d in FRONTIERS:
        words = ["spectrum", "--method", method, "--d", str(d), "--probe", "frontier"]
        yield f"{method}, d = {d}", words


def draws(_folder) -> Iterator[Case]:
    for n in DRAWS:
        yield f"{n:,} matrices", ["spectrum", "--method", "go-mhc", "--s", "2", "-n", str(n)]


def targets(_folder) -> Iterator[Case]:
    words = ["spectrum", "--method", "go-mhc", "--s", "2", "--probe", "targets", "-n"]
    for n in TARGETS:
        yield f"{n:,} targets", [*words, str(n)]


def fits(_folder) -> Iterator[Case]:
    for epochs in EPOCHS:
        words = ["fit", "--method", "go-mhc:s=2", "--targets", "64", "--epochs", str(epochs)]
        yield f"{epochs:,} epochs", words


def tokens(command):
    """A command that reads a trace, of more and more tokens."""

    def cases(folder) -> Iterator[Case]:
        for samples in TOKENS:
            path = folder / f"{samples}.arrow"
            make([path, samples, 48, 4])
            yield f"{samples:,} x 48", [command, str(path)]

    return cases


CASES = {
    "degeneration": traces,
    "inspect": checkpoints,
    "report": reports,
    "frontier": frontiers,
    "draw": draws,
    "targets": targets,
    "fit": fits,
    "drift": tokens("depth-drift"),
    "degenerate": tokens("degeneration"),
    "sinkhorn": tokens("sinkhorn"),
}


def main(other, rounds, names):
    print(f"{'':14}{'':24}{'CPU seconds':>16}{'':8}{'peak MiB':>16}")
    print(f"{'':38}" + f"{'other':>8}{'this':>8}{'ratio':>8}" * 2)
    for name in names or CASES:
        with tempfile.TemporaryDirectory() as folder:
            for title, words in CASES[name](Path(folder)):
                for root in (other, ROOT):
                    run(root, words)
                both = [(run(other, words), run(ROOT, words)) for _ in range(rounds)]
                then, now = (statistics.median(pair[k][1] for pair in both) for k in range(2))
                ratio = statistics.median(old[1] / new[1] for old, new in both)
                line = f"{name:14}{title:24}{then:8.2f}{now:8.2f}{ratio:8.2f}"
                peaks = [statistics.median(pair[k][2] for pair in both) for k in range(2)]
                line += "".join(f"{peak:8.0f}" for peak in peaks) + f"{peaks[0] / peaks[1]:8.2f}"
                areas = [side[0].get("area_reached") for side in both[-1]]
                print(line, *(f" area {a:.6f}" for a in areas if a is not None), flush=True)


if __name__ == "__main__":
    if WRITE in sys.argv:
        path, *numbers = sys.argv[2:]
        if len(numbers) == 1:
            checkpoint_size.EXPERTS = int(numbers[0])
            checkpoint_size.sharded(Path(path), 0.1)
        else:
            degeneration.write(Path(path), *map(int, numbers))
    else:
        numbers = [int(word) for word in sys.argv[2:] if word.isdigit()]
        chosen = [word for word in sys.argv[2:] if not word.isdigit()]
        main(Path(sys.argv[1]), numbers[0] if numbers else 3, chosen)
