"""Spectra against LAPACK and a plain count of cells."""

import numpy as np
import pytest

from birkhoff_cli.analyses import spectrum
from birkhoff_cli.analyses.core.errors import UsageError
from birkhoff_cli.analyses.core.evaluators import through_torch
from birkhoff_cli.analyses.core.random_numbers import block_generator
from birkhoff_cli.analyses.core.source import Drawn, Draws
from birkhoff_cli.analyses.core.trace import Site, in_memory
from birkhoff_cli.analyses.parameterizations.go_mhc import GoMHC
from birkhoff_cli.analyses.parameterizations.hc import HC
from birkhoff_cli.analyses.parameterizations.krom_go_mhc import KromGoMHC
from birkhoff_cli.analyses.parameterizations.krom_sum import KromSum
from birkhoff_cli.analyses.parameterizations.kromhc import KromHC
from birkhoff_cli.analyses.parameterizations.mhc import MHC
from birkhoff_cli.analyses.parameterizations.mhc_lite import MHCLite
from birkhoff_cli.analyses.parameterizations.shc import SHC


def run(source, n=5_000, seed=0, **more):
    draws = Draws(samples=n, **{k: more.pop(k) for k in ("draw", "scale", "dtype") if k in more})
    return spectrum.run(Drawn(source, draws, seed), **more)


@pytest.mark.parametrize(
    "method",
    [
        *(GoMHC(4), GoMHC(3, s=1), GoMHC(5, s=1), HC(3), MHC(4, iters=1)),
        *(KromHC(16), KromHC(9), KromGoMHC(6), KromSum(8), KromSum(9, terms=1)),
    ],
)
def test_the_table_holds_the_eigenvalues_of_the_drawn_matrices(method):
    table = run(method, 500).table
    h = method.draw(500, block_generator(0, 0))
    found = (table["re"].to_numpy() + 1j * table["im"].to_numpy()).reshape(500, method.d)
    order = [sorted(row, key=lambda z: (round(z.real, 8), z.imag)) for row in found]
    expected = [
        sorted(row, key=lambda z: (round(z.real, 8), z.imag)) for row in np.linalg.eigvals(h)
    ]
    assert np.abs(np.array(order) - np.array(expected)).max() < 1e-9
    assert table["sample"].to_numpy().tolist() == np.repeat(np.arange(500), method.d).tolist()
    assert table["index"].to_numpy().tolist() == list(range(method.d)) * 500


def inside_some_polygon(re, im, d):
    z = np.asarray(re + 1j * im)
    inside = np.zeros(z.shape, dtype=bool)
    for k in range(3, d + 1):
        corner = np.exp(2j * np.pi * np.arange(k + 1) / k)
        cross = [(np.conj(b - a) * (z - a)).imag for a, b in zip(corner, corner[1:], strict=False)]
        inside |= np.min(cross, axis=0) >= -1e-12
    return inside | ((np.abs(im) <= 1e-9) & (np.abs(re) <= 1 + 1e-9))


@pytest.mark.parametrize("method, scale", [(GoMHC(4), None), (MHC(4, iters=1), 8.0), (HC(3), 1.0)])
def test_coverage_and_outside_equal_a_plain_count_over_the_table(method, scale):
    result = run(method, 4_000, scale=scale, resolution=50)
    table = result.table
    summary = result.summary
    re, im = table["re"].to_numpy(), table["im"].to_numpy()
    centre = (np.arange(50) + 0.5) / 25 - 1
    cells = inside_some_polygon(centre[:, None], centre[None] + 0 * centre[:, None], method.d)
    edges = np.linspace(-1, 1, 51)
    held = np.histogram2d(re, im, bins=[edges, edges])[0] > 0
    assert summary["coverage"] == pytest.approx((held & cells).sum() / cells.sum(), abs=1e-12)
    assert summary["outside_fraction"] == np.mean(~inside_some_polygon(re, im, method.d))
    assert summary["eigenvalues"] == len(re) and summary["resolution"] == 50
    assert summary["area_reached"] == pytest.approx((held & cells).sum() * 0.04**2)


def test_few_sweeps_leave_the_region_and_more_sweeps_return():
    """docs/mathematics.md 8: mHC's red points in go-mHC's figure 4a are those of an unfinished
    Sinkhorn.
    """
    outside = [
        run(MHC(4, iters=k), 20_000, draw="uniform", scale=8.0).summary["outside_fraction"]
        for k in (1, 5, 20)
    ]
    assert outside[0] > outside[1] > outside[2] and outside[2] < 1e-5


