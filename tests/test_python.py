"""The front door in Python: the numbers of the command, of paths, models, arrays and functions."""

import inspect
import json
import subprocess
import sys

import numpy as np
import pytest
import torch
from torch import nn

import birkhoff_cli as birkhoff
from birkhoff_cli import checkpoints as formats
from birkhoff_cli import members
from birkhoff_cli.analyses import spectrum
from birkhoff_cli.analyses.core import discover
from birkhoff_cli.analyses.core.errors import BadInput, Unsupported, UsageError
from birkhoff_cli.analyses.core.random_numbers import Seed
from birkhoff_cli.binding import Binding
from birkhoff_cli.options import dashes
from conftest import ROOT
from test_recorder import NO_PACKAGE, STANDINS, Stack, loaded, perturbed
from test_recorder import module as package

EXAMPLES = ROOT / "examples"
MODEL = str(EXAMPLES / "mhc-lite.pt")
ANALYSES = discover.house("birkhoff_cli.analyses")
TOKENS = {"inputs": f"tokens={EXAMPLES / 'val.bin'}", "random": True, "sequences": 1, "length": 8}
GAUSSIAN = {"inputs": "gaussian", "samples": 5}
GO = {"method": "go-mhc:s=1", "d": 3}
OWN = {
    "compare": {"method": ["go-mhc", "mhc-lite"], "d": 3, "samples": 6, "probe": "targets"},
    "decompose": {"path": MODEL, **GAUSSIAN, "method": "mhc", "iters": 2, "starts": 2},
    "depth-drift": {**GO, "samples": 7, "layers": 3, "draw": "haar"},
    "diff": {"a": MODEL, "b": MODEL, **GAUSSIAN},
    "distance": {"a": MODEL, "b": str(EXAMPLES / "hc.pt"), **GAUSSIAN},
    "fit": {"method": ["go-mhc:s=1", "mhc"], "d": 3, "epochs": 4, "targets": 2, "noise": 1e-3},
    "gradients": {**GO, "samples": 3, "points": 2},
    "heatmap": {**GO, "samples": 7, "layers": 2},
    "sample": {**GO, "samples": 9, "scale": 0.1},
    "similarity": {"path": MODEL, **TOKENS},
    "sinkhorn": {"method": "mhc", "samples": 6, "layers": 2},
    "slice": {**GO, "samples": 50, "solid": True, "resolution": 20},
    "spectrum": {**GO, "samples": 6, "probe": "targets", "max_steps": 9, "resolution": 30},
}
"""Options of a small call, where it is not the usual one."""

USUAL = {"path": MODEL, **GAUSSIAN}
DRAWING = [n for n in ANALYSES if "seed" in Binding(members.module_of(n)).options]
CALLS = {n: OWN.get(n, USUAL) for n in DRAWING if n != "complexity"}
"""Of every analysis that draws; complexity does for measurements of time alone."""


@pytest.fixture(name="run_command")
def command(request):
    """The command; here ``birkhoff`` is the package."""
    return request.getfixturevalue("birkhoff")


def words(options, own):
    """The same on the command line."""
    for name, value in options.items():
        several = value if isinstance(value, list) else [value]
        for one in several:
            if not own[name].positional:
                yield dashes(name)
            if one is not True:
                yield str(one)


@pytest.mark.parametrize("name", CALLS)
def test_the_same_seed_gives_the_numbers_of_the_command(name, run_command):
    own = Binding(members.module_of(name), _named(CALLS[name])).options
    typed = [*words(CALLS[name], own), "--seed", 3, "--json"]
    done = run_command(name, *typed)
    assert done.returncode == 0, done.stderr
    function = getattr(birkhoff, name.replace("-", "_"))
    options = {n: v for n, v in CALLS[name].items() if n != "path"}
    paths = [v for n, v in CALLS[name].items() if n == "path"]
    result = function(*paths, **options, seed=3)
    told = {"answer": result.answer, **result.summary} if result.answer else result.summary
    assert json.loads(json.dumps(told, default=lambda v: v.item())) == json.loads(done.stdout)
    assert f"<{name}: {len(result.table):,} rows" in repr(result)


