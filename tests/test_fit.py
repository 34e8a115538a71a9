"""Fitting: gradients against torch, moments against data, floors against theory and scipy."""

import json

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure

from birkhoff_cli.analyses import fit, parameterizations
from birkhoff_cli.analyses.core import discover
from birkhoff_cli.analyses.core.errors import BirkhoffError, TooLarge, UsageError
from birkhoff_cli.analyses.core.random_numbers import generator
from birkhoff_cli.analyses.core.source import title_of
from birkhoff_cli.analyses.drawing import loss_curves
from birkhoff_cli.analyses.fitting import curves, floors
from birkhoff_cli.analyses.fitting.curves import convergence
from birkhoff_cli.analyses.fitting.data import Data, Moments
from birkhoff_cli.analyses.fitting.objective import Objective, entries
from birkhoff_cli.analyses.fitting.optimizers import OPTIMIZERS
from birkhoff_cli.analyses.geometry import polytope
from birkhoff_cli.analyses.geometry.projection import nearest_doubly_stochastic
from birkhoff_cli.analyses.parameterizations.go_mhc import GoMHC
from birkhoff_cli.analyses.parameterizations.hc import HC
from birkhoff_cli.analyses.parameterizations.identity import Identity
from birkhoff_cli.analyses.parameterizations.krom_sum import KromSum
from birkhoff_cli.analyses.parameterizations.kromhc import KromHC
from birkhoff_cli.analyses.parameterizations.mhc import MHC
from birkhoff_cli.analyses.parameterizations.mhc_lite import MHCLite

WRITTEN_OUT = (GoMHC(3, s=3), GoMHC(4, s=2), KromHC(8), MHC(4, last="columns", iters=3))
METHODS = [
    method
    for name in parameterizations.names()
    for method in discover.member("birkhoff_cli.analyses.parameterizations", name).EXAMPLES
]