@pytest.mark.parametrize("method", [GoMHC(3, s=1), GoMHC(4), MHCLite(4), MHCLite(3), KromHC(4)])
def test_exact_methods_never_leave_the_region(method):
    assert run(method, 20_000).summary["outside_fraction"] == 0


@pytest.mark.parametrize("method", [KromHC(4), KromHC(16), KromGoMHC(16), KromSum(16)])
def test_2_x_2_factors_have_no_non_real_eigenvalue(method):
    """LAPACK finds pairs of 1e-17 i in matrices of side 16, and no 1 that is exact."""
    table = run(method, 500, scale=3.0).table
    found = table["re"].to_numpy().reshape(500, method.d)
    assert not table["im"].to_numpy().any() and (found[:, 0] == 1).all()
    h = method.draw(500, block_generator(0, 0), scale=3.0)
    assert np.abs(np.sort(found) - np.linalg.eigvalsh(h)).max() < 1e-12


def test_shc_is_measured_against_the_unit_disk():
    summary = run(SHC(4), 2_000).summary
    assert summary["region"] == "unit disk" and summary["outside_fraction"] == 0
    assert summary["area_region"] == pytest.approx(np.pi)


def test_a_name_with_dollars_is_no_formula(birkhoff, tmp_path):
    np.save(tmp_path / "a$b$c.npy", GoMHC(3).draw(2, np.random.default_rng(0)))
    done = birkhoff("spectrum", "a$b$c.npy", "--plot", "a.png", "-q")
    assert done.returncode == 0 and (tmp_path / "a.png").exists()


def test_a_trace_keeps_its_sites():
    h = GoMHC(4).draw(6, np.random.default_rng(1)).reshape(2, 3, 4, 4)
    sites = (Site(0, "attn", "a"), Site(0, "mlp", "b"), Site(1, "attn", "c"))
    table = spectrum.run(in_memory(h, sites, "test")).table
    assert table["site"].to_numpy().tolist() == np.tile(np.repeat([0, 1, 2], 4), 2).tolist()
    assert table["layer"].to_numpy().tolist() == np.tile(np.repeat([0, 0, 1], 4), 2).tolist()
    assert table["branch"].to_pylist()[4] == "mlp" and table["sample"].to_pylist()[12] == 1


def test_the_same_seed_gives_the_same_rows_and_another_gives_others():
    first, again, other = (run(GoMHC(4), 50, seed=s).table for s in (3, 3, 4))
    assert first.equals(again) and not first.equals(other)


def test_single_precision_is_measured_as_it_is():
    exact, single = (
        run(GoMHC(4), 200, dtype=t).table["re"].to_numpy() for t in ("float64", "float32")
    )
    assert 1e-9 < np.abs(np.sort(exact) - np.sort(single)).max() < 1e-5


@pytest.mark.parametrize("method", [GoMHC(4), MHC(4), SHC(3)])
def test_the_way_through_torch_gives_the_same_matrices(method, rng):
    """What --device cuda does, on the device that every machine has."""
    theta = method.theta(50, rng, "gaussian")
    there = through_torch("cpu", "float64")(method, theta)
    assert there.dtype == np.float64 and np.abs(there - method(theta)).max() < 1e-12
    assert through_torch("cpu", "float32")(method, theta).dtype == np.float32


def test_a_grid_without_cells_is_refused():
    with pytest.raises(UsageError, match="resolution 0"):
        run(GoMHC(4), resolution=0)


def test_kronecker_products_leave_the_region_of_their_factors_and_it_is_said():
    """docs/mathematics.md 5.6: go-mHC's Proposition B.1 holds for 2 x 2 factors only."""
    leaves = run(KromHC(9), 5_000, scale=3.0).summary
    assert leaves["outside_factor_fraction"] > 0.01 and leaves["outside_fraction"] == 0
    assert run(KromHC(4), 5_000, scale=3.0).summary["outside_factor_fraction"] == 0


def test_mhc_leaves_the_doubly_stochastic_region_but_never_karpelevics():
    """docs/mathematics.md 8: a row-stochastic matrix is stochastic."""
    summary = run(MHC(4, iters=1), 20_000, scale=8.0).summary
    assert summary["outside_fraction"] > 0.005 and summary["outside_karpelevic_fraction"] == 0
