"""Every pair of options of every command works, or is refused in one line: a command, and tests.

    python tests/option_pairs.py --command spectrum
    python tests/option_pairs.py --part 1/2

Options and their types are those that the commands declare; each has one small valid value. Every
pair is tried beside each way to call the command, and every option in a sweep with a picture.
"""

import argparse
import json
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from itertools import combinations
from pathlib import Path
from typing import NamedTuple

import numpy as np

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1]))

import forked
from birkhoff_cli import members
from birkhoff_cli.command import Subcommand
from birkhoff_cli.options import Option
from conftest import ROOT
from files import monitor_log

Words = Mapping[str, str]
"""Texts by option; an argument's own name for one that is positional, "" for a flag."""

DRAWN = {"method": "go-mhc", "d": "3", "samples": "4"}
READ = {"path": "ckpt.pt"}
BASES: Mapping[str, Sequence[Words]] = {
    "check": [READ, {"path": "h.npy"}],
    "compare": [{"method": "go-mhc", "samples": "4", "resolution": "8"}],
    "complexity": [{"method": "go-mhc", "d": "2,3"}],
    "curves": [{"runs": "loss.csv"}],
    "decompose": [{"path": "h.npy", "method": "mhc-lite"} | {"starts": "1"}],
    "degeneration": [READ, {"path": "series"}],
    "depth-drift": [READ, {**DRAWN, "layers": "2"}],
    "diff": [{"a": "ckpt.pt", "b": "other.pt"}, {"a": "h.npy", "against": "identity"}],
    "distance": [{"a": "h.npy", "b": "g.npy"}, {"a": "ckpt.pt", "b": "other.pt"}],
    "fit": [{"method": "mhc", "d": "3", "targets": "2", "epochs": "3", "examples": "4"}],
    "gradients": [{**DRAWN, "points": "3"}],
    "heatmap": [READ, DRAWN],
    "inspect": [READ],
    "merge": [{"tables": "shard.parquet"}],
    "methods": [{}, {"names": "go-mhc"}],
    "plot": [{"table": "drift.parquet"}],
    "region": [{"kind": "karpelevic", "d": "3", "points": "5"}],
    "report": [{"path": "g.npy"}],
    "sample": [DRAWN],
    "similarity": [{**READ, "inputs": "tokens=val.bin", "sequences": "1", "length": "8"}],
    "sinkhorn": [READ, {"method": "mhc", "d": "3", "samples": "4"}],
    "slice": [{"path": "g.npy"}, {**DRAWN, "resolution": "8"}],
    "spectrum": [{"path": "g.npy"}, {**DRAWN, "resolution": "8"}],
    "trace": [READ],
    "train": [
        {"method": "mhc", "d": "2", "output": "run", "text": "text.txt", "updates": "2"}
        | {"layers": "1", "width": "8", "heads": "1", "length": "8", "batch": "2"}
    ],
    "watch": [{"log": "hc.ndjson"}],
    "weights": [{"path": "kromhc.pt"}, {**DRAWN, "method": "mhc-lite"}],
    "verify": [{"dump": "g.npy", "logits": "h.npy"}, {"dump": "g.npy", "against": "h.npy"}],
}
"""Ways to call a command that are small; of others there is one, see `bases`."""

VALUES = {
    "method": "mhc",
    "d": "3",
    "sampler": "go-mhc",
    "draw": "gaussian",
    "set": "s=2",
    "set_a": "s=2",
    "set_b": "s=2",
    "inputs": "gaussian",
    "samples": "3",
    "points": "4",
    "length": "8",
    "width": "8",
    "output": "out.parquet",
    "plot": "out.svg",
    "part": "1/2",
    "engine": "1",
    "path": "g.npy",
    "runs": "loss.csv",
    "a": "g.npy",
    "b": "h.npy",
    "trace": "g.npy",
    "dump": "g.npy",
    "logits": "h.npy",
    "against": "h.npy",
    "s": "1",
    "gradient": "g.npy",
    "cotangent": "h.npy",
    "text": "text.txt",
    "kind": "perfect-mirsky",
    "tables": "shard.parquet",
    "table": "drift.parquet",
    "names": "mhc",
    "resolution": "9",
    "format": "csv",
    "device": "cpu",
    "factors": "3",
    "updates": "1",
    "learning_rate": "0.01",
    "starts": "2",
    "sweep": "seed=0,1",
}
"""A value of an option whose type does not say one."""

