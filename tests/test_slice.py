"""The plane of a cycle: exact sets against other descriptions of them, samples against both."""

import json

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.signal import fftconvolve

from birkhoff_cli.analyses import slice as plane
from birkhoff_cli.analyses.core.errors import UsageError
from birkhoff_cli.analyses.core.random_numbers import block_generator
from birkhoff_cli.analyses.core.source import Drawn, Draws
from birkhoff_cli.analyses.core.trace import MixingTrace, Site, in_memory
from birkhoff_cli.analyses.geometry import cycles
from birkhoff_cli.analyses.geometry.hypocycloids import Support, hypocycloid, polygon_area
from birkhoff_cli.analyses.geometry.orthogonal import block_norms, haar
from birkhoff_cli.analyses.parameterizations.averaged_go_mhc import AveragedGoMHC
from birkhoff_cli.analyses.parameterizations.be_hc import BEHC
from birkhoff_cli.analyses.parameterizations.go_mhc import GoMHC
from birkhoff_cli.analyses.parameterizations.hc import HC
from birkhoff_cli.analyses.parameterizations.identity import Identity
from birkhoff_cli.analyses.parameterizations.krom_go_mhc import KromGoMHC
from birkhoff_cli.analyses.parameterizations.krom_sum import KromSum
from birkhoff_cli.analyses.parameterizations.kromhc import KromHC
from birkhoff_cli.analyses.parameterizations.mhc import MHC
from birkhoff_cli.analyses.parameterizations.mhc_linear import MHCLinear
from birkhoff_cli.analyses.parameterizations.mhc_lite import MHCLite
from birkhoff_cli.analyses.parameterizations.orthostochastic import Orthostochastic
from birkhoff_cli.analyses.parameterizations.shc import SHC

DELTOID = 0.5374220338471756
EVERY = [(field, s) for field in ("real", "complex") for s in (1, 2, 3)]


def run(source, n=5_000, seed=0, **more):
    draws = Draws(samples=n, **{k: more.pop(k) for k in ("draw", "scale", "dtype") if k in more})
    return plane.run(Drawn(source, draws, seed), **more)


def grid(cells):
    centre = (np.arange(cells) + 0.5) * (2 / cells) - 1
    return np.meshgrid(centre, centre, indexing="ij")


def deltoid(re, im):
    """Its polynomial, docs/mathematics.md 3: 0 or more in the disk is inside."""
    z = re + 1j * im
    return 1 - 6 * abs(z) ** 2 + 8 * (z**3).real - 3 * abs(z) ** 4


def symmetric(p):
    return p[0] * p[1] + p[1] * p[2] + p[2] * p[0], p[0] * p[1] * p[2]


# the sets themselves


@pytest.mark.parametrize(
    "cells, counts", [(200, (6974, 9988, 10980)), (400, (27930, 39942, 43950))]
)
def test_cells_whose_centre_is_in_the_set_are_those_of_math_4_5(cells, counts):
    points = grid(cells)
    found = [int((Support("scallops", 3, s).excess(*points) <= 0).sum()) for s in (1, 2, 3)]
    assert tuple(found) == counts
    triangle = int((Support("polygon", 3).excess(*points) <= 0).sum())
    assert triangle == {200: 12988, 400: 51960}[cells]


@pytest.mark.parametrize("d", [3, 4, 5, 7])
@pytest.mark.parametrize("s", [1, 2, 3])
def test_the_fraction_is_the_area_within_the_drawn_boundary(d, s):
    support = Support("scallops", d, s)
    re, im = support.boundary()
    z = re + 1j * im
    area = 0.5 * (np.conj(z) * np.roll(z, -1)).imag.sum()
    assert area / polygon_area(d) == pytest.approx(support.fraction, abs=2e-4)
    assert np.abs(support.excess(re, im)).max() < 1e-12