@pytest.fixture(autouse=True)
def one_thread():
    """Threads that wait for one another cost more than matrices this small."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def run(*methods, seed=0, **more):
    return fit.run(methods=methods, seed=seed, **more)


def readings(readout, batch, d, rng):
    return rng.standard_normal((batch, d)) if readout else None


@pytest.mark.parametrize("method", [*METHODS, *WRITTEN_OUT], ids=title_of)
def test_gradients_are_those_of_torch(method, rng):
    apply = method.differentiable()
    theta = np.ascontiguousarray(method.theta(5, rng, "gaussian"))
    for step in (0.0, 1e-3, 1e-3, 1.0):  # small steps keep an inverse warm, a large one does not
        theta = theta + step * rng.standard_normal(theta.shape)
        h, pullback = apply(theta)
        slope = rng.standard_normal(h.shape)
        x = torch.tensor(theta, requires_grad=True)
        there = method(x)
        assert np.abs(h - there.detach().numpy()).max() < 1e-7
        if method.parameters:
            (expected,) = torch.autograd.grad(there, x, torch.tensor(slope))
            scale = 1 + np.abs(expected.numpy()).max()
            assert np.abs(pullback(slope.copy()) - expected.numpy()).max() < 1e-7 * scale


@pytest.mark.parametrize("logits", [500.0, 5000.0])
def test_gradients_of_far_logits_are_finite(logits, rng):
    for method in (KromHC(4), MHCLite(3), MHC(3)):
        theta = logits * rng.standard_normal((4, method.parameters))
        h, pullback = method.differentiable()(theta)
        assert np.isfinite(h).all() and np.isfinite(pullback(np.ones_like(h))).all()


@pytest.mark.parametrize("readout", [False, True])
@pytest.mark.parametrize("features", ["gaussian", "uniform"])
def test_the_loss_by_moments_is_the_loss_over_the_data(readout, features, monkeypatch, rng):
    monkeypatch.setattr("birkhoff_cli.analyses.fitting.data.BLOCK", 300)  # several blocks
    data = Data(90, features, sparsity=0.3, noise=0.2, projector_noise=0.05)
    targets, h = polytope.uniform(5, 3, rng), polytope.uniform(5, 3, rng)
    read = readings(readout, 5, 3, rng)
    moments = data.moments(5, 3, np.random.default_rng(7), read)
    blocks = list(data.blocks(5, 3, np.random.default_rng(7)))
    assert len(blocks) > 1
    x, noise = (np.concatenate(part) for part in zip(*blocks, strict=True))
    y = x @ targets.swapaxes(1, 2) + noise.swapaxes(0, 1)
    off = x @ h.swapaxes(1, 2) - y
    off = off if read is None else off @ read[..., None]
    expected = np.square(off).mean((1, 2))
    np.testing.assert_allclose(Objective(targets, moments, read)(h).loss, expected, rtol=1e-12)


def test_gradients_of_the_loss_are_those_of_torch(rng):
    targets, h = polytope.uniform(4, 3, rng), rng.standard_normal((4, 3, 3))
    read, used = rng.standard_normal((2, 4, 3))
    data = Data(20)
    moments = data.moments(4, 3, np.random.default_rng(1), read)
    ((x, noise),) = data.blocks(4, 3, np.random.default_rng(1))
    aim = np.einsum("bi,bij,nj->bn", read, targets, x) + np.einsum("bi,nbi->bn", read, noise)
    there, q = (torch.tensor(v, requires_grad=True) for v in (h, used))
    out = torch.einsum("bi,bij,nj->bn", q, there, torch.tensor(x))
    loss = (out - torch.tensor(aim)).square().mean(1).sum()
    expected = torch.autograd.grad(loss, (there, q))
    found = Objective(targets, moments, read)(h, used)
    np.testing.assert_allclose(found.matrices, expected[0].numpy(), rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(found.read, expected[1].numpy(), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("readout", [False, True])
@pytest.mark.parametrize("features", ["gaussian", "uniform"])
def test_expected_moments_are_the_limit_of_drawn_ones(readout, features, rng):
    data = Data(400_000, features, sparsity=0.5, noise=0.3, projector_noise=0.1)
    read = readings(readout, 2, 3, rng)
    drawn, expected = data.moments(2, 3, rng, read), data.expected(2, 3, read)
    for one, other in zip(drawn, expected, strict=True):
        assert np.abs(one - other).max() < 0.01 * np.abs(expected.gram).max()


@pytest.mark.parametrize("features, second", [("gaussian", 1), ("uniform", 1 / 3)])
def test_the_population_floor_is_that_of_the_paper(features, second, rng):
    targets = polytope.uniform(6, 4, rng)
    data = Data(1, features, sparsity=0.25, noise=0.1, projector_noise=0.02)
    least = floors.least(Objective(targets, data.expected(6, 4, None)))
    expected = 0.1**2 / 3 + 4 * 0.02**2 * 0.75 * second  # eq. 24
    np.testing.assert_allclose(least, expected, rtol=1e-9)


def test_the_mean_floor_of_drawn_noise_is_lower_by_what_a_fit_gains(rng):
    n, d, draws = 100, 4, 4000
    targets = np.full((draws, d, d), 1 / d)
    moments = Data(n, "gaussian", noise=1.0).moments(draws, d, rng, None)
    gain = moments.power / d - floors.least(Objective(targets, moments))
    expected = (d - 1) ** 2 / (12 * n * d)  # docs/mathematics.md 9
    assert abs(gain.mean() - expected) < 4 * gain.std() / np.sqrt(draws) + 0.02 * expected


@pytest.mark.parametrize("readout", [False, True])
def test_floors_of_vertices_are_those_of_a_general_solver(readout, rng):
    from scipy.optimize import LinearConstraint, minimize

    d = 3
    targets = np.eye(d)[rng.permuted(np.tile(np.arange(d), (4, 1)), axis=1)]
    read = readings(readout, 4, d, rng)
    objective = Objective(targets, Data(8, noise=1.0).moments(4, d, rng, read), read)
    found = floors.least(objective)
    sums = np.concatenate((np.kron(np.eye(d), np.ones(d)), np.kron(np.ones(d), np.eye(d))[:-1]))
    for k, least in enumerate(found):
        one = objective.part([k])
        best = minimize(
            lambda w, one=one: one(w.reshape(1, d, d)).loss[0],
            np.full(d * d, 1 / d),
            jac=lambda w, one=one: one(w.reshape(1, d, d)).matrices.ravel(),
            bounds=[(0, 1)] * d * d,
            constraints=LinearConstraint(sums, 1, 1),
            method="SLSQP",
            options={"ftol": 1e-14, "maxiter": 500},
        )
        assert least == pytest.approx(best.fun, abs=1e-8)


def test_the_floor_for_entries_is_the_distance_to_the_polytope(rng):
    targets = rng.random((5, 3, 3))
    least = floors.least(Objective(targets, entries(5, 3)))
    nearest = nearest_doubly_stochastic(targets)
    np.testing.assert_allclose(least, np.square(nearest - targets).mean((1, 2)), atol=1e-12)


def test_the_floor_of_a_learned_read_out_is_that_of_least_squares(rng):
    data, read = Data(30), rng.standard_normal((3, 4))
    moments = data.moments(3, 4, np.random.default_rng(2), read)
    ((x, noise),) = data.blocks(3, 4, np.random.default_rng(2))
    seen = np.einsum("nbi,bi->nb", noise, read)
    rest = np.linalg.lstsq(x, seen, rcond=None)[1] / len(x)
    objective = Objective(polytope.uniform(3, 4, rng), moments, read)
    np.testing.assert_allclose(floors.least_of_any_read(objective), rest, rtol=1e-10)


@pytest.mark.parametrize("name, other", [("adam", torch.optim.Adam), ("sgd", torch.optim.SGD)])
def test_optimizers_are_those_of_torch(name, other, rng):
    make, rate = OPTIMIZERS[name]
    start, goal = rng.standard_normal((2, 3, 5))
    x, there = start.copy(), torch.tensor(start, requires_grad=True)
    step, optimizer = make(x, rate), other([there], lr=rate)
    for _ in range(300):
        step(4 * (x - goal) ** 3)
        optimizer.zero_grad()
        (there - torch.tensor(goal)).pow(4).sum().backward()
        optimizer.step()
    np.testing.assert_allclose(x, there.detach().numpy(), rtol=1e-9)


def plain(method, theta, x, y, read, used, epochs):
    """The full-data loop: mean loss of every epoch."""
    theta, used = (
        None if v is None else torch.tensor(v, requires_grad=True) for v in (theta, used)
    )
    optimizer = torch.optim.Adam([v for v in (theta, used) if v is not None], lr=0.01)
    losses = []
    for _ in range(epochs + 1):
        out = torch.einsum("bij,nj->bni", method(theta), torch.tensor(x))
        if read is not None:
            out = torch.einsum("bni,bi->bn", out, used if used is not None else torch.tensor(read))
        loss = (out - torch.tensor(y)).square().flatten(1).mean(1)
        losses.append(float(loss.detach().mean()))
        optimizer.zero_grad()
        loss.sum().backward()
        optimizer.step()
    return np.array(losses)


@pytest.mark.parametrize("readout", ["none", "fixed", "learned"])
@pytest.mark.parametrize("method", [GoMHC(4, s=2), MHCLite(4), KromHC(4), MHC(4)], ids=title_of)
def test_curves_are_those_of_the_plain_loop(method, readout):
    epochs, batch = 40, 6
    result = run(method, epochs=epochs, targets=batch, readout=readout, start="gaussian")
    table = result.table
    of_targets, of_data, child = generator(0).spawn(3)
    targets = polytope.sinkhorn_uniform(batch, 4, of_targets)
    of_read, of_data, of_start = of_data.spawn(3)
    read, used = (r.standard_normal((batch, 4)) / 2 for r in (of_read, of_start))
    ((x, noise),) = Data().blocks(batch, 4, of_data)
    y = x @ targets.swapaxes(1, 2) + noise.swapaxes(0, 1)
    read = None if readout == "none" else read
    y = y if read is None else (y @ read[..., None])[..., 0]
    theta = method.theta(batch, child, "gaussian")
    losses = plain(method, theta, x, y, read, used if readout == "learned" else None, epochs)
    kept = np.unique(table["epoch"].to_numpy())
    ours = table["loss"].to_numpy().reshape(len(kept), batch).mean(1)
    np.testing.assert_allclose(ours, losses[kept], rtol=1e-5)


def test_figure_6():
    """go-mHC and mHC-lite end at the floor, KromHC above; go-mHC is there first."""
    methods = (GoMHC(4, s=2), GoMHC(4, s=3), MHCLite(4), KromHC(4))
    two, three, lite, krom = run(*methods, targets=16, epochs=4000).summary["fits"]
    for reached in (two, three, lite):
        assert 1 - 1e-9 <= reached["final_loss"] / reached["floor_drawn"] < 1.01
    assert krom["final_loss"] > 5 * krom["floor_drawn"]
    assert 5 * max(f["epochs_to_convergence"] for f in (two, three)) < lite["epochs_to_convergence"]
    assert two["floor"] == pytest.approx(0.1**2 / 3)


def test_no_exact_method_goes_below_the_floor_and_one_without_constraints_does():
    data = {"examples": 10, "noise": 1.0, "targets": 8, "epochs": 3000}
    exact, free = run(MHCLite(3), HC(3), learning_rate=0.02, **data).summary["fits"]
    assert exact["final_loss"] >= exact["floor_drawn"] * (1 - 1e-9)
    assert free["final_loss"] < free["floor_drawn"]


def test_distances_of_a_fit_that_reaches_its_targets():
    def haar(n, rng):
        return GoMHC(3, s=1).draw(n, rng, "haar")

    result = run(GoMHC(3, s=1), sampler=haar, objective="entries", epochs=3000, targets=5, seed=3)
    table = result.table.to_pylist()
    first = [row for row in table if row["epoch"] == 0]
    last = [row for row in table if row["epoch"] == 3000]
    assert all(row["geodesic_start"] < 1e-6 for row in first)
    reached = [row for row in last if row["frobenius"] < 1e-6]
    assert len(reached) >= 2, "an s = 1 fit has local minima, but not everywhere"
    assert all(row["geodesic"] < 1e-5 and row["kl"] < 1e-9 for row in reached)
    missed = [row for row in last if row["frobenius"] > 0.01]
    assert all(row["geodesic"] > 0.01 for row in missed)


def test_angles_are_null_for_targets_without_a_rotation():
    rows = run(GoMHC(3, s=1), targets=3, epochs=5).table.to_pylist()
    assert {row["geodesic"] for row in rows} == {None}


def test_targets_in_parts_are_the_same_fits(monkeypatch):
    more = {"targets": 7, "epochs": 40, "start": "gaussian"}
    whole = run(GoMHC(3), MHCLite(3), **more).table
    monkeypatch.setattr(curves, "BATCH", 3)
    parts = run(GoMHC(3), MHCLite(3), **more).table
    order = [(name, "ascending") for name in ("method", "target", "epoch")]
    one, other = (t.sort_by(order)["loss"].to_numpy() for t in (whole, parts))
    np.testing.assert_allclose(one, other, rtol=1e-6)


def test_another_method_changes_nothing_for_the_first():
    alone = run(GoMHC(4), targets=3, epochs=20).table
    both = run(GoMHC(4), KromHC(4), targets=3, epochs=20).table
    assert both.slice(0, len(alone)).equals(alone)


def test_a_file_s_matrices_are_learned_at_its_sites(birkhoff):
    words = ("--method", "mhc-lite", "--draw", "dirichlet", "--d", "3", "-n", "4")
    assert birkhoff("sample", *words, "-o", "targets.parquet", "-q").returncode == 0
    fitted = ("--objective", "entries", "--epochs", "2000", "--table", "matrices")
    methods = ("--method", "go-mhc:s=2", "--method", "kromhc")
    done = birkhoff("fit", "targets.parquet", *methods, *fitted, "-o", "learned.parquet", "--json")
    assert done.returncode == 0, done.stderr
    fits = json.loads(done.stdout)
    assert (fits["targets"], fits["d"]) == (4, 3)
    done = birkhoff("depth-drift", "learned.parquet", "--json")
    drift = json.loads(done.stdout)
    assert (drift["samples"], drift["sites"]) == (8, 1)
    assert max(drift["column_error_max"], drift["row_error_max"]) < 1e-14


def test_a_sampler_in_words(birkhoff):
    words = ("--method", "go-mhc:s=1", "--d", "3", "--epochs", "3", "--json")
    done = birkhoff("fit", *words, "--sampler", "go-mhc:s=1,draw=haar", "--targets", "9")
    assert json.loads(done.stdout)["targets"] == 9
    done = birkhoff("fit", *words, "--sampler", "go-mhc:draw=polytope")
    assert done.returncode == 2 and "polytope" in done.stderr
    done = birkhoff("fit", *words, "--sampler", "kromhc:s=1")
    assert done.returncode == 2 and "no --s" in done.stderr


def test_every_table_can_be_drawn():
    import pyarrow as pa
    from matplotlib.figure import Figure

    def haar(n, rng):
        return GoMHC(3, s=1).draw(n, rng, "haar")

    curves = run(GoMHC(3, s=1), MHCLite(3), targets=3, epochs=20).table
    angles = run(GoMHC(3, s=1), sampler=haar, targets=3, epochs=20).table
    matrices = run(GoMHC(3), targets=3, epochs=2, table="matrices").table
    cells = pa.array([k for k in (0, 1, 2, 3, 4) for _ in range(len(curves))])
    five = pa.concat_tables([curves] * 5)
    swept = five.add_column(0, "noise", pa.compute.divide(cells.cast("float64"), 10.0))
    swept = swept.add_column(0, "cell", cells)
    drawn = [(fit.draw, curves, 2), (fit.draw, angles, 3), (fit.draw_sweep, swept, 8)]
    drawn.insert(2, (fit.draw, matrices, loss_curves.MAX_MATRICES + 1))
    for draw, table, panels in drawn:
        figure = Figure(layout="constrained")
        draw(table, figure)
        figure.draw_without_rendering()
        assert len(figure.axes) == panels
    assert figure.axes[4].get_title() == "noise = 0.4"


def test_a_method_that_is_in_one_cell_of_a_sweep_alone_is_drawn():
    """An option of the method was swept: the names of methods differ from cell to cell."""
    import pyarrow as pa
    from matplotlib.figure import Figure

    cells = [run(GoMHC(3, s=s), targets=2, epochs=2).table for s in (1, 2)]
    whole = pa.concat_tables(cells)
    number = pa.array(np.repeat([0, 1], len(cells[0])))
    whole = whole.add_column(0, "s", pa.array(np.repeat([1, 2], len(cells[0]))))
    figure = Figure(layout="constrained")
    fit.draw_sweep(whole.add_column(0, "cell", number), figure)
    assert [len(axes.collections) for axes in figure.axes[:2]] == [1, 1]


@pytest.mark.parametrize(
    "method", [MHCLite(200), KromHC(1009), KromSum(1009), MHC(10**6)], ids=repr
)
def test_what_is_too_large_is_refused_before_targets_are_drawn(method, monkeypatch):
    def never(*_):
        raise AssertionError("targets are drawn")

    monkeypatch.setattr(fit, "chosen_targets", never)
    with pytest.raises(TooLarge):
        run(method)


def test_what_cannot_be_fitted_is_refused():
    for methods, more in (
        ((), {}),
        ((GoMHC(3), GoMHC(4)), {}),
        ((GoMHC(3),), {"epochs": 0}),
        ((GoMHC(3),), {"sparsity": 1.0}),
        ((GoMHC(3),), {"noise": float("nan")}),
        ((GoMHC(3),), {"targets": 0}),
        ((GoMHC(3),), {"objective": "entries", "readout": "fixed"}),
    ):
        with pytest.raises(UsageError):
            run(*methods, **more)
    with pytest.raises(BirkhoffError, match="learning-rate"):
        assert run(HC(3), optimizer="sgd", learning_rate=1e6, epochs=500).summary


def test_moments_do_not_grow_with_the_data(rng):
    shapes = [[np.shape(part) for part in Data(n).moments(2, 3, rng, None)] for n in (10, 1000)]
    assert shapes[0] == shapes[1] and Moments._fields == ("gram", "cross", "power")


def curve_with(epochs, values):
    return convergence(np.asarray(epochs), np.asarray(values, dtype=float))


def test_a_curve_that_still_falls_has_not_converged():
    """Within 5 % of its last value is any curve near its end: 9,931 of 10,000 was printed."""
    epochs = np.unique(np.logspace(0, 4, 161).astype(int))
    assert curve_with(epochs, 1 / epochs) is None
    flat = np.maximum(1 / epochs, 1e-2)
    assert curve_with(epochs, flat) == epochs[flat <= 1.05e-2][0]
    left_again = np.where(epochs == epochs[-40], 2e-2, flat)
    assert curve_with(epochs, left_again) == epochs[-39]  # it has to stay
    late = np.where(epochs < 8001, 1.0, 0.5)
    assert curve_with(epochs, late) is None  # for less than a fifth of the run
    assert curve_with([0, 1, 2], [3, 3, 3]) == 0 and curve_with([0, 1], [1, 0]) is None


def test_the_mark_in_the_picture_is_the_number_in_the_summary():
    figure = Figure()
    result = run(GoMHC(3, s=2), MHCLite(3), Identity(3), targets=4, epochs=300)
    table, fits = result.table, result.summary["fits"]
    fit.draw(table, figure)
    marks = [line for line in figure.axes[0].lines if len(line.get_xdata()) == 1]
    at = [int(line.get_xdata()[0]) for line in marks]
    numbers = [f["epochs_to_convergence"] for f in fits]
    assert at == [n for n in numbers if n is not None] and 0 < len(at) < 3


def test_the_rows_that_table_chooses_do_not_stand_against_json(birkhoff):
    """They are shown where nothing else wants the output."""
    words = ("fit", "--method", "mhc", "--d", "2", "--targets", "1", "--epochs", "2")
    done = birkhoff(*words, "--table", "matrices", "--json")
    assert done.returncode == 0 and json.loads(done.stdout)["targets"] == 1


def test_losses_stand_beside_those_of_the_first_method():
    methods = (GoMHC(3, s=2), MHCLite(3), Identity(3))
    curves = run(*methods, targets=3, epochs=20).table.to_pylist()
    beside = run(*methods, targets=3, epochs=20, table="against")
    found = beside.table.to_pylist()
    loss = {(r["method"], r["target"], r["epoch"]): r["loss"] for r in curves}
    assert {r["method"] for r in found} == {"mhc-lite", "identity"}
    assert len(found) == len(curves) * 2 // 3
    for row in found:
        place = row["target"], row["epoch"]
        assert row["loss"] == loss[row["method"], *place]
        assert row["loss_against"] == loss["go-mhc, s = 2", *place]
    assert [f["final_loss"] for f in beside.summary["fits"]] == [
        f["final_loss"] for f in run(*methods, targets=3, epochs=20).summary["fits"]
    ]
    with pytest.raises(UsageError, match="twice or more"):
        run(GoMHC(3), table="against")


def test_loss_against_loss_is_drawn_epoch_by_epoch():
    table = run(GoMHC(3, s=2), MHCLite(3), targets=4, epochs=30, table="against").table
    figure = Figure()
    fit.draw(table, figure)
    (axes,) = figure.axes
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("loss of go-mhc, s = 2", "loss of mhc-lite")
    both = np.array([table[name] for name in ("loss_against", "loss")]).T.reshape(-1, 4, 2)
    np.testing.assert_allclose(axes.lines[0].get_xydata(), both.mean(1), rtol=1e-12)
    np.testing.assert_array_equal(axes.collections[0].get_offsets(), both[-1])


def test_a_sweep_is_drawn_where_a_method_is_left_out_of_a_cell(birkhoff):
    words = ("--method", "mhc-lite", "--method", "kromhc", "--targets", "1", "--epochs", "2")
    for table in ("curves", "against"):
        more = ("--sweep", "d=2,16", "-o", "t.parquet", "--plot", f"{table}.png")
        swapped = words if table == "curves" else (*words[2:4], *words[:2], *words[4:])
        done = birkhoff("fit", *swapped, *more, "--table", table, "--engine", "1", "-q")
        assert done.returncode == 0, done.stderr


def test_a_method_that_is_too_large_is_left_out_and_said(birkhoff):
    words = ("--targets", "1", "--epochs", "2", "--json", "--d", "16")
    methods = ("--method", "mhc-lite", "--method", "kromhc")
    done = birkhoff("fit", *methods, *words)
    assert done.returncode == 0, done.stderr
    lite, kron = json.loads(done.stdout)["fits"]
    assert "mhc-lite with d = 16 is left out: " in done.stderr
    assert (lite["method"], lite["final_loss"]) == ("mhc-lite", None)
    assert lite["left_out"] == "20,922,789,888,000 parameters are too many"
    assert kron["final_loss"] > 0 and "left_out" not in kron
    for refused in (("--method", "mhc-lite"), (*methods, "--table", "against")):
        done = birkhoff("fit", *refused, *words)
        assert (done.returncode, done.stderr.count("\n")) == (6, 1)