OUTPUTS = {"report": "out.html", "train": "run", "merge": "whole.parquet"}
"""What ``-o`` of a command names, if no table."""

TYPES = {"int": "2", "float": "0.5", "Path": "g.npy"}
CODES = (0, 2, 3, 4)


class Case(NamedTuple):
    """A command line."""

    command: str
    words: tuple[str, ...]


def options_of(command: str, base: Words) -> dict[str, Option]:
    """Every option of a command, with those of the method that is named."""
    args = ["--method", base["method"]] if "method" in base else []
    return dict(Subcommand(command, members.module_of(command), args).options)


def bases(command: str) -> Sequence[Words]:
    """Ways to call a command; of one that is new, whatever it cannot do without."""
    if command in BASES:
        return BASES[command]
    options = options_of(command, {})
    if "path" in options:
        return [READ]
    needed = {n: value_of(command, o) for n, o in options.items() if o.positional and o.required}
    return [needed | ({"method": "go-mhc"} if "method" in options else {})]


def value_of(command: str, option: Option) -> str:
    """One small valid value of an option."""
    if option.is_flag:
        return ""
    if option.name == "output" and command in OUTPUTS:
        return OUTPUTS[command]
    if words := option.alternatives if option.name != "format" else ():
        return words[-1]
    if option.name in VALUES:
        return VALUES[option.name]
    return next((text for kind, text in TYPES.items() if kind in str(option.annotation)), "1")


def typed(options: Mapping[str, Option], texts: Words) -> tuple[str, ...]:
    """Options as they are typed, arguments first."""
    arguments = [texts[name] for name, o in options.items() if o.positional and name in texts]
    words = [*arguments]
    for name, text in texts.items():
        if not options[name].positional:
            words += [options[name].label, *([] if options[name].is_flag else [text])]
    return tuple(words)


def swept(command: str, option: Option) -> str | None:
    """A sweep over an option, of its value and another one."""
    if option.positional or option.is_flag or option.group in ("Output", "Sweep"):
        return None
    value = value_of(command, option)
    other = next((word for word in option.alternatives if word != value), value)
    if value.isdigit():
        other = str(int(value) + 1)
    return f"{option.label.removeprefix('--')}={value}" + f",{other}" * (other != value)


def cases(command: str) -> Iterator[Case]:
    """Every pair beside every base; every option swept, alone and drawn, beside every other."""
    for base in bases(command):
        options = options_of(command, base)
        values = {name: value_of(command, option) for name, option in options.items()}
        yield Case(command, typed(options, base))
        for name in values:
            yield Case(command, typed(options, {**base, name: values[name]}))
        for one, other in combinations(values, 2):
            pair = {one: values[one], other: values[other]}
            yield Case(command, typed(options, {**base, **pair}))
        if "sweep" not in options:
            continue
        drawn = {"output": "out.parquet", **({"plot": "out.svg"} if "plot" in options else {})}
        for name, option in options.items():
            if axis := swept(command, option):
                rest = {key: text for key, text in base.items() if key != name}
                yield Case(command, typed(options, {**rest, "sweep": axis, **drawn}))
        for name in values.keys() - {"sweep", "plot", "output"}:
            pair = {name: values[name], "sweep": "seed=0,1", **drawn}
            yield Case(command, typed(options, {**base, **pair}))


def every_case() -> list[Case]:
    """Without repetition, in order."""
    return [*dict.fromkeys(case for command in members.names() for case in cases(command))]


