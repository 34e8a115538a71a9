"""Formats of one file each: tokenbender, lucidrains, the go-mHC notebook."""

import numpy as np
import pytest

import birkhoff_cli.checkpoints as formats
from birkhoff_cli.analyses.core.errors import BadInput, Unsupported, UsageError
from birkhoff_cli.checkpoints.sites.names import NamedStore
from birkhoff_cli.containers import open_store

TRAINED = {
    "tb_mhc_tau1/ckpt.pt": ("tokenbender", "mhc", {}, 6, 64),
    "tb_mhc_ortho/ckpt.pt": ("tokenbender", "orthostochastic", {}, 6, 64),
    "lucid_mhc/model.pt": ("lucidrains", "mhc", {}, 6, 64),
    "gomhc_toy_s1/model.pt": ("go-mhc-notebook", "go-mhc", {"s": "1"}, 12, 0),
}


@pytest.mark.parametrize("file", TRAINED)
def test_static_matrices_are_those_that_the_model_applied(checkpoints, file):
    format_, method, settings, layers, width = TRAINED[file]
    truth = np.load((checkpoints / file).with_name("truth.npz"))
    checkpoint = formats.read(checkpoints / file, settings)
    trace = checkpoint.trace()
    assert (checkpoint.format, checkpoint.method) == (format_, method)
    assert (checkpoint.d, checkpoint.layers, checkpoint.width) == (4, layers, width)
    assert [s.name for s in trace.sites] == truth["site_names"].tolist()
    assert trace.matrices.dtype == np.float32
    error = np.abs(trace.matrices[0] - truth["H_static"]).max()
    assert error <= 1e-5, f"largest error {error:.2e}"


@pytest.mark.parametrize("file", TRAINED)
def test_one_format_alone_recognises_a_trained_model(checkpoints, file):
    assert recognised(checkpoints / file) == [TRAINED[file][0]]


def recognised(path):
    """The formats that explain most of the mixing tensors."""
    with open_store(path) as store:
        found = formats.claiming(NamedStore(store))
    most = max(map(len, found.values()), default=0)
    return [name for name, tensors in found.items() if len(tensors) == most]


def saved(path, stored):
    import torch

    torch.save(stored, path)
    return path


def tensors(shapes, seed=0):
    import torch

    torch.manual_seed(seed)
    return {name: torch.randn(shape) for name, shape in shapes.items()}


def settings_of(checkpoint):
    return {s.name: (s.value, s.source) for s in checkpoint.settings}


# tokenbender

HC_SITE = {"norm.gamma": (5,), "static_alpha": (3, 4), "static_beta": (3,)}
HC_SITE |= {"dynamic_alpha_fn": (5, 4), "dynamic_beta_fn": (5,)}
HC_SITE |= {"dynamic_alpha_scale": (), "dynamic_beta_scale": ()}
LOGITS = {"H_res_logits": (3, 3), "H_pre_logits": (3,), "H_post_logits": (3,)}
CONFIG = {"n_layer": 2, "n_embd": 5, "hc_num_streams": 3, "hc_num_fracs": 1, "mhc": True}
CONFIG |= {"sinkhorn_iters": 10, "sinkhorn_tau": 0.05, "mhc_h_res_proj": "sinkhorn"}
CONFIG |= {"ns_steps": 5, "ns_eps": 1e-7, "ns_coeffs": (3.0, -3.2, 1.2)}


def tokenbender(path, mixed=True, change=lambda model: model, config=True, **more):
    site = {**HC_SITE, **(LOGITS if mixed else {})}
    model = tensors(
        {
            f"transformer.h.{layer}.hc_{branch}.{tensor}": shape
            for layer in (0, 1)
            for branch in ("attn", "mlp")
            for tensor, shape in site.items()
        }
    )
    stored = {"model": change(model), "iter_num": 3}
    return saved(path, {**stored, "config": {**CONFIG, "mhc": mixed, **more}} if config else stored)


def sinkhorn(logits, tau, iters):
    z = logits.double().numpy() / tau
    u, v = np.zeros((3, 1)), np.zeros((1, 3))
    for _ in range(iters):
        u = -np.log(3) - np.log(np.exp(z + v).sum(1, keepdims=True))
        v = -np.log(3) - np.log(np.exp(z + u).sum(0, keepdims=True))
    return (3 * np.exp(z + u + v)).T


