"""Every command with an input whose values, shapes or facts are odd: a command, and tests.

    python tests/odd_inputs.py --count 2000 --seed 1

The containers are sound, so that no checksum helps and the values get as far as the mathematics: a
command does what it can, or refuses in one line and writes nothing.
"""

import argparse
import csv
import io
import json
import os
import random
import shutil
import signal
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1]))

import forked
import small_commands

VALUES = (np.nan, np.inf, -np.inf, 0.0, -0.0, -1.0, 1e308, -1e30, 1e-320, 1 + 1e-7, 0.5, 3.0)
"""Entries of a matrix."""

SHAPES: tuple[Callable[[np.ndarray], np.ndarray], ...] = (
    *(lambda a: a[:0], lambda a: a[:1], lambda a: a[..., :-1], lambda a: a[..., :1]),
    *(lambda a: a[..., :1, :1], lambda a: a[..., :0, :0], lambda a: a.ravel(), lambda a: a[None]),
    *(lambda a: np.tile(a, (1, 7)), lambda a: np.swapaxes(a, 0, -1), lambda a: a[0, 0]),
    lambda a: np.tile(a, (1, 1, 3, 3)),
)
DTYPES = ("<f2", "<f4", ">f8", "<i8", "|b1", "<c16", "<u1", "<U8", "<M8[s]", "|O")

FACTS = (None, True, False, -1, 0, 1, 2, 3, 17, 1 << 31, 10**30, 1e308, 0.5, "", "mhc", "x" * 500)
FACTS += ("\x1b[31m", [], [[]], {}, "../other", "-o", "nan", float("nan"))
"""Values of a setting, of a cell of text, of a key in metadata."""


def odd_array(array: np.ndarray, rng: random.Random) -> np.ndarray:
    """An array of some odd entries, of another shape, or of another type."""
    with np.errstate(all="ignore"):
        try:
            match rng.randrange(4):
                case 0:
                    return rng.choice(SHAPES)(array)
                case 1:
                    return array.astype(rng.choice(DTYPES))
                case 2:
                    return np.full_like(array, rng.choice(VALUES))
            array = array.copy()
            for _ in range(rng.choice([1, 3, array.size])):
                array.flat[rng.randrange(array.size)] = rng.choice(VALUES)
            return array
        except (ValueError, TypeError, IndexError, OverflowError):  # it cannot be made of this one
            return np.atleast_1d(array)[:0]


def odd_npy(path: Path, rng: random.Random) -> None:
    """An array of its own format."""
    np.save(path, odd_array(np.load(path), rng), allow_pickle=True)


