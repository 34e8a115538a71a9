"""The request: what was typed, what the environment says, what is the default."""

import json
import subprocess
import sys
from pathlib import Path
from typing import get_args

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

from birkhoff_cli import members, methods, values
from birkhoff_cli.analyses.core.errors import UsageError
from birkhoff_cli.binding import Binding, bind
from birkhoff_cli.command import Subcommand
from birkhoff_cli.request import Origin, Request
from conftest import ROOT

KINDS = [
    # command, words, environment, option, value
    ("spectrum", ["--method", "go-mhc"], None, "seed", 0),
    ("spectrum", ["--seed", "7"], None, "seed", 7),
    ("spectrum", [], "7", "seed", 7),
    ("spectrum", ["--seed", "5"], "7", "seed", 5),
    ("spectrum", [], None, "samples", None),
    ("spectrum", ["-n", "1e6"], "3", "samples", 1_000_000),
    ("spectrum", [], "1e3", "samples", 1000),
    ("spectrum", ["--scale", "2.5"], None, "scale", 2.5),
    ("spectrum", ["--method", "GO_mHC", "--s", "3"], "2", "s", 3),
    ("spectrum", ["--method", "go-mhc"], "2", "s", 2),
    ("spectrum", ["--method", "kromhc", "--factors", "2x3"], None, "factors", (2, 3)),
    ("spectrum", ["--method", "kromhc", "--factors", "2,3"], None, "factors", (2, 3)),
    ("spectrum", ["--probe", "Targets"], None, "probe", "targets"),
    ("spectrum", [], "frontier", "probe", "frontier"),
    ("spectrum", ["--history"], None, "history", True),
    ("spectrum", [], None, "history", False),
    ("spectrum", [], "1", "history", True),
    ("spectrum", ["a.pt", "b.pt"], None, "path", [Path("a.pt"), Path("b.pt")]),
    ("spectrum", ["a.pt", "--set", "iters=3", "--set", "d=4"], None, "set", ["iters=3", "d=4"]),
    ("spectrum", [], "iters=3 d=4", "set", ["iters=3", "d=4"]),
    ("spectrum", ["a.pt", "--inputs", "Tokens=Val.bin"], None, "inputs", "tokens=Val.bin"),
    ("compare", ["--method", "mhc", "--method", "hc"], "shc", "method", ["mhc", "hc"]),
    ("compare", [], "shc hc", "method", ["shc", "hc"]),
    ("fit", ["--method", "go-mhc", "--s", "1"], None, "s", 1),
    ("fit", ["--sampler", "go-mhc:s=1,draw=haar"], None, "sampler", "go-mhc:s=1,draw=haar"),
    ("diff", ["a.pt", "b.pt"], None, "b", Path("b.pt")),
    ("merge", ["1.parquet", "2.parquet"], None, "tables", [Path("1.parquet"), Path("2.parquet")]),
]


def request_of(command, words, monkeypatch=None, **environment):
    """The request of a command line."""
    for name, text in environment.items():
        monkeypatch.setenv(f"BIRKHOFF_{name.upper()}", text)
    subcommand = Subcommand(command, members.module_of(command), words)
    context = subcommand.make_context(command, [*words])
    return subcommand.binding, subcommand.request(context)


@pytest.mark.parametrize("command, words, environment, option, value", KINDS)
def test_every_kind_of_option_knows_where_its_value_comes_from(
    command, words, environment, option, value, monkeypatch
):
    variables = {} if environment is None else {option: environment}
    _, request = request_of(command, words, monkeypatch, **variables)
    assert request[option] == value
    alone, bare = Origin.TYPED, not words or option not in typed_in(request)
    expected = alone if not bare else Origin.DEFAULT if environment is None else Origin.ENVIRONMENT
    assert request.origin(option) is expected


def typed_in(request):
    return {name for name in request.options if request.origin(name) is Origin.TYPED}


def test_an_environment_default_never_excuses_what_was_typed(birkhoff):
    for variable in ({}, {"BIRKHOFF_S": "2"}):
        done = birkhoff("spectrum", "--method", "mhc", "--s", "3", "-n", "5", env=variable)
        assert (done.returncode, done.stderr.count("\n")) == (2, 1)
        assert "mhc has no --s; it has" in done.stderr