def newton_schulz(logits, steps):
    x = logits.double().numpy()
    x = x / (np.linalg.norm(x) + 1e-7)
    for _ in range(steps):
        gram = x @ x.T
        x = 3 * x + (-3.2 * gram + 1.2 * gram @ gram) @ x
    return (x * x).T


def logits_of(path):
    import torch

    model = torch.load(path)["model"]
    return [t for name, t in model.items() if name.endswith("H_res_logits")]


@pytest.mark.parametrize(
    ("words", "stored", "iters", "tau"),
    [
        ({}, {}, (10, "config"), (0.05, "config")),
        ({}, {"sinkhorn_iters": 3, "sinkhorn_tau": 1}, (3, "config"), (1, "config")),
        ({"iters": "2", "tau": "0.5"}, {}, (2, "set"), (0.5, "set")),
    ],
)
def test_tokenbender_sinkhorn_by_its_configuration(tmp_path, words, stored, iters, tau):
    path = tokenbender(tmp_path / "f", **stored)
    checkpoint = formats.read(path, words)
    said = settings_of(checkpoint)
    assert (said["iters"], said["tau"]) == (iters, tau)
    assert said["mhc_h_res_proj"] == ("sinkhorn", "config") and checkpoint.step == 3
    assert checkpoint.assumptions == ()
    expected = [sinkhorn(logits, tau[0], iters[0]) for logits in logits_of(path)]
    np.testing.assert_allclose(checkpoint.trace().matrices[0], expected, atol=1e-5)


def test_tokenbender_orthostochastic_by_its_configuration(tmp_path):
    path = tokenbender(tmp_path / "f", mhc_h_res_proj="orthostochastic", ns_steps=3)
    checkpoint = formats.read(path)
    assert settings_of(checkpoint)["ns_steps"] == (3, "config")
    expected = [newton_schulz(logits, 3) for logits in logits_of(path)]
    np.testing.assert_allclose(checkpoint.trace().matrices[0], expected, atol=1e-5)


def test_tokenbender_without_configuration_says_what_it_takes_for_granted(tmp_path):
    path = tokenbender(tmp_path / "f", config=False)
    assert recognised(path) == ["tokenbender"]
    checkpoint = formats.read(path)
    said = settings_of(checkpoint)
    assert said["iters"] == (10, "default") and said["tau"] == (0.05, "default")
    assert [a.split(" (")[0] for a in checkpoint.assumptions] == [
        "mhc_h_res_proj sinkhorn",
        "sinkhorn iterations 10",
        "tau 0.05",
        "no more layers than names have, 2; nothing in the file says how many it has",
    ]
    other = formats.read(path, {"mhc_h_res_proj": "orthostochastic"})
    assert other.method == "orthostochastic"
    expected = [newton_schulz(logits, 5) for logits in logits_of(path)]
    np.testing.assert_allclose(other.trace().matrices[0], expected, atol=1e-5)


def test_tokenbender_hc_applies_the_identity(tmp_path):
    path = tokenbender(tmp_path / "f", mixed=False)
    assert recognised(path) == ["tokenbender"]
    checkpoint = formats.read(path)
    assert checkpoint.map is None and checkpoint.method == "hc"
    assert (checkpoint.d, checkpoint.layers, checkpoint.width) == (3, 2, 5)
    np.testing.assert_array_equal(checkpoint.trace().matrices[0], [np.eye(3)] * 4)
    assert "H = I" in checkpoint.convention and "H = I" in checkpoint.assumptions[0]


