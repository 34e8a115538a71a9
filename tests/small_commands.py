"""Small commands, one of every kind, and everything that they read, in two versions."""

import shutil
import tempfile
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import forked
import happenings
import option_pairs
from birkhoff_cli import members
from birkhoff_cli.commands import report
from conftest import ROOT
from fake_hub import FakeHub, Repository


class Command(NamedTuple):
    """A small command.

    Attributes:
        words: as they are typed.
        old: what is there before, by the names of what it writes; of a folder its files.
        reads: names of inputs of which there is another version.
        resumes: whether it goes on with what a stopped one has left.
        inline: whether cells of a sweep run in the process itself.
        varies: whether a run after it writes other numbers: measured times.
        before: makes it smaller, in the process.
    """

    words: str
    old: Mapping[str, Any]
    reads: tuple[str, ...] = ()
    resumes: bool = False
    inline: bool = True
    varies: bool = False
    before: Callable[[], None] = lambda: None


def two_analyses() -> None:
    """A report with two of its figures: each of the others is written in the same way."""
    real = report._analyses
    report._analyses = lambda request: [*real(request)][:2]


SWEEP = "region --kind karpelevic --points 5 --sweep d=3,4 -o out.parquet"
CELLS = {"out.parquet": b"old", "out.parquet.cells": None}
PART = "depth-drift trace.parquet --part {}/2 -o {}"
COMMANDS: Mapping[str, Command] = {
    "drawn": Command(
        "spectrum --method go-mhc --d 3 -n 4 --resolution 8 -o out.parquet --plot out.svg",
        {"out.parquet": b"old", "out.svg": b"old"},
    ),
    "checkpoint": Command("depth-drift ckpt.pt -o out.csv", {"out.csv": b"old"}, ("ckpt.pt",)),
    "series": Command(
        "degeneration series -o out.arrow", {"out.arrow": b"old"}, ("series/ckpt_000600.pt",)
    ),
    "tokens": Command(
        "similarity ckpt.pt --inputs tokens=val.bin --sequences 1 --length 8 -o out.ndjson",
        {"out.ndjson": b"old"},
        ("ckpt.pt", "val.bin"),
    ),
    "sweep": Command(SWEEP, CELLS, resumes=True),
    "read-sweep": Command(
        "depth-drift ckpt.pt --sweep seed=0,1 -o out.parquet", CELLS, ("ckpt.pt",), resumes=True
    ),
    "workers": Command(f"{SWEEP} --engine 2", CELLS, resumes=True, inline=False),
    "shared": Command(
        "sample --method go-mhc --d 2 -n 9000 --engine 2 -o out.arrow",
        {"out.arrow": b"old"},
        inline=False,
    ),
    "report": Command(
        "report g.npy -o out.html",
        {"out.html": b"old", "out_files": {"check.png": b"old"}},
        ("g.npy",),
        before=two_analyses,
    ),
    "whole-report": Command("report g.npy -o out.html", {"out.html": b"old", "out_files": None}),
    "trace": Command("trace ckpt.pt -o out.arrow", {"out.arrow": b"old"}, ("ckpt.pt",)),
    "train": Command(
        "train --method mhc --d 2 -o out --text text.txt --updates 2 --every 1 --layers 1 "
        "--width 8 --heads 1 --length 8 --batch 2",
        {"out": None},
        ("text.txt",),
        resumes=True,
    ),
    "plot": Command("plot drift.parquet --plot out.png", {"out.png": b"old"}, ("drift.parquet",)),
    "merge": Command(
        "merge shard.parquet -o out.parquet", {"out.parquet": b"old"}, ("shard.parquet",)
    ),
    "part": Command(PART.format(1, "out.part"), {"out.part": b"old"}, ("trace.parquet",)),
    "parts": Command(
        "merge 1.part 2.part -o out.parquet", {"out.parquet": b"old"}, ("1.part", "trace.parquet")
    ),
    "compare": Command(
        "compare --method go-mhc --d 3 -n 4 --resolution 8 -o out.csv --plot out.pdf",
        {"out.csv": b"old", "out.pdf": b"old"},
    ),
    "complexity": Command(
        "complexity --method go-mhc --d 2 --measure -o out.csv", {"out.csv": b"old"}, varies=True
    ),
    "watch": Command("watch hc.ndjson -o out.csv", {"out.csv": b"old"}, ("hc.ndjson",)),
    "remote": Command("depth-drift hf://org/model/ckpt.pt -o out.csv", {"out.csv": b"old"}),
}


TWICE = ("ckpt.pt", "g.npy")
"""Inputs of the commands below of which there is another version."""


def names() -> list[str]:
    """Every row of `COMMANDS`, and every command that is in none."""
    there = {command.words.split()[0] for command in COMMANDS.values()}
    return [*COMMANDS, *(name for name in members.names() if name not in there)]


@cache
def command(name: str) -> Command:
    """A small command: a row of `COMMANDS`, or as pairs of options are tried beside it."""
    if name in COMMANDS:
        return COMMANDS[name]
    base = option_pairs.bases(name)[0]
    options = option_pairs.options_of(name, base)
    output = {"output": "out.parquet"} if "output" in options else {}
    words = [name, *option_pairs.typed(options, {**base, **output})]
    old = dict.fromkeys(output.values(), b"old")
    return Command(" ".join(words), old, tuple(word for word in words if word in TWICE))


@cache
def inputs() -> Path:
    """A folder of everything that commands read, and in a folder of it another version of each."""
    folder, rng = option_pairs.inputs(), np.random.default_rng(1)
    other, start = folder / happenings.OTHER, folder / "series" / "ckpt_000000.pt"
    (other / "series").mkdir(parents=True)
    trace = "sample --method go-mhc --d 2 -n 9000 -o {}trace.parquet --seed {}"
    made = [trace.format("", 0), trace.format("other/", 1)]
    made += [PART.format(k, f"{k}.part") for k in (1, 2)]
    made += ["depth-drift h.npy -o other/drift.parquet"]
    made += ["region --sweep d=3,4 -o other/shard.parquet --kind karpelevic --points 7"]
    for words in made:
        assert forked.call(words.split(), folder).code == 0, words
    shutil.rmtree(other / "shard.parquet.cells")
    shutil.rmtree(folder / "tmp")
    np.save(other / "g.npy", rng.dirichlet(np.ones(3), (2, 3)))
    shutil.copy(start, other / "ckpt.pt")
    shutil.copy(ROOT / "examples" / "mhc" / "ckpt_000150.pt", other / "series" / "ckpt_000600.pt")
    shutil.copy(folder / "2.part", other / "1.part")
    tokens = (folder / "val.bin").read_bytes()
    (other / "val.bin").write_bytes(tokens[1000:] + tokens[:1000])
    (other / "text.txt").write_text("Another text, of a few words more. " * 50)
    lines = (folder / "hc.ndjson").read_text().splitlines(keepends=True)
    (other / "hc.ndjson").write_text("".join(lines[:-1]))
    return folder


@cache
def hub() -> FakeHub:
    """A hub that has the checkpoint, for as long as this process lives."""
    (folder := Path(tempfile.mkdtemp(prefix="hub-"))).joinpath("ckpt.pt").write_bytes(
        (ROOT / "examples" / "go-mhc-s2.pt").read_bytes()
    )
    return FakeHub({"org/model": Repository(folder)}).__enter__()
