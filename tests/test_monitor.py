"""The monitor beside a training: what it counts, what it writes, and that it changes nothing."""

import json
import subprocess
import sys
import warnings

import numpy as np
import pytest

torch = pytest.importorskip("torch")
nn = torch.nn

from birkhoff_cli import degeneration, load, monitor  # noqa: E402
from birkhoff_cli.analyses.core.array_trace import array_trace  # noqa: E402
from birkhoff_cli.analyses.core.errors import UsageError  # noqa: E402
from birkhoff_cli.recording import measure as measuring  # noqa: E402
from birkhoff_cli.recording.libraries._module import Seen  # noqa: E402
from birkhoff_cli.recording.record import find  # noqa: E402
from birkhoff_cli.recording.sinks import scalars, tensorboard  # noqa: E402
from test_recording_survives import Model, Site  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore:.*reentrant.*")


@pytest.fixture
def model():
    torch.manual_seed(0)
    return Model()


def train(model, steps, mine=None, skipped=(), broken=None, evaluated=(), passes=1):
    """Losses of some steps; ``mine``: the monitor whose ``step()`` is called."""
    torch.manual_seed(1)
    optimizer, losses = torch.optim.SGD(model.parameters(), 1e-3), []
    for step in range(1, steps + 1):
        optimizer.zero_grad()
        for _ in range(passes):
            x = torch.randn(2, 5, 4, 8, requires_grad=True)
            loss = model(x * float("nan") if step == broken else x).square().mean()
            loss.backward()
        if step not in skipped and step != broken:
            optimizer.step()
        if mine is not None:
            mine.step()
        if step in evaluated:
            with torch.no_grad(), warnings.catch_warnings(action="ignore"):
                model.eval()(x)
            model.train()
        losses.append(loss.item())
    return losses


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def steps(path):
    return [line["step"] for line in lines(path)]


def twice(model, path, every=1, **options):
    """Losses without and with a monitor, from the same start."""
    start = {name: value.clone() for name, value in model.state_dict().items()}
    plain = train(model, **options)
    model.load_state_dict(start)
    with monitor(model, every=every, to=path):
        watched = train(model, **options)
    return np.array(plain), np.array(watched)


@pytest.mark.parametrize("reentrant", [None, False, True])
@pytest.mark.parametrize(
    "options", [{}, {"broken": 3}, {"evaluated": (2, 4)}, {"passes": 2}], ids=str
)
def test_the_loss_curve_is_bit_for_bit_that_without(tmp_path, reentrant, options):
    torch.manual_seed(0)
    model, path = Model(reentrant), tmp_path / "run" / "hc.ndjson"
    plain, watched = twice(model, path, steps=5, **options)
    np.testing.assert_array_equal(plain, watched)
    taken = 4 if "broken" in options else 5  # the optimizer was skipped, and nobody calls step()
    assert steps(path) == list(range(1, taken + 1))
    assert not model._forward_hooks and not model._forward_pre_hooks
    assert not any(m._forward_hooks for m in model.modules())


def test_every_kth_step_is_measured(model, tmp_path):
    with monitor(model, every=3, to=tmp_path / "f"):
        train(model, 10)
    assert steps(tmp_path / "f") == [3, 6, 9]


@pytest.mark.parametrize("skipped", [(), (1,), (2, 3)])
def test_where_step_is_called_it_alone_counts(model, tmp_path, skipped):
    with monitor(model, every=1, to=tmp_path / "f") as mine:
        train(model, 4, mine, skipped=skipped)
    assert steps(tmp_path / "f") == [1, 2, 3, 4]


def test_two_optimizers_of_one_model_make_one_step(model, tmp_path):
    halves = [model.layers[:1].parameters(), model.layers[1:].parameters()]
    optimizers = [torch.optim.SGD(half, 1e-3) for half in halves]
    other = torch.optim.SGD(nn.Linear(2, 2).parameters(), 1e-3)
    with monitor(model, every=1, to=tmp_path / "f"):
        for _ in range(3):
            model(torch.randn(2, 5, 4, 8)).square().mean().backward()
            for optimizer in (*optimizers, other):
                optimizer.step()
    assert steps(tmp_path / "f") == [1, 2, 3]


