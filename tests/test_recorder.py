"""Recording a model while it runs: real packages where they are installed, stand-ins elsewhere."""

import subprocess
import sys
from functools import cache

import numpy as np
import pytest
import torch
from torch import nn

import birkhoff_cli
import birkhoff_cli.analyses.spectrum as spectrum
from birkhoff_cli import Recorder, checkpoints, matrices, record
from birkhoff_cli.analyses.core.errors import (
    BadInput,
    BirkhoffError,
    CannotWrite,
    Unsupported,
    UsageError,
)
from birkhoff_cli.recording import recorder as recorder_module

NO_PACKAGE = "the package is not installed; pip install -e '.[dev]'"


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """The tensors here are too small to share out."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


class Site(nn.Module):
    """A module with the attributes of mhc-lite's, KromHC's and tokenbender's.

    It has the tensors of a checkpoint, and mixes by matrices that were recorded in the original.
    """

    def __init__(self, tensors, **attributes):
        super().__init__()
        self.norm = nn.Module()
        for name, value in tensors.items():
            owner = self.norm if name.startswith("norm.") else self
            setattr(owner, name.removeprefix("norm."), nn.Parameter(value.clone()))
        self.num_residual_streams = len(self.static_beta)
        self.channel_first = False
        for name, value in attributes.items():
            setattr(self, name, value)

    def width_connection(self, residuals):
        streams = residuals.unflatten(0, (-1, self.num_residual_streams)).movedim(1, -2)
        mixed = self.applied.to(streams) @ streams
        if hasattr(self, "H_res_logits"):
            return streams.sum(-2), residuals, {"beta": None, "residuals_mixed": mixed}
        return streams.sum(-2), mixed.movedim(-2, 1).flatten(0, 1), {"beta": None}

    def forward(self, residuals):
        return self.width_connection(residuals)[1]


class Layer(nn.Module):
    def __init__(self, attn, mlp):
        super().__init__()
        self.hc_mlp, self.hc_attn = mlp, attn  # the order in which they are called is another


class Model(nn.Module):
    """Every site is given the streams that were recorded at it."""

    def __init__(self, sites):
        super().__init__()
        self.transformer = nn.Module()
        pairs = zip(sites[::2], sites[1::2], strict=True)
        self.transformer.h = nn.ModuleList(Layer(*pair) for pair in pairs)

    def forward(self, streams):
        for k, x in enumerate(streams):
            layer = self.transformer.h[k // 2]
            (layer.hc_mlp if k % 2 else layer.hc_attn)(x)


@cache
def stored(folder):
    model = torch.load(folder / "ckpt.pt", weights_only=True)["model"]
    truth = dict(np.load(folder / "truth.npz"))
    return model, truth, torch.from_numpy(np.load(folder / "streams.npz")["x_in"])


def loaded(folder, **attributes):
    """A stand-in of the first sites of a recorded model, their streams in four, and the truth."""
    model, truth, x = stored(folder)
    sites = []
    for k in range(x.shape[1]):
        prefix = f"transformer.h.{k // 2}.hc_{('attn', 'mlp')[k % 2]}."
        own = {n.removeprefix(prefix): v for n, v in model.items() if n.startswith(prefix)}
        tensors = {n: v for n, v in own.items() if not n.startswith("branch.")}
        applied = torch.from_numpy(truth["H"][: len(x), k]).unflatten(0, (4, -1))
        sites.append(Site(tensors, applied=applied, **attributes))
    streams = [s.unflatten(0, (4, -1)).movedim(-2, 1).flatten(0, 1) for s in x.unbind(1)]
    return Model(sites), streams, truth


TOKENBENDER = {"mhc": True, "ns_steps": 5, "ns_eps": 1e-7, "ns_coeffs": (3.0, -3.2, 1.2)}
TOKENBENDER |= {"sinkhorn_iters": 10, "sinkhorn_tau": 1.0}
STANDINS = {
    "mhclite_hc_n4": {"act": nn.Tanh()},
    "mhclite_mhc_n4": {"sinkhorn_iters": 20},
    "mhclite_mhc_lite_n4": {},
    "kromhc_n4": {},
    "tb_mhc_tau1": {**TOKENBENDER, "mhc_h_res_proj": "sinkhorn"},
    "tb_mhc_ortho": {**TOKENBENDER, "mhc_h_res_proj": "orthostochastic"},
}


@pytest.mark.parametrize("name", STANDINS)
def test_recorded_matrices_are_those_that_the_original_applied(checkpoints, name):
    model, streams, truth = loaded(checkpoints / name, **STANDINS[name])
    with record(model) as recorder:
        model(streams)
    trace = recorder.trace
    expected = truth["H"][: trace.samples, : len(streams)]
    assert [site.name for site in trace.sites] == truth["site_names"].tolist()[: len(streams)]
    order = [(0, "attn"), (0, "mlp"), (1, "attn")]
    assert [site[:2] for site in trace.sites[:3]] == order[: len(streams)]
    assert trace.matrices.dtype == np.float32
    error = np.abs(trace.matrices - expected).max()
    assert error <= 1e-5, f"largest error {error:.2e}"


@pytest.mark.parametrize("name", STANDINS)
def test_a_module_that_mixes_otherwise_is_refused(checkpoints, name):
    """Transposed, with its columns in another order, by a hundredth of another matrix."""
    model, streams, _ = loaded(checkpoints / name, **STANDINS[name])
    site = model.transformer.h[-1].hc_mlp
    right = site.applied
    wrong = [right.flip(-1), 0.99 * right + 0.01 * torch.eye(4)[[1, 2, 3, 0]]]
    for site.applied in wrong if "krom" in name else [right.mT, *wrong]:  # KromHC's is symmetric
        with (
            pytest.raises(Unsupported, match="mixed its streams otherwise.*Recorder.add"),
            record(site),
        ):
            site(streams[-1])


@pytest.mark.parametrize("name", STANDINS)
def test_in_bfloat16_what_rounding_explains_is_accepted(checkpoints, name):
    model, streams, truth = loaded(checkpoints / name, **STANDINS[name])
    site = model.transformer.h[-1].hc_mlp.to(torch.bfloat16)
    with record(site) as recorder:
        site(streams[-1].to(torch.bfloat16))
    applied = truth["H"][: recorder.trace.samples, len(streams) - 1]
    assert np.abs(recorder.trace.matrices[:, 0] - applied).max() < 0.1
    site.applied = site.applied / 2
    with pytest.raises(Unsupported, match="mixed its streams otherwise"), record(site):
        site(streams[-1].to(torch.bfloat16))


def hc_tensors(n=3, width=8, seed=0):
    torch.manual_seed(seed)
    shapes = {"norm.gamma": (width,), "static_alpha": (n, n + 1), "static_beta": (n,)}
    shapes |= {"dynamic_alpha_fn": (width, n + 1), "dynamic_beta_fn": (width,)}
    shapes |= {"dynamic_alpha_scale": (), "dynamic_beta_scale": ()}
    return {name: torch.randn(shape) for name, shape in shapes.items()}


class Dropping(Site):
    """What it mixes it does not return: lucidrains 0.1.7 to 0.3.9, tokenbender's HC."""

    def width_connection(self, residuals):
        return residuals, residuals, {"beta": None}