LAST = "transformer.h.1.hc_mlp.H_res_logits"
TOKENBENDER = {
    "missing": ({"change": lambda m: m.pop(LAST) is None or m}, BadInput, "has no H_res_logits"),
    "nan": ({"change": lambda m: {**m, LAST: m[LAST] * np.nan}}, BadInput, "NaN or infinity"),
    "shape": ({"change": lambda m: {**m, LAST: m[LAST][:2]}}, BadInput, r"shape \(2, 3\)"),
    "integers": ({"change": lambda m: {**m, LAST: m[LAST].int()}}, Unsupported, "dtype int32"),
    "streams": ({"hc_num_streams": 4}, BadInput, "hc_num_streams = 4, its tensors say 3"),
    "width": ({"n_embd": 7}, BadInput, "n_embd = 7, its tensors say 5"),
    "fracs": ({"hc_num_fracs": 2}, Unsupported, "hc_num_fracs = 2 is not known"),
    "coefficients": (
        {"mhc_h_res_proj": "orthostochastic", "ns_coeffs": (3.0, -3.0, 1.0)},
        Unsupported,
        "are not the published 3, -3.2, 1.2",
    ),
    "projection": ({"mhc_h_res_proj": "\x1b"}, Unsupported, r"'\\x1b' is not known"),
    "tau": ({"sinkhorn_tau": 0}, BadInput, "sinkhorn_tau = 0, expected"),
    "iterations": ({"sinkhorn_iters": True}, BadInput, "sinkhorn_iters = True, expected"),
    "steps": (
        {"mhc_h_res_proj": "orthostochastic", "ns_steps": -1},
        BadInput,
        "ns_steps = -1, expected",
    ),
    "no sites": (
        {"change": lambda m: {"transformer.h.0.ln_1.weight": m.popitem()[1]}},
        BadInput,
        "none that one of the .* known formats explains",
    ),
    "dropped, nan": (
        {"mixed": False, "change": lambda m: {k: v * np.nan for k, v in m.items()}},
        BadInput,
        "NaN or infinity",
    ),
    "dropped, no beta": (
        {"mixed": False, "change": lambda m: {k: v for k, v in m.items() if "beta" not in k}},
        BadInput,
        "has no static_beta",
    ),
}


@pytest.mark.parametrize("case", TOKENBENDER)
def test_tokenbender_files_that_cannot_be_are_refused(tmp_path, case):
    more, kind, sentence = TOKENBENDER[case]
    refuses(tokenbender(tmp_path / "f", **more), kind, sentence)


def test_tokenbender_tensors_that_contradict_mhc_are_refused(tmp_path):
    def without(model):
        return {name: tensor for name, tensor in model.items() if "H_res" not in name}

    refuses(tokenbender(tmp_path / "f", change=without), BadInput, "mhc = True, but there are no")


def refuses(path, kind, sentence, settings=None):
    with pytest.raises(kind, match=sentence) as error:
        formats.read(path, settings)
    assert "\n" not in str(error.value)
    assert kind is UsageError or str(error.value).startswith(f"{path}: ")


@pytest.mark.parametrize(
    ("words", "more", "sentence"),
    [
        ({"tau": "0"}, {}, "tau=0: expected a number"),
        ({"tau": "nan"}, {}, "tau=nan: expected"),
        ({"tau": "1_0"}, {}, "tau=1_0: expected"),
        ({"iters": "0"}, {}, "iters=0: expected a number, 1 to"),
        ({"mhc_h_res_proj": "sinkhorn"}, {}, "is not among the settings"),
        ({"mhc_h_res_proj": "x"}, {"config": False}, "expected sinkhorn or orthostochastic"),
        ({"tau": "1"}, {"mhc_h_res_proj": "orthostochastic"}, "have no settings"),
        ({"tau": "1"}, {"mixed": False}, "have no settings"),
    ],
)
def test_tokenbender_settings_that_cannot_be_are_refused(tmp_path, words, more, sentence):
    refuses(tokenbender(tmp_path / "f", **more), UsageError, sentence, words)


# lucidrains

MHC_SITE = {"norm.gamma": (5,), "static_alpha": (3, 4), "static_beta": (3,)}
MHC_SITE |= {"dynamic_alpha_fn": (2, 5, 4), "dynamic_beta_fn": (5,), "h_post_scale": ()}
MHC_SITE |= {"pre_branch_scale": (1,), "residual_scale": (1,)}
CLASSES = {
    "HyperConnections": HC_SITE,
    "mHC": MHC_SITE,
    "mHC without proposals": {**MHC_SITE, "dynamic_alpha_fn": (5, 4)},
    "mHCv2": {**MHC_SITE, "static_beta": (3, 1, 1), "dynamic_beta_fn": (5, 1)},
}


