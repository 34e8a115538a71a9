"""Drift against plain numpy, and against the exact law of random products."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from birkhoff_cli.analyses import depth_drift
from birkhoff_cli.analyses.core.errors import BadInput
from birkhoff_cli.analyses.core.source import Drawn, Draws
from birkhoff_cli.analyses.core.trace import Site, in_memory
from birkhoff_cli.analyses.parameterizations.go_mhc import GoMHC
from birkhoff_cli.analyses.parameterizations.identity import Identity
from birkhoff_cli.analyses.parameterizations.mhc import MHC
from birkhoff_cli.analyses.parameterizations.mhc_lite import MHCLite
from birkhoff_cli.analyses.parameterizations.shc import SHC
from birkhoff_cli.analyses.statistics import distributions, percentiles
from birkhoff_cli.analyses.statistics.drift import METRICS


def trace(matrices):
    sites = tuple(
        Site(k // 2, ("attn", "mlp")[k % 2], f"site {k}") for k in range(matrices.shape[1])
    )
    return in_memory(matrices, sites, "test")


def by_row(table):
    return {(r["kind"], r["site"], r["metric"]): r for r in table.to_pylist()}


def products(h):
    """The last site leftmost, one loop, no function of ours."""
    composite, all_of_them = np.eye(h.shape[-1]), []
    for site in range(h.shape[1]):
        composite = np.matmul(h[:, site].astype(float), composite)
        all_of_them.append(composite)
    return np.stack(all_of_them, 1)


def independently(h):
    """Every metric of ``(samples, sites, d, d)`` by its definition."""
    d = h.shape[-1]
    moduli = np.sort(np.abs(np.linalg.eigvals(h)), axis=-1)
    singular = np.linalg.svd(h, compute_uv=False)
    barycenter = np.linalg.norm(h - 1 / d, axis=(-2, -1))[..., None]
    share = h / h.sum(-1, keepdims=True)
    entropy = -(share * np.log(np.where(share > 0, share, 1))).sum(-1)
    entropy[h.min((-2, -1)) < -1e-15] = np.nan
    return {
        "row_sum": h.sum(-1),
        "column_sum": h.sum(-2),
        "row_entropy": entropy,
        "spectral_norm": singular[..., :1],
        "spectral_radius": moduli[..., -1:],
        "lambda_2": moduli[..., -2:-1],
        "sigma_2": singular[..., 1:2],
        "barycenter_distance": barycenter,
        "identity_distance": np.linalg.norm(h - np.eye(d), axis=(-2, -1))[..., None],
        "amax_forward": np.abs(h).sum(-1).max(-1, keepdims=True),
        "amax_backward": np.abs(h).sum(-2).max(-1, keepdims=True),
        "log_lambda_2": np.log(moduli[..., -2:-1]),
        "log_barycenter_distance": np.log(barycenter),
    }


def statistics(flat):
    """Of the numbers that are known."""
    flat = flat[~np.isnan(flat)]
    if not flat.size:
        return np.full(7, np.nan)
    low, *between, high = np.quantile(flat, [0, 0.1, 0.5, 0.9, 1])
    return np.array([flat.mean(), flat.std(), low, *between, high])


def shown(row):
    return np.array([row[k] for k in distributions.STATISTICS], float)  # null as NaN


def check(rows, h, rtol, atol):
    """All rows of a table against plain numpy on ``(samples, sites, d, d)``."""
    for kind, matrices in (("site", h), ("composite", products(h))):
        for metric, values in independently(matrices).items():
            for site in range(h.shape[1]):
                row, flat = rows[kind, site, metric], values[:, site].ravel()
                message = f"{kind} {site} {metric}"
                assert row["unknown"] == np.isnan(flat).sum(), message
                np.testing.assert_allclose(
                    shown(row), statistics(flat), rtol=rtol, atol=atol, err_msg=message
                )


MAKERS = {
    "neither side": lambda r: np.eye(3) + 0.5 * r.normal(size=(40, 5, 3, 3)),
    "rows": lambda r: MHC(4, iters=2).draw(60, r, scale=4.0).reshape(10, 6, 4, 4),
    "columns": lambda r: MHC(4, iters=2, last="columns").draw(60, r).reshape(10, 6, 4, 4),
    "both": lambda r: GoMHC(4, s=2).draw(60, r).reshape(10, 6, 4, 4),
    "both, signed": lambda r: SHC(4).draw(60, r, scale=2.0).reshape(10, 6, 4, 4),
    "both, signed and long": lambda r: 3 * SHC(4).draw(40, r).reshape(10, 4, 4, 4) - 2 / 4,
    "near the identity": lambda r: MHC(4).draw(40, r, "init", 0.5).reshape(10, 4, 4, 4),
    "d = 2": lambda r: MHC(2, iters=1).draw(30, r).reshape(10, 3, 2, 2),
    "d = 7": lambda r: MHC(7, iters=3).draw(15, r).reshape(5, 3, 7, 7),
    "exact, then not": lambda r: np.concatenate(
        [GoMHC(3).draw(12, r).reshape(6, 2, 3, 3), 0.5 * r.normal(size=(6, 2, 3, 3))], 1
    ),
    "rows, then columns": lambda r: np.stack(
        [MHC(4, iters=1).draw(9, r), MHC(4, iters=1, last="columns").draw(9, r)], 1
    ),
}


@pytest.mark.parametrize("name", MAKERS)
def test_every_number_equals_plain_numpy(name, rng):
    h = MAKERS[name](rng)
    result = depth_drift.run(trace(h))
    rows = by_row(result.table)
    check(rows, h, rtol=1e-9, atol=1e-9)
    last = products(h)[:, -1]
    assert result.summary["composite_column_max"] == pytest.approx(last.sum(-2).max())
    assert result.summary["composite_row_min"] == pytest.approx(last.sum(-1).min())
    assert result.summary["amax_forward_max"] == pytest.approx(np.abs(last).sum(-1).max())
    assert result.summary["column_error_max"] == pytest.approx(np.abs(h.sum(-2) - 1).max())


def test_depth_counts_the_matrices_of_the_product(rng):
    rows = by_row(depth_drift.run(trace(GoMHC(3).draw(4, rng)[None])).table)
    assert [rows["site", k, "row_sum"]["depth"] for k in range(4)] == [1, 1, 1, 1]
    assert [rows["composite", k, "row_sum"]["depth"] for k in range(4)] == [1, 2, 3, 4]
    assert [rows["site", k, "row_sum"]["layer"] for k in range(4)] == [0, 0, 1, 1]


@pytest.mark.parametrize("field, variance", [("real", 1 / 16), ("complex", 3 / 80)])
def test_the_mean_square_distance_to_the_barycenter_decays_as_proven(field, variance):
    """docs/mathematics.md 8: E ||B_L ... B_1 - J/n||_F^2 = (n - 1) c^L with c = n^2 Var / (n -
    1).
    """
    draws = Draws(samples=20_000, layers=3, draw="haar")
    result = depth_drift.run(Drawn(GoMHC(4, s=1, field=field), draws))
    rows = by_row(result.table)
    c = 16 * variance / 3
    for site in range(3):
        row = rows["composite", site, "barycenter_distance"]
        mean_square = row["mean"] ** 2 + row["std"] ** 2
        assert mean_square == pytest.approx(3 * c ** (site + 1), rel=0.03 * (site + 1))


def test_a_side_normalised_last_keeps_the_spectral_norm_from_being_one():
    """docs/mathematics.md 8: a truncated Sinkhorn has spectral radius 1 and a larger norm."""
    draws = Draws(samples=300, layers=8, scale=4.0)
    summary = depth_drift.run(Drawn(MHC(4, iters=1), draws)).summary
    assert summary["row_error_max"] < 1e-14 < summary["column_error_max"]
    assert summary["composite_spectral_norm_max"] > 1.01
    assert summary["layers"] == summary["sites"] == 8 and summary["samples"] == 300


@pytest.mark.parametrize("d", [1, 2])
def test_the_smallest_sizes(d):
    rows = by_row(depth_drift.run(Drawn(GoMHC(d, s=1), Draws(samples=3, layers=2))).table)
    assert (rows["site", 0, "lambda_2"]["mean"] is None) == (d == 1)
    assert rows["composite", 1, "spectral_norm"]["max"] == pytest.approx(1)


@pytest.mark.parametrize(
    "name", ["mhclite_hc_n4", "mhclite_mhc_n4", "mhclite_mhc_lite_n4", "kromhc_n4"]
)
def test_recorded_checkpoints(name, checkpoints):
    """The numbers of a trained model against its own code's matrices (truth.npz)."""
    from birkhoff_cli.checkpoints import read

    with np.load(checkpoints / name / "truth.npz") as truth:
        h = truth["H_static"].astype(float)[None]
        names = truth["site_names"]
    model = read(checkpoints / name / "ckpt.pt").trace()
    summary = depth_drift.run(model).summary
    last = products(h)[0, -1]
    assert len(names) == summary["sites"] == 12 and summary["layers"] == 6
    close = {"rel": 1e-5, "abs": 1e-5}
    assert summary["column_error_max"] == pytest.approx(np.abs(h.sum(-2) - 1).max(), **close)
    assert summary["row_error_max"] == pytest.approx(np.abs(h.sum(-1) - 1).max(), **close)
    assert summary["composite_row_max"] == pytest.approx(last.sum(1).max(), **close)
    assert summary["composite_column_min"] == pytest.approx(last.sum(0).min(), **close)
    assert summary["composite_spectral_norm_max"] == pytest.approx(np.linalg.norm(last, 2), **close)


