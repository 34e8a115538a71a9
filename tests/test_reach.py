"""The probes of the spectrum: exact frontiers, hits that are hits, gradients that are gradients."""

import numpy as np
import pytest

from birkhoff_cli.analyses import spectrum
from birkhoff_cli.analyses.core.arrays import batch_first, lanes
from birkhoff_cli.analyses.core.errors import UsageError
from birkhoff_cli.analyses.core.random_numbers import generator
from birkhoff_cli.analyses.core.source import Drawn, Draws
from birkhoff_cli.analyses.core.trace import Site, in_memory
from birkhoff_cli.analyses.geometry import reach
from birkhoff_cli.analyses.geometry.characteristic import residual
from birkhoff_cli.analyses.geometry.charts import Parameters, Rotations
from birkhoff_cli.analyses.parameterizations.go_mhc import GoMHC
from birkhoff_cli.analyses.parameterizations.hc import HC
from birkhoff_cli.analyses.parameterizations.identity import Identity
from birkhoff_cli.analyses.parameterizations.kromhc import KromHC
from birkhoff_cli.analyses.parameterizations.mhc import MHC
from birkhoff_cli.analyses.parameterizations.mhc_lite import MHCLite
from birkhoff_cli.analyses.parameterizations.shc import SHC


def probe(method, kind, n=1000, **more):
    return spectrum.run(Drawn(method, Draws(samples=n)), probe=kind, **more)


@pytest.mark.parametrize("d", [2, 3, 4, 5, 6])
def test_the_residual_is_a_determinant_over_its_adjugate(d, rng):
    h = GoMHC(d).draw(40, rng)
    z = rng.normal(size=40) + 1j * rng.normal(size=40)
    r, _ = residual(np.ascontiguousarray(lanes(h, 2)), z)
    g = h[:, :-1, :-1] - h[:, -1:, :-1]
    m = z[:, None, None] * np.eye(d - 1) - g
    adjugate = np.linalg.inv(m) * np.linalg.det(m)[:, None, None]
    expected = np.linalg.det(m) / np.linalg.norm(adjugate, axis=(1, 2))
    np.testing.assert_allclose(r, expected, rtol=1e-8)


@pytest.mark.parametrize(
    "chart",
    [
        Rotations(4, 2),
        Rotations(3, 1),
        Rotations(6, 1),
        Parameters(MHC(4)),
        Parameters(MHC(3, last="columns")),
        Parameters(SHC(4)),
        Parameters(HC(3)),
        Parameters(GoMHC(3, field="complex")),
    ],
    ids=repr,
)
def test_steps_converge_quadratically_where_an_eigenvalue_is_near(chart, rng):
    """So the gradient is a gradient: with a wrong one Gauss-Newton converges slowly or not."""
    state = chart.start(200, rng)
    roots = np.linalg.eigvals(batch_first(chart.matrices(state), 2))
    complex_ones = np.flatnonzero(roots.imag.max(1) > 0.05)
    state = np.ascontiguousarray(state[..., complex_ones])
    target = roots[complex_ones, roots[complex_ones].imag.argmax(1)] * (1 - 1e-3)
    sizes = []
    for _ in range(3):
        r, gradient = residual(chart.matrices(state), target)
        sizes.append(np.median(np.abs(r)))
        state = chart.move(state, gradient, r)
    assert len(complex_ones) > 5
    assert sizes[1] < 30 * sizes[0] ** 2 + 1e-13 and sizes[2] < 30 * sizes[1] ** 2 + 1e-13


@pytest.mark.parametrize("s, fraction", [(1, 0.5374220338), (2, 0.7687110169), (3, 0.8458073446)])
def test_the_frontier_of_go_mhc_with_three_streams(s, fraction):
    """docs/mathematics.md 3: 1 - (1 - 8 pi sqrt(3) / 81) / s of the triangle, and the gap 1 /
    (6 s).
    """
    summary = probe(GoMHC(3, s=s), "frontier", directions=120, starts=3).summary
    assert summary["coverage"] == pytest.approx(fraction, abs=1e-9)
    assert summary["area_uncertainty"] == summary["area_discretisation"] == 0
    assert summary["area_found"] / summary["area_region"] == pytest.approx(fraction, abs=1e-3)
    assert summary["gap_max"] == pytest.approx(summary["gap_expected"], abs=5e-4)
    assert summary["gap_expected"] == pytest.approx(1 / (6 * s))
    assert summary["outside_fraction"] == 0 and summary["area_found_error"] < 5e-3
    assert summary["proven"] is summary["gap_proven"] is (s == 1)


