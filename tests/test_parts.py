"""Parts of a command's work: merged they are the whole, byte for byte; others are refused."""

import json
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import forked
from birkhoff_cli import (  # noqa: F401
    Recorder,
    __main__,
    app,
    folding,
    members,
    merging,
    parts,
    provenance,
    sharing,
)
from birkhoff_cli.analyses import depth_drift
from birkhoff_cli.analyses.core import states
from birkhoff_cli.analyses.core.errors import BadInput, Unsupported
from birkhoff_cli.analyses.core.trace import MixingTrace
from conftest import ROOT

ENDS = {"1": [], "4": [1, 30, 31], "32": [*range(1, 63, 2)]}
"""Where a trace of 90 samples is cut into 1, 4 and 32 files."""

OTHERS = (
    ("spectrum", "1/trace"),
    ("spectrum", "--method", "kromhc", "-n", "9000"),
    ("sample", "--method", "mhc", "-n", "9000"),
    ("slice", "1/trace"),
    ("slice", "--method", "go-mhc", "--d", "3", "-n", "5000"),
    ("heatmap", "1/trace"),
    ("sinkhorn", "1/trace"),
    ("check", "4/trace"),
    ("degeneration", "examples/mhc", "--inputs", "gaussian", "-n", "70"),
    ("similarity", "examples/mhc-lite.pt", "--inputs", "tokens=examples/val.bin"),
)


def small_blocks():
    """Blocks of two samples of a trace, and of four to depth-drift: a small one has many."""
    MixingTrace.block = property(lambda _: 2)
    depth_drift.MAX_LANES = 4