@pytest.mark.parametrize(
    "name",
    ["mhclite_hc_n4", "mhclite_mhc_n4", "kromhc_n4", "megatron_main", "hf_v4_origfmt", "lucid_mhc"],
)
def test_recorded_tokens(name, checkpoints):
    """Every number over tokens of a trained model, from float32 matrices of its own code."""
    with np.load(checkpoints / name / "truth.npz") as truth:
        h = truth["H"]
    rows = by_row(depth_drift.run(trace(h)).table)
    # sums are 1 up to the rounding of float32, which moves one of two eigenvalues that are close
    check(rows, h.astype(float), rtol=2e-5, atol=2e-5)


def test_one_pass_over_a_long_trace_gives_the_same(monkeypatch, rng):
    h = MHC(4, iters=2).draw(5000, rng, scale=3.0).reshape(2500, 2, 4, 4)
    exact = depth_drift.run(trace(h))
    kept = by_row(exact.table)
    monkeypatch.setattr(percentiles, "MAX_KEPT", 0)
    streamed = depth_drift.run(trace(h))
    assert exact.summary["quantile_error"] == 0 < streamed.summary["quantile_error"] < 0.02
    rows = by_row(streamed.table)
    assert rows.keys() == kept.keys() and len(rows) == 4 * len(METRICS)
    for key, row in rows.items():
        null = {name for name, value in row.items() if value is None}
        assert null == {name for name, value in kept[key].items() if value is None}
        for name in {"mean", "std", "min", "max"} - null:
            assert row[name] == pytest.approx(kept[key][name], rel=1e-9, abs=1e-9)
        for name in {"p10", "p50", "p90"} - null:
            true = kept[key][name]
            near = min(abs(true), abs(true - 1))
            assert abs(row[name] - true) <= 2 * streamed.summary["quantile_error"] * near + 1e-6


