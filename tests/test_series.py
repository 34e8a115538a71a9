"""Several checkpoints of one run, wherever a path is; what a checkpoint's streams carry."""

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from birkhoff_cli import checkpoints, content, deferred, load, matrices, tables
from birkhoff_cli.analyses.core.errors import BadInput, TooLarge
from birkhoff_cli.analyses.core.trace import Site, in_memory
from birkhoff_cli.series import order_by_step
from birkhoff_cli.steps import training_step
from birkhoff_cli.tables import _steps
from files import number, torch_file


def trace(step, **meta):
    return in_memory(np.eye(2)[None, None], (Site(0, "attn", "a"),), "t", step=step, meta=meta)


@pytest.mark.parametrize(
    "name, step",
    [
        ("checkpoint-500/model.safetensors", 500),
        ("ckpt_000400.pt", 400),
        ("run/ckpt-9.pt", 9),
        ("step-1000/.metadata", 1000),
        ("mhc_step_30.npy", 30),
        ("epoch=3-step=1200.ckpt", 1200),
        ("iter_0000100", 100),
        ("global_step7", 7),
        ("j4.npy", None),
        ("v4-flash-43b.safetensors", None),
        ("run1_20.pt", None),
        ("ckpt_n4/ckpt.pt", None),
        ("step-100b/model.pt", None),
        ("misstep-3.pt", None),
        ("absent/" + "x" * 300, None),
    ],
)
def test_a_step_is_a_number_that_is_called_one(name, step):
    assert training_step(Path(name)) == step
    assert training_step(Path(name), 8) == 8  # what the file stores comes first


def test_a_trainer_s_note_is_asked_before_the_name_of_the_folder(tmp_path):
    folder = tmp_path / "checkpoint-500"
    folder.mkdir()
    (folder / "model.safetensors").touch()
    for text, step in (('{"global_step": 700}', 700), ("[]", 500), ("{", 500)):
        (folder / "trainer_state.json").write_text(text)
        assert training_step(folder) == training_step(folder / "model.safetensors") == step
    (tmp_path / "latest").write_text("global_step9\n")
    assert training_step(tmp_path) == 9
    assert training_step(tmp_path / "ckpt_3.pt") == 3  # the note is not about this one of several


@pytest.mark.parametrize("text", ["", "{", "[]", '{"global_step": -5}', " " * (9 << 20)])
def test_a_damaged_note_of_a_trainer_is_said(text, tmp_path):
    """The step was that of the folder's name, and nothing said so."""
    folder = tmp_path / "checkpoint-500"
    folder.mkdir()
    torch_file(folder / "model.pt")
    (folder / "trainer_state.json").write_text('{"global_step": 700}')
    assert not any("trainer_state" in text for text in checkpoints.read(folder).assumptions)
    (folder / "trainer_state.json").write_text(text)
    assert training_step(folder) == 500
    said = "trainer_state.json is damaged, or larger than 8 MB, and its training step is not read"
    for path in (folder, folder / "model.pt"):
        assert any(text.startswith(said) for text in checkpoints.read(path).assumptions)
    torch_file(folder / "ckpt_9.pt")
    found = checkpoints.read(folder / "ckpt_9.pt")
    assert not any("trainer_state" in text for text in found.assumptions)


HOLLOW = {
    "empty": b"",
    "zeros": bytes(4000),
    "pointer": b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 12345\n",
    "page": b"<!DOCTYPE html><html>",
    "link": lambda path: path.symlink_to("gone"),
    "loop": lambda path: path.symlink_to(path.name),
    "pipe": os.mkfifo,
}


def hollow(path, content):
    path.unlink()
    content(path) if callable(content) else path.write_bytes(content)


@pytest.mark.parametrize("content", HOLLOW.values(), ids=HOLLOW)
@pytest.mark.parametrize("suffix", ["pt", "npy"])
def test_a_member_of_a_folder_that_holds_nothing_is_refused_by_name(content, suffix, tmp_path):
    """It was left out of the series in silence."""
    for step in (1, 2, 30):
        path = tmp_path / f"ckpt_{step}.{suffix}"
        torch_file(path) if suffix == "pt" else np.save(path, np.full((1, 2, 2), 1 / step))
    assert len(load(tmp_path)) == 3
    hollow(tmp_path / f"ckpt_2.{suffix}", content)
    with pytest.raises(BadInput, match=rf"ckpt_2.{suffix}: (is|cannot be opened)"):
        load(tmp_path)