def test_exact_fractions_at_d_3():
    """docs/mathematics.md 3."""
    found = [Support("scallops", 3, s).fraction for s in (1, 2, 3, 4, 6, 8)]
    expected = [DELTOID, 0.7687110169, 0.8458073446, 0.8843555085, 0.9229036723, 0.9421777542]
    assert_allclose(found, expected, atol=1e-10)
    assert Support("scallops", 3).fraction == pytest.approx(8 * np.pi * np.sqrt(3) / 81, abs=1e-15)


def test_exact_fractions_of_hypocycloids_and_of_the_square():
    """docs/mathematics.md 4.2."""
    found = [Support("scallops", d).fraction for d in (3, 4, 5, 6)]
    assert_allclose(found, [0.537422, 0.589049, 0.634227, 0.671778], atol=5e-7)
    found = [Support("scallops", 4, s).fraction for s in (1, 2, 3)]
    assert_allclose(found, [1 - (1 - 3 * np.pi / 16) / s for s in (1, 2, 3)], rtol=1e-14)


def test_three_descriptions_of_the_deltoid_agree(rng):
    """The fold onto an edge, the polynomial of docs/mathematics.md 3, and e2^2 <= 4 e3 of
    docs/mathematics.md 4.3.
    """
    p = rng.dirichlet([0.5] * 3, 100_000).T
    re, im = cycles.point(p)
    e2, e3 = symmetric(p)
    excess = Support("scallops", 3).excess(re, im)
    sure = np.abs(excess) > 1e-9
    assert sure.mean() > 0.99
    assert ((e2**2 <= 4 * e3) == (excess <= 0))[sure].all()
    assert ((deltoid(re, im) >= 0) == (excess <= 0))[np.abs(excess) > 1e-5].all()


@pytest.mark.parametrize("d", [3, 4])
@pytest.mark.parametrize("s", [2, 3])
def test_scallops_are_minkowski_means_of_hypocycloids(d, s):
    """Rasters of H_d, added by convolution: cells off the boundary agree."""
    cells = 121
    re, im = grid(cells)
    one = (Support("scallops", d).excess(re, im) <= 0).astype(float)
    if d == 3:
        assert (one == (deltoid(re, im) >= 0) * (np.hypot(re, im) <= 1)).all()
    total = one
    for _ in range(s - 1):
        total = (fftconvolve(total, one) > 0.5).astype(float)
    side = total.shape[0]
    centre = (np.arange(side) - (side - 1) / 2) * (2 / cells) / s
    excess = Support("scallops", d, s).excess(centre[:, None], centre + 0 * centre[:, None])
    clear = np.abs(excess) > 3 * (2 / cells)
    assert clear.sum() > 3_000 and ((excess > 0) & clear).any()
    assert ((total > 0.5) == (excess <= 0))[clear].all()


@pytest.mark.parametrize("d, s", [(3, 1), (3, 2), (3, 3), (4, 2)])
def test_means_of_points_of_the_boundary_are_inside_and_a_hair_beyond_is_seen(d, s, rng):
    z = hypocycloid(rng.uniform(0, 2 * np.pi, (s, 50_000)), d).mean(0)
    support = Support("scallops", d, s)
    assert support.outside(z.real, z.imag, 1e-13) == 0
    re, im = support.boundary()
    out = 1 + 1e-8
    middle = np.abs(support.excess(re * out, im * out)) > 1e-9  # not along a cusp
    assert support.outside(re * out, im * out, 1e-9) == middle.sum() > 0.5 * len(re)
    assert support.outside(re * (1 + 4e-10), im * (1 + 4e-10), 1e-9) == 0