def test_composites_from_every_start(rng):
    h = MHC(3, iters=1).draw(40, rng).reshape(10, 4, 3, 3)
    table = depth_drift.run(trace(h), from_each=True).table.to_pylist()
    composites = [r for r in table if r["kind"] == "composite" and r["metric"] == "spectral_norm"]
    assert len(composites) == 10
    for row in composites:
        assert row["depth"] == row["site"] - row["start"] + 1
        norms = np.linalg.norm(
            products(h[:, row["start"] : row["site"] + 1])[:, -1], 2, axis=(1, 2)
        )
        assert row["mean"] == pytest.approx(norms.mean(), rel=1e-12)
    alone = depth_drift.run(trace(h)).table.to_pylist()
    assert alone == [r for r in table if r["kind"] == "site" or r["start"] == 0 or not r["start"]]


def test_a_thousand_layers_neither_underflow_nor_lose_digits():
    """2 x 2 doubly stochastic matrices multiply their second eigenvalues: the exact answer."""
    rng = np.random.default_rng(3)
    second = rng.uniform(-0.3, 0.3, size=(20, 1000))
    one, other = (1 + second) / 2, (1 - second) / 2
    h = np.stack([np.stack([one, other], -1), np.stack([other, one], -1)], -2)
    rows = by_row(depth_drift.run(trace(h)).table)
    exact = np.log(np.abs(h[..., 0, 0] - h[..., 0, 1])).sum(1)
    assert exact.max() < -1500
    for metric in ("log_lambda_2", "log_barycenter_distance"):
        row = rows["composite", 999, metric]
        np.testing.assert_allclose(
            [row[k] for k in distributions.STATISTICS], statistics(exact), rtol=1e-9
        )
    assert rows["composite", 999, "barycenter_distance"]["max"] == 0
    assert rows["composite", 999, "column_sum"]["max"] == pytest.approx(1, abs=1e-12)


