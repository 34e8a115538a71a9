"""Every key of a summary is declared, and every declaration is of a key that some run gives."""

import contextlib
import html
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

from birkhoff_cli import members, report
from birkhoff_cli.analyses.parameterizations.mhc import MHC
from birkhoff_cli.command import Subcommand
from birkhoff_cli.invocation import Invocation
from birkhoff_cli.summaries import answer, declared, explain, with_answer
from birkhoff_cli.testing import stand_ins
from conftest import ROOT
from files import monitor_log

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
    "curves": [("log.ndjson",)],
    "decompose": [("h.npy", "--method", "be-hc", "--starts", "1", "--cover"), STEPS],
    "degeneration": [("h.npy",), STEPS],
    "depth-drift": [(*GO, "--layers", "3", "--lyapunov"), ("h.npy",), STEPS],
    "diff": [("h.npy", "h.npy"), ("h.npy", "--against", "identity")],
    "distance": [("h.npy", "h.npy")],
    "fit": [
        ("--method", "go-mhc", "--d", "3", *FIT),
        ("--method", "mhc-lite", "--method", "mhc", "--d", "12", *FIT),
    ],
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
    "watch": [("hc.ndjson",)],
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
    losses = ({"iter": k, "train/loss": 4.0 / k, "grad_norm": 1.0} for k in range(1, 300))
    (path / "log.ndjson").write_text("".join(f"{json.dumps(row)}\n" for row in losses))
    (path / "hc.ndjson").write_text(monitor_log())
    shutil.copy(examples / "val.bin", path)
    sweep = ("--sweep", "s=1,2", "--engine", "1", "-o", "shard.parquet")
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    for words in (("-o", "table.parquet"), sweep):
        command = [sys.executable, "-m", "birkhoff_cli", "spectrum", *GO, "-q", *words]
        subprocess.run(command, cwd=path, env=environment, check=True)
    return path


@pytest.fixture(scope="module")
def results(folder):
    """What every command gives, run in this process, once each: calls with their results."""
    known = {}

    def of(name):
        if name in TORCH:
            pytest.importorskip("torch")
        if name not in known:
            with contextlib.chdir(folder):
                known[name] = [run(name, words) for words in RUNS[name]]
        return known[name]

    return of


def run(name, words):
    module = members.module_of(name)
    command = Subcommand(name, module, words)
    context = command.make_context(name, [*words])
    own = command.binding.narrow(command.request(context).on(command.binding.options))
    result = command.binding.prepare(own)()
    result.module = module.__name__
    assert result.summary
    return Invocation(name, module, own, verbose=True), result


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
def test_keys_are_those_that_are_declared(name, results):
    module = members.module_of(name)
    known = dict(declarations(declared(module)))
    found = [result.summary for _, result in results(name)]
    for summary in found:
        hold_an_answer(summary, module)
    given = [pair for summary in found for pair in paths(summary)]
    given = [(key, value) for key, value in given if not key.startswith("results.")]
    assert {key for key, _ in given} <= known.keys()
    elsewhere = ("steps.", "packages")  # other packages are installed in test_other_packages
    own = {key for key in known if not key.startswith(elsewhere)}
    assert own <= {key for key, _ in given}
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


@pytest.mark.parametrize("name", RUNS)
def test_verbose_gives_every_key_of_json_a_line(name, results, capsys, monkeypatch):
    """The key, its value, its meaning; null ones too, and keys of rows."""
    monkeypatch.delenv("COLUMNS", raising=False)  # workers of a suite have it: lines would wrap
    module = members.module_of(name)
    legends = {key: q.legend for key, q in declarations(declared(module))}
    for invocation, result in results(name):
        report.show(result.summary, result, invocation)
        lines = capsys.readouterr().out.splitlines()
        for key, value in paths(result.summary):
            if key.startswith("results."):
                continue
            own = [line for line in lines if line.split()[:1] == [key]]
            assert [line for line in own if line.endswith(f"  {legends[key]}")], key
            if value is None and "." not in key:
                assert own[0].split()[1] == "-"


def test_a_lack_of_memory_leaves_no_half_of_a_page(results, capsys, monkeypatch):
    """Nor a note before the sentence that says so."""

    def lists(*_):
        raise MemoryError
        yield

    monkeypatch.setattr(report, "_lists", lists)
    (invocation, result), *_ = results("distance")
    result.meta["assumptions"] = ["something"]
    with pytest.raises(MemoryError):
        report.show(result.summary, result, invocation)
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("name", RUNS)
def test_a_notebook_shows_the_meaning_of_every_key(name, results):
    module = members.module_of(name)
    legends = {key: q.legend for key, q in declarations(declared(module))}
    for _, result in results(name):
        shown = html.unescape(result._repr_html_())
        for key, _ in paths(result.summary):
            if not key.startswith("results."):
                assert legends[key] in shown, key


def test_a_key_of_a_command_and_of_a_sweep_are_told_apart(results):
    """`slice` counts cells of a plane, a sweep its runs."""
    _, result = results("slice")[0]
    module = members.module_of("slice")
    swept = {"cells": 5, "results": [{"cell": 0}]}
    about = [{k: q.about for k, _, q in explain(s, module)} for s in (result.summary, swept)]
    own = dict(declarations(declared(module)))["cells"].about
    assert [known["cells"] for known in about] == [own, "runs of the sweep"]