@pytest.mark.parametrize("content", HOLLOW.values(), ids=HOLLOW)
def test_a_model_that_holds_nothing_does_not_give_way_to_what_lies_beside_it(content, tmp_path):
    np.savez(tmp_path / "truth.npz", H=np.eye(2))
    torch_file(tmp_path / "model.pt")
    assert load(tmp_path).d == 2
    hollow(tmp_path / "model.pt", content)
    with pytest.raises(BadInput, match="model.pt: (is|cannot be opened)"):
        load(tmp_path)
    torch_file(tmp_path / "ema.pt")
    with pytest.raises(BadInput, match="model.pt: (is|cannot be opened)"):
        load(tmp_path)


def test_what_is_no_model_by_its_name_is_no_member(tmp_path):
    for step in (1, 2):
        torch_file(tmp_path / f"ckpt_{step}.pt")
    for name in ("notes.txt", "val.bin", "optimizer.pt", "rng_state_0.pth", "log_3.csv"):
        (tmp_path / name).write_bytes(b"")
    assert len(load(tmp_path)) == 2


def test_models_are_ordered_by_their_steps():
    models = [trace(step) for step in (30, 5, 100)]
    pairs = order_by_step(models, [Path("a"), Path("b"), Path("c")])
    assert [(step, model.step) for step, model in pairs] == [(5, 5), (30, 30), (100, 100)]
    assert order_by_step([trace(None)], [Path("j4.npy")])[0][0] is None


SINKHORN = {"iters": {"value": 20, "source": "default"}}


@pytest.mark.parametrize(
    "metas, names, said",
    [
        (({}, {}), ("last.pt", "best.pt"), "step of last.pt is not known"),
        (({}, {}), ("ckpt_1.pt", "j4.npy"), "step of j4.npy is not known"),
        (({}, {}), ("ckpt_7.pt", "b/step-7.pt"), "both of step 7"),
        (({"format": "nanogpt"}, {"format": "v4"}), ("ckpt_1.pt", "ckpt_2.pt"), "has format v4"),
        (({"method": "mhc"}, {"method": "hc"}), ("ckpt_1.pt", "ckpt_2.pt"), "has method hc"),
        (
            ({"settings": SINKHORN}, {"settings": {"iters": {"value": 3, "source": "set"}}}),
            ("ckpt_1.pt", "ckpt_2.pt"),
            "has iters 3",
        ),
        (
            ({"recorded": {"method": "mhc"}}, {"method": "hc"}),
            ("ckpt_1.arrow", "ckpt_2.pt"),
            "has method hc",
        ),
    ],
)
def test_what_is_no_series_is_refused_by_name(metas, names, said):
    with pytest.raises(BadInput, match=said) as error:
        order_by_step([trace(None, **meta) for meta in metas], [Path(name) for name in names])
    assert all(name in str(error.value) for name in names)


def test_a_directory_files_and_any_order_are_the_same_series(birkhoff, checkpoints, tmp_path):
    folder = checkpoints / "series_mhc_n4"
    files = sorted(folder.glob("*.pt"), reverse=True)
    tables = []
    for k, words in enumerate(([folder], files)):
        done = birkhoff("spectrum", *words, "-o", f"{k}.parquet", "--json")
        assert done.returncode == 0, done.stderr
        assert [row["step"] for row in json.loads(done.stdout)["steps"]] == [1, 50, 100, 400]
        tables.append(pq.read_table(tmp_path / f"{k}.parquet"))
    assert tables[0].equals(tables[1])
    alone = birkhoff("spectrum", files[0], "-o", "one.parquet")
    assert alone.returncode == 0
    one = pq.read_table(tmp_path / "one.parquet")
    last = tables[0].filter(np.asarray(tables[0]["step"]) == 400).drop_columns("step")
    assert last.equals(one)


@pytest.mark.parametrize(
    "names, code, said",
    [
        (("ckpt_3.npy", "ckpt_4.npy"), 2, "differ in their streams"),
        (("h3.npy", "h4.npy"), 3, "h4.npy: is no part of one trace with h3.npy"),
    ],
)
def test_models_that_differ_are_no_series(names, code, said, birkhoff, tmp_path):
    for d, name in zip((3, 4), names, strict=True):
        np.save(tmp_path / name, np.eye(d))
    done = birkhoff("decompose", *names, "-o", "t.csv")
    assert (done.returncode, done.stderr.count("\n")) == (code, 1)
    assert said in done.stderr and not (tmp_path / "t.csv").exists()


