"""What travels of a model of 150 GB, and what it costs: requests, bytes, CPU and memory.

    python tests/benchmarks/remote.py [folder for sparse files]

A repository of V4-Flash's shape (46 shards, 66,306 tensors, an index of 5 MB) and a conversion to
GGUF of 93 GB (its tokens make 3 MB of header), whose other tensors are holes in sparse files,
behind a hub on the loopback that redirects every large file to another host. Every line is a
process of its own beside the same command on the local files: CPU seconds (user and system) and
the largest resident size.
"""

import json
import multiprocessing
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent), str(HERE.parent.parent)]

from checkpoint_size import LAYERS, STREAMS, WIDTH, mixing, sharded  # noqa: E402

from fake_hub import FakeHub, Repository  # noqa: E402
from test_gguf import ARRAY, FLOAT32, STRING, UINT32, key, text  # noqa: E402

ORIGINAL, CONVERSION = "hf://org/model", "hf://someone/model-GGUF"
GIGABYTES, CONVERTED = 150, 93
TOKENS = 129_280
EXPERTS = ("ffn_gate_exps", "ffn_up_exps", "ffn_down_exps")
F32, F16 = 0, 1
COMMANDS = (
    ["inspect", ORIGINAL],
    ["check", ORIGINAL],
    ["depth-drift", ORIGINAL],
    ["depth-drift", ORIGINAL, "--inputs", "gaussian", "-n", "100"],
    ["inspect", CONVERSION],
    ["diff", ORIGINAL, CONVERSION],
)


LAUNCHER = """
import json, os, sys
child = os.spawnv(os.P_NOWAIT, sys.argv[1], sys.argv[1:])
_, status, usage = os.wait4(child, 0)
cost = [status, usage.ru_utime + usage.ru_stime, usage.ru_maxrss]
print(json.dumps(cost), file=sys.stderr)
"""
"""Starts a command: what is started counts as large as what started it, and this is small."""


class Cost(NamedTuple):
    """Of one command.

    Attributes:
        out: its standard output.
        requests: that the hub and its storage answered.
        megabytes: of bodies that they sent.
        seconds: of CPU.
        memory: largest resident size, MB.
    """

    out: str
    requests: int
    megabytes: float
    seconds: float
    memory: float


def converted(path: Path, gigabytes: float) -> None:
    """The same sites as GGUF, the experts of a layer in three tensors that are never written."""
    size = int(gigabytes * 1e9 / LAYERS / len(EXPERTS) / 64) * 64
    infos, offset, written = b"", 0, []
    for name, array in mixing(np.random.default_rng(0)):
        layer, tensor = name.removeprefix("layers.").split(".")
        infos += _info(f"blk.{layer}.{tensor}.weight", array.shape, F32, offset)
        written.append((offset, array))
        offset += -(-array.nbytes // 32) * 32
    for layer in range(LAYERS):
        for expert in EXPERTS:
            infos += _info(f"blk.{layer}.{expert}.weight", (size // 2,), F16, offset)
            offset += size
    keys = [key(name, kind, value) for name, (kind, value) in _keys().items()]
    count = 3 * 2 * LAYERS + len(EXPERTS) * LAYERS
    head = b"GGUF" + (3).to_bytes(4, "little") + count.to_bytes(8, "little")
    head += len(keys).to_bytes(8, "little") + b"".join(keys) + infos
    head += bytes(-len(head) % 32)
    with path.open("wb") as file:
        file.write(head)
        for place, array in written:
            file.seek(len(head) + place)
            file.write(array.tobytes())
        file.truncate(len(head) + offset)


def _info(name: str, shape: Sequence[int], code: int, offset: int) -> bytes:
    sides = b"".join(side.to_bytes(8, "little") for side in reversed(shape))
    words = len(shape).to_bytes(4, "little") + sides + code.to_bytes(4, "little")
    return text(name) + words + offset.to_bytes(8, "little")


def _keys() -> dict[str, tuple[int, object]]:
    a = "deepseek4"
    return {
        "general.architecture": (STRING, a),
        f"{a}.hyper_connection.count": (UINT32, STREAMS),
        f"{a}.hyper_connection.sinkhorn_iterations": (UINT32, 20),
        f"{a}.hyper_connection.epsilon": (FLOAT32, 1e-6),
        f"{a}.attention.layer_norm_rms_epsilon": (FLOAT32, 1e-6),
        f"{a}.block_count": (UINT32, LAYERS),
        f"{a}.embedding_length": (UINT32, WIDTH),
        "tokenizer.ggml.tokens": (ARRAY, [f"token {k} of many" for k in range(TOKENS)]),
    }


def make(root: Path) -> None:
    """Both models, as sparse files."""
    sharded(root / "original", GIGABYTES)
    (root / "conversion").mkdir()
    converted(root / "conversion" / "model-F16.gguf", CONVERTED)


def models(root: Path) -> Mapping[str, Path]:
    """Folders by their URLs, of files that another process makes."""
    process = multiprocessing.get_context("spawn").Process(target=make, args=(root,))
    process.start()
    process.join()
    if process.exitcode:
        raise SystemExit("the files cannot be made")
    return {ORIGINAL: root / "original", CONVERSION: root / "conversion"}


def hub_of(folders: Mapping[str, Path]) -> FakeHub:
    """A hub with these models."""
    return FakeHub({k.removeprefix("hf://"): Repository(v) for k, v in folders.items()})


def cost(words: Sequence[str], hub: FakeHub) -> Cost:
    """Run a command, which must end well and say nothing on standard error."""
    hub.forget()
    done = subprocess.run(
        [sys.executable, "-c", LAUNCHER, sys.executable, "-m", "birkhoff_cli", *words],
        env={**os.environ, **hub.environment, "PYTHONPATH": str(HERE.parent.parent)},
        capture_output=True,
        text=True,
    )
    *said, last = done.stderr.splitlines()
    status, seconds, memory = json.loads(last)
    if status or said:
        raise SystemExit(f"{' '.join(words)}: {status} {said}")
    return Cost(done.stdout, len(hub.asked), hub.bytes_sent / 1e6, seconds, memory / 1e3)


def main() -> None:
    """Print a table."""
    root = Path(tempfile.mkdtemp(dir=sys.argv[1] if len(sys.argv) > 1 else None))
    try:
        folders = models(root)
        print(f"{'':52}{'requests':>9}{'MB':>8}{'CPU s':>8}{'local':>8}{'peak MB':>9}{'local':>7}")
        with hub_of(folders) as hub:
            for words in COMMANDS:
                far = cost([*words, "--json"], hub)
                near = cost([*(str(folders.get(k, k)) for k in words), "--json"], hub)
                line = f"{' '.join(words):52}{far.requests:9}{far.megabytes:8.1f}"
                line += f"{far.seconds:8.2f}{near.seconds:8.2f}{far.memory:9.0f}{near.memory:7.0f}"
                print(line, flush=True)
            assert not hub.leaks
    finally:
        shutil.rmtree(root)


if __name__ == "__main__":
    main()
