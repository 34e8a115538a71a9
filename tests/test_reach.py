"""The probes of the spectrum: exact frontiers, hits that are hits, gradients that are gradients."""

import numpy as np
import pytest

from birkhoff_cli.analyses import spectrum
from birkhoff_cli.analyses.core.arrays import batch_first, lanes
from birkhoff_cli.analyses.core.errors import UsageError
from birkhoff_cli.analyses.core.random_numbers import generator
from birkhoff_cli.analyses.core.source import Drawn, Draws
from birkhoff_cli.analyses.core.trace import Site, in_memory
from birkhoff_cli.analyses.geometry.characteristic import residual
from birkhoff_cli.analyses.geometry.charts import Parameters, chart_of
from birkhoff_cli.analyses.geometry.rays import explore, spread
from birkhoff_cli.analyses.geometry.rotations import Rotations
from birkhoff_cli.analyses.parameterizations.averaged_go_mhc import AveragedGoMHC
from birkhoff_cli.analyses.parameterizations.be_hc import BEHC
from birkhoff_cli.analyses.parameterizations.go_mhc import GoMHC
from birkhoff_cli.analyses.parameterizations.hc import HC
from birkhoff_cli.analyses.parameterizations.identity import Identity
from birkhoff_cli.analyses.parameterizations.krom_sum import KromSum
from birkhoff_cli.analyses.parameterizations.kromhc import KromHC
from birkhoff_cli.analyses.parameterizations.mhc import MHC
from birkhoff_cli.analyses.parameterizations.mhc_linear import MHCLinear
from birkhoff_cli.analyses.parameterizations.mhc_lite import MHCLite
from birkhoff_cli.analyses.parameterizations.orthostochastic import Orthostochastic
from birkhoff_cli.analyses.parameterizations.shc import SHC
from birkhoff_cli.analyses.probes.frontier import EFFORTS


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
        Parameters(Orthostochastic(3)),
        *map(
            chart_of,
            [
                GoMHC(3, field="complex"),
                HC(4),
                MHC(4),
                MHC(3, last="columns", iters=2),
                MHC(4, variant="deepseek-v4"),
                MHC(4, variant="motif"),
                MHC(3, variant="lucidrains", eps=1e-2),
                MHCLinear(3, eps=1e-2),
                MHCLite(4),
                BEHC(5),
                KromHC(6),
                KromSum(6),
                AveragedGoMHC(3, s=3, field="complex"),
                SHC(4),
                Orthostochastic(4),
                Orthostochastic(3, steps=2),
            ],
        ),
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


@pytest.mark.parametrize("d, steps", [(1, 5), (2, 0), (3, 5), (4, 2), (5, 5)])
def test_singular_vectors_and_values_make_the_matrices_of_orthostochastic(d, steps, rng):
    """What the norm of sigma lacks of 1 comes from the eps beside the norm of the logits."""
    method = Orthostochastic(d, steps=steps)
    chart = method.chart()
    state = chart.moved(chart.start(8, rng), 0.3 * rng.normal(size=(chart.directions, 8)))
    u, v = state[: 2 * d * d].reshape(2, d, d, 8)
    sigma = state[2 * d * d : -1]
    size = np.sqrt((sigma**2).sum(0))
    logits = np.einsum("ijb,jb,kjb->bik", u, sigma / size, v)
    logits *= (method.eps * size / (1 - size))[:, None, None]
    h = batch_first(chart.matrices(state), 2)
    np.testing.assert_allclose(method(logits.reshape(8, -1)), h, atol=1e-12)


def test_orthostochastic_matrices_reach_the_whole_region_of_four_streams():
    """And more: their sums are not exact."""
    summary = probe(Orthostochastic(4), "frontier").summary
    assert summary["coverage"] > 0.9995 and summary["area_outside"] > 0.3
    assert summary["area_uncertainty"] < 2e-3


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


@pytest.mark.parametrize("field", ["real", "complex"])
def test_targets_end_with_matrices_whose_sums_are_exact(field):
    """Moves are in single precision, the matrices at the end are not."""
    summary = probe(GoMHC(4, field=field), "targets", n=3000).summary
    assert max(summary["row_error_max"], summary["column_error_max"]) < 4e-15
    assert summary["outside_fraction"] == 0 and 0.28 < summary["hits"] < 0.36


