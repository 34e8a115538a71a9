"""Mutated files of every kind, each read or refused in one line: a command, and part of the suite.

    python tests/fuzz.py --count 100000 --seed 1

Workers are forked processes with a limit on memory: one that is killed, crashes or does not end is
a fault like any other exception. Files with a checksum are never read as something else.
"""

import argparse
import io
import json
import multiprocessing
import os
import random
import sys
import tempfile
import traceback
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from functools import cache, partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1]))

import files
from birkhoff_cli import checkpoints, matrices, tables
from birkhoff_cli.analyses.core.errors import BirkhoffError
from birkhoff_cli.analyses.core.table import arrow_schema
from birkhoff_cli.analyses.core.trace import Site
from birkhoff_cli.analyses.core.trace import in_memory as in_memory_trace
from birkhoff_cli.commands import trace
from birkhoff_cli.containers import open_store
from birkhoff_cli.provenance import footer, stamp
from birkhoff_cli.testing.formats import GAP_PHRASES
from mutations import Files, files_of, mutated, mutated_folder, write_folder

MAX_SENTENCE = 300
MAX_MEMORY = 3 << 30
"""Bytes of address space of a worker, libraries included."""

MAX_SECONDS = 60
"""Of a worker without news, before it counts as one that does not end."""

UNSIGNED = "the table is as it was written; it holds no digest of birkhoff's"
OUTCOMES = ("read", "refused", "unsigned")

SITES = 4
"""Of a model in a folder."""

MATRICES = np.random.default_rng(0).dirichlet(np.ones(3), (40, 3))


class Kind(NamedTuple):
    """A kind of file, or of folder.

    Attributes:
        sound: its bytes; of a folder by names.
        read: everything that can be read of a path, as an array.
        name: of the file; some kinds are told by it.
        checked: whether a checksum covers all of it.
        mutate: another one that is not as it should be.
        write: it to a path.
    """

    sound: Callable[[], Any]
    read: Callable[[Path], np.ndarray]
    name: str = "f"
    checked: bool = False
    mutate: Callable[[Any, random.Random], Any] = mutated
    write: Callable[[Path, Any], Path] = files.written


def read_checkpoint(path: Path) -> np.ndarray:
    """Each tensor, and the matrices."""
    with open_store(path) as store:
        for tensor in store.tensors:
            store.read(tensor)
        store.digest()
    return checkpoints.read(path).trace().matrices


def read_folder(path: Path) -> np.ndarray:
    """Its matrices: all of them, or fewer with a sentence.

    Raises:
        AssertionError: there are fewer than in a sound one, and nothing says so.
    """
    found = checkpoints.read(path)
    said = any(word in sentence for sentence in found.assumptions for word in GAP_PHRASES)
    assert said or len(found.sites) >= SITES, "fewer sites, and nothing says so"
    return found.trace().matrices


def read_matrices(path: Path) -> np.ndarray:
    """Every matrix of a table or an array."""
    return matrices.read(path).matrices


def read_model(path: Path) -> np.ndarray:
    """A model whose configuration is the file."""
    weights = files.safetensors_bytes(files.arrays(files.model_shapes()))
    files.written(path.with_name("model.safetensors"), weights)
    return checkpoints.read(path.parent).trace().matrices


def in_memory(write: Callable[[io.BytesIO], object]) -> bytes:
    """What a function writes into a file."""
    file = io.BytesIO()
    write(file)
    return file.getvalue()


def torch_bytes() -> bytes:
    """A checkpoint as torch writes it."""
    with tempfile.TemporaryDirectory() as folder:
        return files.torch_file(Path(folder) / "f").read_bytes()


def legacy_bytes() -> bytes:
    """A checkpoint as torch wrote it before 1.6."""
    import torch

    state = {n: torch.from_numpy(a) for n, a in files.arrays(files.model_shapes()).items()}
    save = partial(torch.save, {"model": state}, _use_new_zipfile_serialization=False)
    return in_memory(save)


def gguf_bytes() -> bytes:
    """A conversion of two layers."""
    from test_gguf import gguf, model_keys, model_tensors

    return gguf(model_keys(), model_tensors())