def _named(options):
    from birkhoff_cli import methods

    texts = options.get("method", [])
    return methods.named([texts] if isinstance(texts, str) else texts)


@pytest.mark.parametrize("name", [n for n in ANALYSES if n in ("compare", "fit", "gradients")])
def test_another_seed_gives_other_numbers(name):
    function = getattr(birkhoff, name)
    tables = [function(**CALLS[name], seed=seed).table for seed in (1, 1, 2)]
    assert tables[0].equals(tables[1]) and not tables[0].equals(tables[2])


@pytest.mark.parametrize("name", ANALYSES)
def test_no_analysis_takes_a_generator(name):
    parameters = inspect.signature(members.module_of(name).run, eval_str=True).parameters
    assert not [p for p in parameters.values() if p.annotation is np.random.Generator]
    assert "seed" not in parameters or parameters["seed"].annotation == Seed


@pytest.mark.parametrize("name", ANALYSES)
def test_results_of_every_analysis_know_their_module(name):
    """Which ``@analysis`` tells them; without it they have no picture and no meaning."""
    run = members.module_of(name).run
    assert inspect.unwrap(run) is not run, f"{name}.run has no @analysis"


def test_a_map_is_given_in_every_way_that_it_is_typed():
    expected = birkhoff.spectrum(method="kromhc", factors="2x3", d=6, samples=9).table
    for map_ in (
        birkhoff.method("kromhc", factors=(2, 3), d=6),
        birkhoff.method("KromHC:factors=2x3", d=6),
        birkhoff.method(birkhoff.method("kromhc:d=6,factors=2x3")),
    ):
        assert birkhoff.spectrum(map_, samples=9).table.equals(expected)
        assert birkhoff.spectrum(method=map_, samples=9).table.equals(expected)
        assert spectrum.run(map_, samples=9, seed=0).table.equals(expected)
    both = birkhoff.compare(["mhc:d=3", birkhoff.method("go-mhc", d=3)], samples=4)
    assert [row["name"] for row in both.summary["models"]] == ["mhc", "go-mhc:s=2"]


@pytest.mark.parametrize("how", [{}, {"how": "haar"}, {"how": "gaussian", "scale": 0.3}])
def test_a_map_draws_the_matrices_of_the_command(how):
    map_ = birkhoff.method("go-mhc", d=3)
    options = {"draw" if name == "how" else name: v for name, v in how.items()}
    table = birkhoff.sample(map_, samples=2500, seed=4, **options).table
    drawn = map_.draw(2500, seed=4, **how)
    assert np.array_equal(drawn.ravel(), table["matrix"].combine_chunks().flatten().flatten())
    assert not np.array_equal(drawn, map_.draw(2500, **how))


@pytest.mark.parametrize(
    "call, sentence",
    [
        (lambda: birkhoff.method("go-mhc", s=2.5), "'2.5' is not a whole number"),
        (lambda: birkhoff.method("go-mhc:s=1", s=2), "says s already; say it once"),
        (lambda: birkhoff.method("go-mhc:d=3", d=3), "says d already; say it once"),
        (lambda: birkhoff.method("go-mhc", iters=2), "go-mhc has no --iters; it has"),
        (lambda: birkhoff.method("go-mch"), "did you mean 'go-mhc'"),
        (lambda: birkhoff.method("go-mhc", parameters=3), "has its own"),
        (lambda: birkhoff.method(3), r"method\(function, parameters=9, d=3\)"),
        (lambda: birkhoff.method(np.exp), r"method\(function, parameters=9, d=3\)"),
        (lambda: birkhoff.spectrum("go-mhc", sampels=3), "did you mean 'samples'"),
        (lambda: birkhoff.spectrum(np.eye(3), samples=3), "'samples' is not among the options"),
        (lambda: birkhoff.spectrum(MODEL, samples=3), "no meaning with --inputs static"),
        (lambda: birkhoff.spectrum(), "no matrices were named"),
        (lambda: birkhoff.spectrum(method="mhc", max_steps=3), "belongs to --probe targets"),
        (lambda: birkhoff.load(np.eye(3), inputs="gaussian"), "inputs is for checkpoints"),
        (lambda: birkhoff.load(MODEL, samples=3), "no meaning with --inputs static"),
    ],
)
def test_what_cannot_be_is_said_in_a_sentence(call, sentence):
    with pytest.raises(UsageError, match=sentence):
        call().table  # noqa: B018


