"""Help: examples first, nothing that is refused, short; and what a shell completes."""

import os
import subprocess
import sys

import pytest

import forked
from birkhoff_cli import app, members, values
from birkhoff_cli.command import Subcommand
from birkhoff_cli.help import GROUPS
from birkhoff_cli.request import Request
from conftest import ROOT

NARROW = {"COLUMNS": "80"}


def test_nothing_at_all_is_help(birkhoff):
    alone, asked = birkhoff(env=NARROW), birkhoff("--help", env=NARROW)
    assert (alone.returncode, alone.stderr) == (0, "") and alone.stdout == asked.stdout
    lines = alone.stdout.splitlines()
    assert lines.index("Examples:") < lines.index("Commands:") < lines.index("Options:")
    assert "Exit: 0 done" in alone.stdout and max(map(len, lines)) <= 80


@pytest.mark.parametrize("name", members.names())
def test_help_has_examples_first_options_by_group_and_exit_codes_last(name, birkhoff):
    done = birkhoff(name, "--help", env=NARROW)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0].startswith(f"Usage: birkhoff {name} ")
    headings = [line[:-1] for line in lines if line.endswith(":") and line == line.lstrip()]
    known = ["Examples", "Options", *GROUPS]
    found = [heading for heading in headings if heading in known]
    assert found[0] == "Examples" and found == sorted(found, key=known.index)
    assert len(found) > 1 and "Exit: 0 done" in " ".join(lines[-3:])
    examples = members.module_of(name).EXAMPLES
    long = {line for line in lines if len(line) > 80}
    assert long <= {f"  {example}" for example in examples}  # a command is never broken
    assert len(lines) <= 60  # a page


SAMPLES = {int: "1", float: "1", str: "x", bool: True}


def typed(option):
    """A text that an option can be."""
    if option.alternatives:
        return option.alternatives[0]
    if option.offers:
        text = [*option.offers()][0]
    else:
        text = (
            "x"
            if values.many(option.annotation)
            else SAMPLES.get(values.plain(option.annotation), "x")
        )
    return (text,) if values.many(option.annotation) else text


PAGES = [
    (name, words)
    for name in members.names()
    for words in ([], ["--method", "mhc"], ["--probe", "targets"], ["h.npy"])
    if not words
    or words[0].removeprefix("--")
    in {"h.npy", *Subcommand(name, members.module_of(name), words).options}
]


@pytest.mark.parametrize("name, words", PAGES)
def test_help_shows_what_has_an_effect_and_nothing_else(name, words, tmp_path, monkeypatch):
    import numpy as np

    monkeypatch.chdir(tmp_path)
    np.save("h.npy", np.eye(3))
    command = Subcommand(name, members.module_of(name), [*words, "--help"])
    context = command.make_context(name, [*words], resilient_parsing=True)
    page = command.get_help(context)
    request = command.request(context).on(command.binding.options)
    for option in command.binding.options.values():
        if not option.positional and option.name not in request.typed:
            asked = Request(request.options, {**request.typed, option.name: typed(option)}, {})
            has_an_effect = option.name in command.binding.used(asked)
            assert (f"  {option.spelling}" in page) is has_an_effect, option.name


def complete(*words):
    """What bash is offered after these words."""
    asked = {"COMP_WORDS": " ".join(["birkhoff", *words]), "COMP_CWORD": str(len(words))}
    return complete_in("bash", **asked).split()


def complete_in_zsh(*words):
    """What zsh is offered: names, each perhaps with a sentence behind a colon."""
    return complete_in("zsh", _TYPER_COMPLETE_ARGS=" ".join(["birkhoff", *words]))


