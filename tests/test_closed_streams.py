"""Standard streams that take nothing, for every command and every form of output."""

import os
import sys

import pytest

import forked
import option_pairs
from birkhoff_cli import members

FORMS = {
    "text": (),
    "help": ("--help",),
    "json": ("--json",),
    "verbose": ("--verbose",),
    "rows": ("--table",),
    "table": ("--output", "-", "--format", "csv"),
    "binary": ("--output", "-", "--format", "arrow"),
}
"""Ways in which a command uses standard output."""

OWN_OUTPUT = ("merge", "report", "train")
"""Commands whose ``-o`` is no table."""


def has_form(command, words):
    """Whether a command has the options of a form."""
    options = option_pairs.options_of(command, option_pairs.bases(command)[0])
    asked = {word for word in words if word.startswith("--")} - {"--help"}
    if "--output" in asked and command in OWN_OUTPUT:
        return False
    flags = {option.label for option in options.values() if option.is_flag}
    if "--table" in asked - flags:  # there it names one of several tables
        return False
    return asked <= {option.label for option in options.values()}


def to_nobody():
    reader, writer = os.pipe()
    os.close(reader)
    _put(writer, 1, sys.stdout)


def to_a_full_disk():
    _put(os.open("/dev/full", os.O_WRONLY), 1, sys.stdout)


def errors_to_a_full_disk():
    _put(os.open("/dev/full", os.O_WRONLY), 2, sys.stderr)


def _put(handle, number, stream):
    for descriptor in (number, stream.fileno()):
        os.dup2(handle, descriptor)


def fault(command, form, hook, folder):
    """What is wrong with how a command ends; None if nothing is."""
    for path in option_pairs.inputs().iterdir():
        if not (folder / path.name).exists():
            (folder / path.name).symlink_to(path)
    base = option_pairs.bases(command)[0]
    words = option_pairs.typed(option_pairs.options_of(command, base), base)
    code, _, err = forked.call([command, *words, *FORMS[form]], folder, hook)
    if stray := [p.name for p in (folder / "tmp").iterdir() if "torchinductor" not in p.name]:
        return f"leaves {stray}: {err}"
    said = [
        line for line in err.splitlines() if line.startswith("birkhoff: ") and "assumed" not in line
    ]
    if hook is to_nobody:
        notes = ("birkhoff: assumed", "birkhoff: no row was kept")
        right = code == 141 and all(line.startswith(notes) for line in said)
    elif hook is to_a_full_disk:
        right = code == 5 and "standard output: No space left on device" in said[-1]
    else:
        right = code == 0
    return None if right and "Traceback" not in err else f"exit {code}: {err}"


def check(command, forms, hooks, folder):
    forked.warm_up()
    faults = {}
    for form in forms:
        for hook in hooks:
            if has_form(command, FORMS[form]):
                (place := folder / f"{form}-{hook.__name__}").mkdir()
                faults[form, hook.__name__] = fault(command, form, hook, place)
    assert not {key: wrong for key, wrong in faults.items() if wrong}


@pytest.mark.parametrize(
    "command, form, hook",
    [
        ("depth-drift", "verbose", to_nobody),
        ("merge", "text", to_nobody),
        ("inspect", "json", to_a_full_disk),
        ("region", "binary", to_a_full_disk),
        ("trace", "text", errors_to_a_full_disk),
    ],
)
def test_a_stream_that_takes_nothing(command, form, hook, tmp_path):
    check(command, [form], [hook], tmp_path)


@pytest.mark.release
@pytest.mark.parametrize("command", members.names())
def test_every_form_of_every_command_into_a_stream_that_takes_nothing(command, tmp_path):
    check(command, FORMS, [to_nobody, to_a_full_disk, errors_to_a_full_disk], tmp_path)