def test_arguments_by_place_are_counted():
    with pytest.raises(
        TypeError, match=r"spectrum\(\) takes 1 arguments by place, and 2 are given"
    ):
        birkhoff.spectrum(np.eye(3), 3)
    with pytest.raises(TypeError, match="got source twice"):
        birkhoff.spectrum(np.eye(3), source=np.eye(3))


def test_a_function_says_what_it_takes():
    signature = inspect.signature(birkhoff.depth_drift)
    assert [*signature.parameters][0] == "source"
    assert {"samples", "seed", "inputs", "from_each", "options"} <= signature.parameters.keys()
    assert "from_each: composites from every start" in birkhoff.depth_drift.__doc__
    assert {"load", "method", "record", "spectrum", "depth_drift"} <= {*dir(birkhoff)}
    assert birkhoff.spectrum is birkhoff.spectrum
    with pytest.raises(AttributeError, match="no attribute 'spectrom'"):
        birkhoff.spectrom  # noqa: B018


def test_no_analysis_has_the_name_of_a_module_beside_it():
    """Which would be imported in its place."""
    names = {path.stem for path in (ROOT / "birkhoff_cli").iterdir()}
    assert not names & {name.replace("-", "_") for name in ANALYSES}


def test_importing_and_loading_a_map_imports_no_torch():
    code = (
        "import sys, birkhoff_cli as b; assert 'numpy' not in sys.modules;"
        "b.spectrum(b.method('go-mhc'), samples=5).summary;"
        "assert not {'torch', 'rich', 'matplotlib'} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


# loading


@pytest.mark.parametrize("options", [{}, GAUSSIAN, TOKENS], ids=lambda o: str(o.get("inputs")))
def test_a_checkpoint_is_loaded_as_commands_read_it(options, run_command, tmp_path):
    own = Binding(members.module_of("trace")).options
    typed = [*words({"path": MODEL, **options}, own), "--seed", 2, "-o", "t.parquet"]
    done = run_command("trace", *typed)
    assert done.returncode == 0, done.stderr
    trace = birkhoff.load(MODEL, seed=2, **options)
    written = birkhoff.load(tmp_path / "t.parquet")
    assert [s[:2] for s in trace.sites] == [s[:2] for s in written.sites]
    assert trace.step == written.step
    assert np.array_equal(trace.matrices, written.matrices)
    assert np.array_equal(trace.matrices, trace.matrices)


def test_settings_are_set_as_on_the_command_line(checkpoints):
    trace = birkhoff.load(checkpoints / "mhclite_mhc_n4", set={"iters": 1})
    assert trace.meta["settings"]["iters"] == {"value": 1, "source": "set"}


def test_a_series_is_loaded_and_measured_as_one():
    series = birkhoff.load(EXAMPLES / "mhc")
    assert [trace.step for trace in series] == [0, 150, 300, 450, 600]
    for function in (birkhoff.depth_drift, birkhoff.degeneration):
        loaded_, read = function(series), function(EXAMPLES / "mhc")
        assert loaded_.table.equals(read.table)
        assert loaded_.summary == read.summary
        assert loaded_.plot().get_axes()
    with pytest.raises(BadInput, match="are no series"):
        birkhoff.load([MODEL, EXAMPLES / "hc.pt"])


class Live(nn.Module):
    """A site that computes its mixing itself, as the checkpoint of it is read."""

    def __init__(self, site, connection):
        super().__init__()
        self.site, self.connection = site, connection

    def mix(self, residuals):
        streams = residuals.unflatten(0, (-1, self.site.num_residual_streams)).movedim(1, -2)
        mixed = (self.connection(streams).mixing @ streams).movedim(-2, 1).flatten(0, 1)
        beside = {"beta": None}
        if hasattr(self.site, "H_res_logits"):
            return (
                streams.sum(-2),
                residuals,
                {
                    **beside,
                    "residuals_mixed": mixed.unflatten(
                        0, (-1, self.site.num_residual_streams)
                    ).movedim(1, -2),
                },
            )
        return streams.sum(-2), mixed, beside


@pytest.mark.parametrize("name", STANDINS)
def test_a_live_model_has_the_static_matrices_of_its_checkpoint(checkpoints, name):
    folder = checkpoints / name
    model, streams, _ = loaded(folder, **STANDINS[name])
    count = len(streams)  # the sites of which the recording keeps streams
    checkpoint = formats.read(folder)
    with checkpoint.opened() as store:
        connections = [c.converted(torch.as_tensor) for c in checkpoint.connect(store)]
    for k, connection in enumerate(connections[:count]):
        layer = model.transformer.h[k // 2]
        site = layer.hc_mlp if k % 2 else layer.hc_attn
        site.width_connection = Live(site, connection).mix
    trace = birkhoff.load(model)
    assert trace.sites == checkpoint.sites[:count] and count >= 2
    np.testing.assert_allclose(trace.matrices, checkpoint.trace().matrices[:, :count], atol=2e-6)
    assert birkhoff.depth_drift(trace).summary["sites"] == count


@pytest.mark.parametrize("name", ["hyper_connections", "manifold_constrained_hyper_connections"])
def test_lucidrains_own_modules_have_them_too(name, tmp_path):
    model = perturbed(Stack(package(name)))
    torch.save(model.state_dict(), tmp_path / "model.pt")
    expected = formats.read(tmp_path / "model.pt").trace().matrices
    before = torch.random.get_rng_state()
    found = birkhoff.load(model)
    np.testing.assert_allclose(found.matrices, expected, atol=2e-6)
    assert torch.equal(before, torch.random.get_rng_state())
    assert not any("width_connection" in vars(m) for m in model.modules())


@pytest.mark.parametrize("kind", ["deepseek_v4", "hy_v4"])
def test_transformers_own_modules_have_them_too(kind, tmp_path):
    pytest.importorskip("transformers", minversion="5.23", reason=NO_PACKAGE)
    import test_transformers

    torch.manual_seed(0)
    model = perturbed(getattr(test_transformers, kind)().eval())
    model.save_pretrained(tmp_path)
    expected = formats.read(tmp_path).trace().matrices
    np.testing.assert_allclose(birkhoff.load(model).matrices, expected, atol=2e-6)


def test_a_module_of_another_version_is_refused(checkpoints):
    model, *_ = loaded(checkpoints / "mhclite_mhc_n4", **STANDINS["mhclite_mhc_n4"])
    with pytest.raises(Unsupported, match="mixed its streams otherwise"):
        for layer in model.transformer.h:
            layer.hc_mlp.applied = layer.hc_attn.applied = torch.eye(4)
        birkhoff.load(model)
    with pytest.raises(Unsupported, match="Linear has no hyper-connections"):
        birkhoff.load(nn.Linear(2, 2))


# a function of one's own


def rows_numpy(theta):
    h = np.exp(theta.reshape(*theta.shape[:-1], 3, 3))
    return h / h.sum(-1, keepdims=True)


def rows_numpy_single(theta):
    return rows_numpy(theta.reshape(9))


def rows_torch(theta):
    return torch.softmax(theta.reshape(*theta.shape[:-1], 3, 3), -1)


def rows_torch_single(theta):
    return torch.softmax(theta.reshape(3, 3), -1)


def rows_torch_item(theta):
    """Of one vector only, and nothing that vmap can follow."""
    return torch.softmax(theta.reshape(3, 3), -1) * (1.0 if theta[0].item() < 99 else 2.0)


def mixes_its_batch(theta):
    """Right for one vector; a batch is normalised over all of its rows."""
    h = np.exp(theta.reshape(*theta.shape[:-1], 3, 3))
    return h / h.sum(-1, keepdims=True).mean(axis=tuple(range(theta.ndim - 1)), keepdims=True)


FUNCTIONS = (rows_numpy, rows_numpy_single, rows_torch, rows_torch_single, rows_torch_item)


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda f: f.__name__)
def test_a_function_is_a_map_of_numpy_and_torch_arrays(function, rng):
    map_ = birkhoff.method(function, parameters=9, d=3)
    assert (map_.name, map_.exact, map_.parameters) == (
        function.__name__.replace("_", "-"),
        frozenset(),
        9,
    )
    for shape in ((9,), (5, 9), (2, 5, 9), (0, 9)):
        theta = rng.standard_normal(shape)
        expected = rows_numpy(theta)
        np.testing.assert_allclose(map_(theta), expected, rtol=1e-14)
        assert map_(theta.astype(np.float32)).dtype == np.float32
        there = torch.from_numpy(theta)
        np.testing.assert_allclose(map_(there).numpy(), expected, rtol=1e-14)
        weights = torch.from_numpy(rng.standard_normal(expected.shape))
        slopes = []
        for each in (map_, rows_torch):
            x = there.clone().requires_grad_()
            (each(x) * weights).sum().backward()
            slopes.append(x.grad)
        np.testing.assert_allclose(slopes[0], slopes[1], atol=1e-9)


def test_a_batch_that_mixes_its_rows_is_run_row_by_row(rng):
    map_ = birkhoff.method(mixes_its_batch, parameters=9, d=3)
    theta = rng.standard_normal((4, 9))
    np.testing.assert_allclose(map_(theta), [mixes_its_batch(row) for row in theta], rtol=1e-14)


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda f: f.__name__)
def test_analyses_work_on_a_function(function):
    """With the numbers of the method whose map it is, where derivatives agree."""
    map_ = birkhoff.method(function, parameters=9, d=3)
    drawn = birkhoff.spectrum(map_, samples=30, seed=1)
    assert drawn.summary["method"] == map_.name
    assert drawn.summary["outside_karpelevic_fraction"] == 0
    drift = birkhoff.depth_drift(map_, samples=5, layers=3).summary
    assert drift["row_error_max"] < 1e-14 < 0.1 < drift["column_error_max"]
    fit = {"targets": 2, "epochs": 200, "objective": "entries", "noise": 0, "seed": 2}
    (fitted,) = birkhoff.fit(methods=[map_], **fit).summary["fits"]
    (other,) = birkhoff.fit(
        methods=[birkhoff.method(rows_torch, parameters=9, d=3)], **fit
    ).summary["fits"]
    assert fitted["final_loss"] == pytest.approx(other["final_loss"], rel=1e-6)
    assert fitted["final_loss"] < 1e-3
    target = np.array([[0.2, 0.3, 0.5], [0.1, 0.1, 0.8], [0.7, 0.2, 0.1]])
    found = birkhoff.decompose(target, method=map_, starts=2, seed=3)
    assert found.summary["distance_max"] < 1e-6
    assert (
        birkhoff.spectrum(map_, probe="targets", samples=2, resolution=20).summary["targets"] == 2
    )