@cache
def inputs() -> Path:
    """A folder of everything that the command lines name."""
    folder = Path(tempfile.mkdtemp(prefix="pairs-"))
    rng = np.random.default_rng(0)
    for name in ("g", "h"):
        np.save(folder / f"{name}.npy", rng.dirichlet(np.ones(3), (2, 3)))
    (folder / "series").mkdir()
    examples = ROOT / "examples"
    for number in ("000000", "000600"):
        shutil.copy(examples / "mhc" / f"ckpt_{number}.pt", folder / "series")
    shutil.copy(examples / "go-mhc-s2.pt", folder / "ckpt.pt")
    shutil.copy(examples / "go-mhc-s2.pt", folder / "other.pt")
    shutil.copy(examples / "kromhc.pt", folder / "kromhc.pt")
    losses = "".join(f"{step},{9 - step / 10},1.5\n" for step in range(40))
    (folder / "loss.csv").write_text(f"step,loss,grad_norm\n{losses}")
    (folder / "val.bin").write_bytes((examples / "val.bin").read_bytes()[:2000])
    (folder / "hc.ndjson").write_text(monitor_log())
    (folder / "text.txt").write_text("A text of a few words, again and again. " * 40)
    made = (
        "depth-drift g.npy -o drift.parquet",
        "region --sweep d=3,4 -o shard.parquet --kind karpelevic --points 5",
    )
    for words in made:
        assert forked.call(words.split(), folder).code == 0, words
    shutil.rmtree(folder / "shard.parquet.cells")
    shutil.rmtree(folder / "tmp")
    return folder


def fault(case: Case) -> str | None:
    """What is wrong with how a command line ends; None if nothing is."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for path in inputs().iterdir():
            (folder / path.name).symlink_to(path)
        before = {path.name for path in folder.iterdir()} | {"tmp"}
        ended = forked.call([case.command, *case.words], folder)
        left = {path.name for path in folder.iterdir()} - before
        stray = [p for p in (folder / "tmp").iterdir() if not p.name.startswith("torchinductor")]
    return judged(case, ended, left) or (f"{stray} is left over" if stray else None)


def judged(case: Case, ended: forked.Ended, left: set[str]) -> str | None:
    """What is wrong with an exit code, what was printed, or the files that are there."""
    code, out, err = ended
    allowed = {*CODES, *([1] if "--fail-on" in case.words else [])}
    if code not in allowed:
        return f"exit {code}: {err.strip()[-200:]}"
    named = set(case.words) | {"drift.png", "report.html", "whole.parquet"}
    if "out.parquet" in named:
        named |= {"out.parquet.cells"} if "--sweep" in named else set()
    if left - named - {"out_files", "report_files"}:
        return f"exit {code} leaves {sorted(left - named)}"
    if code in (0, 1):
        if "Traceback" in err and "--debug" not in case.words:
            return f"a traceback: {err[-200:]}"
        if "--json" in case.words and code == 0:
            json.loads(out)
        return None
    if left - {"out.parquet.cells"}:
        return f"exit {code} leaves {sorted(left)}"
    lines = err.splitlines()
    if "--debug" in case.words:
        lines = lines[-1:]
    if len(lines) != 1 or not lines[0].startswith("birkhoff: ") or out:
        return f"exit {code} says {err[-300:]!r} and {out[:80]!r}"
    return None


def main() -> int:
    """Every case of the commands that are named, or of one part; prints each fault."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--command", choices=members.names(), action="append")
    parser.add_argument("--part", default="1/1", help="I/N: every N-th case")
    asked = parser.parse_args()
    part, parts = map(int, asked.part.split("/"))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(2))
    forked.warm_up_all()
    chosen = [c for c in every_case() if not asked.command or c.command in asked.command]
    chosen = chosen[part - 1 :: parts]
    faults = total = 0
    try:
        for case in chosen:
            if wrong := fault(case):
                faults += 1
                print("birkhoff", case.command, *case.words, "->", wrong, flush=True)
            total += 1
    finally:  # also where the time for it is over
        print(f"{total} of {len(chosen)} command lines, {faults} faults", flush=True)
    shutil.rmtree(inputs())
    return 1 if faults else 0


if __name__ == "__main__":
    os.environ["COLUMNS"] = "100"
    raise SystemExit(main())