def table_bytes(format: str) -> bytes:
    """A trace as we write it."""
    result = trace.run(in_memory_trace(MATRICES[:, None], (Site(0, "attn", "a"),), "fuzz"))
    schema = arrow_schema(result.schema, stamp("trace", result.meta))
    write = tables.load(format).write
    return in_memory(
        lambda file: write(result.batches(schema), schema, file, lambda: footer(result.finish()))
    )


def of_folder(write: Callable[[Path], object]) -> Files:
    """The files that a function writes into a folder."""
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder) / "f")
        return files_of(Path(folder) / "f")


def sharded() -> Files:
    """Shards of safetensors with an index and a configuration."""
    import test_formats_sharded as shards

    return of_folder(lambda path: shards.sharded(path, shards.tensors(np.random.default_rng(0))))


def torch_shards() -> Files:
    """Two checkpoints of torch with an index."""
    import torch

    state = {n: torch.from_numpy(a) for n, a in files.arrays(files.model_shapes(2)).items()}
    homes = {name: f"pytorch_model-0000{1 + k % 2}-of-00002.bin" for k, name in enumerate(state)}

    def write(path: Path) -> None:
        path.mkdir()
        for home in {*homes.values()}:
            torch.save({n: t for n, t in state.items() if homes[n] == home}, path / home)
        text = json.dumps({"metadata": {}, "weight_map": homes})
        (path / "pytorch_model.bin.index.json").write_text(text)
        (path / "config.json").write_text(json.dumps({"hc_type": "mhc", "n_layer": 2}))

    return of_folder(write)


def distributed() -> Files:
    """A checkpoint of torch.distributed."""
    import test_formats_distributed as dcp

    return of_folder(lambda path: dcp.saved(path, dcp.model(np.random.default_rng(0)), dcp.ARGS))


def gguf_parts() -> Files:
    """A conversion in two parts."""
    from test_gguf import UINT32, gguf, key, model_keys, model_tensors

    tensors = model_tensors()
    heads = (model_keys(), [key("split.no", UINT32, 1)])
    return {
        f"m-0000{part + 1}-of-00002.gguf": gguf(
            [*head, key("split.count", UINT32, 2)], {n: tensors[n] for n in [*tensors][part::2]}
        )
        for part, head in enumerate(heads)
    }


KINDS = {
    "torch": Kind(torch_bytes, read_checkpoint),
    "pickle": Kind(torch_bytes, read_checkpoint),
    "legacy": Kind(legacy_bytes, read_checkpoint),
    "safetensors": Kind(
        lambda: files.safetensors_bytes(files.arrays(files.model_shapes())), read_checkpoint
    ),
    "gguf": Kind(gguf_bytes, read_checkpoint),
    "config": Kind(
        lambda: json.dumps({"hc_type": "mhc", "n_layer": 1, "hc_eps": 1e-6}).encode(),
        read_model,
        "config.json",
    ),
    "npy": Kind(lambda: in_memory(lambda file: np.save(file, MATRICES)), read_matrices, "f.npy"),
    "npz": Kind(lambda: in_memory(lambda file: np.savez(file, H=MATRICES)), read_matrices, "f.npz"),
    "parquet": Kind(lambda: table_bytes("parquet"), read_matrices, checked=True),
    "arrow": Kind(lambda: table_bytes("arrow"), read_matrices, checked=True),
    "csv": Kind(lambda: table_bytes("csv"), read_matrices, "f.csv"),
    "ndjson": Kind(lambda: table_bytes("ndjson"), read_matrices, "f.ndjson"),
    "shards": Kind(sharded, read_folder, mutate=mutated_folder, write=write_folder),
    "torch shards": Kind(torch_shards, read_folder, mutate=mutated_folder, write=write_folder),
    "distcp": Kind(distributed, read_folder, mutate=mutated_folder, write=write_folder),
    "gguf parts": Kind(gguf_parts, read_folder, mutate=mutated_folder, write=write_folder),
}
"""Every kind of file and folder that is read, by a name."""


@cache
def sound(kind: str) -> tuple[Any, bytes]:
    """A file or a folder of a kind as it should be, and the bytes of what is read of it."""
    data = KINDS[kind].sound()
    with tempfile.TemporaryDirectory() as folder:
        path = KINDS[kind].write(Path(folder) / KINDS[kind].name, data)
        return data, KINDS[kind].read(path).tobytes()