@pytest.mark.parametrize(
    "function, sentence",
    [
        (lambda theta: theta, r"it gives float64 of shape \(9,\)"),
        (lambda theta: theta.reshape(3, 3) / 0 if theta.missing else 0, "missing"),
        (lambda theta: [1, 2] + theta.tolist(), "tensor"),
        (lambda theta: theta.reshape(3, 3) * 1j, "complex128"),
    ],
)
def test_a_function_that_gives_no_matrices_is_refused(function, sentence):
    with pytest.raises(UsageError, match=f"function gives no 3 x 3 matrix of 9.*{sentence}"):
        birkhoff.method(function, parameters=9, d=3)


def test_what_the_first_axis_of_an_array_is_says_the_analysis(tmp_path, rng):
    h = birkhoff.method("go-mhc", d=3).draw(5, rng)
    np.save(tmp_path / "h.npy", h)
    for source in (h, birkhoff.load(h), tmp_path / "h.npy", birkhoff.load(tmp_path / "h.npy")):
        for _ in range(2):
            assert birkhoff.depth_drift(source).summary["sites"] == 5
            assert birkhoff.degeneration(source).summary["samples"] == 5
    for source in (h, tmp_path / "h.npy"):
        samples, sites = (birkhoff.load(source, set={"axes": a}) for a in ("samples", "sites"))
        assert birkhoff.depth_drift(samples).summary["sites"] == 1
        assert birkhoff.degeneration(sites).summary["samples"] == 1
    for wrong in (h[None], np.eye(3)):
        with pytest.raises(UsageError, match="axes=sites is for an array"):
            birkhoff.load(wrong, set={"axes": "sites"})