def lucidrains(path, site, owners=("layers.0", "layers.1"), change=lambda model: model):
    shapes = {f"{owner}.{t}".strip("."): shape for owner in owners for t, shape in site.items()}
    return saved(path, change(tensors({**shapes, "head.weight": (2, 2)})))


def l1_sinkhorn(logits, iters):
    m = np.exp(logits - logits.max(0, keepdims=True))
    for _ in range(iters):
        m = m / np.maximum(m.sum(0, keepdims=True), 1e-12)
        m = m / np.maximum(m.sum(1, keepdims=True), 1e-12)
    return m.T


def alphas(path):
    import torch

    stored = torch.load(path)
    return [t.double().numpy()[:, 1:] for n, t in stored.items() if n.endswith("static_alpha")]


@pytest.mark.parametrize("iters", [None, 3])
@pytest.mark.parametrize("class_", CLASSES)
def test_lucidrains_classes_give_the_matrix_of_their_formula(tmp_path, class_, iters):
    path = lucidrains(tmp_path / "f", CLASSES[class_])
    assert recognised(path) == ["lucidrains"]
    is_hc = class_ == "HyperConnections"
    words = {"iters": str(iters)} if iters and not is_hc else {}
    checkpoint = formats.read(path, words)
    assert (checkpoint.d, checkpoint.layers, checkpoint.width) == (3, 2, 5)
    said = settings_of(checkpoint)
    assert said["class"][0] == class_.split()[0] and said["mixing"] == ("applied", "default")
    if not is_hc:
        assert said["iters"] == ((iters, "set") if iters else (20, "default"))
        assert any("iterations 20" in a for a in checkpoint.assumptions) != bool(iters)
    expected = [a.T if is_hc else l1_sinkhorn(a, iters or 20) for a in alphas(path)]
    np.testing.assert_allclose(checkpoint.trace().matrices[0], expected, atol=1e-5)


def untouched(model):
    import torch

    for name, tensor in model.items():
        if name.endswith("static_alpha"):
            tensor[:, 1:] = torch.eye(3)
        if name.endswith("dynamic_alpha_fn"):
            tensor[..., 1:] = 0
    return model


@pytest.mark.parametrize("class_", CLASSES)
def test_mixing_that_never_received_a_gradient_is_said(tmp_path, class_):
    path = lucidrains(tmp_path / "f", CLASSES[class_], change=untouched)
    checkpoint = formats.read(path)
    assert any("never received a gradient" in a for a in checkpoint.assumptions)
    start = 1 if class_ == "HyperConnections" else np.e / (np.e + 2)
    np.testing.assert_allclose(np.einsum("sii->si", checkpoint.trace().matrices[0]), start, 1e-6)
    dropped = formats.read(path, {"mixing": "dropped"})
    assert dropped.map is None and settings_of(dropped)["mixing"] == ("dropped", "set")
    assert "H = I" in dropped.convention and "iters" not in settings_of(dropped)
    np.testing.assert_array_equal(dropped.trace().matrices[0], [np.eye(3)] * 2)
    applied = formats.read(path, {"mixing": "applied"})
    np.testing.assert_array_equal(applied.theta, checkpoint.theta)
    assert not any("mixing" in a for a in applied.assumptions)


@pytest.mark.parametrize("tensor", ["static_alpha", "dynamic_alpha_fn"])
def test_one_entry_that_moved_is_a_gradient(tmp_path, tensor):
    def touched(model):
        untouched(model)[f"layers.1.{tensor}"][..., 1, 2] = 1e-30
        return model

    checkpoint = formats.read(lucidrains(tmp_path / "f", MHC_SITE, change=touched))
    assert not any("never received" in a for a in checkpoint.assumptions)


