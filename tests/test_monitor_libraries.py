"""What is measured of the modules of known libraries: H, gates and logits, against their own."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")
nn = torch.nn

from birkhoff_cli import checkpoints as formats  # noqa: E402
from birkhoff_cli import monitor, record  # noqa: E402
from birkhoff_cli.analyses.core.errors import Unsupported  # noqa: E402
from birkhoff_cli.analyses.parameterizations.mhc import MHC  # noqa: E402
from birkhoff_cli.recording.libraries._module import every_token  # noqa: E402
from birkhoff_cli.recording.record import find  # noqa: E402

NO_PACKAGE = "the package is not installed; pip install -e '.[dev]'"
pytestmark = pytest.mark.filterwarnings("ignore")


def looked(model, call, pick=every_token):
    """What was seen of every site in one call, by name."""
    seen = {}
    detach = [
        place.attach(lambda look, name=place.site.name: seen.update({name: look(pick)}))
        for place in find(model)
    ]
    with torch.no_grad():
        call()
    for undo in detach:
        undo()
    return seen


@pytest.mark.parametrize("kind", ["deepseek_v4", "glm5_next", "hy_v4"])
def test_transformers_sites_read_and_balance_what_is_said(kind):
    pytest.importorskip("transformers", minversion="5.23", reason=NO_PACKAGE)
    import test_transformers

    torch.manual_seed(0)
    model = getattr(test_transformers, kind)().eval()
    given, read = [], []
    for site in test_transformers.sites(model):
        for parameter in (site.fn, site.base, site.scale):
            nn.init.normal_(parameter, std=0.3)
        site.register_forward_pre_hook(lambda _, args: given.append(args[0].flatten(0, -3)))
        site.register_forward_hook(lambda *call: read.append(call[-1][-1].flatten(0, -2)))
    tokens = torch.randint(3, 32, (2, 9))
    seen = looked(model, lambda: model(input_ids=tokens, use_cache=False))
    assert [*seen] == [f"layers.{k}.{branch}" for k in range(3) for branch in ("attn", "mlp")]
    map_ = MHC(3, "deepseek-v4", 5, eps=1e-4)
    for one, streams, branch in zip(seen.values(), given, read, strict=True):
        np.testing.assert_allclose((one.pre[:, None] @ streams)[:, 0], branch, atol=1e-5)
        if kind == "hy_v4":
            assert one.logits is None
        else:
            np.testing.assert_allclose(map_(one.logits), one.mixing, atol=1e-5)


def test_a_site_that_reads_otherwise_has_no_gate(monkeypatch):
    pytest.importorskip("transformers", minversion="5.23", reason=NO_PACKAGE)
    import test_transformers

    model = test_transformers.deepseek_v4().eval()
    site = test_transformers.sites(model)[0]
    original = type(site).forward

    def halved(self, x):
        post, comb, read = original(self, x)
        return post, comb, read / 2

    monkeypatch.setattr(type(site), "forward", halved)
    seen = looked(model, lambda: model(input_ids=torch.randint(3, 32, (1, 5)), use_cache=False))
    assert all(one.pre.isnan().all() and one.mixing.isfinite().all() for one in seen.values())


class Gated(nn.Module):
    """Qwen4-Exp's own sites, as its layers call them."""

    def __init__(self, package):
        super().__init__()
        config = package.Qwen4ExpTextConfig(hidden_size=16, hc_count=3, hc_lowrank=5)
        from transformers.models.qwen4_exp import modeling_qwen4_exp as own

        names = ("attn_hyper_connection", "mlp_hyper_connection")
        site = own.Qwen4ExpTextGatedResidual
        self.layers = nn.ModuleList(
            nn.ModuleDict({name: site(config) for name in names}) for _ in range(2)
        )
        self.mixer = site(config, use_combine=False)

    def forward(self, x):
        for layer in self.layers:
            for site in layer.values():
                read, x, post = site(x)
                x = x + (post.unsqueeze(-1) * read.tanh().unsqueeze(-2)).flatten(-2)
        return self.mixer(x)


def test_qwen4_exp_has_gates_and_mixes_nothing():
    transformers = pytest.importorskip("transformers", minversion="5.23", reason=NO_PACKAGE)
    torch.manual_seed(0)
    model, x = Gated(transformers), torch.randn(2, 7, 48)
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.3)
    given = []
    for site in (s for layer in model.layers for s in layer.values()):
        site.register_forward_pre_hook(lambda _, args: given.append(args[0]))
    seen = looked(model, lambda: model(x))
    assert [*seen] == [f"layers.{k}.{b}" for k in range(2) for b in ("attn", "mlp")]
    sites = [s for layer in model.layers for s in layer.values()]
    for one, site, streams in zip(seen.values(), sites, [*given], strict=True):
        assert (one.mixing == torch.eye(3)).all()
        with torch.no_grad():
            y = site.hc_norm(streams)
            low = nn.functional.silu(site.input_mix_weight_down(y) / 3)
            gate = site.input_mix_weight_up(low).sigmoid().unflatten(-1, (3, 16)).mean(-1) / 3
            post = site(streams)[2]
        np.testing.assert_allclose(one.pre, gate.flatten(0, 1), atol=1e-6)
        np.testing.assert_allclose(one.post, post.flatten(0, 1), atol=1e-6)
    lines = []
    optimizer = torch.optim.SGD(model.parameters(), 1e-3)
    with monitor(model, every=1, to=lambda numbers, _: lines.append(numbers)):
        model(x).square().mean().backward()
        optimizer.step()
    numbers = lines[0]["layers.1.mlp"]
    assert lines[0]["verdict"] == "identity-degenerate" and numbers["spread_max"] is None
    assert 1 <= numbers["streams_read"] <= 3 and 1 <= numbers["streams_written"] <= 3


