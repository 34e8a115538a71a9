"""Averaged matrices, sums and entry counts against plain numpy on recorded matrices."""

import numpy as np
import pytest

from birkhoff_cli.analyses import heatmap
from birkhoff_cli.analyses.core.errors import BadInput, UsageError
from birkhoff_cli.analyses.core.source import Drawn, Draws
from birkhoff_cli.analyses.core.trace import Site, in_memory
from birkhoff_cli.analyses.parameterizations.hc import HC
from birkhoff_cli.analyses.parameterizations.mhc import MHC
from birkhoff_cli.analyses.parameterizations.shc import SHC

EDGES = np.linspace(-2, 2, 513)


def trace(matrices):
    sites = tuple(
        Site(k // 2, ("attn", "mlp")[k % 2], f"site {k}") for k in range(matrices.shape[1])
    )
    return in_memory(matrices, sites, "test")


def same(row, h):
    """A row against float64 ``(samples, d, d)``."""
    mean = h.mean(0)
    for name, expected in (
        ("mean", mean),
        ("std", h.std(0)),
        ("row_sum", mean.sum(1)),
        ("column_sum", mean.sum(0)),
        ("entry_min", h.min()),
        ("entry_max", h.max()),
    ):
        np.testing.assert_allclose(row[name], expected, rtol=1e-9, atol=1e-9, err_msg=name)
    np.testing.assert_array_equal(row["histogram"], np.histogram(h, EDGES)[0])


@pytest.mark.parametrize("name", ["mhclite_mhc_n4", "mhclite_hc_n4", "hf_v4_origfmt"])
def test_every_number_equals_plain_numpy_on_what_a_model_applied(name, checkpoints):
    with np.load(checkpoints / name / "truth.npz") as truth:
        h = truth["H"]
    result = heatmap.run(trace(h))
    *sites, composite = result.table.to_pylist()
    exact = h.astype(float)
    for row in sites:
        same(row, exact[:, row["site"]])
    product = exact[:, 0]
    for k in range(1, exact.shape[1]):
        product = np.einsum("nij,njk->nik", exact[:, k], product)
    composite["histogram"][-1] -= (product > 2).sum()
    same(composite, product)
    assert composite["kind"] == "composite" and composite["site"] is None
    summary = result.summarise()
    assert summary["composite_row_sum_max"] == pytest.approx(product.mean(0).sum(1).max())
    assert summary["column_sum_min"] == pytest.approx(exact.mean(0).sum(-2).min())
    assert summary["negative_fraction"] == pytest.approx((exact < 0).mean())


def test_the_composite_is_averaged_last():
    """The mean of the products is not the product of the means."""
    h = np.stack([np.eye(3)[p] for p in ([1, 0, 2], [0, 2, 1])])[:, None].repeat(2, axis=1)
    row = heatmap.run(trace(h)).table.to_pylist()[-1]
    np.testing.assert_allclose(row["mean"], np.eye(3))


def test_entries_at_the_edges_of_bins_and_beyond():
    h = np.array([[0.0, 1.0], [-0.0, -1e-300]])[None, None]
    counts = np.array(heatmap.run(trace(h)).table["histogram"].to_pylist()[0])
    assert dict(zip(*np.unique(counts, return_counts=True), strict=True)) == {0: 509, 1: 2, 2: 1}
    assert [counts[k] for k in (255, 256, 384)] == [1, 2, 1]
    far = np.array([[-9.0, 9.0], [-2.0, 2.0]])[None, None]
    counts = heatmap.run(trace(far)).table["histogram"].to_pylist()[0]
    assert counts[0] == counts[-1] == 2 and sum(counts) == 4


def test_what_varies_little_keeps_its_deviation(rng):
    """Squares less the squared mean would be rounding only."""
    h = 1 + 1e-9 * rng.normal(size=(5000, 1, 2, 2))
    row = heatmap.run(trace(h)).table.to_pylist()[0]
    np.testing.assert_allclose(row["std"], h[:, 0].std(0), rtol=1e-6)


def test_signed_mixing_has_exact_sums_and_negative_entries():
    """sHC, figures 8 and 9."""
    draws = Draws(samples=300, layers=6)
    summary = heatmap.run(Drawn(SHC(4), draws)).summary
    for name in ("row_sum", "column_sum", "composite_row_sum", "composite_column_sum"):
        assert summary[f"{name}_min"] == pytest.approx(1) == summary[f"{name}_max"]
    assert summary["negative_fraction"] > 0.1
    assert summary["sites"] == 6 and summary["samples"] == 300


@pytest.mark.parametrize("d, layers, samples", [(1, 1, 1), (1, 3, 2), (64, 2, 2), (3, 1, 4)])
def test_small_and_large(d, layers, samples):
    table = heatmap.run(Drawn(MHC(d), Draws(samples=samples, layers=layers))).table
    assert table.num_rows == layers + 1
    assert np.shape(table["mean"].to_pylist()) == (layers + 1, d, d)
    np.testing.assert_allclose(table["row_sum"].to_pylist(), 1)


def test_what_cannot_be_averaged_is_one_clear_line():
    for empty in (np.ones((0, 2, 3, 3)), np.ones((1, 0, 3, 3))):
        with pytest.raises(BadInput, match="holds no matrices"):
            heatmap.run(trace(empty))
    with pytest.raises(BadInput, match="NaN or infinity"):
        heatmap.run(trace(np.full((1, 1, 2, 2), np.nan))).summary  # noqa: B018
    with pytest.raises(UsageError, match="--layers 0"):
        Draws(layers=0)
    draws = Draws(samples=2, layers=500, scale=100.0, draw="gaussian")
    with pytest.raises(BadInput, match="exceeds the largest number"):
        heatmap.run(Drawn(HC(4), draws)).summary  # noqa: B018


@pytest.mark.parametrize("method, layers", [(MHC(1), 1), (SHC(4), 9), (MHC(8), 2)])
def test_the_picture_shows_the_table(method, layers):
    from matplotlib.figure import Figure

    table = heatmap.run(Drawn(method, Draws(samples=20, layers=layers))).table
    figure = Figure(layout="constrained")
    heatmap.draw(table, figure)
    images = [axes.images[0].get_array() for axes in figure.axes if axes.images]
    assert len(images) == min(layers, heatmap.MAX_SITES) + 1
    np.testing.assert_allclose(images[0], table["mean"].to_pylist()[0])
    np.testing.assert_allclose(images[-1], table["mean"].to_pylist()[-1])
    if method.d == 4:
        sums = [text.get_text() for text in figure.axes[0].get_yticklabels()]
        assert sums == ["1.00"] * 4