@pytest.mark.parametrize(
    ("owners", "sites", "layers"),
    [
        (
            ("layers.10.1", "layers.10.0", "layers.2.0"),
            [(2, "0", "layers.2.0"), (10, "0", "layers.10.0"), (10, "1", "layers.10.1")],
            2,
        ),
        (
            ("b.1.ff", "b.1.attn", "b.0.ff", "b.0.attn"),
            [(0, "ff", "b.0.ff"), (0, "attn", "b.0.attn"), (1, "ff", "b.1.ff")]
            + [(1, "attn", "b.1.attn")],
            2,
        ),
        (("mid", "down"), [(0, "site", "mid"), (1, "site", "down")], 2),
        (
            ("dec.1", "dec.0", "enc.0"),
            [(0, "site", "dec.0"), (1, "site", "dec.1"), (2, "site", "enc.0")],
            3,
        ),
        (("",), [(0, "site", "root")], 1),
        (("_orig_mod.module.layers.3",), [(3, "site", "layers.3")], 1),
        (("a\x1b.0",), [(0, "site", "a\\x1b.0")], 1),
    ],
)
def test_lucidrains_sites_are_in_the_order_of_their_numbers(tmp_path, owners, sites, layers):
    path = lucidrains(tmp_path / "f", MHC_SITE, owners)
    checkpoint = formats.read(path)
    assert [tuple(s) for s in checkpoint.sites] == sites
    assert checkpoint.layers == layers
    assert any("order" in a for a in checkpoint.assumptions) == (len(owners) > 1)


def other(name, change):
    return lambda model: {**model, f"layers.1.{name}": change(model[f"layers.1.{name}"])}


LUCIDRAINS = {
    "fracs": ({"static_alpha": (6, 8)}, None, Unsupported, r"\(6, 8\) is not \(n, n \+ 1\)"),
    "vector": ({"static_alpha": (8,)}, None, Unsupported, r"only num_fracs = 1"),
    "mhc-lite": (
        {"norm.gamma": (15,), "dynamic_alpha_fn": (15, 12)},
        None,
        Unsupported,
        r"dynamic_alpha_fn has shape \(15, 12\), mHC with 3 streams has \(15, 4\)",
    ),
    "missing": (
        {},
        lambda m: {k: v for k, v in m.items() if "1.norm" not in k},
        Unsupported,
        "site 'layers.1': norm.gamma ",
    ),
    "mixed": (
        {},
        lambda m: {
            **m,
            **tensors({f"x.{t}": shape for t, shape in HC_SITE.items()}),
        },
        Unsupported,
        "site 'x' is HyperConnections with 3 streams, the first site is mHC with 3",
    ),
    "nan": ({}, other("static_alpha", lambda t: t * np.nan), BadInput, "NaN or infinity"),
    "integers": ({}, other("static_alpha", lambda t: t.int()), Unsupported, "dtype int32"),
    "twice": (
        {},
        lambda m: {**m, **{f"module.{k}": v for k, v in m.items()}},
        BadInput,
        "are the same tensor",
    ),
}


@pytest.mark.parametrize("case", LUCIDRAINS)
def test_lucidrains_files_that_cannot_be_read_are_refused(tmp_path, case):
    site, change, kind, sentence = LUCIDRAINS[case]
    path = lucidrains(tmp_path / "f", {**MHC_SITE, **site}, change=change or (lambda m: m))
    refuses(path, kind, sentence)


@pytest.mark.parametrize("tensor", [t for t in MHC_SITE if t != "static_alpha"])
def test_lucidrains_sites_have_all_their_tensors(tmp_path, tensor):
    def without(model):
        return {name: t for name, t in model.items() if name != f"layers.1.{tensor}"}

    path = lucidrains(tmp_path / "f", MHC_SITE, change=without)
    refuses(path, Unsupported, "site 'layers.1': ")


@pytest.mark.parametrize(
    ("class_", "words", "sentence"),
    [
        ("mHC", {"mixing": "off"}, "mixing=off: expected applied or dropped"),
        ("mHC", {"iters": "0"}, "expected a number, 1 to"),
        ("mHC", {"iters": "3", "mixing": "dropped"}, "'iters' is not among the settings"),
        ("HyperConnections", {"iters": "3"}, "'iters' is not among the settings"),
        ("mHC", {"mixng": "applied"}, "did you mean 'mixing'"),
    ],
)
def test_lucidrains_settings_that_cannot_be_are_refused(tmp_path, class_, words, sentence):
    refuses(lucidrains(tmp_path / "f", CLASSES[class_]), UsageError, sentence, words)