CONCERNLESS = {
    "BIRKHOFF_S": "no number",
    "BIRKHOFF_ITERS": "3",
    "BIRKHOFF_INPUTS": "nothing",
    "BIRKHOFF_SET": "iters",
    "BIRKHOFF_LENGTH": "many",
    "BIRKHOFF_MAX_STEPS": "many",
    "BIRKHOFF_NOPE": "1",
    "BIRKHOFF_FORMAT": "csv",
}


def test_an_environment_default_of_something_else_has_no_effect(birkhoff, tmp_path):
    words = ("spectrum", "--method", "identity", "-n", "5", "-o")
    for name, env in (("a.parquet", {}), ("b.parquet", CONCERNLESS)):
        assert birkhoff(*words, "t.parquet", env=env).returncode == 0
        (tmp_path / "t.parquet").rename(tmp_path / name)
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()
    np.save(tmp_path / "h.npy", np.eye(3))
    env = CONCERNLESS | {"BIRKHOFF_METHOD": "nope", "BIRKHOFF_D": "7", "BIRKHOFF_SAMPLES": "x"}
    done = birkhoff("depth-drift", "h.npy", "--json", env=env)
    assert done.returncode == 0 and json.loads(done.stdout)["samples"] == 1


PARTS = [
    ["--method", "kromhc"],
    ["--factors=2x3"],
    ["--d", "6"],
    ["-n", "1e2"],
    ["--scale", "2"],
    ["--seed", "3"],
    ["--probe", "targets"],
    ["--max-steps", "7"],
    ["--history"],
    ["-v"],
    ["--json"],
]


@given(st.permutations(PARTS))
def test_the_order_of_options_does_not_matter(parts):
    def arguments(parts):
        binding, request = request_of("spectrum", [word for part in parts for word in part])
        narrowed = binding.narrow(request.on(binding.options))
        return request.values, binding.arguments(narrowed)

    (values_, found), (expected_values, expected) = arguments(parts), arguments(PARTS)
    assert values_ == expected_values
    assert found == expected and found["source"].seed == 3


def test_the_streams_of_a_method_are_those_of_the_matrices_whatever_is_read_first(
    tmp_path, monkeypatch
):
    np.save(tmp_path / "h.npy", np.eye(3))
    texts = {"path": (str(tmp_path / "h.npy"),), "method": "go-mhc"}
    for d, expected in ((None, 3), ("2", 2)):
        typed = texts if d is None else {"d": d, **texts}
        for order in (1, -1):
            pairs = dict([*typed.items()][::order])
            binding, request = bind(members.module_of("decompose"), pairs)
            assert binding.arguments(request)["method"].d == expected
    monkeypatch.setenv("BIRKHOFF_D", "5")  # a default gives way to what is there
    binding, request = request_of("decompose", [str(tmp_path / "h.npy"), "--method", "go-mhc"])
    assert binding.arguments(binding.narrow(request.on(binding.options)))["method"].d == 3


def test_a_request_does_not_change():
    request = Request({}, {}, {})
    with pytest.raises(AttributeError):
        request.typed = {}


@pytest.mark.parametrize("name", members.names())
def test_every_parameter_of_a_command_has_a_converter(name):
    binding = Binding(members.module_of(name))
    assert len(binding.converters) == len(set(binding.converters)) > 0
    for option in binding.options.values():
        assert option.note and option.parameter().name == option.name
        kind = values.plain(option.annotation)
        kind = get_args(kind)[0] if values.many(kind) else kind
        assert values.is_plain(kind) or callable(kind)


@pytest.mark.parametrize(
    "text, name, options",
    [
        ("go-mhc", "go-mhc", {}),
        ("GO-MHC:S=2", "go-mhc", {"s": 2}),
        ("Krom_Go_mHC:factors=2,2,s=1", "krom-go-mhc", {"factors": (2, 2), "s": 1}),
        ("krom-go-mhc:factors=2x2,s=1,d=4", "krom-go-mhc", {"factors": (2, 2), "s": 1}),
        ("mHC:iters=1e1,variant=Tokenbender", "mhc", {"iters": 10, "variant": "tokenbender"}),
        ("be-hc:basis-seed=3", "be-hc", {"basis_seed": 3}),
    ],
)
def test_a_method_is_written_one_way_everywhere(text, name, options):
    method = methods.parse(text).build(4)
    assert method.name == name
    assert {key: getattr(method, key) for key in options} == options


