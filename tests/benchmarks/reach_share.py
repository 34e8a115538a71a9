"""The share of the polytope that methods reach, and the farthest matrices found: docs/reach.md.

    python tests/benchmarks/reach_share.py [TARGETS] [METHOD@D ...]

Rows of the table in markdown: share within 1e-6 of uniform targets with its standard error, the
median, 90th percentile and largest distance, the covering radius found, and CPU seconds.
"""

import os
import sys

from birkhoff_cli import method
from birkhoff_cli.analyses import decompose
from birkhoff_cli.analyses.core.trace import Targets
from birkhoff_cli.analyses.geometry.targets import uniform_targets

METHODS = (
    "mhc",
    "mhc-lite",
    "kromhc",
    "be-hc",
    "go-mhc:s=1",
    "go-mhc:s=2",
    "go-mhc:s=3",
    "go-mhc:s=1,field=complex",
    "averaged-go-mhc:s=2",
)
SIDES, SAMPLES, STARTS, SEED = (3, 4, 5), 200, 32, 0


def row(name: str, d: int, samples: int) -> str:
    """One method at one d."""
    begin = os.times()
    targets = Targets(uniform_targets(d, samples, SEED))
    found = decompose.run(
        targets, method=method(name, d=d), starts=STARTS, cover=True, seed=SEED
    ).summary
    spent = os.times().user - begin.user
    numbers = [found[f"distance_{key}"] for key in ("p50", "p90", "max")]
    distances = [f"{value:.4f}" if value > 1e-6 else "0" for value in numbers]
    share, error = 100 * found["share_reached"], 100 * found["share_error"]
    mark = ", proven" if found["cover_proven"] else ""
    cells = [name, d, f"{share:.1f} +- {error:.1f} %", *distances]
    return f"| {' | '.join(map(str, cells))} | {found['cover_distance']:.4f}{mark} | {spent:.0f} |"


def main(words: list[str]) -> None:
    """Print the rows."""
    samples = int(words[0]) if words else SAMPLES
    for d in SIDES:
        for name in METHODS:
            if not words[1:] or f"{name}@{d}" in words[1:]:
                print(row(name, d, samples), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