@pytest.mark.parametrize("d", range(3, 9))
def test_real_orthogonal_matrices_project_onto_the_boundary_of_the_hypocycloid(d):
    """The construction in the docstring of `hypocycloids`: H_d is reached for every d."""
    root = np.exp(2j * np.pi / d)
    v = root ** (-np.arange(d) / 2) / np.sqrt(d)
    for t in (0.1, 0.7, 2.3):
        turn = np.eye(d) + np.expm1(1j * d * t) * np.outer(v, v.conj())
        m = np.exp(-1j * t) * np.diag(root ** np.arange(d)) @ turn
        assert np.abs(m - m.T).max() < 1e-14
        _, q = np.linalg.eigh(m.real + np.pi * m.imag)  # commuting symmetric parts
        values = np.diag(q.T @ m @ q)
        order = [int(np.argmin(np.abs(values - root**k))) for k in range(d)]
        assert np.abs(q[:, order] @ np.diag(root ** np.arange(d)) @ q[:, order].T - m).max() < 1e-12
        re, im = cycles.point(cycles.coefficients(np.square(q[:, order])[None]))
        assert (
            abs(re[0] + 1j * im[0] - hypocycloid(-t, d)) < 1e-12
            or abs(re[0] - 1j * im[0] - hypocycloid(-t, d)) < 1e-12
        )