@pytest.mark.parametrize("attributes", [{"act": nn.Tanh()}, {"mhc": False}])
def test_streams_that_are_returned_as_they_came_are_not_mixed(attributes):
    model = Model([Dropping(hc_tensors(), **attributes) for _ in range(2)])
    with record(model) as recorder:
        model([torch.randn(6, 5, 8)] * 2)
    expected = np.broadcast_to(np.eye(3), (10, 2, 3, 3))
    np.testing.assert_array_equal(recorder.trace.matrices, expected)


@pytest.mark.parametrize(
    "attributes", [{"num_fracs": 2}, {"num_input_views": 2}, {"channel_first": True}], ids=str
)
def test_variants_that_are_not_known_are_refused_before_anything_runs(attributes):
    model = Model([Dropping(hc_tensors(), **attributes) for _ in range(2)])
    with pytest.raises(Unsupported, match="is not known here; .*Recorder.add"), record(model):
        raise AssertionError


# lucidrains' package itself


def module(name):
    pytest.importorskip("hyper_connections", reason=NO_PACKAGE)
    return pytest.importorskip(f"hyper_connections.{name}", reason=NO_PACKAGE)


class Stack(nn.Module):
    def __init__(self, package, depth=3, width=64, branch=None, **options):
        super().__init__()
        streams = package.get_init_and_expand_reduce_stream_functions(4, dim=width)
        build, self.expand, self.reduce = streams
        branches = [branch() if branch else nn.Linear(width, width) for _ in range(depth)]
        self.layers = nn.ModuleList(
            build(branch=b, layer_index=k, **options) for k, b in enumerate(branches)
        )

    def forward(self, x):
        x = self.expand(x)
        for layer in self.layers:
            x = layer(x)
        return self.reduce(x)