def test_numbers_are_those_of_the_commands(rng):
    h = rng.dirichlet(np.ones(4), (3, 7, 4))
    pre = torch.tensor(rng.dirichlet(np.ones(4), 7))
    from birkhoff_cli.analyses.core.trace import Site

    places = [Site(k, "attn", f"layers.{k}.attn") for k in range(3)]
    seen = {p: Seen(torch.tensor(one), pre) for p, one in zip(places, h, strict=True)}
    found = measuring.measure(seen)
    result = degeneration(array_trace(h.swapaxes(0, 1)))
    rows = result.table.to_pylist()
    for place, row in zip(places, rows, strict=True):
        own = found.sites[place.name]
        for name in ("diagonal_fraction", "identity_distance", "barycenter_distance"):
            assert own[name] == pytest.approx(row[name], rel=2e-5), name
        for name in ("permutation_distance", "negative_mass", "effective_streams"):
            assert own[name] == pytest.approx(row[name], rel=2e-5, abs=1e-7), name
        assert own["row_max_p50"] == pytest.approx(row["row_max_p50"], abs=0.03)
    product = h[2] @ h[1] @ h[0]
    norms = np.linalg.norm(product, 2, axis=(-2, -1))
    assert found.composite["composite_spectral_norm_max"] == pytest.approx(norms.max(), rel=1e-5)
    assert found.composite["composite_column_max"] == pytest.approx(product.sum(-2).max(), rel=1e-5)
    read = np.exp(-(pre.numpy() * np.log(pre.numpy())).sum(-1)).mean()
    assert found.sites["layers.0.attn"]["streams_read"] == pytest.approx(read, rel=1e-5)
    assert found.sites["layers.0.attn"]["streams_written"] is None


def test_nan_is_null_and_said(model, tmp_path):
    with monitor(model, every=1, to=tmp_path / "f") as mine:
        train(model, 4, mine, broken=3)
    found = lines(tmp_path / "f")
    assert [line.get("finite", True) for line in found] == [True, True, False, True]
    assert found[2]["step"] == 3 and found[2]["layers.0.attn"]["finite"] is False
    assert found[2]["layers.0.attn"]["identity_distance"] is None
    assert found[2]["verdict"] is None


def test_a_sink_that_fails_is_one_warning(model):
    def sink(*_):
        raise OSError("full")

    calls = []
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        with monitor(model, every=1, to=[sink, lambda _, step: calls.append(step)]):
            train(model, 4)
    assert [str(w.message) for w in said] == ["birkhoff: sink failed: OSError: full"]
    assert calls == [1, 2, 3, 4]


def test_an_exception_leaves_no_hook_and_writes_what_was_met(model, tmp_path):
    with pytest.raises(ValueError, match="mine"), monitor(model, every=1, to=tmp_path / "f"):
        train(model, 2)
        model(torch.randn(2, 5, 4, 8))
        raise ValueError("mine")
    assert steps(tmp_path / "f") == [1, 2, 3]
    assert lines(tmp_path / "f")[2]["finished"] is False
    assert not any(m._forward_hooks for m in model.modules())


def test_the_alarm_calls_once_and_stands_in_the_log(model, tmp_path):
    with torch.no_grad():
        for site in (m for m in model.modules() if isinstance(m, Site)):
            site.fn.zero_()
            site.base[8:] = 20 * torch.eye(4).flatten()
    heard = []
    options = {"on": "identity-degenerate", "after": 3}
    call = lambda numbers, step: heard.append((step, numbers["verdict"]))  # noqa: E731
    with monitor(model, every=2, to=tmp_path / "f", alarm=call, **options):
        train(model, 10)
    assert heard == [(6, "identity-degenerate")]
    assert [line["step"] for line in lines(tmp_path / "f") if "alarm" in line] == [6]
    with pytest.raises(UsageError, match="identity-degenerate"), monitor(model, on="identity"):
        raise AssertionError