class Megatron(nn.Module):
    """The attributes and outputs of Megatron's module; its matrices were recorded in a real run."""

    def __init__(self, tensors, recorded, turned=False):
        super().__init__()
        rows, wide = tensors["mapping_proj.weight"].shape
        self.n, self.hidden_size = 4, wide // 4
        self.mapping_proj = nn.Linear(wide, rows, bias=False)
        self.mapping_proj.weight = nn.Parameter(tensors["mapping_proj.weight"])
        for name in ("bias", "alpha_pre", "alpha_post", "alpha_res"):
            setattr(self, name, nn.Parameter(tensors[name]))
        self.recorded, self.turned = recorded, turned

    def apply_h_res(self, h_res, residual):
        h = h_res.mT if self.turned else h_res
        return (h @ residual.unflatten(-1, (self.n, -1))).flatten(-2)

    def forward(self, hidden_states, mhc_recompute_manager=None):
        assert mhc_recompute_manager is None
        h, pre, post = (part.unflatten(0, hidden_states.shape[:2]) for part in self.recorded)
        streams = hidden_states.unflatten(-1, (self.n, -1))
        return (pre.unsqueeze(-1) * streams).sum(-2), h, post, hidden_states


class MegatronLayers(nn.Module):
    """Every site is given the streams that were recorded at it."""

    def __init__(self, sites):
        super().__init__()
        names = ("self_attention_hyper_connection", "mlp_hyper_connection")
        pairs = zip(sites[::2], sites[1::2], strict=True)
        self.layers = nn.ModuleList(
            nn.ModuleDict(dict(zip(names, pair, strict=True))) for pair in pairs
        )

    def forward(self, streams):
        sites = (site for layer in self.layers for site in layer.values())
        return [site(x) for site, x in zip(sites, streams, strict=True)]


def megatron(folder, **options):
    """The model of a real run, its streams, and what was recorded."""
    truth = {n: torch.from_numpy(a) for n, a in np.load(folder / "truth.npz").items() if "H" in n}
    x = torch.from_numpy(np.load(folder / "streams.npz")["x_in"])
    tokens, count = x.shape[0] // 4 * 4, x.shape[1] // 2 * 2
    parts = [truth[name][:tokens] for name in ("H", "H_pre", "H_post")]
    with formats.read(folder).opened() as store:
        raw = {n: torch.from_numpy(store.read(n).astype(np.float32)) for n in store.tensors}
    sites = []
    for k in range(count):
        branch = ("self_attention", "mlp")[k % 2]
        stem = f"decoder.layers.{branch}_hyper_connection."
        own = {n.removeprefix(stem): v[k // 2] for n, v in raw.items() if n.startswith(stem)}
        sites.append(Megatron(own, [part[:, k] for part in parts], **options))
    streams = [x[:tokens, k].flatten(-2).unflatten(0, (4, -1)) for k in range(count)]
    return MegatronLayers(sites), streams, [part[:, :count] for part in parts]


@pytest.mark.parametrize("turned", [False, True], ids=["main", "dev"])
def test_megatrons_modules_by_their_attributes(checkpoints, turned):
    model, streams, (h, pre, post) = megatron(checkpoints / "megatron_main", turned=turned)
    seen = looked(model, lambda: model(streams))
    names = [f"layers.{k}.{b}" for k in range(len(streams) // 2) for b in ("attn", "mlp")]
    assert [*seen] == names
    for k, one in enumerate(seen.values()):
        np.testing.assert_array_equal(one.mixing, h[:, k].mT if turned else h[:, k])
        np.testing.assert_allclose(one.pre, pre[:, k], atol=1e-5)
        np.testing.assert_array_equal(one.post, post[:, k])
        logits = one.logits.unflatten(-1, (4, 4))
        stored = (logits.mT if turned else logits).flatten(-2)
        np.testing.assert_allclose(MHC(4, "megatron-main", 20)(stored), h[:, k], atol=1e-5)
    with torch.no_grad(), record(model) as recorder:
        model(streams)
    assert [site.name for site in recorder.sites] == names


def test_a_megatron_that_applies_something_else_is_refused(checkpoints, monkeypatch):
    model, *_ = megatron(checkpoints / "megatron_main")
    monkeypatch.setattr(Megatron, "apply_h_res", lambda *given: given[-1])
    with pytest.raises(Unsupported, match=r"applies neither h_res nor h_res\^T"), monitor(model):
        raise AssertionError
