"""Every key of a summary is declared, and every declaration is of a key that some run gives."""

import json
import keyword
import os
import re
import shutil
import subprocess
import sys
from importlib.util import find_spec

import numpy as np
import pytest

from birkhoff_cli import members
from birkhoff_cli.analyses.parameterizations.mhc import MHC
from birkhoff_cli.command import Subcommand
from birkhoff_cli.summaries import answer, declared, with_answer
from birkhoff_cli.testing import stand_ins
from conftest import ROOT

FEW = ("-n", "6")
GO = ("--method", "go-mhc", *FEW)
TARGETS = ("--probe", "targets", "--max-steps", "5")
FRONTIER = ("--probe", "frontier", "--directions", "8", "--starts", "1")
FIT = ("--epochs", "3", "--targets", "2", "--examples", "5")
TOKENS = ("--inputs", "tokens=val.bin", "--sequences", "1", "--length", "8")
STEPS = ("ckpt_1.npy", "ckpt_2.npy")
MODELS = ("ckpt_000000.pt", "ckpt_000150.pt")
GRADIENT = ("--logits", "z.npy", "--cotangent", "up.npy", "--gradient", "down.npy")
RUNS = {
    "check": [("h.npy",), ("model.pt",), MODELS],
    "compare": [("--method", "go-mhc", "--d", "3", *FEW), ("steps", "model.pt")],
    "complexity": [("--method", "mhc", "--d", "2", "--measure", *FEW)],
    "decompose": [("h.npy", "--method", "be-hc", "--starts", "1", "--cover"), STEPS],
    "degeneration": [("h.npy",), STEPS],
    "depth-drift": [(*GO, "--layers", "3", "--lyapunov"), ("h.npy",), STEPS],
    "diff": [("h.npy", "h.npy"), ("h.npy", "--against", "identity")],
    "distance": [("h.npy", "h.npy")],
    "fit": [("--method", "go-mhc", "--d", "3", *FIT)],
    "gates": [("model.pt",), MODELS],
    "gradients": [("--method", "mhc-lite", "--d", "3", "--points", "2", *FEW)],
    "heatmap": [(*GO, "--layers", "2"), STEPS],
    "inspect": [("model.pt",), MODELS],
    "merge": [("shard.parquet",)],
    "methods": [(), ("go-mhc",)],
    "plot": [("table.parquet",)],
    "quantise": [("model.pt", *TOKENS, "--formats", "int8,int4"), STEPS],
    "region": [("--d", "3"), ("--d", "3,4")],
    "report": [("small.npy",)],
    "sample": [GO, ("--method", "mhc-lite", "--table", "golden")],
    "similarity": [("model.pt", *TOKENS), (*MODELS, *TOKENS)],
    "sinkhorn": [("--method", "mhc", "--layers", "2", *FEW), STEPS],
    "slice": [(*GO, "--d", "3"), STEPS],
    "spectrum": [
        (*GO, *TARGETS),
        (*GO[:2], *FRONTIER),
        ("--method", "kromhc", *FEW),
        STEPS,
    ],
    "trace": [STEPS],
    "train": [("--method", "mhc", "--layers", "1", "--updates", "1", "--width", "8", "-o", "run")],
    "weights": [("model.pt",), ("--method", "averaged-go-mhc", *FEW), ("be-hc",)],
    "verify": [("h.npy", *GRADIENT), ("h.npy", "--against", "h.npy")],
}
"""Small calls of every command that give all of its keys, between them."""

TORCH = ("similarity", "train", "complexity", "quantise", "weights")