def mutation(kind: str, rng: random.Random) -> Any:
    """A file or a folder of a kind that is not as it should be."""
    data, _ = sound(kind)
    if kind != "pickle":
        return KINDS[kind].mutate(data, rng)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:  # a sound archive: no checksum helps
        program = mutated(archive.read("ckpt/data.pkl"), rng)
    with tempfile.TemporaryDirectory() as folder:
        return files.torch_file(Path(folder) / "f", records={"data.pkl": program}).read_bytes()


def attempt(kind: str, data: Any, folder: Path) -> str:
    """Read a file: ``read``, ``refused``, or ``unsigned`` where it is said to hold no digest.

    A change that meets the digest's own name leaves a table like any that others wrote.

    Raises:
        AssertionError: a checksum was passed over, or the sentence is none for a terminal.
    """
    path = KINDS[kind].write(folder / KINDS[kind].name, data)
    try:
        found = KINDS[kind].read(path).tobytes()
    except BirkhoffError as error:
        sentence = str(error)
        longest = max(len(str(name)) for name in (path, *path.rglob("*")))
        assert len(sentence) <= MAX_SENTENCE + longest, sentence
        assert sentence.isprintable(), sentence
        return "refused"
    if KINDS[kind].checked and found != sound(kind)[1]:
        assert UNSIGNED in matrices.read(path).meta.get("assumptions", ()), "read as something else"
        return "unsigned"
    return "read"


def outcomes(kind: str, count: int, seed: int) -> Iterator[tuple[int, Any, str]]:
    """Seed, bytes and outcome of mutations, one after the other; a fault is its last line."""
    with tempfile.TemporaryDirectory() as folder:
        for number in range(count):
            own = seed + number
            data = mutation(kind, random.Random(own))
            try:
                outcome = attempt(kind, data, Path(folder))
            except Exception:
                outcome = traceback.format_exc().strip().splitlines()[-1][:200]
            yield own, data, outcome


def _work(kind: str, count: int, seed: int, pipe: "multiprocessing.connection.Connection") -> None:
    """Mutations in a process of their own, each announced before it is read."""
    import resource

    resource.setrlimit(resource.RLIMIT_AS, (MAX_MEMORY, MAX_MEMORY))
    for own, _, outcome in outcomes(kind, count, seed):
        pipe.send((own, outcome))
    os._exit(0)


def run(kind: str, count: int, seed: int) -> tuple[Counter[str], list[str]]:
    """How many mutations had which outcome, and what went wrong, in forked workers."""
    total: Counter[str] = Counter()
    faults: list[str] = []
    begin, end = seed, seed + count
    sound(kind)  # the workers inherit it
    while begin < end:
        ours, theirs = multiprocessing.Pipe()
        context = multiprocessing.get_context("fork")
        worker = context.Process(target=_work, args=(kind, end - begin, begin, theirs))
        worker.start()
        theirs.close()
        try:
            while ours.poll(MAX_SECONDS):
                begin, outcome = ours.recv()
                begin += 1
                if outcome in OUTCOMES:
                    total[outcome] += 1
                else:
                    faults.append(f"{kind} {begin - 1}: {outcome}")
        except EOFError:
            worker.join()
        else:
            worker.kill()
            worker.join()
        if begin < end:  # it crashed, or did not end: go on behind that file
            faults.append(f"{kind} {begin}: the process ended with {worker.exitcode}")
            begin += 1
    return total, faults


def main() -> int:
    """Mutations of every kind; prints a line for each, and every fault with its seed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=2_000, help="mutations in all")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kind", choices=[*KINDS], action="append")
    asked = parser.parse_args()
    kinds = asked.kind or [*KINDS]
    every = []
    for kind in kinds:
        total, faults = run(kind, asked.count // len(kinds), asked.seed)
        counts = "".join(f"{total[outcome]:9} {outcome}" for outcome in OUTCOMES)
        print(f"{kind:12}{counts}{len(faults):9} faults", flush=True)
        every += faults
    print(*every, sep="\n")
    return 1 if every else 0


if __name__ == "__main__":
    raise SystemExit(main())