def test_a_growing_product_does_not_overflow():
    h = np.broadcast_to(3.0 * np.eye(4) + np.ones((4, 4)), (1, 400, 4, 4))
    rows = by_row(depth_drift.run(trace(h)).table)
    distance = rows["composite", 399, "log_barycenter_distance"]["mean"]
    assert distance == pytest.approx(400 * np.log(7), rel=1e-12)
    second = [rows["composite", k, "log_lambda_2"]["mean"] for k in (9, 399)]
    assert second[0] == pytest.approx(10 * np.log(3), rel=1e-9)
    assert second[1] is None  # 3^400 beside 7^400: rounding hides it


@pytest.mark.parametrize(
    "method, draw, rate, factor",
    [
        (GoMHC(4, s=1), "haar", -0.6732, 1 / 3),
        (GoMHC(4, s=2), "haar", -1.3958, 0.29277**2),
        (MHCLite(4), "dirichlet", -1.7875, 1 / 25),
        (MHC(4), "polytope", -1.0609, 96 / 605),
    ],
)
def test_the_typical_decay_is_the_lyapunov_exponent(method, draw, rate, factor):
    """docs/mathematics.md 8: the rates, to their errors and ours; the mean square decays slower."""
    draws = Draws(samples=300, layers=200, draw=draw)
    summary = depth_drift.run(Drawn(method, draws, seed=1)).summary
    assert np.log(summary["typical_decay"]) == pytest.approx(rate, abs=0.02)
    assert np.log(summary["lambda_2_decay"]) == pytest.approx(rate, abs=0.02)
    assert summary["mean_square_decay_exact"] == pytest.approx(factor**0.5, rel=1e-4)
    assert summary["mean_square_decay"] == pytest.approx(factor**0.5, rel=0.1)
    assert summary["mean_square_decay"] > summary["typical_decay"]


def test_the_radius_of_a_matrix_normalised_last_on_one_side_is_one():
    """BE-HC's claim against truncated Sinkhorn: the radius is 1 for both; the norm is not."""
    draws = Draws(samples=200, layers=50, scale=8.0)
    found = depth_drift.run(Drawn(MHC(4, iters=1), draws)).summary
    assert found["site_spectral_radius_max"] == found["composite_spectral_radius_max"] == 1
    assert found["composite_spectral_norm_max"] > 1.2 and found["composite_column_max"] > 1.5