def perturbed(model, size=0.3):
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(size * torch.randn_like(parameter))
    return model


def test_lucidrains_own_modules_on_a_trained_checkpoint(checkpoints):
    package = module("manifold_constrained_hyper_connections")
    folder = checkpoints / "lucid_mhc"
    truth, x = np.load(folder / "truth.npz"), torch.from_numpy(np.load(folder / "inputs.npy"))

    def branch():
        widths = nn.Linear(64, 128), nn.Linear(128, 64)
        return nn.Sequential(nn.LayerNorm(64), widths[0], nn.GELU(), widths[1])

    model = Stack(package, depth=6, branch=branch)
    model.load_state_dict(torch.load(folder / "model.pt", weights_only=True), strict=False)
    with torch.no_grad(), record(model) as recorder:
        model(x)
    assert [site.name for site in recorder.sites] == truth["site_names"].tolist()
    tokens, sites = truth["H"].shape[:2]
    error = np.abs(recorder.trace.matrices[:tokens, :sites] - truth["H"]).max()
    assert error <= 1e-5, f"largest error {error:.2e}"


VARIANTS = [
    *[("hyper_connections", {}), ("hyper_connections", {"tanh": False})],
    *[("manifold_constrained_hyper_connections", {}), ("mHCv2", {})],
    *[("mHCv2", {"sinkhorn_iters": 3}), ("mHCv2", {"log_domain_sinkhorn": True})],
    *[("mHCv2", {"num_dynamic_alpha_proposals": 3}), ("mHCv2", {"mix_streams_before_norm": True})],
]


@pytest.mark.parametrize(("name", "options"), VARIANTS, ids=str)
def test_lucidrains_own_modules_by_what_they_do_to_streams(name, options, monkeypatch):
    """H solves H x = mixed for streams that are linearly independent, whatever the formula is."""
    package = module(name)
    model = perturbed(Stack(package, **options))
    monkeypatch.setattr(model, "expand", nn.Identity())
    monkeypatch.setattr(model, "reduce", nn.Identity())
    seen = []
    for layer in model.layers:
        original = layer.width_connection

        def watched(x, original=original):
            returned = original(x)
            seen.append((x, returned[1]))
            return returned

        layer.width_connection = watched
    v2 = name == "mHCv2"
    x = torch.randn(2, 5, 4, 64) if v2 else torch.randn(8, 5, 64)
    with torch.no_grad(), record(model) as recorder:
        model(x)
    found = recorder.trace.matrices
    for k, pair in enumerate(seen):
        given, mixed = (
            v if v2 else v.unflatten(0, (2, 4)).movedim(1, -2) for v in (p.double() for p in pair)
        )
        h = (mixed @ torch.linalg.pinv(given)).reshape(-1, 4, 4).numpy()
        np.testing.assert_allclose(found[:, k], h, atol=1e-4)
    assert all(vars(layer)["width_connection"].__name__ == "watched" for layer in model.layers)


def test_lucidrains_under_autocast_and_in_double_precision():
    package = module("hyper_connections")
    model, x = perturbed(Stack(package)), torch.randn(2, 5, 64)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16), record(model) as low:
        model(x)
    with torch.no_grad(), record(model) as single:
        model(x)
    model.double()
    with torch.no_grad(), record(model) as double:
        model(x.double())
    assert (single.trace.dtype, double.trace.dtype) == (np.float32, np.float64)
    assert np.abs(single.trace.matrices - double.trace.matrices).max() < 1e-5
    assert np.abs(low.trace.matrices - double.trace.matrices).max() < 0.2


def test_a_constraint_of_ones_own_is_refused():
    package = module("mHCv2")
    model = Stack(package, residual_mix_constraint_fn=lambda logits: logits.softmax(-1))
    with pytest.raises(Unsupported, match="residual_mix_constraint_fn of its own"), record(model):
        raise AssertionError