@pytest.mark.parametrize("ratio", [0, 0.9, 0.99, 0.999, 0.9999, 0.999999, 1])
def test_the_spectral_norm_has_its_digits_whatever_stands_beside_it(ratio, rng):
    """Close singular values cost the third digit, and (1, -1) the norm itself."""
    u, v = (np.linalg.qr(rng.normal(size=(20, 4, 4)))[0] for _ in range(2))
    v[:, :2, :2], v[:, 2:, 2:] = [[1, 1], [-1, 1]], [[1, 1], [-1, 1]]
    v[:, :2, 2:] = v[:, 2:, :2] = 0
    h = u * [1, ratio, ratio / 2, 0.1] @ (v / np.sqrt(2)).swapaxes(-1, -2)
    norm = measuring._composite(torch.tensor(h)[None])[6]
    assert norm.item() == pytest.approx(np.linalg.norm(h, 2, axis=(-2, -1)).max(), rel=1e-6)


def test_a_module_of_another_version_is_in_no_number(model):
    """Its matrices were in the verdict and in the product of all sites."""

    class Other(Site):
        def forward(self, streams):
            post, comb, read = super().forward(streams)
            return post, comb * 3, read

    plain, mixed = [], []
    model.layers[1].attn_hc = Other()
    with (
        pytest.warns(RuntimeWarning, match="another version"),
        monitor(model, every=1, to=lambda numbers, _: mixed.append(numbers)),
    ):
        train(model, 1)
    for layer in (0, 2):
        plain.append(mixed[0][f"layers.{layer}.attn"]["diagonal_fraction"])
    assert mixed[0]["diagonal_fraction"] == pytest.approx(np.mean(plain), rel=1e-5)
    assert set(mixed[0]["composite"].values()) == {None}
    assert set(mixed[0]["layers.1.attn"].values()) == {None}