# the go-mHC notebook


def notebook(path, shape, change=lambda raw: raw, name="raw_u"):
    return saved(path, {name: change(tensors({"raw": shape})["raw"])})


def blocks(raw, s):
    x = raw.double().numpy()
    x = x - x.swapaxes(1, 2)
    eye = np.eye(x.shape[1])
    u = np.linalg.solve(eye - x, eye + x)
    n = x.shape[1] // s
    return (u.reshape(-1, n, s, n, s) ** 2).sum((2, 4)) / s


@pytest.mark.parametrize(
    ("side", "s", "n"), [(4, "1", 4), (4, "2", 2), (12, "3", 4), (6, "6", 1), (5, None, 5)]
)
def test_the_notebook_by_its_formula(tmp_path, side, s, n):
    import torch

    path = notebook(tmp_path / "f", (3, side, side))
    assert recognised(path) == ["go-mhc-notebook"]
    checkpoint = formats.read(path, {"s": s} if s else {})
    assert settings_of(checkpoint) == {"s": (int(s), "set") if s else (1, "stored")}
    assert any("s = 1" in a for a in checkpoint.assumptions) == (s is None)
    assert (checkpoint.d, checkpoint.layers) == (n, 3)
    expected = blocks(torch.load(path)["raw_u"], int(s or 1))
    np.testing.assert_allclose(checkpoint.trace().matrices[0], expected, atol=1e-5)


