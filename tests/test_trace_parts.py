"""A trace in parts: ranks, shards, part files. Where it was cut changes no number."""

import json
from itertools import pairwise

import numpy as np
import pytest

import birkhoff_cli as birkhoff
from birkhoff_cli import Recorder
from birkhoff_cli.analyses.core.errors import BadInput

SITES, D = 3, 4


def write(path, h, branch="attn", **meta):
    """A trace whose samples are counted from 0."""
    path.parent.mkdir(exist_ok=True, parents=True)
    with Recorder(path, meta) as recorder:
        for k in range(h.shape[1]):
            recorder.add(k, branch, h[:, k])
    return path


def draw(n, seed=0, sites=SITES, d=D):
    rng = np.random.default_rng(seed)
    return rng.dirichlet(np.ones(d), (n, sites, d)).astype(np.float32)


def cut(folder, h, ends):
    """The samples of ``h`` in files of any lengths, ``rank0`` first."""
    for k, (first, last) in enumerate(pairwise([0, *ends, len(h)])):
        write(folder / f"rank{k}.parquet", h[first:last], model="GPT")


ENDS = {
    "one": [],
    "four uneven": [1, 17, 18],
    "more than ten": [1, 2, 3, 5, 8, 9, 14, 15, 22, 23, 24, 25],
}


@pytest.mark.parametrize("analysis", ["depth_drift", "degeneration", "spectrum", "heatmap"])
def test_where_a_trace_was_cut_changes_no_byte(analysis, tmp_path, monkeypatch):
    monkeypatch.setattr(birkhoff.load.__globals__["MixingTrace"], "block", property(lambda _: 4))
    h, outcomes = draw(26), []
    for name, ends in ENDS.items():
        cut(tmp_path / name, h, ends)
        files = sorted((tmp_path / name).iterdir(), reverse=True)  # as a shell does not order them
        for source in (tmp_path / name, files):
            result = getattr(birkhoff, analysis)(source)
            outcomes.append((result.table.to_pydict(), json.dumps(dict(result.summary))))
            named = [file["name"] for file in result.meta["inputs"]]
            assert named == [f"rank{k}.parquet" for k in range(len(ends) + 1)]
    assert outcomes.count(outcomes[0]) == 2 * len(ENDS)


@pytest.mark.parametrize("content", [b"", b"PAR1", b"version https://git-lfs.github.com/spec/v1\n"])
def test_a_part_that_cannot_be_read_is_not_left_out(content, tmp_path):
    """The numbers of the parts that are left were given, with exit 0."""
    cut(tmp_path / "run", draw(9), [3, 6])
    (tmp_path / "run" / "rank1.parquet").write_bytes(content)
    for source in (tmp_path / "run", sorted((tmp_path / "run").iterdir())):
        with pytest.raises(BadInput, match=r"rank1\.parquet"):
            birkhoff.depth_drift(source)


def test_parts_of_several_steps_are_a_series_of_traces(tmp_path):
    for step, seed in ((100, 1), (0, 0)):
        for rank in range(2):
            write(tmp_path / f"step_{step}" / f"rank{rank}.parquet", draw(2 + rank, seed + rank))
    first, last = birkhoff.load(tmp_path)
    assert (first.step, last.step, first.samples, last.samples) == (0, 100, 5, 5)
    one = birkhoff.load(tmp_path / "step_100")
    assert one.step == 100 and np.array_equal(one.matrices, last.matrices)
    every = np.concatenate([draw(2, 1), draw(3, 2)])
    assert np.array_equal(one.matrices, every)


def test_ranks_are_no_training_steps(tmp_path):
    cut(tmp_path, draw(9), [3, 5])
    trace = birkhoff.load(sorted(tmp_path.iterdir()))
    assert (trace.samples, trace.step) == (9, None)


@pytest.mark.parametrize(
    "other, said",
    [
        ({"h": draw(2, sites=2)}, "has 2 sites and the other 3"),
        ({"h": draw(2, d=3)}, "has 3 streams and the other 4"),
        ({"h": draw(2).astype(float)}, "is float64 and the other float32"),
        ({"h": draw(2), "branch": "mlp"}, "site 0 is layer 0, mlp"),
        ({"h": draw(2), "model": "Llama"}, "model is Llama and that of the other GPT"),
        ({"h": draw(2), "method": "mhc"}, "method is mhc and that of the other hc"),
        (
            {"h": draw(2), "settings": {"iters": {"value": 3}}},
            "iters is 3 and that of the other 20",
        ),
        (
            {"h": draw(2), "settings": {}, "inputs": [{"name": "b.pt", "sha256": "1" * 64}]},
            r"checkpoint is b.pt \(11111111\)",
        ),
    ],
)
def test_parts_of_other_models_are_refused_by_name(other, said, tmp_path):
    facts = {"model": "GPT", "method": "hc", "settings": {"iters": {"value": 20}}}
    facts["inputs"] = [{"name": "a.pt", "sha256": "0" * 64}]
    write(tmp_path / "a.parquet", draw(2), **facts)
    write(tmp_path / "b.parquet", **{**facts, **other})
    with pytest.raises(BadInput, match=said) as error:
        birkhoff.load(tmp_path)
    assert "a.parquet" in str(error.value) and "b.parquet" in str(error.value)