def run(folder, *words, code=0, hook=small_blocks):
    ended = forked.call(words, folder, hook)
    assert ended.code == code, ended
    return ended


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("parts")
    h = np.random.default_rng(0).dirichlet(np.ones(4), (90, 4, 4)).astype(np.float32)
    for name, ends in ENDS.items():
        (folder / name / "trace").mkdir(parents=True)
        for k, (first, last) in enumerate(pairwise([0, *ends, len(h)])):
            with Recorder(folder / name / "trace" / f"rank{k}.parquet", {"model": "GPT"}) as made:
                for site in range(4):
                    made.add(site // 2, ("attn", "mlp")[site % 2], h[first:last, site])
    (folder / "examples").symlink_to(ROOT / "examples")
    for name in ("depth-drift", "degeneration", "region", "merge"):
        members.module_of(name)
    return folder


def divided(folder, words, count, whole="whole.parquet"):
    """What merge says of so many parts, and the table; their files may have any name."""
    names = [f"{count}.{k}" for k in range(1, count + 1)]
    for k, name in enumerate(names, 1):
        run(folder, *words, "--part", f"{k}/{count}", "-o", name, "-q")
    ended = run(folder, "merge", *reversed(names), "-o", whole, "--json")
    return ended.out, (folder / whole).read_bytes()


def undivided(folder, words, *more):
    ended = run(folder, *words, *more, "--json", "-o", "one.parquet")
    return ended.out, (folder / "one.parquet").read_bytes()


DIVIDED = (("1", 4), ("4", 1), ("32", 3))
"""Files of a trace, and parts of the work."""


@pytest.mark.parametrize(
    "analysis, divisions",
    [
        ("depth-drift", DIVIDED[1:2]),
        ("degeneration", DIVIDED[2:]),
        pytest.param("depth-drift", DIVIDED, marks=pytest.mark.release),
        pytest.param("degeneration", (*DIVIDED[:2], ("32", 32)), marks=pytest.mark.release),
        pytest.param("depth-drift", (("32", 32), ("4", 32)), marks=pytest.mark.release),
    ],
)
def test_a_trace_in_files_and_in_parts_gives_the_same_bytes(analysis, divisions, folder):
    found = []
    for files, count in divisions:
        words = (analysis, f"{files}/trace")
        one = undivided(folder, words)
        assert divided(folder, words, count) == one
        assert undivided(folder, words, "--engine", "2") == one
        found.append((one[0], pq.read_table(folder / "one.parquet").to_pydict()))
    assert found.count(found[0]) == len(divisions)


@pytest.mark.release
@pytest.mark.parametrize("words", OTHERS, ids=lambda words: "-".join(words[:2]))
def test_parts_of_every_other_analysis_are_the_whole(words, folder):
    assert divided(folder, words, 3) == undivided(folder, words)


PART = ("depth-drift", "4/trace", "--part")


@pytest.fixture(scope="module")
def first(folder):
    """The first of two parts."""
    run(folder, *PART, "1/2", "-o", "first")
    run(folder, *PART, "2/2", "-o", "second")
    return folder / "first"


@pytest.mark.parametrize(
    "words, said",
    [
        (("degeneration", "4/trace", "--part", "2/2"), "is of another command"),
        ((*PART, "2/2", "--from-each"), "is of another command"),
        (("depth-drift", "32/trace", "--part", "2/2"), "is of another command"),
        ((*PART, "2/3"), "is of another number of parts"),
        ((*PART, "1/2"), "is part 1/2 once more"),
        (("depth-drift", "4/trace"), "is no part of a command"),
    ],
)
@pytest.mark.usefixtures("first")
def test_what_is_no_part_of_one_command_is_refused(words, said, folder):
    run(folder, *words, "-o", "other.arrow")
    ended = run(folder, "merge", "first", "other.arrow", code=3)
    assert ended.err.count("\n") == 1 and said in ended.err and "other.arrow" in ended.err


@pytest.mark.usefixtures("first")
def test_a_missing_part_is_named_and_so_is_one_of_other_inputs(folder):
    ended = run(folder, "merge", "first", code=3)
    assert "part 2/2 of its command is missing; run --part 2/2 too" in ended.err
    path = folder / "4" / "trace" / "rank0.parquet"
    before = path.read_bytes()
    try:
        path.write_bytes((folder / "32" / "trace" / "rank1.parquet").read_bytes())
        ended = run(folder, "merge", "first", "second", code=3)
        assert "its inputs are others now" in ended.err
        run(folder, *PART, "2/2", "-o", "other.arrow")
        ended = run(folder, "merge", "first", "other.arrow", code=3)
        assert "is of other inputs than first; merge the parts of one run" in ended.err
    finally:
        path.write_bytes(before)


@pytest.mark.usefixtures("first")
def test_the_whole_does_not_take_the_place_of_an_input(folder):
    path = folder / "4" / "trace" / "rank0.parquet"
    before = path.read_bytes()
    ended = run(folder, "merge", "first", "second", "-o", "4/trace/rank0.parquet", code=5)
    assert "rank0.parquet: is the input as well" in ended.err and path.read_bytes() == before


@pytest.mark.usefixtures("first")
def test_a_part_is_no_table(folder):
    ended = run(folder, "plot", "first", code=3)
    assert (
        ended.err.count("\n") == 1 and "is a part of a command's work; birkhoff merge" in ended.err
    )


@pytest.mark.parametrize("size", [0, 40, -1, -300])
def test_a_cut_part_is_refused(size, folder, first):
    data = first.read_bytes()
    (folder / "cut").write_bytes(data[:size])
    ended = run(folder, "merge", "cut", "second", code=3)
    assert ended.err.count("\n") == 1 and "cut" in ended.err


def test_a_part_with_a_flipped_bit_is_refused(folder, first):
    rng, data = np.random.default_rng(0), first.read_bytes()
    for place in rng.integers(0, len(data), 4):
        other = bytearray(data)
        other[place] ^= 1 << int(rng.integers(8))
        (folder / "bad").write_bytes(other)
        ended = run(folder, "merge", "bad", "second", code=3)
        assert ended.err.count("\n") == 1 and "bad" in ended.err


@pytest.mark.usefixtures("first")
def test_a_part_of_other_code_is_not_supported(folder):
    def other_code():
        small_blocks()
        provenance.code_digest = lambda: "another"

    ended = run(folder, "merge", "first", "second", code=4, hook=other_code)
    assert ended.err.count("\n") == 1 and "merge with the one that made it" in ended.err


@pytest.mark.parametrize(
    "words, said",
    [
        ((*PART, "1/2"), "give -o and a file name"),
        ((*PART, "1/2", "-o", "-"), "give -o and a file name"),
        ((*PART, "3/2", "-o", "p"), "such as 2/8"),
        ((*PART, "1/2", "-o", "p", "--plot", "p.png"), "say --plot"),
        ((*PART, "1/2", "-o", "p", "--engine", "2"), "leave --engine 2 out"),
        (("region", "--part", "1/2", "-o", "p"), "nothing to divide"),
        (("depth-drift", "examples/mhc", "--part", "1/2", "-o", "p"), "nothing to divide"),
    ],
)
def test_a_part_that_cannot_be_is_one_line(words, said, folder):
    ended = run(folder, *words, code=2)
    assert ended.err.count("\n") == 1 and said in ended.err and not (folder / "p").exists()


def test_a_part_says_what_it_is(folder):
    ended = run(folder, *PART, "2/3", "-o", "p.arrow", "--json")
    told = json.loads(ended.out)
    assert (told["part"], told["blocks"], told["blocks_in_all"]) == ("2/3", 8, 23)
    with pa.ipc.open_file(folder / "p.arrow") as file:
        assert file.schema.names == ["what", "data"]
    stamp = json.loads(file.schema.metadata[b"birkhoff"])
    assert stamp["schema"] == "depth-drift" and stamp["part"]["part"] == [2, 3]
    (folder / "p.arrow").unlink()


class Unknown:
    """Of no fold."""


def test_a_state_is_data_and_names_marked_classes_only():
    value = {
        (0, 1): [1.5, float("inf"), None, True, "text", np.float32(0.1)],
        "arrays": (np.arange(6.0).reshape(2, 3)[:, ::2], np.array(["a", None], object)),
    }
    arrays = []
    kept = json.loads(json.dumps(states.dump(value, arrays)))
    found = states.load(kept, [array.tobytes() for array in arrays])
    assert repr(found) == repr(value) and found["arrays"][0].dtype == np.float64
    with pytest.raises(Unsupported, match="Unknown, which a file cannot keep"):
        states.dump([Unknown()], [])
    for name in ("os:system", "test_parts:Unknown", "builtins:eval", "subprocess:Popen"):
        with pytest.raises(KeyError):
            states.load({"class": name, "kept": {"args": "true"}}, [])
    with pytest.raises(ValueError, match="type of an array"):
        states.load({"array": 0, "dtype": "|O", "shape": [1]}, [bytes(8)])


@pytest.mark.parametrize("state", [b"5", b"{}", b"[", b'{"class": "os:system", "kept": {}}'])
def test_a_part_of_another_hand_is_refused(state, folder, first, monkeypatch):
    """Its digest is right, and its state is none."""
    monkeypatch.setattr(MixingTrace, "block", property(lambda _: 2))
    monkeypatch.setattr(depth_drift, "MAX_LANES", 4)
    monkeypatch.chdir(folder)
    other = merging.open_part(first)
    second = merging.open_part(folder / "second")
    for blocks in ([11, 22, 23], [11, 22, 22], [11, 24, 24]):
        shorter = replace(second, facts={**second.facts, "blocks": blocks})
        with pytest.raises(BadInput, match="damaged"):
            merging.merge([other, shorter], folder / "x.parquet")
    monkeypatch.setattr(merging, "_rows_of", lambda _: [("state", pa.py_buffer(state))])
    with pytest.raises(BadInput, match="damaged"):
        merging.merge([other, second], folder / "x.parquet")
    assert not (folder / "x.parquet").exists()