def test_a_folder_of_models_that_are_no_series_is_refused_by_name(birkhoff, checkpoints, tmp_path):
    for name in ("model.pt", "ema.pt"):
        shutil.copy(checkpoints / "mhclite_mhc_n4" / "ckpt.pt", tmp_path / name)
    for command in ("degeneration", "spectrum", "inspect"):
        done = birkhoff(command, ".")
        assert (done.returncode, done.stderr.count("\n")) == (3, 1)
        assert "ema.pt, model.pt: are no series" in done.stderr


@pytest.mark.parametrize("command", ["degeneration", "trace"])
def test_every_command_knows_the_step_of_a_name(command, birkhoff, tmp_path):
    for name in ("j4", "ckpt_7"):
        np.save(tmp_path / f"{name}.npy", np.eye(4))
    birkhoff("trace", "ckpt_7.npy", "-o", "stored.parquet")
    for name, step in (("j4.npy", None), ("ckpt_7.npy", 7), ("stored.parquet", 7)):
        done = birkhoff(command, name, "-o", "t.parquet", "--json")
        assert done.returncode == 0, done.stderr
        table = pq.read_table(tmp_path / "t.parquet")
        if command == "degeneration":
            assert set(table["step"].to_pylist()) == {json.loads(done.stdout)["step"]} == {step}
        else:
            meta = json.loads(table.schema.metadata[b"birkhoff"])["meta"]
            assert meta.get("step") == step


def test_folders_named_by_their_steps_are_a_series(birkhoff, checkpoints, tmp_path):
    for source, target in (("000001", "checkpoint-10"), ("000050", "checkpoint-9")):
        (tmp_path / "run" / target).mkdir(parents=True)
        model = checkpoints / "series_mhc_n4" / f"ckpt_{source}.pt"
        shutil.copy(model, tmp_path / "run" / target / "model.pt")
    done = birkhoff("degeneration", "run", "--json")
    assert [row["step"] for row in json.loads(done.stdout)["steps"]] == [1, 50]  # as it is stored


def test_inspect_shows_a_series(birkhoff, checkpoints):
    done = birkhoff("inspect", checkpoints / "series_mhc_n4", "--json")
    assert [row["step"] for row in json.loads(done.stdout)["steps"]] == [1, 50, 100, 400]


@pytest.mark.parametrize(
    "words, code, said",
    [
        (("--inputs", "gauss"), 2, "did you mean 'gaussian'"),
        (("--inputs", "tokens"), 2, "tokens=FILE"),
        (("--inputs", "static=x"), 2, "say --inputs static"),
        (("--length", "3"), 2, "--length has no meaning with --inputs static"),
        (("--inputs", "gaussian", "--random"), 2, "--random has no meaning"),
        (("--inputs", "gaussian", "-n", "-1"), 2, "expected at least 1"),
        (("--method", "mhc"), 2, "--method is for drawn matrices"),
    ],
)
def test_inputs_that_make_no_sense_are_refused(words, code, said, birkhoff, checkpoints):
    done = birkhoff("depth-drift", checkpoints / "mhclite_mhc_n4", *words)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (code, "", 1)
    assert said in done.stderr


def test_matrices_have_no_inputs(birkhoff, tmp_path):
    np.save(tmp_path / "h.npy", np.eye(3)[None])
    done = birkhoff("spectrum", "h.npy", "--inputs", "gaussian")
    assert done.returncode == 2 and "--inputs is for checkpoints" in done.stderr


def test_gaussian_streams_come_from_the_seed(birkhoff, checkpoints, tmp_path):
    shutil.copytree(checkpoints / "mhclite_mhc_n4", tmp_path / "model")
    words = ("depth-drift", "model/ckpt.pt", "--inputs", "gaussian", "-n", "40", "--json")
    same, again, other = (birkhoff(*words, "--seed", s).stdout for s in (1, 1, 2))
    assert json.loads(same)["samples"] == 40
    assert same == again != other


@pytest.mark.parametrize("words", [("trace",), ("plot",), ("merge",), ("diff", "h.npy")])
def test_a_path_that_no_file_can_have_is_one_line(words, birkhoff, tmp_path):
    np.save(tmp_path / "h.npy", np.eye(3))
    (tmp_path / "loop").symlink_to("loop")
    for path in ("x" * 300, "loop", "absent"):
        done = birkhoff(*words, path)
        assert (done.returncode, done.stderr.count("\n")) == (3, 1), done.stderr
        assert path in done.stderr