@pytest.mark.parametrize(
    "text, said",
    [
        ("go-mch", "did you mean 'go-mhc'"),
        ("go-mhc:2", "'2' is no option=value"),
        ("go-mhc:iters=3", "go-mhc has no --iters; it has --field, --s"),
        ("go-mhc:s=x", "'x' is not a whole number"),
        ("go-mhc:s=1.5", "'1.5' is not a whole number"),
        ("go-mhc:s=1e999999999", "is not a whole number"),
        ("go-mhc:s=1,s=2", "s is there twice"),
        ("go-mhc:field=quaternion", "known: real"),
    ],
)
def test_a_method_that_is_none_is_refused(text, said):
    with pytest.raises(UsageError, match=said):
        methods.parse(text).build(None)


@pytest.mark.parametrize(
    "words, said",
    [
        (("spectrum", "--method", "hc", "--method", "mhc"), "--method is there twice"),
        (("spectrum", "--method", "go-mhc:s=2", "--s", "3"), "say s twice"),
        (("spectrum", "--method", "go-mhc:d=2", "--d", "3"), "say d twice"),
        (("spectrum", "--method", "hc", "--seed", "1", "--seed", "1"), "--seed is there twice"),
        (("spectrum", "--s", "3"), "--s is an option of"),
        (("spectrum", "--method", "go-mch", "--s", "3"), "did you mean 'go-mhc'"),
        (("compare", "--method", "go-mhc", "--method", "mhc", "--s", "3"), "say go-mhc:s="),
        (("compare", "--method", "hc:d=2", "--method", "mhc:d=3", "--d", "4"), "--d has no effect"),
        (("fit", "--method", "hc", "--inputs", "gaussian"), "--inputs is for checkpoints"),
        (("decompose", "h.npy", "--d", "3"), "--d is for drawn matrices and h.npy is a file"),
        (("spectrum", "h.npy", "--draw", "haar"), "--draw is for drawn matrices"),
        (("diff", "h.npy", "h.npy", "--set", "iters=3"), "--set is for checkpoints"),
    ],
)
def test_what_a_command_would_ignore_is_refused_by_name(words, said, birkhoff, tmp_path):
    np.save(tmp_path / "h.npy", np.eye(3))
    done = birkhoff(*words)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1), done.stderr
    assert said in done.stderr


def test_one_method_takes_its_options_beside_it_wherever_it_is_named(birkhoff):
    for command in (("compare", "-n", "50"), ("gradients", "-n", "2", "--points", "3")):
        found = [
            birkhoff(*command, *words, "--json", "-q").stdout
            for words in (("--method", "go-mhc:s=1"), ("--s", "1", "--method", "GO-mHC"))
        ]
        assert found[0] == found[1] != ""


def test_a_command_imports_the_method_that_it_draws_from_and_no_other():
    code = (
        "import sys; sys.argv = 'birkhoff spectrum --method mhc -n 3 -q'.split()\n"
        "from birkhoff_cli.app import main\n"
        "try: main()\n"
        "except SystemExit as done: assert not done.code\n"
        "own = 'birkhoff_cli.analyses.parameterizations.'\n"
        "print([n.removeprefix(own) for n in sys.modules if n.startswith(own) and '._' not in n])\n"
        "assert not {'birkhoff_cli.checkpoints', 'birkhoff_cli.tables'} & sys.modules.keys()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "['mhc']"


def test_a_variable_that_is_of_no_option_is_said(birkhoff):
    """A misspelt one was passed over in silence."""
    env = {"BIRKHOFF_SAMPELS": "3", "BIRKHOFF_S": "2", "BIRKHOFF_MAX_DOWNLOAD": "1e3"}
    words = ("sample", "--method", "hc", "-n", "2")
    done = birkhoff(*words, env=env)
    said = (
        "the environment variable BIRKHOFF_SAMPELS is of no option; did you mean BIRKHOFF_SAMPLES?"
    )
    assert done.returncode == 0 and done.stderr.splitlines()[-1] == f"birkhoff: {said}"
    assert "BIRKHOFF" not in birkhoff(*words, "-q", env=env).stderr
    assert "BIRKHOFF" not in birkhoff(*words, env={"BIRKHOFF_S": "2"}).stderr
