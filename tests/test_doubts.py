"""Of a table that nobody signed, gaps in the numbers of sites and layers that fall are said."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from birkhoff_cli import matrices
from birkhoff_cli.analyses.core.errors import BadInput, TooLarge
from files import monitor_log

GAP = "are all there are, though none has the number"
FIRST = "are all there are, though the first has the number"
FALL = "though layer {} stands behind layer {}"


def table(path, sites, layers, shuffled=False):
    count, samples = len(sites), 3
    columns = {
        "sample": np.repeat(np.arange(samples), count),
        "site": np.tile(np.array(sites), samples),
        "layer": np.tile(np.array(layers), samples),
    }
    values = pa.array(np.random.default_rng(0).random(4 * count * samples))
    inner = pa.FixedSizeListArray.from_arrays(values, 2)
    whole = pa.table({**columns, "matrix": pa.FixedSizeListArray.from_arrays(inner, 2)})
    if shuffled:
        whole = whole.take(np.random.default_rng(1).permutation(len(whole)))
    pq.write_table(whole, path)
    return path


@pytest.mark.parametrize("shuffled", [False, True], ids=["ordered", "shuffled"])
@pytest.mark.parametrize(
    "sites, layers, said",
    [
        ([0, 1, 2, 3], [0, 0, 1, 1], []),
        ([1, 2, 3], [0, 1, 1], [f"the 3 sites {FIRST} 1"]),
        ([0, 8, 16], [0, 8, 16], []),
        ([5], [2], [f"the 1 sites {FIRST} 5"]),
        (
            [0, 1, 2, 3, 4],
            [0, 1, 2, 7, 8],
            ["the 5 sites are all there are, though none is of layer 3"],
        ),
        ([0, 1, 3], [0, 0, 1], [f"the 3 sites {GAP} 2"]),
        ([0, 1, 2, 3], [1, 1, 0, 0], [FALL.format(0, 1)]),
        ([0, 1, 4, 5], [0, 3, 2, 4], [f"the 4 sites {GAP} 2", FALL.format(2, 3)]),
    ],
)
def test_what_the_places_of_sites_leave_open_is_said(sites, layers, said, shuffled, tmp_path):
    """A table that lost a site in every sample was read as a shallower model."""
    trace = matrices.read(table(tmp_path / "t.parquet", sites, layers, shuffled))
    _, *doubts = trace.meta["assumptions"]
    assert len(doubts) == len(said)
    assert all(text in doubt for text, doubt in zip(said, doubts, strict=True))


def test_of_what_birkhoff_wrote_nothing_is_doubted(tmp_path, birkhoff):
    done = birkhoff("sample", "--method", "mhc", "-n", "3", "-o", "s.parquet", "-q")
    assert done.returncode == 0
    assert not matrices.read(tmp_path / "s.parquet").meta.get("assumptions")


@pytest.mark.parametrize("shuffled", [False, True], ids=["ordered", "shuffled"])
@pytest.mark.parametrize(
    "samples, missing", [([0, 1, 2], None), ([0, 1, 3], 2), ([4, 6, 8], None), ([7, 9, 10, 11], 8)]
)
def test_a_sample_that_is_missing_among_others_is_said(samples, missing, shuffled, tmp_path):
    """The numbers of the others were given, and nothing said so."""
    order = np.random.default_rng(2).permutation(2 * len(samples)) if shuffled else slice(None)
    values = pa.array(np.random.default_rng(0).random(8 * len(samples)))
    inner = pa.FixedSizeListArray.from_arrays(values, 2)
    columns = {"sample": np.repeat(samples, 2)[order], "site": np.tile([0, 1], len(samples))[order]}
    whole = pa.table({**columns, "matrix": pa.FixedSizeListArray.from_arrays(inner, 2)})
    pq.write_table(whole, tmp_path / "t.parquet", row_group_size=3)
    said = f"the samples are all there are, though none has the number {missing}"
    assert (missing is not None) == (
        said in matrices.read(tmp_path / "t.parquet").meta["assumptions"]
    )


def test_a_layer_that_no_line_of_a_monitor_has_is_said(tmp_path):
    lines = map(json.loads, monitor_log().splitlines())
    kept = [{n: v for n, v in line.items() if n != "layers.1.attn"} for line in lines]
    path = tmp_path / "hc.ndjson"
    path.write_text("".join(json.dumps(line) + "\n" for line in kept))
    said = "the 3 sites are all there are, though none is of layer 1"
    assert said in matrices.read(path).meta["assumptions"]
    path.write_text(json.dumps({**kept[0], "row_max_p50": 10**400}) + "\n")
    with pytest.raises(BadInput, match="line 1 is none of a monitor"):  # it was a bug of ours
        matrices.read(path)


def test_more_sites_than_a_model_has_are_refused(tmp_path):
    """Of 1 MB with 490,000 of them `heatmap` took 3.7 GB."""
    np.save(tmp_path / "h.npy", np.ones((1, 32_769, 1, 1), np.float16))
    with pytest.raises(TooLarge, match="h.npy: has 32,769 sites, and no model has more than"):
        matrices.read(tmp_path / "h.npy")
    path = table(tmp_path / "t.parquet", range(32_769), range(32_769))
    with pytest.raises(TooLarge, match=r"t.parquet: has 32,769 sites"):
        matrices.read(path)