def broken_off(model, x):
    """A pass that breaks off in the last layer."""
    hook = model.layers[2].register_forward_pre_hook(lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        model(x)
    hook.remove()


def test_of_a_pass_that_broke_off_no_product_is_said(model, tmp_path):
    """It was that of the sites that were met, and sites of steps had to be alike to be read."""
    with monitor(model, every=1, to=tmp_path / "f.ndjson"):
        train(model, 2)
        broken_off(model, torch.randn(2, 5, 4, 8))
    (*_, last) = lines(tmp_path / "f.ndjson")
    assert last["finished"] is False and set(last["composite"].values()) == {None}
    assert "layers.2.attn" not in last and last["layers.1.attn"]["row_max_p50"] is not None
    rows = degeneration(load(tmp_path / "f.ndjson")).table.to_pylist()
    assert [(r["step"], r["layer"]) for r in rows] == [(s, k) for s in (1, 2, 3) for k in range(3)]
    assert rows[-1]["row_max_p50"] is None and rows[-1]["verdict"] is None


def test_a_pass_that_broke_off_and_is_tried_again_is_measured(model, tmp_path):
    optimizer = torch.optim.SGD(model.parameters(), 1e-3)
    with monitor(model, every=1, to=tmp_path / "f"):
        broken_off(model, torch.randn(2, 5, 4, 8))
        model(torch.randn(2, 5, 4, 8)).square().mean().backward()
        optimizer.step()
    (only,) = lines(tmp_path / "f")
    assert "finished" not in only and None not in only["composite"].values()


def test_a_step_that_control_c_ends_while_it_is_measured_is_there(model, tmp_path, monkeypatch):
    """It stood there as the one after, not finished."""
    original, calls = measuring.measure, []

    def interrupted(seen):
        calls.append(len(seen))
        if len(calls) == 3:
            raise KeyboardInterrupt
        return original(seen)

    monkeypatch.setattr(measuring, "measure", interrupted)
    with pytest.raises(KeyboardInterrupt), monitor(model, every=1, to=tmp_path / "f"):
        train(model, 5)
    found = lines(tmp_path / "f")
    assert [line["step"] for line in found] == [1, 2, 3] and "finished" not in found[2]


def test_the_call_of_step_behind_an_optimizers_is_that_same_step(model, tmp_path):
    with monitor(model, every=1, to=tmp_path / "f") as mine:
        train(model, 3)  # steps 1 to 3 of the optimizer
        mine.step()  # which is step 3
        train(model, 2, mine)
    assert steps(tmp_path / "f") == [1, 2, 3, 4, 5]
    assert mine.steps.taken == 5


def test_passes_of_evaluation_are_measured_where_that_is_asked_for(model, tmp_path):
    with monitor(model, every=1, to=tmp_path / "f", evaluation=True), torch.no_grad():
        model.eval()(torch.randn(2, 5, 4, 8))
    (only,) = lines(tmp_path / "f")
    assert (only["step"], only["finished"]) == (1, False)
    with monitor(model, every=1, to=tmp_path / "g"), torch.no_grad():
        model.eval()(torch.randn(2, 5, 4, 8))
        model.train()(torch.randn(2, 5, 4, 8))
    assert lines(tmp_path / "g") == []


def test_an_optimizer_of_copies_is_said_while_the_run_goes_on(model):
    copies = [p.detach().clone().requires_grad_() for p in model.parameters()]
    optimizer = torch.optim.SGD(copies, 1e-3)
    with pytest.warns(RuntimeWarning, match=r"no step is counted, .* call step\(\)"):  # noqa: SIM117
        with monitor(model, every=1) as mine:
            for copy in copies:
                copy.grad = torch.zeros_like(copy)
            for _ in range(4):
                model(torch.randn(2, 5, 4, 8)).square().mean().backward()
                optimizer.step()
            assert mine._warned and not mine.steps.taken


def test_an_optimizer_that_is_given_the_parameters_later_counts(model, tmp_path):
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(2))], 1e-3)
    with monitor(model, every=1, to=tmp_path / "f"):
        for step in range(4):
            model(torch.randn(2, 5, 4, 8)).square().mean().backward()
            if step == 2:
                optimizer.add_param_group({"params": list(model.parameters())})
            optimizer.step()
    assert steps(tmp_path / "f") == [1, 2]


@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
@pytest.mark.parametrize("part", ["model", "layers"])
def test_a_graph_that_must_be_whole_trains_and_is_told_at_once(model, tmp_path, before, part):
    """The compiler raised an error at our hook, into the model's forward."""

    def compiled():
        if part == "model":
            return torch.compile(model, backend="eager", fullgraph=True)
        for layer in model.layers:
            layer.compile(backend="eager", fullgraph=True)
        return model

    start = {name: value.clone() for name, value in model.state_dict().items()}
    whole = compiled() if before else model
    plain = train(whole, 3)
    model.load_state_dict(start)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always", RuntimeWarning)
        with monitor(model, every=1, to=tmp_path / "f"):
            whole = whole if before else compiled()
            losses = train(whole, 1)
            assert len(said) == 1
            assert losses == plain[:1]
            train(whole, 2)
    (only,) = {str(w.message) for w in said}
    assert "fullgraph=True leaves no room" in only and len(said) == 1
    assert lines(tmp_path / "f") == []


@pytest.mark.filterwarnings("ignore")
def test_what_may_not_be_compiled_again_is_left_alone_and_told(model):
    """What we forgot of it ended in an error of the compiler's, in the model's forward."""
    compiled = torch.compile(model, backend="eager")
    train(compiled, 1)
    torch.compiler.set_stance("fail_on_recompile")
    try:
        with (
            pytest.warns(RuntimeWarning, match="may not be compiled again"),
            monitor(model, every=10) as mine,
        ):
            train(compiled, 2)
    finally:
        torch.compiler.set_stance("default")
    assert mine.steps.taken == 2