@pytest.mark.parametrize("s, least", [(1, 0.638), (2, 0.798)])
def test_the_frontier_of_go_mhc_with_four_streams(s, least):
    """docs/mathematics.md 3: certified lower bounds .6388 and .7990, to be quoted +- 0.0005."""
    summary = probe(GoMHC(4, s=s), "frontier").summary
    assert least <= summary["coverage"] < least + 0.003


def test_every_point_of_a_frontier_is_an_eigenvalue():
    """Walk the last pass again and ask LAPACK."""
    chart, rng = Rotations(3, 1), np.random.default_rng(0)
    angle = reach.directions(3, 30)
    radius, state = reach.push(chart, chart.start(len(angle), rng), angle)
    roots = np.linalg.eigvals(batch_first(chart.matrices(state), 2))
    reached = radius > 0
    distance = np.abs(roots - (radius * np.exp(1j * angle))[:, None]).min(1)
    assert reached.mean() > 0.8 and distance[reached].max() < 1e-6


def test_a_whole_polytope_is_reached():
    summary = probe(MHCLite(3), "frontier", directions=24, starts=4).summary
    assert summary["coverage"] == 1 and summary["proven"] is True
    assert summary["area_found"] > 0.98 * summary["area_region"]


def test_kromhc_of_2_x_2_factors_has_an_empty_frontier():
    summary = probe(KromHC(4), "frontier", directions=16, starts=1).summary
    assert summary["area_reached"] == 0 and summary["area_found"] < 1e-9
    assert not {"eigenvalues", "nonreal_fraction", "resolution"} & summary.keys()


def test_targets_that_count_as_hit_are_hit():
    result = probe(GoMHC(4), "targets", n=3000)
    table = result.table
    assert sorted(set(table["sample"].to_pylist())) == list(range(3000))
    assert len(table) == 4 * 3000
    rng = generator(0)
    target = rng.uniform(-1, 1, 3000) + 1j * rng.uniform(-1, 1, 3000)
    z = table["re"].to_numpy() + 1j * table["im"].to_numpy()
    other = table["index"].to_numpy() > 0
    near = np.full(3000, np.inf)
    np.minimum.at(
        near, table["sample"].to_numpy()[other], np.abs(z - target[table["sample"]])[other]
    )
    assert result.summary["hits"] == (near < 1e-3).mean()
    assert 0.3 < result.summary["hits"] < 0.799 * 2.085 / 4
    assert result.summary["outside_fraction"] == 0 and result.summary["row_error_max"] < 1e-13


def test_targets_reach_farther_than_samples_and_history_farther_still():
    sampled = probe(GoMHC(4), "sample", n=3000).summary["coverage"]
    last = probe(GoMHC(4), "targets", n=3000)
    assert last.summary["coverage"] > 1.5 * sampled
    walked = probe(GoMHC(4), "targets", n=3000, history=True)
    assert len(walked.table) > len(probe(GoMHC(4), "targets", n=3000).table)
    assert walked.summary["coverage"] > last.summary["coverage"]


def test_targets_of_an_unfinished_sinkhorn_report_what_is_not_exact():
    summary = probe(MHC(4, iters=2), "targets", n=200, max_steps=20).summary
    assert summary["row_error_max"] < 1e-12 < 1e-3 < summary["column_error_max"]


def test_the_same_seed_gives_the_same_reach():
    first, again = (probe(GoMHC(3), "targets", n=500).table for _ in range(2))
    assert first.equals(again)


def test_a_checkpoint_cannot_be_moved(rng):
    trace = in_memory(GoMHC(4).draw(1, rng)[None], (Site(0, "attn", "a"),), "file.pt")
    with pytest.raises(UsageError, match=r"file\.pt is fixed"):
        spectrum.run(trace, probe="targets")


@pytest.mark.parametrize("kind", ["targets", "frontier"])
def test_a_map_without_parameters_stays_where_it_is_and_one_stream_has_no_other_eigenvalue(kind):
    more = {"directions": 8, "starts": 1}
    assert probe(Identity(4), kind, n=5, **more).summary["area_reached"] < 1e-3
    with pytest.raises(UsageError, match="d = 1"):
        probe(GoMHC(1), kind, n=5)


@pytest.mark.parametrize("option", ["max_steps", "directions", "starts"])
def test_numbers_out_of_range(option):
    with pytest.raises(UsageError, match="--" + option.replace("_", "-")):
        probe(GoMHC(3), "frontier", **{option: 0})
