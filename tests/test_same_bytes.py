"""The same seed and the same inputs are the same bytes, wherever a table is made and written."""

import json
import os
import shutil

import numpy as np
import pyarrow.parquet as pq
import pytest

import forked
import option_pairs
from birkhoff_cli import Recorder, members
from conftest import ROOT
from stages import content

EXAMPLES = ROOT / "examples"
WORDS = {
    "drawn": ("spectrum", "--method", "mhc", "--d", "3", "-n", "5"),
    "a checkpoint": ("spectrum", "@hc.pt"),
    "a trace": ("depth-drift", "@h.npy"),
    "written": ("trace", "@hc.pt"),
    "a series": ("degeneration", "@series"),
    "stacked": ("heatmap", "@series"),
    "tokens": ("similarity", "@hc.pt", "--inputs", "tokens=@val.bin", "--sequences", "1"),
    "two": ("diff", "@hc.pt", "@hc.pt"),
    "distances": ("distance", "@h.npy", "@h.npy"),
    "terms": ("decompose", "@h.npy"),
    "a sweep": ("spectrum", "--method", "mhc", "-n", "5", "--sweep", "d=2,3"),
}


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("secret folder")
    (folder / "series").mkdir()
    for name in ("hc.pt", "val.bin", "mhc/ckpt_000000.pt", "mhc/ckpt_000150.pt"):
        shutil.copy(EXAMPLES / name, folder / name.replace("mhc/", "series/"))
    np.save(folder / "h.npy", np.random.default_rng(0).dirichlet(np.ones(3), (5, 3)))
    return folder


@pytest.mark.parametrize("words", WORDS.values(), ids=WORDS)
def test_a_table_does_not_tell_where_it_was_made(words, inputs, birkhoff, tmp_path):
    here = [word.replace("@", "") for word in words]
    near = birkhoff(*here, "-q", "-o", tmp_path / "a.parquet", cwd=inputs)
    (tmp_path / "deep").mkdir()
    there = [word.replace("@", f"{inputs}/") for word in words]
    output = ("-o", "deep/b.odd", "--format", "parquet", "--json")
    far = birkhoff(*there, *output)
    assert (near.returncode, far.returncode) == (0, 0), near.stderr + far.stderr
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "deep" / "b.odd").read_bytes()
    facts = pq.read_schema(tmp_path / "a.parquet").metadata[b"birkhoff"].decode()
    assert not [part for part in ("secret", "deep", ".odd", "a.parquet", "/tmp") if part in facts]
    assert json.loads(facts)["command"][0] == words[0]


def test_a_recording_does_not_tell_where_it_was_made(tmp_path):
    made = []
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        with Recorder(tmp_path / folder / "t.parquet") as recorder:
            recorder.add(0, "attn", np.eye(2)[None])
        made.append((tmp_path / folder / "t.parquet").read_bytes())
    assert made[0] == made[1]


def has_output(command):
    return "output" in option_pairs.options_of(command, option_pairs.bases(command)[0])


def paths_of(words, move):
    """Words of a command, those that are files of the inputs moved, as in ``tokens=FILE``."""
    moved = []
    for word in words:
        before, equals, name = word.rpartition("=")
        is_file = (option_pairs.inputs() / name).exists()
        moved.append(f"{before}{equals}{move(name)}" if is_file else word)
    return moved


def written(words, output, folder, target, stream=None):
    """What a command writes to a target, run in a folder."""

    def to_stream():
        os.dup2(os.open(stream, os.O_CREAT | os.O_WRONLY), 1)

    form = ("-o", str(output), "-q", *(("--format", "parquet") if stream else ()))
    ended = forked.call([*words, *form], folder, to_stream if stream else None)
    assert ended.code == 0, ended
    shutil.rmtree(folder / "tmp")
    return content(stream or target)


def everywhere(command, tmp_path):
    """What a command writes: beside its inputs, far away, through links, to standard output."""
    base = {k: v for k, v in option_pairs.bases(command)[0].items() if k != "output"}
    words = [command, *option_pairs.typed(option_pairs.options_of(command, base), base)]
    name = option_pairs.OUTPUTS.get(command, "out.parquet")
    near, far = tmp_path / "near", tmp_path / "far" / "deep"
    shutil.copytree(option_pairs.inputs(), near)
    far.mkdir(parents=True)
    (tmp_path / "link").symlink_to(near)
    (tmp_path / "to far").symlink_to(far)
    yield written(words, name, near, near / name)
    yield written(paths_of(words, near.joinpath), far / name, tmp_path, far / name)
    moved = paths_of(words, lambda word: f"../../link/{word}")
    (far / "cwd").mkdir()
    yield written(
        paths_of(words, lambda word: f"../link/{word}"),
        f"../to far/cwd/{name}",
        tmp_path / "far",
        far / "cwd" / name,
    )
    if command not in option_pairs.OUTPUTS:
        yield written(moved, "-", far, None, tmp_path / "stream")


@pytest.mark.release
@pytest.mark.parametrize("command", [c for c in members.names() if has_output(c)])
def test_every_command_writes_the_same_bytes_wherever(command, tmp_path):
    forked.warm_up()
    first, *others = everywhere(command, tmp_path)
    assert first and len(others) > 1 and all(other == first for other in others)
