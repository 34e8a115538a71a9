"""A trace of a million samples x 48 sites x 4 x 4, written and read: ours against plain pyarrow.

    python tests/benchmarks/trace_files.py [samples] [folder]

Every step is a process of its own: CPU seconds (user and system, all threads), the peak of its
memory, gigabytes of matrices (float32) per CPU second, and the size of the file. Ours is what
`birkhoff trace -o` and every analysis do, matrices drawn, checked and measured on the way; the
digest of a file and the check of its order are in the reading. Plain is
`pyarrow.parquet.write_table` of the same table, and `read_table` of its file, whole in memory.
"""

import json
import resource
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from time import perf_counter

import numpy as np

from birkhoff_cli.analyses.core.trace import MixingTrace, Site

SITES, D = 48, 4
STEP = "--step"  # how this file calls itself


def drawn(samples) -> MixingTrace:
    """Random numbers in [0, 1), a block at a time."""

    def read(block, first) -> Iterator[np.ndarray]:
        rng = np.random.Generator(np.random.SFC64(first))
        for start in range(first, samples, block):
            yield rng.random((min(block, samples - start), SITES, D, D), np.float32)

    sites = tuple(Site(k // 2, ("attn", "mlp")[k % 2], f"site {k}") for k in range(SITES))
    return MixingTrace(D, samples, sites, "drawn", read, np.dtype(np.float32))


def batches(samples):
    from birkhoff_cli.analyses.core.table import arrow_schema
    from birkhoff_cli.commands import trace

    result = trace.run(drawn(samples))
    schema = arrow_schema(result.schema)
    return result.batches(schema), schema


def write(path, samples):
    from birkhoff_cli import files
    from birkhoff_cli.tables import by_suffix

    held, schema = batches(samples)
    with files.opened(path) as sink:
        by_suffix(path).write(held, schema, sink, dict)


def read(path, samples):
    from birkhoff_cli import matrices

    trace = matrices.read(path)
    assert sum(len(block) for block in trace) == trace.samples == samples


def plain_write(path, samples):
    import pyarrow as pa
    import pyarrow.parquet as pq

    held, schema = batches(samples)
    pq.write_table(pa.Table.from_batches(held, schema), path)


def plain_read(path, samples):
    import pyarrow.parquet as pq

    assert len(pq.read_table(path)) == samples * SITES


def draw(_path, samples):
    for _ in drawn(samples):
        pass


STEPS = {step.__name__: step for step in (draw, write, read, plain_write, plain_read)}


def child(name, path, samples):
    started = perf_counter()
    STEPS[name](Path(path), int(samples))
    used = resource.getrusage(resource.RUSAGE_SELF)
    facts = {"cpu": used.ru_utime + used.ru_stime, "wall": perf_counter() - started}
    print(json.dumps(facts | {"peak": used.ru_maxrss / 1024}))


def run(name, path, samples):
    command = [sys.executable, __file__, STEP, name, str(path), str(samples)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return json.loads(done.stdout)


def main(samples, folder):
    size = samples * SITES * D * D * 4 / 1e9
    print(f"{samples:,} samples x {SITES} sites x {D} x {D} float32: {size:.2f} GB of matrices")
    print(f"{'':30}{'CPU s':>8}{'wall s':>8}{'GB/s':>7}{'peak MB':>9}{'file GB':>9}")
    with tempfile.TemporaryDirectory(dir=folder) as made:
        for title, name, file in (
            ("drawing alone", "draw", "none"),
            ("plain pyarrow: write_table", "plain_write", "plain.parquet"),
            ("plain pyarrow: read_table", "plain_read", "plain.parquet"),
            ("birkhoff: write .parquet", "write", "trace.parquet"),
            ("birkhoff: read .parquet", "read", "trace.parquet"),
            ("birkhoff: write .arrow", "write", "trace.arrow"),
            ("birkhoff: read .arrow", "read", "trace.arrow"),
        ):
            path = Path(made) / file
            f = run(name, path, samples)
            held = f"{path.stat().st_size / 1e9:9.2f}" if path.exists() else ""
            print(
                f"{title:30}{f['cpu']:8.1f}{f['wall']:8.1f}{size / f['cpu']:7.2f}"
                f"{f['peak']:9,.0f}{held}",
                flush=True,
            )


if __name__ == "__main__":
    if STEP in sys.argv:
        child(*sys.argv[2:])
    else:
        words = sys.argv[1:]
        main(int(words[0]) if words else 1_000_000, words[1] if len(words) > 1 else None)
