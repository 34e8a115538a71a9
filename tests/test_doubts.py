"""Of a table that nobody signed, gaps in the numbers of sites and layers that fall are said."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from birkhoff_cli import matrices

GAP = "are all there are, though none has the number"
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
        ([1, 2, 3], [0, 1, 1], []),
        ([0, 8, 16], [0, 8, 16], []),
        ([5], [2], []),
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
