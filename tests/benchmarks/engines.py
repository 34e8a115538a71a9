"""Two processes against one: a trace of a million tokens, and 20 million drawn matrices.

    python tests/benchmarks/engines.py [tokens] [matrices] [rounds]

Seconds of whole commands, both ways in turn, and the median of the ratios of each round: wall time,
which means something on two quiet cores only, and the CPU seconds of the process that takes
longest over those of one process, which is what wall time would be if nothing else ran.
"""

import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from time import perf_counter

import numpy as np

NUMBERS = [int(float(word)) for word in sys.argv[1:]]
TOKENS, MATRICES, ROUNDS = (*NUMBERS, *(1_000_000, 20_000_000, 3)[len(NUMBERS) :])
SITES = 12

COMMAND = """
import json, resource, sys
from birkhoff_cli.__main__ import main
if __name__ == "__main__":
    try:
        main()
    except SystemExit as end:
        assert not end.code
    who = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    used = [resource.getrusage(w) for w in who]
    print(json.dumps([u.ru_utime + u.ru_stime for u in used]), file=sys.stderr)
"""


def write(path):
    """A trace of mixing matrices with rows that sum to 1."""
    from birkhoff_cli import Recorder

    rng = np.random.default_rng(0)
    with Recorder(path, {"model": "GPT"}) as recorder:
        for start in range(0, TOKENS, 20_000):
            for site in range(SITES):
                h = rng.exponential(size=(min(20_000, TOKENS - start), 4, 4)).astype(np.float32)
                recorder.add(site // 2, ("attn", "mlp")[site % 2], h / h.sum(-1, keepdims=True))


def run(script, words, engine):
    """Wall seconds, and CPU seconds of the process that took most, with one worker at most."""
    began = perf_counter()
    command = [sys.executable, str(script), *words, "-q", "--engine", engine]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return perf_counter() - began, max(json.loads(done.stderr.splitlines()[-1]))


def main():
    with tempfile.TemporaryDirectory() as folder:
        script, trace = Path(folder) / "command.py", Path(folder) / "trace.parquet"
        script.write_text(COMMAND)
        write(trace)
        print(f"{'':44}{'wall 1':>8}{'wall 2':>8}{'ratio':>7}{'longest CPU':>13}")
        for words in (
            ("depth-drift", str(trace)),
            ("degeneration", str(trace)),
            ("spectrum", "--method", "go-mhc", "-n", str(MATRICES)),
        ):
            rounds = [(run(script, words, "1"), run(script, words, "2")) for _ in range(ROUNDS)]
            one, two = (statistics.median(r[k][0] for r in rounds) for k in (0, 1))
            wall, cpu = (statistics.median(b[k] / a[k] for a, b in rounds) for k in (0, 1))
            name = words[0] if len(words) > 2 else f"{words[0]}, {TOKENS:,} tokens x {SITES} sites"
            print(f"{name:44}{one:8.1f}{two:8.1f}{wall:7.2f}{cpu:13.2f}")


if __name__ == "__main__":
    main()