def test_one_matrix_that_is_off_changes_no_other_sample(rng):
    """Statistics of a union: a sample off by 1e-6 at one site beside 19 that are exact."""
    h = GoMHC(4).draw(20 * 40, rng).reshape(20, 40, 4, 4)
    h[7, 3] += 1e-6 * rng.normal(size=(4, 4))
    rest = np.delete(np.arange(20), 7)
    parts = [by_row(depth_drift.run(trace(h[k])).table) for k in (rest, [7])]
    union = by_row(depth_drift.run(trace(h)).table)
    for key, row in union.items():
        ours, other = (part[key] for part in parts)
        assert row["unknown"] == ours["unknown"] + other["unknown"]
        known = [v for v in (ours["max"], other["max"]) if v is not None]
        assert row["max"] == (pytest.approx(max(known), rel=1e-12) if known else None), key
    last = union["composite", 39, "log_lambda_2"]
    assert last["unknown"] == 1 and last["max"] == parts[0]["composite", 39, "log_lambda_2"]["max"]
    distance = union["composite", 39, "log_barycenter_distance"]
    assert distance["p50"] < -18 < -15 < distance["max"]


@pytest.mark.parametrize("d, scale", [(3, 1e-16), (4, 1e-20), (4, 1e-100)])
def test_gains_of_tiny_products_are_of_their_own_size(d, scale, rng):
    """Neither side exact, entries of both signs far below 1: the largest sums of moduli."""
    h = scale ** (1 / 3) * rng.normal(size=(20, 3, d, d))
    rows = by_row(depth_drift.run(trace(h)).table)
    moduli = np.abs(products(h)[:, -1])
    for name, axis in (("amax_forward", -1), ("amax_backward", -2)):
        expected = statistics(moduli.sum(axis).max(-1))
        np.testing.assert_allclose(shown(rows["composite", 2, name]), expected, rtol=1e-12)


@settings(max_examples=15)
@given(cuts=st.lists(st.integers(1, 5), max_size=4), from_each=st.booleans())
def test_a_run_may_be_cut_anywhere(cuts, from_each):
    """Ranges of blocks, merged in order: the same rows and summary, bit for bit."""
    rng = np.random.default_rng(0)
    h = np.concatenate(
        [MHC(3, iters=2).draw(120, rng), 0.5 * rng.normal(size=(72, 3, 3)), GoMHC(3).draw(72, rng)]
    ).reshape(66, 4, 3, 3)
    fold = depth_drift._DepthDrift(trace(h), from_each, lyapunov=True)
    groups = [[h[k : k + 7], h[k + 7 : k + 11]] for k in range(0, len(h), 11)]

    def in_ranges(*inner):
        state = None
        for first, last in pairwise(sorted({0, *inner, len(groups)})):
            part = fold.start()
            for number in range(first, last):
                fold.add(part, number, groups[number])
            state = part if state is None else fold.merge(state, part)
        return fold.finish(state)

    ((cut,), cut_summary), ((whole,), summary) = in_ranges(*cuts), in_ranges()
    assert cut_summary == summary
    for name, values in whole.items():
        np.testing.assert_array_equal(cut[name], values)


def test_many_samples_of_few_sites_are_measured_in_steps(monkeypatch, rng):
    """However many are in a step, the numbers are the same."""
    h = MHC(4, iters=2).draw(4000, rng, scale=3.0).reshape(2000, 2, 4, 4)
    whole = depth_drift.run(trace(h)).table
    monkeypatch.setattr(depth_drift, "MAX_LANES", 300)
    in_steps = depth_drift.run(trace(h))
    assert in_steps.total == 1
    for key, row in by_row(in_steps.table).items():
        np.testing.assert_allclose(shown(row), shown(by_row(whole)[key]), rtol=1e-12, atol=1e-15)


