"""Degeneration against plain numpy on recorded matrices, and matrices whose answer is known."""

from dataclasses import replace
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from birkhoff_cli.analyses import degeneration, sinkhorn
from birkhoff_cli.analyses.core.errors import BadInput
from birkhoff_cli.analyses.core.trace import Site, in_memory
from birkhoff_cli.analyses.geometry.assignment import (
    heaviest_permutations,
    least_assignment,
    permutation_distance,
    traces,
    vertex_distances,
)
from birkhoff_cli.analyses.parameterizations.mhc import MHC
from birkhoff_cli.analyses.parameterizations.shc import SHC
from birkhoff_cli.analyses.sites.mixing import barycenter_distances
from birkhoff_cli.analyses.statistics import percentiles
from birkhoff_cli.analyses.statistics.buckets import WIDTH

NUMBERS = [c.name for c in degeneration.SCHEMA if c.dtype == "float64"]


def trace(matrices, step=None, name="test"):
    sites = tuple(
        Site(k // 2, ("attn", "mlp")[k % 2], f"site {k}") for k in range(matrices.shape[1])
    )
    return in_memory(matrices, sites, name, step=step)


def independently(h):
    """Everything of ``(samples, d, d)`` float64 by its definition, one matrix at a time."""
    d = h.shape[-1]
    vertices = [np.eye(d)[list(p)] for p in permutations(range(d))]
    mass = np.abs(h).sum((1, 2))
    found = {
        "diagonal_fraction": [(np.argmax(m, axis=1) == np.arange(d)).all() for m in h],
        "identity_distance": [np.linalg.norm(m - np.eye(d)) for m in h],
        "barycenter_distance": [np.linalg.norm(m - 1 / d) for m in h],
        "permutation_distance": [min(np.linalg.norm(m - v) for v in vertices) for m in h],
        "off_diagonal_mass": [np.abs(m[~np.eye(d, dtype=bool)]).sum() for m in h] / mass,
        "column_concentration": np.abs(h).sum(1).max(1) / mass,
        "negative_mass": -np.minimum(h, 0).sum((1, 2)) / mass,
    }
    found = {name: np.mean(values) for name, values in found.items()}
    found["entry_min"] = h.min()
    p10, p50, p90 = np.quantile(h.max(-1), (0.1, 0.5, 0.9))
    found |= {"row_max_p10": p10, "row_max_p50": p50, "row_max_p90": p90}
    known = h[h.min((1, 2)) >= 0]
    found["effective_streams"] = np.nan
    found["effective_streams_unknown"] = len(h) - len(known)
    if len(known):
        p = known / known.sum(-1, keepdims=True)
        terms = np.where(p > 0, p * np.log(np.where(p > 0, p, 1)), 0)
        found["effective_streams"] = np.exp(-terms.sum(-1)).mean()
    return found


def same(found, expected):
    for name, value in expected.items():
        number = np.nan if found[name] is None else found[name]
        assert number == pytest.approx(value, rel=1e-9, abs=1e-9, nan_ok=True), name


@pytest.mark.parametrize("name", ["mhclite_mhc_n4", "mhclite_hc_n4", "kromhc_n4", "tb_mhc_ortho"])
def test_every_number_equals_plain_numpy_on_what_a_model_applied(name, checkpoints):
    with np.load(checkpoints / name / "truth.npz") as truth:
        h = truth["H"]
    result = degeneration.run((trace(h),))
    rows = result.table.to_pylist()
    exact = h.astype(float)
    for row in rows:
        same(row, independently(exact[:, row["site"]]))
    everything = independently(exact.reshape(-1, 4, 4))
    same(result.summarise(), everything)
    for band in ("p10", "p50", "p90"):
        assert {r[f"step_row_max_{band}"] for r in rows} == {result.summarise()[f"row_max_{band}"]}


def test_a_series_has_the_bands_of_every_step(checkpoints):
    """sHC, figure 2: the recorded run moves away from the identity at some sites."""
    steps = (1, 50, 100, 400)
    h = {}
    for step in steps:
        with np.load(checkpoints / "series_mhc_n4" / f"truth_{step:06}.npz") as truth:
            h[step] = truth["H"]
    result = degeneration.run(tuple(trace(h[step], step) for step in steps))
    table = result.table
    assert table["step"].to_pylist() == [step for step in steps for _ in range(h[1].shape[1])]
    summary = result.summary
    assert summary["step"] == 400 and [row["step"] for row in summary["steps"]] == list(steps)
    for row in summary["steps"]:
        matrices = h[row["step"]].astype(float)
        bands = np.quantile(matrices.max(-1), (0.1, 0.5, 0.9))
        on = (matrices.argmax(-1) == np.arange(4)).all(-1).mean()
        assert [row[f"row_max_{p}"] for p in ("p10", "p50", "p90")] == pytest.approx(bands)
        assert row["diagonal_fraction"] == pytest.approx(on)
    assert summary["steps"][0]["verdict"] == "identity-degenerate"
    assert sum(row["sites"] for row in summary["verdicts"]) == h[400].shape[1]


CYCLE = np.roll(np.eye(4), 1, axis=0)
UNIFORM = np.full((4, 4), 0.25)
BETWEEN = 0.8 * np.eye(4) + 0.2 * UNIFORM


@pytest.mark.parametrize(
    "matrix, verdict",
    [
        (np.eye(4), "identity-degenerate"),
        (0.81 * np.eye(4) + 0.19 * UNIFORM, "identity-degenerate"),
        (0.79 * np.eye(4) + 0.21 * UNIFORM, "mixing"),
        (0.81 * CYCLE + 0.19 * UNIFORM, "near-permutation"),
        (0.19 * CYCLE + 0.81 * UNIFORM, "near-uniform"),
        (UNIFORM, "near-uniform"),
        (0.5 * CYCLE + 0.5 * UNIFORM, "mixing"),
        (UNIFORM + 0.75 * (CYCLE - np.eye(4)), "signed"),
        (-np.eye(4), "signed"),
    ],
)
def test_verdicts_of_known_matrices(matrix, verdict):
    result = degeneration.run((trace(matrix[None, None]),))
    assert result.table["verdict"].to_pylist() == [verdict]
    assert result.summary["verdict"] == verdict
    for word in ("identity-degenerate", "near-permutation", "near-uniform", "signed", "mixing"):
        checked = degeneration.run((trace(matrix[None, None]),), fail_on=word)
        assert checked.summary and (checked.failed() is not None) == (word == verdict)


def test_the_verdict_changes_where_the_help_says():
    """A fifth of the way from I to J/d, where the row maxima are 0.85."""
    assert BETWEEN.max(1) == pytest.approx(0.85)
    assert np.linalg.norm(BETWEEN - np.eye(4)) == pytest.approx(0.2 * 3**0.5)


@pytest.mark.parametrize("d", [1, 2, 3, 5, 9, 64])
def test_uniform_and_identity_for_every_size(d):
    uniform, identity = np.full((2, 1, d, d), 1 / d), np.eye(d)[None, None]
    row = degeneration.run((trace(uniform),)).table.to_pylist()[0]
    assert row["effective_streams"] == pytest.approx(d)
    assert row["column_concentration"] == pytest.approx(1 / d)
    assert row["identity_distance"] == pytest.approx((d - 1) ** 0.5)
    assert row["barycenter_distance"] == pytest.approx(0, abs=1e-15)
    assert row["diagonal_fraction"] == (d == 1)
    row = degeneration.run((trace(identity),)).table.to_pylist()[0]
    assert row["effective_streams"] == 1 and row["diagonal_fraction"] == 1
    assert row["identity_distance"] == row["permutation_distance"] == row["off_diagonal_mass"] == 0
    assert row["verdict"] == (None if d == 1 else "identity-degenerate")


def test_effective_streams_are_those_of_matrices_without_a_negative_entry(rng):
    signed = SHC(4).draw(20, rng)
    h = np.stack([signed[signed.min((1, 2)) < -1e-9][:9], MHC(4).draw(9, rng)], axis=1)
    rows = degeneration.run((trace(h),)).table.to_pylist()
    assert [row["effective_streams"] is None for row in rows] == [True, False]
    assert [row["effective_streams_unknown"] for row in rows] == [9, 0]
    summary = degeneration.run((trace(h),)).summary
    assert summary["effective_streams"] == pytest.approx(rows[1]["effective_streams"])
    assert summary["effective_streams_unknown"] == 9 and summary["mass_unknown"] == 0


def test_what_is_undefined_for_zero_matrices_is_null():
    row = degeneration.run((trace(np.zeros((1, 1, 3, 3))),)).table.to_pylist()[0]
    undefined = {name for name in NUMBERS if row[name] is None}
    assert undefined == {
        "off_diagonal_mass",
        "column_concentration",
        "negative_mass",
        "effective_streams",
    }


@given(arrays(float, (3, 4, 4), elements=st.floats(-2, 2)))
def test_the_nearest_permutation_is_no_farther_than_any(h):
    found = permutation_distance(np.ascontiguousarray(h.transpose(1, 2, 0)))
    vertices = [np.eye(4)[list(p)] for p in permutations(range(4))]
    expected = [min(np.linalg.norm(m - v) for v in vertices) for m in h]
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("d", [1, 2, 3, 4, 5, 6])
def test_distances_are_those_of_all_permutations(d, rng):
    """Near a vertex too, where a difference of squares would have no digit right."""
    vertices = np.eye(d)[[*permutations(range(d))]]
    near = vertices[rng.integers(len(vertices), size=40)] + np.ldexp(
        rng.normal(size=(40, d, d)), -rng.integers(0, 40, 40)[:, None, None]
    )
    h = np.concatenate([vertices[-1:], 3 * rng.normal(size=(40, d, d)), near])
    every = np.linalg.norm(h[:, None] - vertices, axis=(-2, -1))
    lanes = np.ascontiguousarray(h.transpose(1, 2, 0))
    found = vertex_distances(lanes, traces(lanes))
    np.testing.assert_allclose(found, [every[:, 0], every.min(1)], rtol=1e-11)


@pytest.mark.parametrize("d", [2, 3, 4, 8, 9])
def test_no_distance_depends_on_the_matrices_beside_it(d, rng):
    """Few far from I are taken out, and many are not."""
    near = np.eye(d) + 1e-3 * rng.normal(size=(30, d, d))
    h = np.concatenate([near, np.roll(near, 1, axis=1), rng.normal(size=(3, d, d))])
    parts = (h[:33], h[30:], h)
    lanes = [np.ascontiguousarray(part.transpose(1, 2, 0)) for part in parts]
    few, many, every = (vertex_distances(lane, traces(lane)) for lane in lanes)
    np.testing.assert_array_equal(few, every[:, :33])
    np.testing.assert_array_equal(many, every[:, 30:])


@pytest.mark.parametrize("d", [2, 4, 7])
def test_distances_to_the_barycenter_do_not_cancel(d, rng):
    apart = np.ldexp(rng.normal(size=(60, d, d)), -rng.integers(0, 50, 60)[:, None, None])
    h = np.ascontiguousarray((1 / d + apart).transpose(1, 2, 0))
    identity = np.linalg.norm(h - np.eye(d)[:, :, None], axis=(0, 1))
    found = barycenter_distances(h, identity, traces(h), h.sum((0, 1)))
    np.testing.assert_allclose(found, np.linalg.norm(h - 1 / d, axis=(0, 1)), rtol=1e-11)


def test_recursion_and_scipy_find_the_same_assignment(rng, monkeypatch):
    cost = rng.normal(size=(7, 7, 20))
    by_sets = least_assignment(cost)
    monkeypatch.setattr("birkhoff_cli.analyses.geometry.assignment.LARGEST", 3)
    np.testing.assert_allclose(least_assignment(cost), by_sets, rtol=1e-13)


def test_blocks_and_counts_change_no_more_than_they_say(rng, monkeypatch):
    """Many blocks, and buckets in place of values, as for a trace larger than memory."""
    h = MHC(4).draw(30_000, rng, scale=3.0).reshape(-1, 2, 4, 4)
    kept = degeneration.run((trace(h),)).summary
    monkeypatch.setattr(percentiles, "MAX_BYTES", 0)
    counted = degeneration.run((trace(h),)).summary
    flat = h.max(-1)
    for name, q in (("row_max_p10", 0.1), ("row_max_p50", 0.5), ("row_max_p90", 0.9)):
        exact = np.quantile(flat, q)
        assert kept[name] == pytest.approx(exact, rel=1e-12)
        assert abs(counted[name] - exact) <= WIDTH * min(exact, 1 - exact)
    assert kept["identity_distance"] == counted["identity_distance"]
    exact = np.linalg.norm(h - np.eye(4), axis=(-2, -1)).mean()
    assert kept["identity_distance"] == pytest.approx(exact, rel=1e-12)


def test_a_step_that_is_not_known_is_null_and_in_no_series():
    h = np.eye(2)[None, None]
    assert degeneration.run((trace(h, 10), trace(h, 20))).table["step"].to_pylist() == [10, 20]
    alone = degeneration.run((trace(h),))
    assert alone.table["step"].to_pylist() == [None] and alone.summary["step"] is None
    with pytest.raises(BadInput, match="step is not known"):
        degeneration.run((trace(h, 10), trace(h)))
    with pytest.raises(BadInput, match="both of training step 10"):
        degeneration.run((trace(h, 10), trace(h, 10)))


@pytest.mark.parametrize(
    "series, said",
    [
        ((np.ones((0, 2, 3, 3)),), "holds no matrices"),
        ((np.ones((1, 0, 3, 3)),), "holds no matrices"),
        ((np.ones((1, 2, 3, 3)), np.ones((1, 2, 4, 4))), "give checkpoints of one model"),
        ((np.full((1, 2, 3, 3), np.nan),), "NaN or infinity"),
    ],
)
def test_what_cannot_be_measured_is_one_clear_line(series, said):
    with pytest.raises(BadInput, match=said) as refusal:
        degeneration.run(tuple(map(trace, series))).summary  # noqa: B018
    assert "\n" not in str(refusal.value)


def test_a_failed_check_writes_everything_and_ends_with_1(birkhoff, tmp_path):
    np.save(tmp_path / "h.npy", np.eye(3)[None, None])
    words = ("degeneration", "h.npy", "-o", "out.parquet", "--plot", "out.png", "--json")
    done = birkhoff(*words, "--fail-on", "identity-degenerate")
    assert done.returncode == 1
    assert "the verdict is identity-degenerate" in done.stderr.splitlines()[-1]
    assert '"verdict": "identity-degenerate"' in done.stdout
    assert (tmp_path / "out.parquet").is_file() and (tmp_path / "out.png").is_file()
    assert birkhoff(*words, "--fail-on", "mixing").returncode == 0


@pytest.mark.parametrize("steps", [1, 3])
@pytest.mark.parametrize("d, sites", [(1, 1), (4, 6)])
def test_the_picture_needs_nothing_but_the_table(steps, d, sites, rng):
    from matplotlib.figure import Figure

    h = rng.dirichlet(np.ones(d), size=(5, sites, d))
    table = degeneration.run(tuple(trace(h, 10 * k) for k in range(steps))).table
    figure = Figure(layout="constrained")
    degeneration.draw(table, figure)
    shown = figure.axes[:3]
    assert all(axes.get_xlabel() and axes.get_ylabel() for axes in shown)
    assert shown[0].get_lines()[0].get_ydata() == pytest.approx(
        table["step_row_max_p50"].to_numpy()[::sites] if steps > 1 else table["row_max_p50"]
    )


@pytest.mark.parametrize("d", [1, 2, 4, 6, 9])
@pytest.mark.parametrize("size", [1e-300, 1e-170, 1e-10, 1e10, 1e170, 1e300])
def test_distances_to_permutations_neither_underflow_nor_overflow(d, size, rng):
    """Squared, what is below 1e-162 was 0 and what is above 1e154 infinite."""
    apart = rng.uniform(0.5, 1, (20, d, d)) * size
    vertex = np.eye(d)[rng.permutation(d)]
    near = vertex * (size < 1) + apart * (1 - vertex * (size < 1))
    expected = np.sqrt(np.square((near - vertex * (size < 1)) / size).sum((1, 2)))
    found = permutation_distance(np.ascontiguousarray(near.transpose(1, 2, 0)))
    tolerance = 1e-12 if size != 1e10 else 1e-9  # the permutation itself is 1e-10 of it
    assert found / size == pytest.approx(expected, rel=tolerance)


def test_a_tie_is_off_the_diagonal_and_the_column_says_so():
    """J/4 has its row maxima on the diagonal and elsewhere: diagonal_fraction is 0."""
    uniform = np.full((3, 1, 4, 4), 0.25)
    result = degeneration.run((in_memory(uniform, (Site(0, "attn", "a"),), "j"),))
    assert result.summary["diagonal_fraction"] == 0
    (about,) = (c.about for c in degeneration.SCHEMA if c.name == "diagonal_fraction")
    assert "a tie, as in J/d, is off it" in about
    assert "a tie counts as off the diagonal" in " ".join(degeneration.__doc__.split())


def balanced(spread, method):
    """A trace of two sites, the second of logits that spread so far, as a checkpoint's is."""
    rng = np.random.default_rng(0)
    theta = rng.normal(size=(1, 2, 16)) * np.array([1.0, spread])[:, None]
    return replace(trace(np.asarray(method(theta))), map=method, theta=theta)


def test_logits_beyond_the_iterations_are_saturated():
    wide = degeneration.run((balanced(30.0, MHC(4)),))
    assert wide.table["verdict"].to_pylist()[1] == "saturated"
    assert wide.table["verdict"].to_pylist()[0] != "saturated"
    narrow = degeneration.run((balanced(1.0, MHC(4)),))
    enough = degeneration.run((balanced(30.0, MHC(4, iters=20_000)),))
    for result in (narrow, enough):
        assert "saturated" not in result.table["verdict"].to_pylist()
    model = balanced(30.0, MHC(4))
    found = sinkhorn.run(model).summary
    assert (found["verdict"], found["saturated"]) == ("saturated", [model.sites[1].name])
    unknown = degeneration.run((replace(model, map=None, theta=None),))
    assert "saturated" not in unknown.table["verdict"].to_pylist()  # sums may be as they please


# the permutation that is nearest

TWO_SITES = (Site(0, "attn", "a"), Site(0, "mlp", "b"))


@pytest.mark.parametrize("d", [2, 4, 6, 7])
def test_the_nearest_permutation_is_that_of_the_mean_matrix(d, rng):
    """By comparing distances to all of them, or for d = 7 to the one that was put in."""
    perms = (
        np.array(list(permutations(range(d))))
        if d < 7
        else rng.permuted(np.tile(np.arange(d), (50, 1)), axis=1)
    )
    chosen = perms[[1 % len(perms), -1]]
    h = 0.6 * np.eye(d)[chosen] + 0.4 * rng.dirichlet(np.ones(d), (5, 2, d))
    found = degeneration.run((in_memory(h, TWO_SITES, "test"),))
    vertices = np.eye(d)[perms]
    for site in range(2):
        distances = np.square(h[:, site].mean(0) - vertices).sum((1, 2))
        nearest = " ".join(map(str, perms[distances.argmin()]))
        assert found.table["dominant_permutation"].to_pylist()[site] == nearest
    rows = found.summary["dominant_permutations"]
    assert sum(row["sites"] for row in rows) == 2
    assert {tuple(row["permutation"]) for row in rows} == {tuple(p) for p in chosen.tolist()}


def test_of_several_permutations_as_near_the_first_is_named():
    result = degeneration.run((in_memory(np.full((3, 1, 4, 4), 0.25), TWO_SITES[:1], "test"),))
    assert result.table["dominant_permutation"].to_pylist() == ["0 1 2 3"]
    assert "the nearest permutation is I at 1 of 1 site." in result.answer
    swap = np.eye(3)[[1, 0, 2]][None, None]
    other = degeneration.run((in_memory(swap, TWO_SITES[:1], "test"),))
    assert "is (1, 0, 2) at 1 of 1 site." in other.answer


@pytest.mark.parametrize("d", [3, 7])
def test_a_mean_that_is_not_finite_is_near_to_none(d):
    h = np.stack([np.eye(d)[::-1], np.full((d, d), np.inf)])
    assert heaviest_permutations(h) == [tuple(range(d))[::-1], None]