def complete_in(shell, **asked):
    """What a shell is offered."""
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "_BIRKHOFF_COMPLETE": f"complete_{shell}",
        **asked,
    }
    done = subprocess.run(
        [sys.executable, "-m", "birkhoff_cli"], env=environment, capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_every_line_that_fish_is_offered_is_a_name_and_a_sentence():
    """Sentences were broken at 80 letters, and their ends offered as commands."""
    asked = {"_TYPER_COMPLETE_FISH_ACTION": "get-args", "_TYPER_COMPLETE_ARGS": "birkhoff "}
    lines = complete_in("fish", **asked).splitlines()
    assert {line.partition("\t")[0] for line in lines} == {*members.names()}
    assert all(line.partition("\t")[2] for line in lines)


@pytest.mark.parametrize("words", [{}, {"COMP_WORDS": "birkhoff s", "COMP_CWORD": "x"}])
def test_a_completion_that_no_shell_asks_for_is_no_bug(words, monkeypatch, capsys):
    for name, word in {"_BIRKHOFF_COMPLETE": "complete_bash", "COLUMNS": "80", **words}.items():
        monkeypatch.setenv(name, word)
    assert app._run() == 2
    line = "birkhoff: _BIRKHOFF_COMPLETE is set and no shell asks for completion; unset it\n"
    assert capsys.readouterr() == ("", line)


@pytest.mark.parametrize(
    "words, offered",
    [
        (["spectrum", "--method", "orth"], "orthostochastic"),
        (["spectrum", "--method", "go-mhc", "--draw", "h"], "haar"),
        (["region", "--kind", "k"], "karpelevic"),
        (["spectrum", "--inputs", "ga"], "gaussian"),
        (["fit", "--sampler", "orth"], "orthostochastic"),
        (["spectrum", "--method", "go-mhc", "--sweep", "sca"], "scale="),
    ],
)
def test_zsh_completes_values_too(words, offered):
    assert offered in complete_in_zsh(*words)


SWEPT = ["s=", "samples=", "scale=", "seed=", "sequences=", "set=", "starts="]


@pytest.mark.parametrize(
    "words, offered",
    [
        (["spe"], ["spectrum"]),
        (["spectrum", "--prob"], ["--probe"]),
        (["spectrum", "--method", "go"], ["go-mhc", "go-mhc-softmax"]),
        (["compare", "--method", "mhc", "--method", "kr"], ["krom-go-mhc", "krom-sum", "kromhc"]),
        (["spectrum", "--method", "go-mhc", "--draw", "h"], ["haar"]),
        (["spectrum", "--method", "identity", "--draw", "h"], []),
        (["sample", "--method", "mhc", "--variant", "mega"], ["megatron-dev", "megatron-main"]),
        (["region", "--kind", "k"], ["karpelevic"]),
        (["spectrum", "--inputs", ""], ["static", "gaussian", "tokens="]),
        (["fit", "--sampler", "or"], ["orthostochastic"]),
        (["spectrum", "--method", "go-mhc", "--sweep", "s"], SWEPT),
        (["spectrum", "--format", "p"], ["parquet"]),
        (["spectrum", "--dtype", ""], ["float64", "float32"]),
    ],
)  # fmt: skip
def test_a_shell_completes_values(words, offered):
    assert sorted(complete(*words)) == sorted(offered)


def test_methods_are_listed_with_their_options(birkhoff):
    every = birkhoff("methods").stdout
    alone = birkhoff("methods", "Go-mHC", "mhc")
    assert alone.returncode == 0 and "--tau X" in alone.stdout and "--s N" in alone.stdout
    assert "--tau X" not in birkhoff("methods", "go-mhc").stdout and "kromhc" in every
    wrong = birkhoff("methods", "go-mch")
    assert wrong.returncode == 2 and "did you mean 'go-mhc'" in wrong.stderr


@pytest.mark.parametrize("columns", ["1", "10", "\u00b2"])
@pytest.mark.parametrize("words", [("--help",), ("spectrum", "--help"), ("methods",)])
def test_a_terminal_of_any_width_is_written_to(words, columns, tmp_path):
    """A narrow one was a bug of ours, and so was a number that is no decimal one."""

    def hook():
        os.environ["COLUMNS"] = columns

    code, out, err = forked.call(words, tmp_path, hook)
    assert (code, err) == (0, "") and len(out) > 300
