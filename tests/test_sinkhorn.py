"""Convergence, variants and rounding against plain loops, torch's own formats and known bounds."""

import json
from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from birkhoff_cli.analyses import sinkhorn
from birkhoff_cli.analyses.balancing.convergence import MAX_SWEEPS
from birkhoff_cli.analyses.core.arrays import lanes
from birkhoff_cli.analyses.core.errors import BadInput, UsageError
from birkhoff_cli.analyses.core.random_numbers import LOGITS, block_generator
from birkhoff_cli.analyses.core.source import Drawn, Draws
from birkhoff_cli.analyses.core.trace import Site, in_memory
from birkhoff_cli.analyses.geometry import perron_quartic
from birkhoff_cli.analyses.geometry.dominant import second_modulus
from birkhoff_cli.analyses.geometry.rounding import FORMATS
from birkhoff_cli.analyses.geometry.scaling import convergence, diameter, residual, spread
from birkhoff_cli.analyses.parameterizations.go_mhc import GoMHC
from birkhoff_cli.analyses.parameterizations.mhc import MHC


def trace(matrices):
    sites = tuple(
        Site(k // 2, ("attn", "mlp")[k % 2], f"site {k}") for k in range(matrices.shape[1])
    )
    return in_memory(matrices, sites, "test")


def by_key(result):
    rows = result.table.to_pylist()
    return {(r["part"], r["name"], r["sweeps"], r["metric"], r["site"]): r for r in rows}


def plainly(a, first, sweeps):
    """Matrices after every sweep: divide by the sums over ``first``, then over the other axis."""
    for _ in range(sweeps):
        a = a / a.sum(first, keepdims=True)
        a = a / a.sum(1 - first, keepdims=True)
        yield a


def error(a):
    return max(np.abs(a.sum(0) - 1).max(), np.abs(a.sum(1) - 1).max())


@pytest.mark.parametrize("scale", [1.0, 4.0, 40.0])
@pytest.mark.parametrize("d, first", [(2, 0), (4, 0), (4, 1)])
def test_residuals_and_sweeps_needed_equal_a_plain_loop(d, first, scale, rng):
    """Spreads up to 200: in the number range of the loop, and beyond what skips the logarithm."""
    z = np.clip(scale * rng.normal(size=(d, d, 12)), -100, 100)
    at, tolerances, most = (1, 2, 7, 30), (1e-3, 1e-6), 400
    after, needed = convergence(z, (first, 1 - first), at, tolerances, most)
    for k in range(z.shape[2]):
        errors = [error(a) for a in plainly(np.exp(z[:, :, k]), first, most)]
        np.testing.assert_allclose(after[:, k], np.take(errors, np.array(at) - 1), atol=1e-12)
        for row, tolerance in zip(needed, tolerances, strict=True):
            expected = next((i + 1 for i, e in enumerate(errors) if e <= tolerance), np.inf)
            assert row[k] == expected


@pytest.mark.parametrize("scale", [1.0, 8.0, 300.0])
@pytest.mark.parametrize("d", [1, 2, 4, 9])
def test_a_matrix_converges_as_it_does_alone(d, scale, rng):
    """To the last bit, whatever is beside it: also as the last that is left."""
    z = scale * rng.normal(size=(d, d, 50))
    at, tolerances, most = (1, 5, 40), (1e-3, 1e-6), 200
    after, needed = convergence(z, (0, 1), at, tolerances, most)
    for some in ([0], [7, 31], list(range(20, 43))):
        own_after, own_needed = convergence(z[..., some], (0, 1), at, tolerances, most)
        np.testing.assert_array_equal(own_after, after[:, some])
        np.testing.assert_array_equal(own_needed, needed[:, some])


@given(
    arrays(float, (5, 9), elements=st.floats(-40, 40)),
    st.sampled_from([m for m in MHC(3).balancing().variants.values() if m.settings.guard != "add"]),
    st.sampled_from([None, 1e-12, 1e-6, 1e-2, 0.3]),
)
def test_maps_of_equal_effective_settings_give_equal_bytes(theta, method, eps):
    """A floor that no sum reaches is none; one that a sum reaches stays."""
    method = replace(method, eps=eps if method.settings.guard == "floor" else None)
    plain = replace(method, guard="log", eps=None)
    own, bare = (m.balancing().effective(theta) for m in (method, plain))
    if own == bare:
        np.testing.assert_array_equal(method(theta), plain(theta))
    if not np.array_equal(method(theta), plain(theta)):
        assert own != bare


@pytest.mark.parametrize("scale", [1.0, 8.0, 300.0])
@pytest.mark.parametrize("n", [1, 200])
def test_the_quick_map_is_the_map_up_to_rounding(n, scale, rng):
    """And maps of equal effective settings are one."""
    theta = MHC(4).theta(n, rng, "gaussian", scale)
    known = {}
    for method in MHC(4).balancing().variants.values():
        balancing, h = method.balancing(), method(theta)
        np.testing.assert_allclose(balancing.quick(theta), h, rtol=0, atol=1e-13)
        known.setdefault(balancing.effective(theta), []).append(h)
    for first, *others in known.values():
        for h in others:
            np.testing.assert_allclose(h, first, rtol=0, atol=1e-13)
    assert len(known) == (5 if scale == 1 else len(known))


def test_floors_are_left_out_where_logits_are_small(rng):
    theta = MHC(4).theta(500, rng, "gaussian", 1.0)
    small, large = (
        {m.balancing().effective(x) for m in MHC(4).balancing().variants.values()}
        for x in (theta, 30 * theta)
    )
    assert len(small) < len(large) <= len(MHC(4).balancing().variants)


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("d", [1, 2, 3, 4, 6])
def test_second_moduli_are_those_of_lapack(d, signed, rng):
    h = np.concatenate([MHC(d, iters=k).draw(40, rng, scale=3.0) for k in (1, 60)])
    h = np.concatenate([h, FORMATS["bf16"](h), FORMATS["int8"](h) * (-1) ** (signed * h[:1] > 0.2)])
    second = second_modulus(h.reshape(2, -1, d, d))
    assert second.shape == (2, len(h) // 2)
    if d == 1:
        assert np.isnan(second).all()
        return
    roots = np.linalg.eigvals(h)
    moduli = np.sort(np.abs(roots), axis=-1)
    apart = np.abs(roots[:, :, None] - roots[:, None])[:, *np.triu_indices(d, 1)].min(-1)
    simple = apart > 1e-3  # near a multiple root both move by far more than rounding
    np.testing.assert_allclose(second.ravel()[simple], moduli[simple, -2], atol=1e-10)


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("scale", [0.3, 1.0, 3.0])
def test_the_quartic_has_the_second_modulus_of_rounded_matrices(name, scale, rng):
    h = FORMATS[name](MHC(4).draw(500, rng, scale=scale))
    found, sure = perron_quartic.second_modulus(np.ascontiguousarray(lanes(h, 2)))
    expected = np.sort(np.abs(np.linalg.eigvals(h)), axis=-1)[:, -2]
    assert sure.mean() > 0.5
    np.testing.assert_allclose(found[sure], expected[sure], atol=1e-10)
    assert not perron_quartic.second_modulus(np.ascontiguousarray(lanes(-h, 2)))[1].any()


@pytest.mark.parametrize("turned", [False, True])
def test_the_second_modulus_of_blocks_is_that_of_the_other_block(turned):
    """Rounding leaves blocks with roots of 1 each: the equations for one vector are singular."""
    one, other = 0.99989339, 0.99584092
    h = np.zeros((2, 4, 4))
    h[:, 0, 2], h[:, 2, 0], h[:, 2, 2] = one, 0.97627386, one - 0.97627386
    h[0, 1::2, 1::2] = [[0.9290348, other - 0.9290348], [other - 0.9290348, 0.9290348]]
    h[1, 1::2, 1::2] = [[0.9290348, one - 0.9290348], [one - 0.9290348, 0.9290348]]
    second = second_modulus(h.swapaxes(1, 2) if turned else h)
    np.testing.assert_allclose(second, [other, one], atol=1e-7)


@given(arrays(float, (3, 3), elements=st.floats(-20, 20)))
def test_the_diameter_is_the_largest_cross_ratio_and_no_scaling_changes_it(z):
    ratios = [z[i, j] + z[k, m] - z[i, m] - z[k, j] for i, j, k, m in product(range(3), repeat=4)]
    assert diameter(z[:, :, None])[0] == pytest.approx(max(ratios), abs=1e-12)
    scaled = z + np.array([[1.0], [-2.0], [5.0]]) + np.array([3.0, 0.0, -4.0])
    assert diameter(scaled[:, :, None])[0] == pytest.approx(max(ratios), abs=1e-12)
    assert spread(z[:, :, None])[0] == z.max() - z.min()


@given(arrays(float, (3, 3, 1), elements=st.floats(-3, 3)))
def test_a_sweep_contracts_as_franklin_and_lorenz_prove(z):
    """Hilbert's distance of the row sums to 1 falls at least by tanh(diameter / 4)^2."""
    rate = np.tanh(diameter(z)[0] / 4) ** 2
    distances = []
    for a in plainly(np.exp(z[:, :, 0]), 1, 6):
        sums = np.log(a.sum(1))
        distances.append(sums.max() - sums.min())
    for before, now in zip(distances, distances[1:], strict=False):
        assert now <= rate * before + 1e-14


@pytest.mark.parametrize("name", ["bf16", "fp16", "fp8-e4m3", "fp8-e5m2"])
def test_roundings_are_those_of_torch(name, rng):
    import torch

    kind = {
        "bf16": torch.bfloat16,
        "fp16": torch.float16,
        "fp8-e4m3": torch.float8_e4m3fn,
        "fp8-e5m2": torch.float8_e5m2,
    }[name]
    x = rng.normal(size=50_000) * 10 ** rng.uniform(-12, 2.4, 50_000)
    ties = np.arange(-300, 300) / 64  # halfway between neighbours of the fp8 formats, and more
    x = np.concatenate([x[np.abs(x) <= 448], ties, [0.0, 2.0**-9, 2.0**-10, 1.5 * 2**-9]])
    x = x.astype(np.float32).astype(float)
    expected = torch.tensor(x, dtype=torch.float32).to(kind).to(torch.float64).numpy()
    np.testing.assert_array_equal(FORMATS[name](x), expected)


@pytest.mark.parametrize("name", ["bf16", "fp16", "fp8-e4m3", "fp8-e5m2"])
def test_beyond_the_largest_number_of_a_format_it_is_held(name):
    """A cast alone would make it infinite, or NaN where a format has no infinity."""
    largest = FORMATS[name](np.array(1e300)).item()
    assert np.isfinite(largest) and FORMATS[name](np.array(largest)) == largest
    beyond = np.array([1.5 * largest, -1.5 * largest, -1e300])
    assert FORMATS[name](beyond).tolist() == [largest, -largest, -largest]


def test_int8_is_symmetric_and_at_most_half_a_step_away(rng):
    x = rng.normal(size=(7, 4, 4))
    step = np.abs(x).max((1, 2), keepdims=True) / 127
    stored = FORMATS["int8"](x)
    np.testing.assert_allclose(stored / step, np.round(stored / step), atol=1e-9)
    assert (np.abs(stored - x) <= step / 2 * (1 + 1e-12)).all()
    np.testing.assert_array_equal(FORMATS["int8"](np.zeros((1, 2, 2))), 0)


def test_the_numbers_of_drawn_logits():
    method, draws = MHC(4, variant="mhc-lite", iters=3), Draws(samples=50, layers=2, scale=2.0)
    rows = by_key(sinkhorn.run(Drawn(method, draws)))
    theta = method.theta(100, block_generator(0, 0, LOGITS), "gaussian", 2.0).reshape(50, 2, 4, 4)
    applied = np.array([[list(plainly(np.exp(z), 1, 3))[-1] for z in pair] for pair in theta])
    flat = theta.reshape(50, 2, 16)
    bf16 = method(FORMATS["bf16"](flat))
    paper = np.array([[list(plainly(np.exp(z), 0, 20))[-1] for z in pair] for pair in theta])
    for site in (0, 1):
        spreads = flat[:, site].max(1) - flat[:, site].min(1)
        assert rows["input", None, None, "spread", site]["mean"] == pytest.approx(spreads.mean())
        errors = [error(a) for a in applied[:, site]]
        assert rows["applied", None, None, "residual", site]["max"] == pytest.approx(max(errors))
        assert rows["sweeps", None, 3, "residual", site]["p50"] == pytest.approx(np.median(errors))
        change = np.abs(paper - applied)[:, site].max((1, 2))
        row = rows["variant", "paper", None, "entry_change", site]
        assert row["mean"] == pytest.approx(change.mean())
        change = np.abs(bf16 - applied)[:, site].max((1, 2))
        row = rows["rounding", "bf16 logits", None, "entry_change", site]
        assert row["p90"] == pytest.approx(np.quantile(change, 0.9))
    fp16 = FORMATS["fp16"](applied)
    product = np.abs(fp16[:, 1] @ fp16[:, 0] - applied[:, 1] @ applied[:, 0]).max((1, 2))
    row = rows["rounding", "fp16 matrix", None, "entry_change", None]
    assert row["max"] == pytest.approx(product.max()) and row["layer"] is None
    second = np.sort(np.abs(np.linalg.eigvals(applied)))[..., -2]
    moved = np.sort(np.abs(np.linalg.eigvals(fp16)))[..., -2]
    row = rows["rounding", "fp16 matrix", None, "lambda_2_change", 1]
    assert row["max"] == pytest.approx(np.abs(moved - second)[:, 1].max(), rel=1e-6)


def test_a_variant_changes_nothing_against_itself():
    for variant in ("paper", "lucidrains", "deepseek-v4", "tokenbender"):
        draws = Draws(samples=5, layers=2)
        result = sinkhorn.run(Drawn(MHC(3, variant=variant), draws))
        changes = {row["variant"]: row["entry_change_max"] for row in result.summary["variants"]}
        assert changes[variant] == 0 and max(changes.values()) > 0
        same = {"paper": "paper", "lucidrains": "mhc-lite", "deepseek-v4": "megatron-dev"}
        if variant in same:
            assert changes[same[variant]] < 1e-9


def test_wide_logits_need_more_sweeps():
    """20 sweeps are enough for small logits and not for large ones."""
    most = []
    for scale in (0.5, 4.0):
        draws = Draws(samples=200, layers=1, scale=scale)
        summary = sinkhorn.run(Drawn(MHC(4), draws)).summary
        most.append(summary["sweeps_1e_3"])
    assert most[0] <= 20 < most[1]


@pytest.mark.parametrize("name", ["mhclite_mhc_n4", "hf_v4_origfmt", "megatron_main"])
def test_what_a_model_applied_is_measured_and_carried_on(name, checkpoints):
    with np.load(checkpoints / name / "truth.npz") as truth:
        h = truth["H_static"].astype(float)[None]
    result = sinkhorn.run(trace(h))
    rows = by_key(result)
    for site in range(h.shape[1]):
        matrix = h[0, site]
        rows_last = np.abs(matrix.sum(-1) - 1).max() < np.abs(matrix.sum(-2) - 1).max()
        first = 0 if rows_last else 1
        assert rows["sweeps", None, 0, "residual", site]["mean"] == pytest.approx(error(matrix))
        later = error(list(plainly(matrix, first, 5))[-1])
        row = rows["sweeps", None, 5, "residual", site]
        assert row["max"] == pytest.approx(later, rel=1e-6, abs=1e-12)
        logs = np.log(matrix)
        row = rows["input", None, None, "spread", site]
        assert row["max"] == pytest.approx(logs.max() - logs.min())
    assert "variants" not in result.summary
    assert result.summary["residual_max"] == pytest.approx(max(map(error, h[0])))


def test_logits_and_their_matrices_have_the_same_diameter(rng):
    theta = MHC(4).theta(30, rng, "gaussian", 2.0)
    z = theta.reshape(-1, 4, 4).transpose(1, 2, 0)
    h = MHC(4, iters=5)(theta).transpose(1, 2, 0)
    np.testing.assert_allclose(diameter(np.log(h)), diameter(z), rtol=1e-12)


def test_zeros_have_infinite_spread_and_permutations_need_no_sweep():
    h = np.eye(3)[[1, 2, 0]][None, None]
    summary = sinkhorn.run(trace(h)).summary
    assert summary["spread_max"] == summary["diameter_max"] == np.inf
    assert summary["sweeps_1e_6"] == 0 and summary["residual_max"] == 0


def test_a_matrix_without_a_doubly_stochastic_scaling_is_given_up():
    """[[1, 1], [0, 1]] has support but no total support: 1 / (2k) is left after k sweeps."""
    h = np.array([[1.0, 1.0], [0.0, 1.0]])[None, None]
    result = sinkhorn.run(trace(h))
    rows = by_key(result)
    assert result.summarise()["sweeps_1e_6"] is None
    assert rows["needed", None, None, "sweeps_1e-6", 0]["max"] == MAX_SWEEPS + 1
    for k in (1, 10, 100):
        left = error(list(plainly(h[0, 0], 1, k))[-1])
        assert rows["sweeps", None, k, "residual", 0]["max"] == pytest.approx(left)
        assert left == pytest.approx(1 / (2 * k), rel=0.5)


@pytest.mark.parametrize("d, layers", [(1, 1), (64, 2)])
def test_small_and_large(d, layers):
    summary = sinkhorn.run(Drawn(MHC(d), Draws(samples=2, layers=layers))).summary
    assert summary["residual_max"] < 1e-12 and summary["sweeps_1e_6"] <= 20
    assert (summary["roundings"][0]["lambda_2_change_max"] is None) == (d == 1)


@pytest.mark.parametrize(
    "source, error, said",
    [
        (Drawn(GoMHC(3)), UsageError, "use --method mhc"),
        (Drawn(MHC(3), Draws(draw="polytope")), UsageError, "draws no logits"),
        (Drawn(MHC(3), Draws(dtype="float32")), UsageError, "--dtype"),
        (trace(np.ones((0, 1, 2, 2))), BadInput, "holds no matrices"),
        (trace(np.full((1, 1, 2, 2), np.nan)), BadInput, "NaN or infinity"),
        (trace(np.eye(2)[None, None] - 0.1), BadInput, "a negative entry"),
        (trace(np.array([[[[1.0, 1], [0, 0]]]])), BadInput, "a row or column of zeros"),
    ],
)
def test_what_cannot_be_normalised_is_one_clear_line(source, error, said):
    with pytest.raises(error, match=said) as refusal:
        sinkhorn.run(source).summary  # noqa: B018
    assert "\n" not in str(refusal.value)


FEW = Draws(samples=5, layers=2)


@pytest.mark.parametrize(
    "source", [Drawn(MHC(4), FEW), Drawn(MHC(1), FEW), trace(np.full((3, 2, 3, 3), 1 / 3))]
)
def test_the_picture_needs_nothing_but_the_table(source):
    from matplotlib.figure import Figure

    table = sinkhorn.run(source).table
    figure = Figure(layout="constrained")
    sinkhorn.draw(table, figure)
    assert len(figure.axes) == 4
    assert all(axes.get_xlabel() for axes in figure.axes)


def test_residuals_of_exactly_normalised_lanes(rng):
    h = rng.dirichlet(np.ones(3), size=(5, 3)).transpose(1, 2, 0)
    expected = [error(h[:, :, k]) for k in range(5)]
    np.testing.assert_allclose(residual(h), expected, atol=1e-15)


def test_of_a_static_checkpoint_the_logits_are_known(birkhoff, checkpoints):
    """From its own logits, as many sweeps as the model does leave what the model leaves."""
    path = checkpoints / "mhclite_mhc_n4"
    summary = json.loads(birkhoff("sinkhorn", path, "--json").stdout)
    h = np.load(path / "truth.npz")["H_static"].astype(float)
    assert summary["residual_max"] == pytest.approx(np.abs(h.sum(-1) - 1).max(), abs=1e-6)
    variants = {row["variant"]: row for row in summary["variants"]}
    assert variants["mhc-lite"]["entry_change_max"] == 0
    assert variants["paper"]["row_error_max"] < 1e-14
