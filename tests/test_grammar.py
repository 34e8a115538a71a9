"""One grammar: mistakes get the sentence that helps, and synonyms are the same request."""

import numpy as np
import pytest
import typer

from birkhoff_cli import members
from birkhoff_cli.analyses.core.errors import BirkhoffError
from birkhoff_cli.app import _sentence, app
from birkhoff_cli.command import Subcommand

GO = "--method go-mhc"

MISTAKES = [
    # what was typed, exit code, part of the sentence
    ("spectum --method hc", 2, "did you mean 'spectrum'"),
    ("depth_drift h.npy", 2, "did you mean 'depth-drift'"),
    ("drift h.npy", 2, "depth-drift"),
    ("spectrum", 2, "give a checkpoint, or --method and a name"),
    ("sample", 2, "--method is missing; it is one of"),
    ("sample go-mhc", 2, "nothing takes 'go-mhc'; say --method go-mhc"),
    ("spectrum go-mhc", 3, "go-mhc"),
    ("spectrum --method", 2, "requires an argument"),
    ("spectrum --method gomhc", 2, "did you mean 'go-mhc'"),
    ("spectrum --method mhclite", 2, "did you mean 'mhc-lite'"),
    ("spectrum --method go-mhc:2", 2, "say go-mhc:d=3"),
    ("spectrum --method go-mhc:s:2", 2, "'s:2' is no option=value"),
    ("spectrum --method go-mhc:k=2", 2, "go-mhc has no --k; it has --field, --s"),
    ("spectrum --method go-mhc,mhc", 2, "is not among the parameterizations"),
    ("spectrum --method go-mhc --method mhc", 2, "--method is there twice and takes one value"),
    (f"spectrum {GO} --k 2", 2, "go-mhc has no --k; it has --field, --s"),
    ("spectrum --s 2", 2, "--s is an option of"),
    (f"spectrum {GO}:s=2 --s 3", 2, "say s twice; say it once"),
    (f"spectrum {GO} --d 4 --d 5", 2, "--d is there twice"),
    (f"spectrum {GO} -n 1.5", 2, "'1.5' is not a whole number"),
    (f"spectrum {GO} -n 1,000", 2, "'1,000' is not a whole number"),
    (f"spectrum {GO} -n 10k", 2, "'10k' is not a whole number"),
    (f"spectrum {GO} --scale big", 2, "'big' is not a number"),
    (f"spectrum {GO} --seed -1", 2, "expected 0 or more"),
    (f"spectrum {GO} --probe target", 2, "did you mean 'targets'"),
    (f"spectrum {GO} --max-steps 5", 2, "--max-steps belongs to --probe targets"),
    (
        f"spectrum {GO} --directions 5 --probe targets",
        2,
        "--directions belongs to --probe frontier",
    ),
    (f"spectrum {GO} --inputs gaussian", 2, "--inputs is for checkpoints, not for --method"),
    (f"spectrum {GO} --set iters=3", 2, "--set is for checkpoints, not for --method"),
    (f"spectrum h.npy {GO}", 2, "--method is for drawn matrices and h.npy is a file"),
    ("spectrum h.npy --d 3", 2, "--d is for drawn matrices and h.npy is a file"),
    ("spectrum h.npy --set iters=3", 2, "--set is for checkpoints and h.npy holds matrices"),
    ("depth-drift h.npy --layers 4", 2, "--layers is for drawn matrices and h.npy is a file"),
    ("depth-drift m.pt --inputs token=v.bin", 2, "did you mean"),
    ("depth-drift m.pt --inputs tokens", 2, "tokens=FILE"),
    ("depth-drift m.pt --length 4", 2, "--length has no meaning with --inputs static"),
    ("inspect m.pt --set iters", 2, "say --set iters=20"),
    ("inspect", 2, "inspect: PATH is missing: a checkpoint"),
    ("decompose h.npy --starts 4", 2, "--starts belongs to --method"),
    ("decompose h.npy --d 3", 2, "--d is for drawn matrices and h.npy is a file"),
    (f"decompose h.npy {GO} --d 4", 2, "3, or no --d"),
    ("compare --method go-mhc --method mhc --s 3", 2, "say go-mhc:s="),
    ("compare --method go-mhc:d=3 --method hc:d=3 --d 4", 2, "--d has no effect"),
    ("fit --method hc --inputs gaussian", 2, "--inputs is for checkpoints and there is none"),
    (f"sample {GO} --format csv", 2, "say -o too"),
    (f"sample {GO} -o t.txt", 2, "names no table format"),
    (f"sample {GO} -o t.png", 2, "a figure is --plot"),
    (f"spectrum {GO} --plot t.parquet", 2, "a figure ends in"),
    (f"sample {GO} --factors 2,2", 2, "go-mhc has no --factors"),
    ("sample --method kromhc --factors 2,x", 2, "say 2,2 or 2x2"),
    (f"sample {GO} --sweep s=1,2", 2, "give -o and a file name"),
    (f"sample {GO} --sweep s -o t.csv", 2, "options of this command"),
    (f"sample {GO} --sweep s=1,2 --s 3 -o t.csv", 2, "--s has no effect, as --sweep varies it"),
    (f"sample {GO} --part 1/2", 2, "give -o and a file name"),
    ("train --method hc --mix tokens --heads 2 -o run", 2, "--heads belongs to --mix streams"),
    ("methods gomhc", 2, "did you mean 'go-mhc'"),
    ("region --kind karpelevitch", 2, "did you mean 'karpelevic'"),
    # the words of a newcomer
    ("help", 2, "say birkhoff --help, or birkhoff COMMAND --help"),
    ("help spectrum", 2, "say birkhoff --help, or birkhoff COMMAND --help"),
    ("version", 2, "say birkhoff --version"),
    ("-v", 2, "say birkhoff --version"),
    ("list", 2, "say birkhoff --help"),
    ("!birkhoff spectrum", 2, "is the program itself; leave it out"),
    ("birkhoff spectrum --method mhc", 2, "is the program itself; leave it out"),
    ("--method mhc s=2", 2, "stands before a command"),
    ("h.npy", 2, "is a file and no command; say birkhoff check h.npy"),
    ("eigenvalues h.npy", 2, "did you mean 'spectrum'"),
    ("heatmaps h.npy", 2, "did you mean 'heatmap'"),
    ("spectrum help", 3, "say --help"),
    ("spectrum -help", 2, "say --help"),
    (f"spectrum {GO} s=2", 2, "'s=2' is no file; say --s 2"),
    ("spectrum --method mhc s=2", 2, "'s=2' is no file; s is an option of"),
    (f"spectrum {GO} -d 4", 2, "spectrum has no -d; did you mean --d?"),
    (f"spectrum {GO} -s 2", 2, "spectrum has no -s; did you mean --s?"),
    (f"spectrum {GO} --n 4", 2, "did you mean -n?"),
    (f"spectrum {GO} --samples 1e2.5", 2, "'1e2.5' is not a whole number"),
    (f"spectrum {GO} --seed abc", 2, "--seed: 'abc' is not a whole number"),
    (f"spectrum {GO} --d four", 2, "--d: 'four' is not a whole number"),
    (f"spectrum {GO} --layers 3", 2, "spectrum has no --layers; birkhoff spectrum --help shows"),
    ("spectrum --methods mhc", 2, "did you mean --method?"),
    ("spectrum --method sinkhorn", 2, "did you mean 'mhc'?"),
    (f"spectrum {GO} --plot foo", 2, "foo: a figure ends in .png"),
    (f"spectrum {GO} --json -o -", 2, "both want standard output"),
    (f"spectrum {GO} --json out.json", 2, "'out.json' is no file; check the path; what is written"),
    (f"spectrum {GO} -o out", 2, "use .arrow"),
    ("sample --method mhc --iter 20", 2, "sample has no --iter; did you mean --iters?"),
    ("sample --method mhc --iterations 20", 2, "did you mean --iters?"),
    ("sample --method mhc --sinkhorn-iters 20", 2, "did you mean --iters?"),
    ("train --method mhc -o run --steps 9", 2, "did you mean --updates?"),
    ("train --method mhc -o run --lr 0.1", 2, "did you mean --learning-rate?"),
    ("train mhc -o run", 2, "nothing takes 'mhc'; say --method mhc"),
    ("fit mhc", 3, "if the method is meant, say --method mhc"),
    ("compare mhc go-mhc", 3, "if the method is meant, say --method mhc"),
    ("region karpelevic", 2, "say --kind karpelevic"),
    ("verify h.npy h.npy", 2, "a file may be the value of --logits, --against"),
    ("similarity h.npy --tokens h.npy", 2, "did you mean --inputs?"),
    ("similarity m.pt --inputs h.npy", 2, "say --inputs tokens=h.npy"),
    ("similarity m.pt --inputs tokens:h.npy", 2, "say --inputs tokens=h.npy"),
    ("depth-drift m.pt -n 9", 2, "--samples has no meaning with --inputs static; it belongs to"),
    (
        "report h.npy r.html",
        3,
        "check the path; what is written is -o r.html",
    ),
    ("check ~/h.npy", 3, "within quotes ~ is no folder; leave the quotes out"),
    (r"check .\h.npy", 3, "folders are parted by /; say ./h.npy"),
    (r"check C:\me\h.npy", 3, "no such file; check the path"),
    ("check h", 3, "did you mean h.npy?"),
    ("check *.pt", 3, "no file matches this pattern"),
    ("check hh.npy", 3, "did you mean h.npy?"),
    ("check h.npy h.npy", 3, "birkhoff compare sets models side by side"),
    ("check", 2, "check: PATH is missing: a checkpoint"),
    ("check h.npy --strict", 2, "check has no --strict; birkhoff check --help shows what it has"),
    ("check h.npy --fail-on drift", 2, "did you mean 'drifts'?"),
    ("methods all", 2, "is not among the parameterizations; known: "),
]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.save("h.npy", np.eye(3))
    return tmp_path