ROUNDING = 1e-6
"""Of a cosine in float32."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Small inputs of every kind."""
    path = tmp_path_factory.mktemp("summaries")
    rng = np.random.default_rng(0)
    z = rng.standard_normal((5, 4, 4))
    h = MHC(4)(z.reshape(5, 16))
    arrays = {"z": z, "up": z, "down": z, "h": h, "small": h[..., :2, :2], "ckpt_1": h}
    for name, array in (arrays | {"ckpt_2": h}).items():
        np.save(path / f"{name}.npy", array)
    examples = ROOT / "examples"
    for name in MODELS:
        shutil.copy(examples / "mhc" / name, path)
        (path / "steps").mkdir(exist_ok=True)
        shutil.copy(examples / "mhc" / name, path / "steps")
    for step in (1, 2) if find_spec("torch") else ():
        stand_ins.write(path / "be-hc" / f"ckpt_{step}.pt", stand_ins.Sizes())
    shutil.copy(examples / "mhc-lite.pt", path / "model.pt")
    shutil.copy(examples / "val.bin", path)
    sweep = ("--sweep", "s=1,2", "--engine", "1", "-o", "shard.parquet")
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    for words in (("-o", "table.parquet"), sweep):
        command = [sys.executable, "-m", "birkhoff_cli", "spectrum", *GO, "-q", *words]
        subprocess.run(command, cwd=path, env=environment, check=True)
    return path


def summary_of(name, words):
    """What a command sums up, run in this process."""
    command = Subcommand(name, members.module_of(name), words)
    context = command.make_context(name, [*words])
    own = command.request(context).on(command.binding.options)
    return command.binding.prepare(command.binding.narrow(own))().summary


def paths(value, prefix=""):
    """Every key of a summary, those of rows with that of their list, and every value of it."""
    for key, entry in value.items():
        yield f"{prefix}{key}", entry
        for row in entry if isinstance(entry, list) else ():
            if isinstance(row, dict):
                yield from paths(row, f"{prefix}{key}.")


def declarations(quantities, prefix=""):
    for q in quantities:
        yield f"{prefix}{q.name}", q
        yield from declarations(q.rows, f"{prefix}{q.name}.")


def test_every_command_is_run():
    assert RUNS.keys() == {*members.names()}


@pytest.mark.parametrize("name", RUNS)
def test_keys_are_those_that_are_declared(name, folder, tmp_path, monkeypatch):
    if name in TORCH:
        pytest.importorskip("torch")
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    module = members.module_of(name)
    known = dict(declarations(declared(module)))
    found = [summary_of(name, words) for words in RUNS[name]]
    for summary in found:
        hold_an_answer(summary, module)
    given = [pair for summary in found for pair in paths(summary)]
    given = [(key, value) for key, value in given if not key.startswith("results.")]
    assert {key for key, _ in given} <= known.keys()
    assert {key for key in known if not key.startswith("steps.")} <= {key for key, _ in given}
    for key, value in given:
        assert all(map(is_identifier, key.split("."))), key
        if isinstance(value, float | int) and not isinstance(value, bool):
            low, high = known[key].range
            assert low is None or value >= low - ROUNDING, key
            assert high is None or value <= high + ROUNDING, key


def hold_an_answer(summary, module):
    """A sentence comes first; a verdict is a word, and the number beside it says why."""
    sentence = answer(summary, module)
    assert sentence.endswith(".") and "\n" not in sentence
    assert not re.search(r"\b(None|nan|inf)\b", sentence)
    assert next(iter(with_answer(summary, module))) == "answer"
    assert ("verdict" in summary) is ("threshold" in summary)
    if verdict := summary.get("verdict"):
        assert re.fullmatch("[a-z]+([-_][a-z]+)*", verdict)


def is_identifier(key):
    return key.isidentifier() and not keyword.iskeyword(key)


@pytest.mark.parametrize("name", members.names())
def test_a_declaration_is_a_sentence_without_its_end(name):
    module = members.module_of(name)
    every = [q for _, q in declarations(declared(module))]
    assert every
    for q in every:
        assert q.about and q.about[-1] not in ".;" and q.unit, q.name
        assert "\n" not in q.legend


def test_verbose_gives_every_key_a_line(birkhoff):
    words = ("depth-drift", *GO, "--layers", "3")
    summary = json.loads(birkhoff(*words, "--json").stdout)
    shown = birkhoff(*words, "-v", env={"COLUMNS": "400"}).stdout.splitlines()
    legends = {q.name: q.legend for q in members.module_of("depth-drift").SUMMARY}
    summary.pop("answer")
    for key, value in summary.items():
        lines = [line for line in shown if line.endswith(f"  {legends[key]}")]
        assert any(line.split()[0] == key for line in lines)
        assert value is not None or any(line.split()[1] == "-" for line in lines)