def test_a_folder_of_arrays_named_by_their_steps_is_a_series(birkhoff, tmp_path):
    (tmp_path / "run").mkdir()
    for step in (100, 20):
        np.save(tmp_path / "run" / f"ckpt_{step}.npy", np.eye(4))
    (tmp_path / "run" / "notes.txt").write_text("of the run")
    np.save(tmp_path / "run" / "z.npy", np.eye(4))
    done = birkhoff("spectrum", "run", "--json")
    assert done.returncode == 0, done.stderr
    assert [row["step"] for row in json.loads(done.stdout)["steps"]] == [20, 100]


@pytest.mark.parametrize("command", ["degeneration", "depth-drift"])
def test_a_member_that_is_a_copy_of_another_is_said(command, birkhoff, tmp_path):
    """An older save under a newer name gave its numbers twice, and nothing said so."""
    (tmp_path / "run").mkdir()
    for step in (1, 2, 3):
        torch_file(tmp_path / "run" / f"ckpt_{step}.pt")
    done = birkhoff(command, "run", "--json")
    assert done.returncode == 0, done.stderr
    said = "run/ckpt_2.pt is a model of its own, though all that is read of it is the same"
    assert f"assumed: {said}, to the last bit, as of run/ckpt_1.pt (and 1 more such)" in done.stderr
    assert done.stderr.count("to the last bit") == 1


@pytest.mark.parametrize("command", ["degeneration", "depth-drift"])
def test_what_is_assumed_of_an_earlier_member_is_said(command, birkhoff, tmp_path):
    """Only what is assumed of the last one was."""
    for step, stored in ((1, 2), (3, 3)):
        folder = tmp_path / "run" / f"checkpoint-{step}"
        folder.mkdir(parents=True)
        torch_file(folder / "model.pt")
        (folder / "trainer_state.json").write_text(json.dumps({"global_step": stored}))
    done = birkhoff(command, "run", "--json", "-o", "t.parquet")
    assert [row["step"] for row in json.loads(done.stdout)["steps"]] == [2, 3]
    said = "the step is 2, as a note in its folder says, though it is called that of 1"
    assert f"assumed: {said}" in done.stderr
    meta = json.loads(pq.read_schema(tmp_path / "t.parquet").metadata[b"birkhoff"])["meta"]
    assert said in json.dumps(meta)


def test_a_stored_step_and_another_in_the_name_are_said(tmp_path):
    """A save that was copied to the name of a later one is of its own step."""
    path = torch_file(tmp_path / "ckpt_300.pt", extra={"iter_num": number(150)})
    sentence = "the step is 150, as is stored in it, though it is called that of 300"
    assert sentence in checkpoints.read(path).assumptions
    path = torch_file(tmp_path / "ckpt_150.pt", extra={"iter_num": number(150)})
    assert not any("called" in text for text in checkpoints.read(path).assumptions)


def test_two_stored_steps_are_said(tmp_path):
    """Some programs count batches, and optimizer steps beside them."""
    extra = {"iteration": number(150), "global_step": number(600), "step": number(150)}
    path = torch_file(tmp_path / "ckpt_150.pt", extra=extra)
    said = "the step is 150, as iteration says, though global_step is 600"
    assert said in checkpoints.read(path).assumptions
    path = torch_file(tmp_path / "ckpt_151.pt", extra=extra | {"global_step": number(150)})
    assert not any("iteration says" in text for text in checkpoints.read(path).assumptions)


@pytest.mark.parametrize("command", ["degeneration", "depth-drift"])
def test_a_member_with_fewer_sites_is_no_step_of_the_same_model(command, birkhoff, tmp_path):
    """The numbers of a shallower model stood among those of the others."""
    (tmp_path / "run").mkdir()
    for step, sites in ((1, 3), (2, 2), (3, 3)):
        np.save(tmp_path / "run" / f"ckpt_{step}.npy", np.tile(np.eye(2), (1, sites, 1, 1)))
    done = birkhoff(command, "run")
    assert (done.returncode, done.stderr.count("\n")) == (3, 1)
    assert "run/ckpt_2.npy has sites 2 and run/ckpt_1.npy 3" in done.stderr