@pytest.mark.parametrize(
    "method", [GoMHC(3, s=1), MHC(4, iters=3), BEHC(5, k=3), KromHC(6)], ids=repr
)
def test_every_end_of_an_interval_is_an_eigenvalue(method):
    """Ask LAPACK."""
    chart, angle = chart_of(method), np.linspace(0.1, 3.1, 24)
    found = explore(chart, np.random.default_rng(0), angle, 6)
    assert len(found.ray) > 3
    for radius, state in ((found.low, found.at_low), (found.high, found.at_high)):
        roots = np.linalg.eigvals(batch_first(chart.matrices(state), 2))
        distance = np.abs(roots - (radius * np.exp(1j * angle[found.ray]))[:, None]).min(1)
        assert distance.max() < 1e-6


@pytest.mark.parametrize(
    "method",
    [
        MHC(3),
        MHC(4, variant="deepseek-v4", iters=4),
        MHC(3, variant="xing", clip=np.inf),
        MHCLinear(3, iters=5),
        MHCLite(4),
        KromSum(3),
        BEHC(4, k=3, basis="local-shift"),
        BEHC(5, k=3, basis="local-shift"),
        AveragedGoMHC(4),
        AveragedGoMHC(3, field="complex"),
        GoMHC(3, s=2, field="complex"),
        SHC(3),
        HC(3),
        Identity(3),
    ],
    ids=repr,
)
def test_the_search_lies_within_its_error_of_the_exact_area(method):
    """Of every method a search falls short of what is known by no more than it says."""
    summary = probe(method, "frontier", directions=60, starts=4).summary
    exact = method.known_reach()
    error = summary["area_found_error"]
    if exact is None:  # xing: all doubly stochastic matrices, shrunk by the guard of about 1e-6
        assert summary["area_reached"] == summary["area_found"]
        exact = MHCLite(method.d).known_reach()
    else:
        assert summary["area_reached"] == exact.area and summary["area_discretisation"] == 0
    assert abs(summary["area_found"] - exact.area) <= error + exact.missing + 1e-9
    assert error < 0.01 * max(summary["area_region"], 1)
    assert summary["coverage"] <= 1


def test_what_is_found_outside_the_region_is_no_area_reached():
    summary = probe(MHC(4, iters=2), "frontier", directions=24, starts=2).summary
    assert summary["area_outside"] > 0.01 and summary["outside_fraction"] > 0
    assert summary["area_found"] <= summary["area_region"] and summary["coverage"] == 1


def test_an_interval_of_a_ray_may_begin_away_from_0():
    """Three random permutations of five: 0.2439 by counting cells (0.2551 and 0.2495 of 800 and
    1600 cells along a side, which cells of the boundary enlarge in proportion to their side).
    """
    result = probe(BEHC(5, k=3), "frontier")
    summary, table = result.summary, result.table
    assert abs(summary["area_reached"] - (2 * 0.2495 - 0.2551)) < 2e-3
    inner = table["inner"].to_numpy()
    assert (inner > 0.1).sum() > 10
    assert (inner <= np.hypot(table["re"], table["im"])).all()
    assert summary["proven_by"].startswith("a search")


def test_two_searches_in_one_batch_are_two_searches():
    """No state of one is tried on the rays of the other, nor from the last ray to the first."""
    chart, angle = chart_of(BEHC(4, k=3)), np.linspace(0.1, 3.1, 12)
    both = explore(chart, np.random.default_rng(1), np.tile(angle, 2), 2)
    together = spread(chart, np.tile(angle, 2), both, EFFORTS[0]).split(12)
    for one, alone in zip(together, both.split(12), strict=True):
        apart = spread(chart, angle, alone, EFFORTS[0])
        np.testing.assert_array_equal(one.ray, apart.ray)
        np.testing.assert_allclose(one.low, apart.low, atol=1e-8)
        np.testing.assert_allclose(one.high, apart.high, atol=1e-8)


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