def test_a_part_that_is_there_twice_is_refused(tmp_path):
    path = write(tmp_path / "a.parquet", draw(2))
    with pytest.raises(BadInput, match="a.parquet: is there twice"):
        birkhoff.load([path, path.parent / "." / ".." / tmp_path.name / "a.parquet"])


def test_arrays_in_several_files_are_said_to_be_samples(tmp_path):
    for k in range(3):
        np.save(tmp_path / f"rank{k}.npy", draw(4, k))
    trace = birkhoff.load(tmp_path)
    assert (trace.samples, len(trace.sites)) == (12, 3)
    assert any("3 files hold samples of the same 3 sites" in a for a in trace.meta["assumptions"])


@pytest.mark.parametrize(
    "numbers, said",
    [
        (("0", "1", "3"), "the 3 parts are all there are, though rank2.npy is not among them"),
        (("00", "01", "04", "05"), "though rank02.npy is not"),
        (("0", "1", "2"), None),
        (("0", "8", "16"), None),
        (("0", "8", "24"), "though rank16.npy is not"),
        (("7", "9"), None),
    ],
)
def test_a_part_that_is_left_out_is_said(numbers, said, tmp_path):
    for k, number in enumerate(numbers):
        np.save(tmp_path / f"rank{number}.npy", draw(4, k))
    assumed = birkhoff.load(tmp_path).meta["assumptions"]
    found = [text for text in assumed if "is not among them" in text]
    assert len(found) == (said is not None) and all(said in text for text in found)


def test_ranks_of_which_one_has_fewer_parts_are_said(tmp_path):
    for k, name in enumerate(("0_part0", "0_part1", "1_part0")):
        np.save(tmp_path / f"rank{name}.npy", draw(4, k))
    assumed = birkhoff.load(tmp_path).meta["assumptions"]
    assert "the 3 parts are all there are, though rank1 has fewer than others" in assumed


def test_a_copy_of_a_part_is_said(tmp_path):
    for name, seed in (("rank0", 0), ("rank1", 1), ("rank1 (1)", 1)):
        np.save(tmp_path / f"{name}.npy", draw(4, seed))
    trace = birkhoff.load(tmp_path)
    said = "rank1.npy is a copy of rank1 (1).npy, and its samples count as well"
    assert trace.samples == 12 and said in trace.meta["assumptions"]


@pytest.mark.parametrize("name", ["layer{}", "h_layer_{}", "Site{}", "model.layers.{}.H"])
def test_arrays_of_layers_are_no_samples(name, tmp_path):
    """They were read as samples of one site, with a line that said so."""
    for k in range(3):
        np.save(tmp_path / f"{name.format(k)}.npy", draw(4, k)[:, 0])
    with pytest.raises(BadInput, match="named after layers.*numpy.stack"):
        birkhoff.load(tmp_path)


def test_a_matrix_that_is_not_finite_is_named_by_its_file(tmp_path):
    for k in range(3):
        h = draw(3 + k)
        h[2, 1, 0, 0] = np.nan if k == 2 else 0
        np.save(tmp_path / f"rank{k}.npy", h)
    with pytest.raises(BadInput, match=r"rank2.npy: .* layer 1, file, sample 2 holds NaN"):
        list(birkhoff.load(tmp_path))


def test_a_folder_with_one_part_is_that_part(tmp_path):
    path = write(tmp_path / "run" / "rank0.parquet", draw(2))
    (tmp_path / "run" / "_SUCCESS").write_text("")
    alone, folder = birkhoff.load(path), birkhoff.load(tmp_path / "run")
    assert np.array_equal(alone.matrices, folder.matrices)


def test_two_traces_side_by_side_may_each_be_in_parts(tmp_path):
    h = draw(9)
    cut(tmp_path / "parts", h, [3, 5])
    write(tmp_path / "whole.parquet", h)
    result = birkhoff.diff(tmp_path / "parts", tmp_path / "whole.parquet")
    assert result.summary["verdict"] == "equal"


@pytest.mark.parametrize("name", ["rank1.arrow", "rank1.part.arrow", "rank1.csv"])
def test_an_empty_part_of_another_format_is_not_left_out(name, tmp_path):
    """The samples of a rank that had written nothing were missing, and nothing said so."""
    write(tmp_path / "rank0.parquet", draw(3))
    (tmp_path / "log.csv").touch()
    assert birkhoff.load(tmp_path).samples == 3
    (tmp_path / name).touch()
    with pytest.raises(BadInput, match=f"{name}: is "):
        birkhoff.load(tmp_path)