def test_deviation_and_root_mean_square_go_on_where_squares_underflow():
    """Pairs of 2 x 2 matrices with second eigenvalues 0.1 and 0.3, 700 layers deep."""
    second = np.array([0.1, 0.3])[:, None] * np.ones(700)
    one, other = (1 + second) / 2, (1 - second) / 2
    h = np.stack([np.stack([one, other], -1), np.stack([other, one], -1)], -2)
    result = depth_drift.run(trace(h))
    rows = by_row(result.table)
    for depth in (100, 160, 300, 500):
        low, high = 0.1**depth, 0.3**depth
        row = rows["composite", depth - 1, "barycenter_distance"]
        assert row["std"] == pytest.approx((high - low) / 2, rel=1e-9, abs=0)
        assert row["mean"] == pytest.approx((high + low) / 2, rel=1e-9, abs=0)
    for depth in (1, 500, 700):
        row = rows["composite", depth - 1, "log_barycenter_rms"]
        square = 2 * depth * np.log(0.3) + np.log1p((1 / 3) ** (2 * depth)) - np.log(2)
        assert row["mean"] == pytest.approx(square / 2, rel=1e-12)
        assert row["std"] is row["p50"] is None


def test_the_identity_and_the_barycenter():
    rows = by_row(depth_drift.run(Drawn(Identity(4), Draws(samples=2, layers=3))).table)
    row = rows["composite", 2, "identity_distance"]
    assert row["max"] == 0 and rows["composite", 2, "lambda_2"]["min"] == pytest.approx(1)
    assert rows["composite", 2, "row_entropy"]["max"] == pytest.approx(0, abs=1e-12)
    rows = by_row(depth_drift.run(trace(np.full((3, 2, 4, 4), 0.25))).table)
    assert rows["composite", 1, "barycenter_distance"]["max"] == pytest.approx(0, abs=1e-15)
    assert rows["composite", 1, "row_entropy"]["mean"] == pytest.approx(np.log(4))


def test_a_trace_without_samples_and_a_broken_token_are_one_line(rng):
    with pytest.raises(BadInput, match="holds no matrices"):
        depth_drift.run(trace(np.empty((0, 2, 4, 4))))
    h = GoMHC(4).draw(20, rng).reshape(10, 2, 4, 4)
    h[7, 1, 2, 3] = np.nan
    with pytest.raises(BadInput, match="sample 7 holds NaN"):
        _ = depth_drift.run(trace(h)).table


def test_a_sum_that_is_not_finite_is_no_second_line_on_standard_error():
    """NumPy warned of infinities of both signs before they were refused, and of large entries."""
    h = np.full((3, 2, 4, 4), 0.25)
    h[1, 0, 0, :2] = 1e308
    assert sum(len(block) for block in trace(h)) == 3
    h[1, 0, 0, :2] = np.inf, -np.inf
    with pytest.raises(BadInput, match="sample 1 holds NaN or infinity"):
        list(trace(h))


def test_sixty_four_streams(rng):
    h = MHC(64, iters=3).draw(8, rng).reshape(4, 2, 64, 64)
    check(by_row(depth_drift.run(trace(h)).table), h, rtol=1e-9, atol=1e-9)


def test_products_that_stopped_falling_at_their_rounding_are_flat():
    """Sums in float32 are off 1 by more than rounding: the distance to J/d has a floor there."""
    h = MHC(4).draw(86, np.random.default_rng(0)).astype(np.float32)
    result = depth_drift.run(h.reshape(1, 86, 4, 4))
    assert result.summary["verdict"] == "conserved"
    assert result.summary["typical_decay"] > 0.99
    assert result.summary["differences_left"] < 1e-6
    assert "keep their differences" not in result.answer
    flat = [q for q in depth_drift.questions(result.summary) if "flatten" in q.question]
    assert [(q.verdict, q.good) for q in flat] == [("flattens", False)]