@pytest.mark.filterwarnings("ignore")
def test_no_function_of_ours_is_compiled_for_every_site(model, tmp_path):
    """One was, up to the limit of such; where that is an error, training ended."""
    torch.compiler.reset()
    compiled = torch.compile(model, backend="eager")
    strict = torch._dynamo.config.patch(error_on_recompile=True)
    with strict, monitor(model, every=1, to=tmp_path / "f"):
        train(compiled, 2)
    assert steps(tmp_path / "f") == [1, 2]


def test_infinity_of_the_product_is_said_of_it(rng):
    """In float32 it was infinite from 3e38 on; in float64 it is where it has to be."""
    from birkhoff_cli.analyses.core.trace import Site

    for scale, finite in ((1e5, True), (1e17, False)):
        h = torch.tensor(scale * rng.dirichlet(np.ones(4), (20, 3, 4)))
        seen = {Site(k, "attn", f"layers.{k}.attn"): Seen(one) for k, one in enumerate(h)}
        found = measuring.measure(seen)
        assert found.finite is finite and ("finite" not in found.composite) is finite
        assert (found.composite["composite_row_max"] is not None) is finite
        assert all("finite" not in site for site in found.sites.values())
        assert found.verdict is not None


def test_the_spread_is_that_of_the_logits(rng):
    from birkhoff_cli.analyses.core.trace import Site

    z = torch.tensor(rng.normal(size=(7, 16)))
    seen = {Site(0, "attn", "a"): Seen(torch.eye(4).expand(7, 4, 4), logits=z)}
    wanted = (z.amax(-1) - z.amin(-1)).max().item()
    assert measuring.measure(seen).sites["a"]["spread_max"] == pytest.approx(wanted, rel=1e-5)


def test_two_sinks_of_one_name_are_two_warnings(model):
    broken = [lambda *_: 1 / 0, lambda *_: 1 / 0]
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        with monitor(model, every=1, to=broken):
            train(model, 3)
    assert len(said) == 2


def test_numbers_go_to_tensorboard_by_their_names(model):
    class Writer:
        def __init__(self):
            self.given = []

        def add_scalar(self, name, value, step):
            self.given.append((name, value, step))

    writer = Writer()
    with monitor(model, every=2, to=tensorboard(writer)):
        train(model, 4)
    assert {step for *_, step in writer.given} == {2, 4}
    assert "layers.0.attn/row_max_p50" in {name for name, *_ in writer.given}


def test_a_log_goes_on_behind_its_last_complete_line(model, tmp_path):
    path = tmp_path / "f"
    path.write_text('{"step":1}\n{"step":2,"ver')
    with monitor(model, every=1, to=path, first=1):
        train(model, 2)
    assert steps(path) == [1, 2, 3]


def test_scalars_are_flat(model):
    found = []
    with monitor(model, every=1, to=lambda numbers, _: found.append(dict(scalars(numbers)))):
        train(model, 1)
    assert {"layers.0.attn/row_max_p50", "composite/composite_row_max"} <= found[0].keys()
    assert all(isinstance(value, int | float) for value in found[0].values())


def test_a_step_is_one_line_of_limited_size(tmp_path):
    torch.manual_seed(0)
    model = Model()
    model.layers = nn.ModuleList(type(model.layers[0])() for _ in range(24))
    with monitor(model, every=1, to=tmp_path / "f"):
        train(model, 2)
    assert all(len(line) < 10_000 for line in (tmp_path / "f").read_text().splitlines())


@pytest.mark.parametrize("before", [True, False])
@pytest.mark.filterwarnings("ignore")
def test_a_compiled_model_is_measured(model, tmp_path, before):
    compiled = torch.compile(model, backend="eager")
    if before:
        train(compiled, 1)
    with monitor(model, every=1, to=tmp_path / "f"):
        train(compiled, 2)
    assert [len(find(model))] * 2 == [
        sum(name.startswith("layers") for name in line) for line in lines(tmp_path / "f")
    ]


def test_importing_a_callback_imports_neither_library():
    code = (
        "import sys; from birkhoff_cli import MonitorCallback;"
        "from birkhoff_cli.recording import lightning;"
        "print(sorted({'transformers', 'lightning', 'torch'} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