@pytest.mark.parametrize("d", range(3, 11))
def test_the_loop_along_the_hypocycloid_closes_after_one_round_or_two(d):
    """And how often it has to be run: the docstring of `hypocycloids`, for d = 6 and 10 too."""
    root = np.exp(2j * np.pi / d)
    v = root ** (-np.arange(d) / 2) / np.sqrt(d)
    q = np.eye(d)
    cycle = None
    for k in range(1, 20 * d + 1):
        t = 2 * np.pi * k / (20 * d)
        turn = np.eye(d) + np.expm1(1j * d * t) * np.outer(v, v.conj())
        m = np.exp(-1j * t) * np.diag(root ** np.arange(d)) @ turn
        _, u = np.linalg.eigh(m.real + np.pi * m.imag)
        order = np.abs(np.diag(u.T @ m @ u)[:, None] - root ** np.arange(d)).argmin(0)
        u = u[:, order]
        u *= np.sign(np.einsum("ij,ij->j", q, u))  # continuous
        assert np.abs(u - q).max() < 0.5
        q = u
        cycle = q if k == 20 else cycle
    signed = np.round(cycle)
    assert np.abs(cycle - signed).max() < 1e-9 and np.linalg.det(signed) == pytest.approx(1)
    closes = 1 if d % 2 else -1
    assert np.abs(q - closes * np.eye(d)).max() < 1e-9
    assert np.array_equal(np.linalg.matrix_power(signed, d), closes * np.eye(d))
    if d % 2 == 0:
        angle = np.angle(np.linalg.eigvals(signed))
        turns = angle[angle > 0].sum() * 2 * d / (2 * np.pi)
        assert turns == pytest.approx((d // 2) ** 2)
        assert (round(turns) % 2 == 1) == (d in (6, 10))  # where two rounds are not enough


# coordinates


@pytest.mark.parametrize("d", [3, 4, 6])
def test_coefficients_are_traces_and_permutations_are_roots_of_unity(d, rng):
    b = rng.standard_normal((5, d, d))
    shift = np.roll(np.eye(d), 1, axis=1)  # P[i, i + 1] = 1
    power = [np.linalg.matrix_power(shift, k) for k in range(d)]
    alpha = cycles.coefficients(b)
    expected = [np.trace(p.T @ b, axis1=1, axis2=2) / d for p in power]
    assert_allclose(alpha, expected, atol=1e-14)
    nearest = sum(a[:, None, None] * p for a, p in zip(alpha, power, strict=True))
    assert_allclose(cycles.circulant(alpha), nearest, atol=1e-14)
    assert_allclose(cycles.distance(b, alpha), np.linalg.norm(b - nearest, axis=(1, 2)))
    re, im = cycles.point(cycles.coefficients(np.stack(power)))
    assert_allclose(re + 1j * im, np.exp(2j * np.pi * np.arange(d) / d), atol=1e-15)


def test_z_and_w_are_all_of_a_doubly_stochastic_matrix():
    """docs/mathematics.md 3: B_ij = alpha_{j - i} + beta_{i + j} - 1/3."""
    h = MHCLite(3).draw(100, np.random.default_rng(0))
    alpha, beta = cycles.coefficients(h), cycles.coefficients(h, turn=-1)
    i, j = np.indices((3, 3))
    assert_allclose(np.moveaxis(h, 0, -1), alpha[(j - i) % 3] + beta[(i + j) % 3] - 1 / 3)


def test_cycles_in_words():
    assert [cycles.notation(3, k) for k in range(3)] == ["I", "(1 2 3)", "(1 3 2)"]
    assert [cycles.notation(4, k) for k in (2, 3)] == ["(1 3)(2 4)", "(1 4 3 2)"]


# samples against the sets


@pytest.mark.parametrize("field, s", EVERY)
def test_no_sample_is_outside_the_exact_support(field, s):
    """docs/mathematics.md 4.2, 4.3; a hundred thousand Haar matrices and as many on the slice."""
    summary = run(GoMHC(3, s, field), 100_000, draw="haar").summary
    assert summary["outside_exact"] == 0 and summary["outside_tolerance"] == 1e-9
    assert summary["projection_samples"] == summary["slice_samples"] == 100_000
    fraction = 1 - (1 - DELTOID) / s
    assert summary["projection_exact"] == pytest.approx(fraction, abs=1e-10)
    curve = field == "real" and s == 1
    assert summary["slice_exact"] == pytest.approx(0 if curve else fraction, abs=1e-10)
    assert ("5.3333" in summary["slice_set"]) == curve
    assert summary["alpha_sum_error_max"] < 1e-14
    assert summary["area_polygon"] == pytest.approx(1.299038, abs=1e-6)


@pytest.mark.parametrize("s, share, noise", [(1, 0.556, 4e-3), (2, 0.501, 6e-3), (3, 0.287, 6e-3)])
def test_sampled_occupancy_falls_with_s_although_the_support_grows(s, share, noise):
    """docs/mathematics.md 4.5: Haar, N = 1e5, 200 cells."""
    summary = run(GoMHC(3, s), 100_000, draw="haar").summary
    assert summary["projection_fraction"] == pytest.approx(share, abs=noise)
    assert summary["cells"] == 12988 and summary["resolution"] == 200


@pytest.mark.parametrize("field, s", EVERY)
def test_slice_samples_are_circulant_and_those_of_block_circulant_matrices(field, s):
    alpha = cycles.block_circulant(50, s, np.random.default_rng(1), field)
    rng = np.random.default_rng(1)
    blocks = [haar(50, s, rng, field), haar(50, s, rng, "complex")]
    blocks.append(blocks[1].conj() if field == "real" else haar(50, s, rng, "complex"))
    fourier = np.exp(2j * np.pi / 3 * np.outer(range(3), range(3))) / np.sqrt(3)
    turn = np.kron(fourier, np.eye(s))
    q = np.zeros((50, 3 * s, 3 * s), dtype=complex)
    for k, u in enumerate(blocks):
        q[:, k * s : (k + 1) * s, k * s : (k + 1) * s] = u
    q = turn @ q @ turn.conj().T
    assert np.abs(q @ q.conj().swapaxes(1, 2) - np.eye(3 * s)).max() < 1e-13
    assert field == "complex" or np.abs(q.imag).max() < 1e-14
    assert np.abs(block_norms(q, s) - cycles.circulant(alpha)).max() < 1e-14


def test_the_real_slice_of_level_1_is_a_curve_and_the_complex_one_is_filled():
    """docs/mathematics.md 4.3, and how far both come along their set."""
    p = cycles.block_circulant(100_000, 1, np.random.default_rng(0))
    e2, e3 = symmetric(p)
    assert np.abs(e2**2 - 4 * e3).max() <= 1e-12
    assert (p.max(1) > 0.999).all() and p.max(0).min() < 0.4445  # corners, and (4/9, 4/9, 1/9)
    p = cycles.block_circulant(100_000, 1, np.random.default_rng(0), "complex")
    e2, e3 = symmetric(p)
    assert (e2**2 - 4 * e3).max() <= 1e-12
    assert np.abs(p - 1 / 3).max(0).min() < 5e-3  # J/3 is unistochastic


@pytest.mark.parametrize("field, s", [("complex", 1), ("real", 2), ("complex", 2)])
def test_slice_samples_fill_the_slice(field, s):
    """Real s >= 2 and complex s fill the same Z_s: nearly all its cells are hit."""
    result = run(GoMHC(3, s, field), 400_000, draw="haar", resolution=50)
    summary = result.summary
    assert summary["slice_fraction"] > summary["slice_exact"] - 0.01


def test_table_rows_are_the_points_of_the_drawn_matrices():
    table = run(GoMHC(3), 300, seed=4).table
    h = GoMHC(3).draw(300, block_generator(4, 0))
    rows = table.filter(np.array(table["kind"].to_pylist()) == "projection")
    alpha = np.stack([rows[f"alpha_{k}"].to_numpy() for k in range(3)])
    assert_allclose(
        alpha, [np.trace(np.roll(h, -k, axis=2), axis1=1, axis2=2) / 3 for k in range(3)]
    )
    z = rows["re"].to_numpy() + 1j * rows["im"].to_numpy()
    assert_allclose(z, np.exp(2j * np.pi / 3 * np.arange(3)) @ alpha, atol=1e-15)
    assert rows["sample"].to_pylist() == list(range(300)) and len(table) == 600
    on = table.filter(np.array(table["kind"].to_pylist()) == "slice")
    assert on["distance"].to_numpy().max() < 1e-15 < 1e-4 < rows["distance"].to_numpy().min()


def occupied(table, kind, cells):
    rows = table.filter(np.array(table["kind"].to_pylist()) == kind)
    edges = np.linspace(-1, 1, cells + 1)
    return np.histogram2d(rows["re"].to_numpy(), rows["im"].to_numpy(), bins=[edges, edges])[0] > 0


@pytest.mark.parametrize("method", [GoMHC(3), MHCLite(4), HC(3), SHC(3)])
def test_fractions_equal_a_plain_count_over_the_table(method):
    result = run(method, 4_000, resolution=40)
    table = result.table
    summary = result.summary
    for kind, d in (("projection", method.d), ("slice", 3)):
        cells = Support("polygon", d).excess(*grid(40)) <= 0
        share = (occupied(table, kind, 40) & cells).sum() / cells.sum()
        assert summary[f"{kind}_fraction"] == pytest.approx(share, abs=1e-12)


ON_SLICE = [
    (method, None)
    for method in (
        *(GoMHC(3, 1, "complex"), GoMHC(5, 2), AveragedGoMHC(3), AveragedGoMHC(4, field="complex")),
        *(Identity(3), MHC(3), MHC(4, iters=1), MHC(3, variant="mhc-lite"), MHCLite(3), HC(3)),
        *(MHCLinear(3), SHC(3), Orthostochastic(3), BEHC(3), BEHC(3, basis="local-shift")),
        *(KromHC(3), KromGoMHC(3, s=1), KromSum(3)),
    )
] + [
    (MHCLite(3), "dirichlet"),
    (MHCLite(3), "polytope"),
    (MHC(3), "sinkhorn-uniform"),
    (MHC(3), "init"),
    (Orthostochastic(3), "haar"),
]


@pytest.mark.parametrize("method, how", ON_SLICE, ids=repr)
def test_every_sampler_of_the_slice_draws_circulant_matrices_within_the_exact_set(method, how):
    result = run(method, 2_500, draw=how)
    table = result.table
    on = table.filter(np.array(table["kind"].to_pylist()) == "slice")
    assert len(on) == 2_500
    assert on["distance"].to_numpy().max() < 1e-14 * max(1, np.abs(on["re"].to_numpy()).max())
    assert result.summary["outside_exact"] in (0, None)
    if method.exact >= {"rows", "columns"}:
        assert result.summary["alpha_sum_error_max"] < 1e-13


@pytest.mark.parametrize(
    "method",
    [KromHC(4), KromGoMHC(4), SHC(4), BEHC(3, k=5), MHC(4, variant="deepseek-v4")],
)
def test_where_we_have_no_sampler_of_the_slice_it_is_null(method):
    summary = run(method, 100).summary
    assert summary["slice_samples"] == 0
    assert summary["slice_fraction"] is None and summary["slice_sampler"] is None


@pytest.mark.parametrize(
    "method, projection, in_slice",
    [
        (MHCLite(3), 1, 1),
        (MHCLite(5), 1, 1),
        (KromHC(3), 1, 1),
        (KromHC(4), 0, None),  # 2 x 2 factors: symmetric
        (KromSum(4), 0, None),
        (KromSum(3), 1, 1),
        (KromGoMHC(3, s=1), DELTOID, 0),
        (KromGoMHC(6), None, None),
        (MHC(4), 1, 1),
        (MHC(4, variant="deepseek-v4"), None, None),
        (MHCLinear(4), None, None),
        (Orthostochastic(3), None, None),
        (Identity(4), 0, 0),
        (HC(3), 1, 1),
        (SHC(3), 1, 1),
        (AveragedGoMHC(3), 1, 1),
        (AveragedGoMHC(3, s=1), DELTOID, 0),
        (BEHC(3), 1, 1),
        (BEHC(7, basis="local-shift"), 1, None),
        (GoMHC(4, 2), 1 - (1 - 3 * np.pi / 16) / 2, 1 - (1 - DELTOID) / 2),
        (GoMHC(5, 1), 0.634227, 0),
        (GoMHC(5, 2), None, 1 - (1 - DELTOID) / 2),
    ],
    ids=repr,
)
def test_exact_fractions_by_method(method, projection, in_slice):
    for support, expected in (
        (method.projection_support(), projection),
        (method.slice_support(), in_slice),
    ):
        found = None if support is None else support.fraction
        assert found == (None if expected is None else pytest.approx(expected, abs=5e-7))


def test_averages_of_two_orthostochastic_matrices_leave_the_deltoid():
    """What makes the exact fraction 1: chords of the curve."""
    table = run(AveragedGoMHC(3), 20_000).table
    excess = Support("scallops", 3).excess(table["re"].to_numpy(), table["im"].to_numpy())
    assert (excess > 0.01).sum() > 100


@pytest.mark.parametrize("s", [1, 2, 3])
def test_four_streams_project_into_the_square_and_the_slice_is_that_of_three(s):
    summary = run(GoMHC(4, s), 50_000, draw="haar").summary
    assert summary["outside_exact"] == summary["outside_polygon"] == 0
    assert summary["projection_exact"] == pytest.approx(1 - (1 - 3 * np.pi / 16) / s)
    assert "3-cycle, equal to the slice at d = 3" in summary["slice_plane"]
    assert summary["polygon"] == "regular 4-gon" and summary["area_polygon"] == pytest.approx(2)


def test_methods_that_are_not_doubly_stochastic_are_measured_as_they_are():
    summary = run(HC(3), 5_000).summary
    assert summary["outside_polygon"] > 1_000 and summary["alpha_sum_error_max"] > 0.1
    disk = run(SHC(3), 5_000, scale=2.0).summary
    assert disk["outside_exact"] == 0 < disk["outside_polygon"]
    single = run(GoMHC(3), 5_000, dtype="float32").summary
    assert single["outside_exact"] == 0 and single["outside_tolerance"] > 1e-9


# a trace, the command line, pictures


def a_trace(d=3):
    h = GoMHC(d).draw(6, np.random.default_rng(1)).reshape(2, 3, d, d)
    h[0, 0] = np.eye(d)
    sites = (Site(0, "attn", "a"), Site(0, "mlp", "b"), Site(1, "attn", "c"))
    return in_memory(h, sites, "test")


def test_a_trace_keeps_its_sites_and_has_no_slice():
    result = plane.run(a_trace())
    table = result.table
    summary = result.summary
    assert table["site"].to_pylist() == [0, 1, 2] * 2
    assert table["layer"].to_pylist() == [0, 0, 1] * 2 and table["branch"].to_pylist()[1] == "mlp"
    assert table["sample"].to_pylist() == [0, 0, 0, 1, 1, 1]
    assert table["alpha_0"].to_pylist()[0] == table["re"].to_pylist()[0] == 1
    assert summary["projection_exact"] is summary["slice_fraction"] is None
    assert summary["outside_polygon"] == 0 and summary["plane_distance_min"] == 0
    wide = plane.run(a_trace(4)).table
    assert "alpha_0" not in wide.column_names


def test_the_same_seed_gives_the_same_rows_and_another_gives_others():
    first, again, other = (run(GoMHC(3), 50, seed=s).table for s in (3, 3, 4))
    assert first.equals(again) and not first.equals(other)


@pytest.mark.parametrize(
    "source, options",
    [
        (GoMHC(3, 1), {}),
        (GoMHC(4), {}),
        (GoMHC(3, 2), {"solid": True}),
        (GoMHC(6), {}),
        (Identity(3), {}),
        (HC(3), {}),
        (KromHC(4), {}),
        (a_trace(), {}),
        (a_trace(), {"solid": True}),
        (a_trace(5), {}),
    ],
    ids=repr,
)
def test_pictures_are_drawn_from_the_table_alone(source, options):
    from matplotlib.figure import Figure

    drawn = source if hasattr(source, "sites") else Drawn(source, Draws(samples=300))
    result = plane.run(drawn, **options)
    figure = Figure(layout="constrained")
    plane.draw(result.table, figure)
    figure.canvas.draw()
    titles = [axes.get_title() for axes in figure.axes]
    if options:
        assert sum("upwards" in t for t in titles) == 4 and titles[4:] == [
            "plane of z",
            "plane of w",
        ]
    else:
        assert "projection" in titles[0]
        has_slice = not isinstance(source, MixingTrace | KromHC)
        assert any(t.startswith("slice") for t in titles) == has_slice


def test_solid_adds_the_other_two_dimensions():
    table = run(MHCLite(3), 100, solid=True).table
    assert {"w_re", "w_im"} <= set(table.column_names)
    on = table.filter(np.array(table["kind"].to_pylist()) == "slice")
    assert np.abs(on["w_re"].to_numpy()).max() < 1e-15
    assert "w_re" not in run(MHCLite(3), 100).table.column_names


@pytest.mark.parametrize("d", [1, 2])
def test_fewer_than_three_streams_have_no_plane(d):
    with pytest.raises(UsageError, match="at least 3 streams"):
        run(GoMHC(d))


@pytest.mark.parametrize(
    "options, words",
    [
        ({"resolution": 0}, "resolution 0"),
        ({"resolution": 10**6}, "resolution 1000000"),
        ({"draw": "haaar"}, "haar"),
        ({"solid": True}, "solid with d = 4"),
    ],
)
def test_what_cannot_be_is_refused(options, words):
    with pytest.raises(UsageError, match=words):
        run(GoMHC(4), **options).summary  # noqa: B018


def test_as_a_command(birkhoff, tmp_path):
    words = ["slice", "--method", "go-mhc", "--d", "3", "--s", "1", "-n", "2000", "--json"]
    done = birkhoff(*words, "--draw", "haar", "--plot", "a.png", "-o", "a.parquet")
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)
    assert summary["slice_exact"] == 0 and summary["outside_exact"] == 0
    assert (tmp_path / "a.png").stat().st_size > 10_000
    done = birkhoff("slice", "--method", "go-mhc", "--d", "2")
    assert done.returncode == 2 and len(done.stderr.strip().splitlines()) == 1


def test_a_checkpoint_as_a_command(birkhoff, checkpoints):
    done = birkhoff("slice", checkpoints / "mhclite_mhc_n4" / "ckpt.pt", "--json")
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)
    assert summary["projection_samples"] == 12 and summary["outside_polygon"] == 0