def leaves(tree: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Keys that lead to what is no dictionary."""
    for key, value in tree.items():
        if isinstance(value, dict) and value:
            yield from leaves(value, (*path, key))
        else:
            yield (*path, key)


def change(tree: dict[Any, Any], rng: random.Random) -> None:
    """One or two of its leaves become something else, or are taken away."""
    import torch

    for _ in range(rng.randint(1, 2)):
        # facts are fewer than tensors and decide more
        every = [*leaves(tree)]
        facts = [p for p in every if not isinstance(_at(tree, p), torch.Tensor)]
        chosen = rng.choice(facts if facts and rng.random() < 0.5 else every)
        inner, key = _at(tree, chosen[:-1]), chosen[-1]
        value = inner[key]
        if rng.random() < 0.2:
            del inner[key]
        elif isinstance(value, torch.Tensor):
            found = odd_array(value.float().numpy(), rng)
            if found.dtype.kind in "fiubc":
                native = found.astype(found.dtype.newbyteorder("="))
                inner[key] = torch.from_numpy(np.ascontiguousarray(native))
        else:
            inner[key] = rng.choice([*FACTS, *(_at(tree, p) for p in facts)])


def _at(tree: Any, path: tuple[Any, ...]) -> Any:
    for key in path:
        tree = tree[key]
    return tree


def odd_checkpoint(path: Path, rng: random.Random) -> None:
    """A checkpoint of torch with other tensors or settings."""
    import torch

    state = torch.load(path, weights_only=True)
    change(state, rng)
    torch.save(state, path)


def odd_table(path: Path, rng: random.Random) -> None:
    """A table that holds no digest, with another column or other metadata."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pq.read_table(path, use_threads=False)
    notes = {k.decode(): v.decode() for k, v in (table.schema.metadata or {}).items()}
    notes.pop("birkhoff.digest", None)
    name = rng.choice(table.column_names)
    match rng.randrange(7):
        case 0:
            table = table.drop_columns(name)
        case 1:
            table = table.rename_columns([rng.choice([n, "x", name]) for n in table.column_names])
        case 2:
            table = table.slice(0, rng.choice([0, 1, 2]))
        case 3:
            table = pa.concat_tables([table, table])
        case 4:
            table = table.take(pa.array(rng.sample(range(len(table)), len(table))))
        case 5:
            column = [rng.choice([v, None, *_like(v)]) for v in table[name].to_pylist()]
            at = table.column_names.index(name)
            table = table.set_column(at, name, pa.array(column, table[name].type))
        case 6:
            stamp = json.loads(notes.get("birkhoff", "{}")) or {"meta": {}}
            change(stamp, rng)
            notes["birkhoff"] = json.dumps(stamp, default=str)
    pq.write_table(table.replace_schema_metadata(notes), path)


def _like(value: Any) -> tuple[Any, ...]:
    """Odd values of the same type."""
    if isinstance(value, float):
        return VALUES
    if isinstance(value, int) and not isinstance(value, bool):
        return (-1, 0, 1, 1 << 30)
    return ("", "x", "\x1b[31m", "$_{") if isinstance(value, str) else ()


def odd_csv(path: Path, rng: random.Random) -> None:
    """A table of text with odd cells, or other columns or rows."""
    rows = [*csv.reader(path.read_text().splitlines())]
    match rng.randrange(4):
        case 0:
            rows = rows[: rng.choice([0, 1, 2])]
        case 1:
            at = rng.randrange(len(rows[0]))
            rows = [row[:at] + row[at + 1 :] for row in rows]
        case 2:
            rows = [rows[0], *rng.sample(rows[1:], len(rows) - 1), *rows[1:3]]
        case 3:
            for _ in range(rng.choice([1, 5])):
                row = rng.choice(rows)
                row[rng.randrange(len(row))] = str(rng.choice([*FACTS, *VALUES]))
    csv.writer(file := io.StringIO()).writerows(rows)
    path.write_text(file.getvalue())


def odd_lines(path: Path, rng: random.Random) -> None:
    """Lines of JSON with odd values, or fewer, doubled or other lines."""
    lines = path.read_text().splitlines()
    number = rng.randrange(len(lines))
    match rng.randrange(3):
        case 0:
            del lines[number : number + rng.choice([1, len(lines)])]
        case 1:
            lines.insert(rng.randrange(len(lines)), rng.choice([lines[number], "{}", "[]", "x"]))
        case 2:
            record = json.loads(lines[number])
            if isinstance(record, dict) and record:
                change(record, rng)
            lines[number] = json.dumps(record)
    path.write_text("".join(line + "\n" for line in lines))


def odd_tokens(path: Path, rng: random.Random) -> None:
    """Numbers that no vocabulary has, or too few of them."""
    data = bytearray(path.read_bytes())
    match rng.randrange(3):
        case 0:
            del data[rng.choice([0, 1, 2, 3, 31]) :]
        case 1:
            data[::2] = data[1::2] = b"\xff" * (len(data) // 2)
        case 2:
            data[rng.randrange(len(data))] = 255
    path.write_bytes(data)


def odd_text(path: Path, rng: random.Random) -> None:
    """Few letters, many, or none that are letters."""
    path.write_bytes(rng.choice([b"", b"a", b"a" * 5000, b"\xff\xfe" * 50, b"\0" * 900, b"\n" * 9]))


ODD: dict[str, Callable[[Path, random.Random], None]] = {
    ".npy": odd_npy,
    ".pt": odd_checkpoint,
    ".parquet": odd_table,
    ".csv": odd_csv,
    ".ndjson": odd_lines,
    ".bin": odd_tokens,
    ".txt": odd_text,
}
"""How a file becomes odd, by its suffix."""


ARRAYS = "check depth-drift degeneration heatmap spectrum sinkhorn quantise trace inspect weights"
TRACES = "depth-drift spectrum sinkhorn degeneration"
MORE = {
    **{f"{name} of an array": f"{name} h.npy -o out.parquet" for name in ARRAYS.split()},
    **{f"{name} of a trace": f"{name} trace.parquet -o out.parquet" for name in TRACES.split()},
    "diff of arrays": "diff g.npy h.npy -o out.parquet",
    "a log drawn": "plot hc.ndjson --plot out.svg",
}
"""Other ways to read them."""


def command(name: str) -> small_commands.Command:
    """A small command, or one of `MORE`."""
    if name not in MORE:
        return small_commands.command(name)
    output = MORE[name].split()[-1]
    return small_commands.Command(MORE[name], {output: b"old"})


def read_by(name: str) -> list[str]:
    """The files that a small command reads, of those that can be odd."""
    folder, found = small_commands.inputs(), []
    for word in command(name).words.split():
        path = folder / word.removeprefix("tokens=")
        inner = [*path.iterdir()] if path.is_dir() else [path]
        found += [p for p in inner if p.suffix in ODD and p.is_file()]
    return [str(path.relative_to(folder)) for path in found]


def copy_inputs(folder: Path) -> None:
    """Everything that commands read, to be changed."""
    shutil.copytree(small_commands.inputs(), folder, dirs_exist_ok=True)


def outcome(name: str, seed: int) -> tuple[int, str | None]:
    """How a command with odd inputs ends, and what is wrong with that; None if nothing is."""
    rng, small, inputs = random.Random(seed), command(name), read_by(name)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        copy_inputs(folder)

        def make_odd() -> None:
            for path in rng.sample(inputs, rng.choice([1, 1, len(inputs)])):
                ODD[Path(path).suffix](folder / path, rng)
            for output, old in small.old.items():
                if isinstance(old, bytes):
                    (folder / output).write_bytes(old)

        def prepare() -> None:
            make_odd()
            small.before()

        ended = forked.call(small.words.split(), folder, prepare, small.inline)
        return ended.code, judged(small, ended, folder)


def judged(small: small_commands.Command, ended: forked.Ended, folder: Path) -> str | None:
    """What is wrong with an exit code, a sentence, or the files that are there."""
    code, out, err = ended
    if code not in (0, 2, 3, 4, 6):
        return f"exit {code}: {err.strip()[-400:]}"
    if code == 0:
        odd = "Traceback" in err or "Warning" in err
        return f"exit 0 says {err[-300:]!r}" if odd else None
    lines = err.splitlines()
    if len(lines) != 1 or not lines[0].startswith("birkhoff: ") or out:
        return f"exit {code} says {err[-300:]!r} and {out[:80]!r}"
    if not err.strip().isprintable() or len(err) > MAX_SENTENCE:
        return f"exit {code} says {err[:600]!r}"
    for output, old in small.old.items():
        if isinstance(old, bytes) and (folder / output).read_bytes() != old:
            return f"exit {code}, and {output} is written"
    known = {p.name for p in small_commands.inputs().iterdir()} | {*small.old, "tmp"}
    stray = [p.name for p in folder.iterdir() if p.name not in known]
    stray += [p.name for p in (folder / "tmp").iterdir() if "torchinductor" not in p.name]
    return f"leaves {stray}" if stray else None


MAX_SENTENCE = 400


def names() -> list[str]:
    """Small commands that read what can be odd."""
    slow = ("whole-report", "workers", "shared")
    every = (*small_commands.names(), *MORE)
    return [name for name in every if name not in slow and read_by(name)]


def main() -> int:
    """Commands with odd inputs, in turn; prints each fault with its seed, and a line for each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=1000, help="runs of all commands")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--command", choices=[*small_commands.names(), *MORE], action="append")
    asked = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(2))
    forked.warm_up_all()
    commands = asked.command or names()
    codes: Counter[tuple[str, int]] = Counter()
    faults = 0
    try:
        for number in range(asked.count):
            name = commands[number % len(commands)]
            code, wrong = outcome(name, asked.seed + number)
            codes[name, code] += 1
            if wrong:
                faults += 1
                print(f"{name} {asked.seed + number}: {wrong}", flush=True)
    finally:  # also where the time for it is over
        for name in commands:
            said = ", ".join(f"{codes[name, code]} exit {code}" for code in (0, 2, 3, 4, 6))
            print(f"{name:22}{said}")
        print(f"{sum(codes.values())} of {asked.count}, {faults} faults", flush=True)
    shutil.rmtree(small_commands.inputs())
    return 1 if faults else 0


if __name__ == "__main__":
    os.environ["COLUMNS"] = "100"
    raise SystemExit(main())