def test_training_goes_on_as_without_a_recorder():
    package = module("hyper_connections")
    model, x = perturbed(Stack(package)), torch.randn(2, 5, 64)
    results = []
    for recording in (False, True):
        model.zero_grad()
        if recording:
            with record(model):
                model(x).square().sum().backward()
        else:
            model(x).square().sum().backward()
        results.append([parameter.grad.clone() for parameter in model.parameters()])
    assert all(torch.equal(a, b) for a, b in zip(*results, strict=True))
    assert not any("width_connection" in vars(layer) for layer in model.layers)
    assert not model._forward_hooks and not model._forward_pre_hooks


@pytest.mark.filterwarnings("ignore")
def test_a_compiled_model_is_recorded_too():
    model, x = perturbed(Stack(module("mHCv2"), depth=2)), torch.randn(2, 5, 64)
    compiled = torch.compile(model, backend="eager")
    with torch.no_grad():
        compiled(x)
        with record(model) as plain:
            model(x)
        with record(compiled) as within:
            compiled(x)
    assert within.sites == plain.sites
    np.testing.assert_allclose(within.trace.matrices, plain.trace.matrices, atol=1e-6)


# transformers


@pytest.mark.parametrize("kind", ["deepseek_v4", "glm5_next", "hy_v4"])
@pytest.mark.filterwarnings("ignore")
def test_transformers_own_models_by_what_they_do_to_streams(kind):
    """At every site: the streams of the next one, less what the branch wrote, are H x."""
    pytest.importorskip("transformers", minversion="5.23", reason=NO_PACKAGE)
    import test_transformers

    torch.manual_seed(0)
    model = getattr(test_transformers, kind)().eval()
    sites = test_transformers.sites(model)
    for site in sites:
        for parameter in (site.fn, site.base, site.scale):
            nn.init.normal_(parameter, std=0.3)
    given, posts, written = [], [], []
    for site in sites:
        site.register_forward_pre_hook(lambda _, args: given.append(args[0]))
        site.register_forward_hook(lambda *seen: posts.append(seen[-1][0]))
    for name, branch in model.named_modules():
        if name.endswith((".self_attn", ".mlp")):
            branch.register_forward_hook(lambda *seen: written.append(seen[-1]))
    tokens = torch.randint(3, 32, (2, 9))
    with torch.no_grad(), record(model) as recorder:
        model(input_ids=tokens, use_cache=False)
    trace = recorder.trace
    order = [(layer, branch) for layer in range(3) for branch in ("attn", "mlp")]
    assert [site[:2] for site in trace.sites] == order
    found = torch.from_numpy(trace.matrices).unflatten(0, (2, 9))
    assert found.shape == (2, 9, 6, 3, 3)
    for k in range(5):
        branch = written[k][0] if isinstance(written[k], tuple) else written[k]
        rest = given[k + 1] - posts[k].unsqueeze(-1) * branch.unsqueeze(-2)
        np.testing.assert_allclose(found[:, :, k] @ given[k], rest, atol=1e-5)
    if kind == "hy_v4":
        assert (found == torch.eye(3)).all()
    else:
        assert (found - found.mT).abs().max() > 0.1


@pytest.mark.filterwarnings("ignore")
def test_transformers_round_comb_to_the_dtype_of_the_streams():
    pytest.importorskip("transformers", minversion="5.23", reason=NO_PACKAGE)
    import test_transformers

    torch.manual_seed(0)
    model = test_transformers.deepseek_v4().eval().to(torch.bfloat16)
    with torch.no_grad(), record(model) as recorder:
        model(input_ids=torch.randint(3, 32, (2, 9)), use_cache=False)
    found = torch.from_numpy(recorder.trace.matrices)
    assert found.dtype == torch.float32
    assert torch.equal(found, found.bfloat16().float())


@pytest.mark.filterwarnings("ignore")
def test_a_comb_that_is_turned_the_other_way_is_refused(monkeypatch):
    pytest.importorskip("transformers", minversion="5.23", reason=NO_PACKAGE)
    import test_transformers

    model = test_transformers.deepseek_v4().eval()
    site = test_transformers.sites(model)[0]
    for parameter in (site.fn, site.base, site.scale):
        nn.init.normal_(parameter)
    original = type(site).forward

    def turned(self, x):
        post, comb, read = original(self, x)
        return post, comb.mT, read

    monkeypatch.setattr(type(site), "forward", turned)
    refused = pytest.raises(Unsupported, match="columns sum to 1 within .* only")
    with refused, torch.no_grad(), record(model):
        model(input_ids=torch.randint(3, 32, (2, 9)), use_cache=False)


# The recorder itself