def test_a_table_of_very_many_steps_is_refused(tmp_path):
    """Each was read alone: 20,000 of them, in 120 kB, took minutes."""
    rows = pa.FixedSizeListArray.from_arrays(pa.array(np.ones(10_001)), 1)
    columns = {"step": range(10_001), "matrix": pa.FixedSizeListArray.from_arrays(rows, 1)}
    pq.write_table(pa.table(columns), tmp_path / "t.parquet")
    with pytest.raises(TooLarge, match="t.parquet: holds matrices of 10,001 training steps"):
        load(tmp_path / "t.parquet")
    assert load(f"{tmp_path}/t.parquet#step=10000").samples == 1


STEPS, SAMPLES, SITES = (30, 7, 500), 5, 3


def of_steps(order, rng):
    """A table of several steps in some order of rows, and the matrices of each step."""
    h = rng.dirichlet(np.ones(3), (len(STEPS), SAMPLES, SITES, 3)).astype(np.float32)
    index = [(a, n, k) for a in range(len(STEPS)) for n in range(SAMPLES) for k in range(SITES)]
    which, sample, site = np.array(sorted(index, key=order)).T
    columns = {"step": np.array(STEPS)[which], "sample": sample, "site": site, "layer": site}
    rows = pa.FixedSizeListArray.from_arrays(pa.array(h[which, sample, site].ravel()), 3)
    columns["matrix"] = pa.FixedSizeListArray.from_arrays(rows, 3)
    return pa.table(columns), dict(zip(STEPS, h, strict=True))


ORDERS = {
    "step by step": lambda row: row,
    "sample by sample": lambda row: (row[1], row[0], row[2]),
    "in no order": lambda row: hash((row[1] * 7919, row[0], row[2])),
}


@pytest.mark.parametrize("kept", [0, _steps.KEPT], ids=["read", "kept"])
@pytest.mark.parametrize("order", ORDERS.values(), ids=ORDERS)
@pytest.mark.parametrize("format", ["parquet", "arrow", "csv", "ndjson"])
def test_steps_of_a_table_are_read_whatever_the_order_of_rows(
    format, order, kept, rng, tmp_path, monkeypatch
):
    monkeypatch.setattr(_steps, "KEPT", kept)
    monkeypatch.setattr(_steps, "ROWS", 7)
    table, matrices_of_steps = of_steps(order, rng)
    path = tmp_path / f"t.{format}"
    with path.open("wb") as sink:
        tables.load(format).write(table.to_batches(max_chunksize=11), table.schema, sink, dict)
    with deferred.deferring():
        assert matrices.list_steps(path) == tuple(sorted(STEPS))
        for step, h in matrices_of_steps.items():
            trace = matrices.read(Path(f"{path}#step={step}"))
            for block in (1, 2, SAMPLES):
                blocks = [np.array(part) for part in trace.reader(block, 0)]
                assert np.array_equal(np.concatenate(blocks).astype(np.float32), h)
            rest = np.concatenate([*trace.reader(2, 3)])
            assert np.array_equal(rest.astype(np.float32), h[3:])


def test_a_command_opens_a_table_of_many_steps_once(tmp_path, rng, monkeypatch):
    """Every step went through the whole file five times: 600 steps took half a minute."""
    table, matrices_of_steps = of_steps(ORDERS["step by step"], rng)
    pq.write_table(table, tmp_path / "t.parquet")
    opened = []
    real = content.of_file(tmp_path / "t.parquet").open
    of_file = content.of_file

    def counted():
        opened.append(1)
        return real()

    monkeypatch.setattr(content, "of_file", lambda path: replace(of_file(path), open=counted))
    counts = []
    with deferred.deferring():
        for step, h in matrices_of_steps.items():
            trace = matrices.read(Path(f"{tmp_path}/t.parquet#step={step}"))
            assert np.array_equal(np.concatenate([*trace.reader(2, 0)]), h)
            counts.append(len(opened))
    assert counts[1] - counts[0] == counts[2] - counts[1] <= 2 < counts[0]


def test_a_table_of_several_steps_is_one_input_and_named_once(tmp_path, rng, birkhoff):
    """Its name stood twice above a picture, and its digest 600 times in the metadata."""
    table, _ = of_steps(ORDERS["step by step"], rng)
    pq.write_table(table, tmp_path / "t.parquet")
    done = birkhoff("degeneration", "t.parquet", "-o", "o.parquet", "-q")
    assert done.returncode == 0
    notes = json.loads(pq.read_schema(tmp_path / "o.parquet").metadata[b"birkhoff"])["meta"]
    assert [file["name"] for file in notes["inputs"]] == ["t.parquet"]
    assert notes["title"].startswith("t.parquet (3 steps), ")