@pytest.mark.parametrize("side", [4, 8, 12])
def test_the_notebook_has_four_streams_if_nothing_else_is_said(tmp_path, side):
    checkpoint = formats.read(notebook(tmp_path / "f", (3, side, side)))
    assert checkpoint.d == 4 and settings_of(checkpoint) == {"s": (side // 4, "default")}
    assert any("4 streams" in a and "--set s=N" in a for a in checkpoint.assumptions)


NOTEBOOK = {
    "ambiguous": (
        (3, 6, 6),
        Unsupported,
        r"neither is stored; give --set s=1 \(6 streams\) or --set s=2 \(3 streams\) or",
    ),
    "no batch": ((4, 4), Unsupported, r"shape \(4, 4\), not \(batch, side, side\)"),
    "not square": ((1, 3, 5), Unsupported, r"shape \(1, 3, 5\)"),
    "empty": ((0, 3, 3), Unsupported, r"shape \(0, 3, 3\)"),
}


@pytest.mark.parametrize("case", NOTEBOOK)
def test_notebook_files_that_cannot_be_read_are_refused(tmp_path, case):
    shape, kind, sentence = NOTEBOOK[case]
    refuses(notebook(tmp_path / "f", shape), kind, sentence)


def test_notebook_values_and_names_that_cannot_be_are_refused(tmp_path):
    path = notebook(tmp_path / "f", (2, 3, 3), lambda raw: raw * np.nan)
    refuses(path, BadInput, "raw_u holds NaN or infinity")
    path = notebook(tmp_path / "f", (2, 3, 3), lambda raw: raw.int())
    refuses(path, Unsupported, "raw_u has dtype int32")
    path = saved(tmp_path / "f", tensors({"a.raw_u": (2, 3, 3), "b.raw_u": (2, 3, 3)}))
    refuses(path, Unsupported, "2 tensors named raw_u")


@pytest.mark.parametrize("word", ["3", "0", "-1", "two", "4.0", "\u0664"])
def test_block_sizes_that_do_not_divide_are_refused(tmp_path, word):
    path = notebook(tmp_path / "f", (2, 4, 4))
    refuses(path, UsageError, "expected a divisor of 4", {"s": word})


# apart


ATTN, MLP = "transformer.h.0.hc_attn", "transformer.h.0.hc_mlp"
ALPHA = {"static_alpha": (2, 3)}


def under(owner, shapes):
    return {f"{owner}.{tensor}": shape for tensor, shape in shapes.items()}


@pytest.mark.parametrize(
    ("shapes", "format_"),
    [
        (under(ATTN, LOGITS) | under("x", ALPHA), ["tokenbender"]),
        (under(ATTN, HC_SITE), ["nanogpt"]),
        (under(ATTN, HC_SITE | LOGITS), ["tokenbender"]),
        (under(ATTN, MHC_SITE), ["lucidrains"]),
        (under("module.x", ALPHA), ["lucidrains"]),
        ({"x.static_alpha_other": (2, 3)}, []),
        ({"x.raw_u": (2, 3, 3)}, ["go-mhc-notebook"]),
        ({"my_raw_u": (2, 3, 3)}, []),
        ({"transformer.h.0.ln.weight": (2,)}, []),
    ],
)
def test_the_format_that_explains_most_tensors_reads_the_file(tmp_path, shapes, format_):
    path = saved(tmp_path / "f", tensors(shapes))
    assert recognised(path) == format_
    if not format_:
        with pytest.raises(BadInput, match="none that one of the .* known formats explains"):
            formats.read(path)


# H_res_logits, whose mathematics no file says


def logits_file(path, **more):
    shapes = {f"blocks.{k}.{t}": shape for k in range(2) for t, shape in LOGITS.items()}
    return saved(path, tensors({**shapes, **more}))


def test_logits_of_no_known_program_are_refused_with_the_choices(tmp_path):
    path = logits_file(tmp_path / "f")
    assert recognised(path) == ["h-res-logits"]
    refuses(path, Unsupported, "neither temperature, iterations nor orientation.*variant=unet")
    with pytest.raises(Unsupported) as error:
        formats.read(path)
    assert "rename" not in str(error.value)


@pytest.mark.parametrize("words", [{}, {"iters": "3", "tau": "0.5"}])
def test_logits_by_the_mathematics_that_was_said(tmp_path, words):
    import torch

    path = logits_file(tmp_path / "f")
    stored = [t for name, t in torch.load(path).items() if name.endswith("H_res_logits")]
    tau, iters = float(words.get("tau", 0)), int(words.get("iters", 0))
    found = formats.read(path, {"variant": "tokenbender", **words})
    expected = [sinkhorn(z, tau or 0.05, iters or 10) for z in stored]
    np.testing.assert_allclose(found.trace().matrices[0], expected, atol=1e-5)
    found = formats.read(path, {"variant": "unet", **words})
    expected = [sinkhorn(z, tau or 1.0, iters or 20).T for z in stored]
    np.testing.assert_allclose(found.trace().matrices[0], expected, atol=1e-5)
    said = [a for a in found.assumptions if "unet's default" in a]
    assert len(said) == (0 if words else 2)


def test_logits_beside_unused_tensors_of_hc_are_tokenbenders(tmp_path):
    beside = under("blocks.0", HC_SITE) | under("blocks.1", HC_SITE)
    found = formats.read(logits_file(tmp_path / "f", **beside))
    assert (found.format, found.map.variant) == ("h_res_logits", "tokenbender")
    assert found.assumptions[0].startswith("variant tokenbender, by the unused tensors of HC")


def test_two_formats_that_explain_equally_much_are_both_named(tmp_path):
    """Each with one tensor: a line is read, a paragraph of names is not."""
    long = "model.layers." + "x" * 80
    shapes = {f"{long}{k}.raw_u": (2, 3, 3) for k in range(3)}
    shapes |= {f"{long}{k}.static_alpha": (2, 3) for k in range(3)}
    path = saved(tmp_path / "f", tensors(shapes))
    assert recognised(path) == ["go-mhc-notebook", "lucidrains"]
    with pytest.raises(BadInput) as error:
        formats.read(path)
    sentence = str(error.value).removeprefix(str(path))
    assert sentence.startswith(": go-mhc-notebook ('layers.x") and "lucidrains (" in sentence
    assert "explain as many of its mixing tensors as one another" in sentence
    assert len(sentence) <= 300


def test_tensors_that_only_another_format_explains_are_said(tmp_path):
    path = tokenbender(tmp_path / "f", change=lambda model: model | tensors(under("x", HC_SITE)))
    found = formats.read(path)
    assert found.format == "tokenbender"
    assert any("7 tensors that lucidrains explains" in a for a in found.assumptions)