def draw(rng, *shape):
    return rng.standard_normal((*shape, 3, 3)).astype(np.float32)


def test_matrices_that_are_handed_over(rng):
    h = draw(rng, 2, 2, 5)  # passes, sites, samples
    with Recorder() as recorder:
        for first, second in h:
            recorder.add(0, "attn", first)
            recorder.add(1, "mlp", torch.from_numpy(second.reshape(5, 1, 3, 3)))
    trace = recorder.trace
    assert (trace.d, trace.samples, trace.dtype) == (3, 10, np.float32)
    assert [site.name for site in trace.sites] == ["layers.0.attn", "layers.1.mlp"]
    np.testing.assert_array_equal(trace.matrices, h.swapaxes(1, 2).reshape(10, 2, 3, 3))
    assert len(spectrum.run(trace).table) == 10 * 2 * 3


@pytest.mark.parametrize("suffix", [".parquet", ".arrow", ".csv"])
def test_a_file_holds_what_was_recorded(tmp_path, rng, suffix):
    path = tmp_path / f"trace{suffix}"
    with Recorder(path) as recorder:
        for block in draw(rng, 3, 4):
            recorder.add(0, "attn", block)
            recorder.add(0, "mlp", block.swapaxes(-1, -2))
        assert not path.exists()
    found = matrices.read(path)
    assert [site[:2] for site in found.sites] == [(0, "attn"), (0, "mlp")]
    recorded = recorder.trace.matrices  # in CSV they are text, and read as float64
    np.testing.assert_array_equal(found.matrices.astype(np.float32), recorded)
    recorder.save(tmp_path / "again.parquet")
    np.testing.assert_array_equal(matrices.read(tmp_path / "again.parquet").matrices, recorded)
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted({"again.parquet", path.name})


def test_a_long_recording_leaves_memory_and_can_be_read_twice(rng, monkeypatch):
    monkeypatch.setattr(recorder_module, "IN_MEMORY", 1000)
    h = draw(rng, 50, 7)
    with Recorder() as long:
        for block in h[:30]:
            long.add(0, "attn", block)
        early = long.trace.matrices
        for block in h[30:]:
            long.add(0, "attn", block)
    assert long._spool._rolled
    np.testing.assert_array_equal(early[:, 0], h[:30].reshape(-1, 3, 3))
    trace = long.trace
    for block in (1, 8, 1000):
        np.testing.assert_array_equal(
            np.concatenate([*trace.reader(block, 0)])[:, 0], h.reshape(-1, 3, 3)
        )
    one, two = trace.reader(5, 0), trace.reader(5, 0)
    for first, second in zip(one, two, strict=True):  # in turn
        np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        (np.zeros((4, 3, 2)), "shape .4, 3, 2.; expected"),
        (np.zeros(3), "expected .*d, d"),
        (np.zeros((5, 3, 3)), "layers.0.mlp mixed 5 tokens with d = 3, layers.0.attn 4 tokens"),
        (np.zeros((4, 2, 2)), "4 tokens with d = 2, layers.0.attn 4 tokens with d = 3"),
        (np.zeros((4, 3, 3), complex), "complex128; expected real numbers"),
    ],
    ids=lambda v: v if isinstance(v, str) else "",
)
def test_what_is_no_matrix_of_the_pass_is_refused(wrong, sentence):
    recorder = Recorder()
    recorder.add(0, "attn", np.zeros((4, 3, 3), np.float32))
    with pytest.raises(BirkhoffError, match=sentence):
        recorder.add(0, "mlp", wrong)


PASSES = {
    "the last incomplete": ([(0, 1, 2), (0, 1)], r"pass 2 met 2 of 3 sites .layers.2.attn is"),
    "an earlier incomplete": ([(0, 1, 2), (0, 1), (0, 1, 2)], "pass 2 met 2 of 3 sites"),
    "one more": ([(0, 1), (0, 1, 2)], "pass 2 met layers.2.attn, which the first did not"),
    "another order": ([(0, 1), (1, 0)], "pass 2 met the sites in another order"),
    "nothing": ([], "no mixing was recorded"),
}