@pytest.mark.parametrize("words, code, said", MISTAKES)
def test_a_first_time_mistake_gets_the_sentence_that_helps(words, code, said, folder):
    with pytest.raises(Exception) as error:  # noqa: PT011 (ours and typer's have an exit code)
        typer.main.get_command(app).main(words.split(), "birkhoff", standalone_mode=False)
    sentence = _sentence(error.value)
    assert error.value.exit_code == code and said in sentence and "\n" not in sentence
    assert isinstance(error.value, BirkhoffError | typer.exceptions.TyperException)
    assert [path.name for path in folder.iterdir()] == ["h.npy"]


SYNONYMS = [
    (f"spectrum {GO} --s 2", "spectrum --method go-mhc:s=2"),
    (f"spectrum {GO} --s 2", "spectrum --s 2 --method go-mhc"),
    (f"spectrum {GO} --s 2", "spectrum --s=2 --method=go-mhc"),
    (f"spectrum {GO} --s 2", "spectrum --method GO-MHC --s 2"),
    (f"spectrum {GO} --s 2", "spectrum --method go_mhc:S=2"),
    ("spectrum --method mhc", "spectrum --method mHC"),
    ("spectrum --method kromhc", "spectrum --method KromHC"),
    ("spectrum --method mhc-lite", "spectrum --method mHC-lite"),
    ("spectrum --method be-hc --basis-seed 3", "spectrum --method BE-HC:basis-seed=3"),
    ("spectrum --method be-hc --basis-seed 3", "spectrum --method be-hc:basis_seed=3"),
    (f"spectrum {GO} --d 3", "spectrum --method go-mhc:d=3"),
    (f"spectrum {GO} --d 3 --s 2", "spectrum --method go-mhc:s=2,d=3"),
    (f"spectrum {GO} --d 3 --s 2", "spectrum --method go-mhc:s=2 --d 3"),
    (f"spectrum {GO} -n 1000000", f"spectrum {GO} -n 1e6"),
    (f"spectrum {GO} -n 1000000", f"spectrum {GO} -n 1E6"),
    (f"spectrum {GO} -n 1000", f"spectrum {GO} --samples 1e3"),
    (f"spectrum {GO} -n 1500", f"spectrum {GO} -n 1.5e3"),
    (f"spectrum {GO} -n 1000", f"spectrum {GO} --samples=1000"),
    (f"spectrum {GO} --scale 2", f"spectrum {GO} --scale 2.0"),
    (f"spectrum {GO} --scale 0.5", f"spectrum {GO} --scale 5e-1"),
    (f"spectrum {GO} --draw haar", f"spectrum --draw haar {GO}"),
    (f"spectrum {GO} --probe targets", f"spectrum {GO} --probe TARGETS"),
    (f"spectrum {GO} --dtype float32", f"spectrum {GO} --dtype Float32"),
    (f"spectrum {GO} --field complex", "spectrum --method go-mhc:field=Complex"),
    ("sample --method kromhc --d 6 --factors 2,3", "sample --method kromhc --d 6 --factors 2x3"),
    ("sample --method kromhc --d 6 --factors 2,3", "sample --method kromhc:d=6,factors=2x3"),
    ("sample --method kromhc --d 6 --factors 2,3", "sample --method kromhc:factors=2,3 --d 6"),
    (
        "sample --method krom-go-mhc --factors 2,2 --s 1",
        "sample --method krom-go-mhc:factors=2,2,s=1",
    ),
    ("sample --method mhc --iters 10", "sample --method mhc:iters=1e1"),
    ("sample --method mhc --variant tokenbender", "sample --method MHC:variant=Tokenbender"),
    (f"compare {GO} --s 3", "compare --method go-mhc:s=3"),
    ("compare --method hc --method mhc --d 3", "compare --method hc:d=3 --method mhc:d=3"),
    (f"gradients {GO} --s 1", "gradients --method GO-mHC:s=1"),
    (f"fit {GO} --s 1", "fit --method go-mhc:s=1"),
    (f"fit {GO} --objective entries", f"fit {GO} --objective Entries"),
    (f"depth-drift {GO} --layers 12", f"depth-drift {GO} --layers 1.2e1"),
    (f"train {GO} --s 1 -o run", "train --method go-mhc:s=1 --output run"),
    (f"decompose h.npy {GO} --s 1", "decompose --method go-mhc:s=1 h.npy"),
    ("decompose h.npy --method go-mhc", "decompose h.npy --method go-mhc:d=3"),
    ("depth-drift h.npy", "depth-drift -- h.npy"),
    ("diff h.npy h.npy", "diff h.npy -- h.npy"),
    (f"complexity {GO} --s 1", "complexity --method go-mhc:s=1"),
    ("region --kind karpelevic --d 3", "region --d 3 --kind=karpelevic"),
    ("heatmap --seed 0 --method hc", "heatmap --method hc"),
]


def arguments(line):
    """What ``run`` is called with."""
    name, *words = line.split()
    command = Subcommand(name, members.module_of(name), words)
    request = command.request(command.make_context(name, [*words])).on(command.binding.options)
    found = command.binding.arguments(command.binding.narrow(request))
    return {key: _plain(value) for key, value in found.items()}


def _plain(value):
    """What two equal arguments share: of a generator its state, of a trace its matrices."""
    if isinstance(value, np.random.Generator):
        return str(value.bit_generator.state)
    return value.matrices.tolist() if hasattr(value, "matrices") else value


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("one, other", SYNONYMS)
def test_two_spellings_are_one_request(one, other):
    assert arguments(one) == arguments(other)


def test_the_tables_are_as_long_as_they_were_asked_to_be():
    assert len({words for words, _, _ in MISTAKES}) >= 100 and len(set(SYNONYMS)) >= 40
