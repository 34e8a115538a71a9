"""The frontier of every method: a Markdown table of areas, their errors and CPU seconds.

    python tests/benchmarks/frontier.py [sides] [words] [folder]

``sides`` such as 3,4 (3,4,5); only methods that contain one of the words, if any are given. CPU
seconds (user and system) are those of whole processes. ``found`` is what the search alone found;
it is compared with the exact area where one is known: ``off`` is the difference as a multiple of
the stated error, and should be between -1 and 1. With the folder of an earlier version, such as a
worktree of 0.1, ``earlier`` is its area, where that takes 100 CPU seconds at most; in parentheses
if what is outside the region counts too, as it did in 0.1.
"""

import json
import os
import resource
import subprocess
import sys
from pathlib import Path

METHODS = (
    "identity",
    "hc",
    "mhc",
    "mhc:iters=3",
    "mhc:variant=tokenbender",
    "mhc:variant=lucidrains",
    "mhc:variant=deepseek-v4",
    "mhc:variant=xing",
    "mhc:variant=motif",
    "mhc-linear",
    "mhc-lite",
    "kromhc",
    "krom-sum",
    "krom-go-mhc",
    "go-mhc:s=1",
    "go-mhc:s=2",
    "go-mhc:s=3",
    "go-mhc:s=1,field=complex",
    "go-mhc:s=2,field=complex",
    "averaged-go-mhc:s=2",
    "averaged-go-mhc:s=3",
    "averaged-go-mhc:s=2,field=complex",
    "shc",
    "shc:gamma=0.5",
    "be-hc",
    "be-hc:k=3",
    "be-hc:k=3,basis=local-shift",
    "be-hc:basis=local-shift",
    "be-hc:basis=structured",
    "orthostochastic",
)
HEADER = "| method | d | area | error | known by | found | its error | off | earlier | CPU s |"
ROOT = Path(__file__).parents[2]
LIMIT = 100
"""CPU seconds that an earlier version may take."""


def run(root, method, d, limit):
    """Summary of a frontier of a checkout, None beyond the limit, and CPU seconds."""
    name, _, options = method.partition(":")
    words = [word for option in options.split(",") if option for word in ("--" + option).split("=")]
    command = (sys.executable, "-m", "birkhoff_cli", "spectrum", "--method", name, "--d", str(d))
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        (*command, *words, "--probe", "frontier", "--json", "-q"),
        capture_output=True,
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root), "OPENBLAS_NUM_THREADS": "1"},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_CPU, (limit, limit)),
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    return json.loads(done.stdout) if done.returncode == 0 else None, seconds


def row(method, d, other):
    """One line of the table."""
    s, seconds = run(ROOT, method, d, 10 * LIMIT)
    searched = s["proven_by"].startswith("a search")
    error = s["area_discretisation"] + s["area_uncertainty"]
    by = "search" if searched else "proof" if s["proven"] else "observation"
    missed, allowed = s["area_reached"] - s["area_found"], s["area_found_error"]
    off = "" if searched else f"{missed / allowed if missed else 0:.2f}"
    numbers = f"{s['area_reached']:.6f} | {error:.1e} | {by} | {s['area_found']:.6f}"
    earlier = area_of(run(other, method, d, LIMIT)[0]) if other else ""
    found = f"{numbers} | {allowed:.1e} | {off} | {earlier}"
    return f"| {method} | {d} | {found} | {seconds:.1f} |"


def area_of(s):
    """Of an earlier version, with its error; in parentheses if some of it is outside the region."""
    if s is None:
        return f"beyond {LIMIT} s"
    later = s.get("area_discretisation", 0) + s.get("area_uncertainty", 0)
    text = f"{s['area_reached']:.6f} ± {s.get('area_error', later):.1e}"
    return f"({text})" if s["outside_fraction"] else text


def main():
    words = sys.argv[1:]
    other = Path(words.pop()) if words and Path(words[-1]).is_dir() else None
    sides = (3, 4, 5)
    if words and words[0].replace(",", "").isdigit():
        sides = tuple(map(int, words.pop(0).split(",")))
    print(HEADER, "|" + "---|" * (HEADER.count("|") - 1), sep="\n", flush=True)
    for method in METHODS:
        for d in sides:
            if not words or any(word in method for word in words):
                print(row(method, d, other), flush=True)


if __name__ == "__main__":
    main()