@pytest.mark.parametrize("case", PASSES)
def test_passes_that_do_not_fit_are_refused_and_those_before_are_kept(tmp_path, case):
    passes, sentence = PASSES[case]
    with pytest.raises(BadInput, match=sentence), Recorder(tmp_path / "f.parquet") as recorder:
        for layers in passes:
            for layer in layers:
                recorder.add(layer, "attn", np.eye(3)[None])
    assert [p.name for p in tmp_path.iterdir()] == ["f.parquet"] * bool(passes)
    if passes:
        assert matrices.read(tmp_path / "f.parquet").matrices.shape == (1, len(passes[0]), 3, 3)


def test_an_error_of_the_models_own_is_not_hidden_and_leaves_what_was_recorded(tmp_path):
    model = Model([Dropping(hc_tensors()) for _ in range(2)])
    with pytest.raises(ValueError, match="mine"), record(model, tmp_path / "f.parquet"):
        model([torch.randn(6, 5, 8)] * 2)
        raise ValueError("mine")
    assert [p.name for p in tmp_path.iterdir()] == ["f.parquet"]
    assert matrices.read(tmp_path / "f.parquet").samples == 10
    assert "width_connection" not in vars(model.transformer.h[0].hc_attn)


class Breaking(Dropping):
    """Raises an error of its own for streams that are none."""

    def width_connection(self, residuals):
        assert residuals.shape
        return super().width_connection(residuals)


def test_a_pass_that_broke_off_is_left_out():
    model = Model([Breaking(hc_tensors()) for _ in range(2)])
    good = [torch.randn(6, 5, 8)] * 2
    bad = [good[0], None]
    with pytest.raises(BadInput, match="no mixing was recorded"), record(model):
        pytest.raises(AttributeError, model, bad)
    with record(model) as recorder:
        model(good)
        pytest.raises(AttributeError, model, bad)
        model(good)
    assert recorder.trace.samples == 20


def test_a_site_that_is_called_twice_in_a_pass_is_refused():
    site = Dropping(hc_tensors())
    model = nn.Sequential(site, nn.Identity(), site)
    with pytest.raises(Unsupported, match="was called twice in one pass"), record(model):
        model(torch.randn(6, 5, 8))


def test_sites_may_be_called_without_the_model():
    sites = nn.ModuleList(Dropping(hc_tensors()) for _ in range(11))
    with record(sites) as recorder:
        for _ in range(2):
            for site in sites:
                site(torch.randn(6, 5, 8))
    assert recorder.trace.samples == 20
    assert [site.layer for site in recorder.sites] == list(range(11))
    np.testing.assert_array_equal(recorder.trace.matrices[3, 5], np.eye(3))


def test_streams_that_are_not_finite_are_kept_as_they_are():
    site = Site(hc_tensors(), act=nn.Tanh(), applied=torch.eye(3))
    with record(site) as recorder:
        site(torch.full((6, 5, 8), float("nan")))
    assert recorder.samples == 10
    assert np.isnan(next(recorder.trace.reader(10, 0))).all()


def test_streams_of_zeros_hide_nothing():
    site = Site(hc_tensors(), act=nn.Tanh(), applied=torch.eye(3))
    with record(site) as recorder:
        site(torch.zeros(6, 5, 8))
    alpha = site.static_alpha.detach()[:, 1:].T.numpy()
    np.testing.assert_allclose(recorder.trace.matrices[0, 0], alpha, atol=1e-6)


def test_a_model_without_hyper_connections_says_what_to_do():
    refused = pytest.raises(Unsupported, match="Linear has no hyper-connections of .*Recorder.add")
    with refused, record(nn.Linear(2, 2)):
        raise AssertionError


def test_where_nothing_can_be_written_is_said_before_anything_runs(tmp_path):
    with pytest.raises(UsageError, match="names no table format"):
        Recorder(tmp_path / "trace.txt")
    with pytest.raises(CannotWrite, match="there is no directory"):
        Recorder(tmp_path / "no" / "trace.parquet")


def test_importing_the_package_imports_nothing_heavy():
    code = "import sys, birkhoff_cli; print(sorted({'torch', 'numpy'} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
    with pytest.raises(AttributeError, match="no attribute 'recrod'"):
        birkhoff_cli.recrod  # noqa: B018


def test_names_are_those_of_the_checkpoint_of_the_same_model(tmp_path):
    model = Model([Dropping(hc_tensors(seed=k), act=nn.Tanh()) for k in range(4)])
    torch.save({"model": model.state_dict()}, tmp_path / "f")
    with record(model) as recorder:
        model([torch.randn(6, 5, 8)] * 4)
    assert recorder.sites == checkpoints.read(tmp_path / "f").sites
