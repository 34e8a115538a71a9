"""Which Sinkhorn made a dump: every known kernel, written here once more, matrix by matrix."""

import numpy as np
import pytest
import torch

from birkhoff_cli.analyses.core.stack import Stack
from birkhoff_cli.analyses.geometry.recipes import CODE_BASES, RECIPES, Recipe
from birkhoff_cli.analyses.kernels.arithmetic import format_of, round_to
from birkhoff_cli.analyses.kernels.gradient import pull_back
from birkhoff_cli.analyses.kernels.identify import identify
from birkhoff_cli.analyses.parameterizations.mhc import MHC
from birkhoff_cli.analyses.verify import run

F32 = torch.float32


def v4(z, iters=20, eps=1e-6):
    """DeepSeek-V4's loop: ``comb`` as its model code computes it."""
    comb = torch.softmax(z, -1) + eps
    comb = comb / (comb.sum(-2, keepdim=True) + eps)
    for _ in range(iters - 1):
        comb = comb / (comb.sum(-1, keepdim=True) + eps)
        comb = comb / (comb.sum(-2, keepdim=True) + eps)
    return comb


def floored(z, eps, first, iters=20):
    h = torch.exp(z - z.amax(first, keepdim=True))
    other = -1 if first == -2 else -2
    for _ in range(iters):
        for axis in (first, other):
            h = h / h.sum(axis, keepdim=True).clamp(min=eps)
    return h


def xing(z):
    z = z.clamp(-30, 30)
    h = torch.exp(z - z.amax(-1, keepdim=True))
    for _ in range(20):
        h = h / (h.sum(-1, keepdim=True) + 1e-6)
        h = h / (h.sum(-2, keepdim=True) + 1e-6)
    return h


def motif(z):
    h = torch.exp(z.clamp(-20, 20))
    for _ in range(20):
        h = h / h.sum(-1, keepdim=True).clamp(min=1e-8)
        h = h / h.sum(-2, keepdim=True).clamp(min=1e-8)
    return h


def in_log(z, first, iters, tau=1.0):
    z = z / tau
    for _ in range(iters):
        z = z - z.logsumexp(first, keepdim=True)
        z = z - z.logsumexp(-1 if first == -2 else -2, keepdim=True)
    return z.exp()


CODE = {
    "deepseek-v4": v4,
    "megatron-dev": v4,
    "xing": xing,
    "megatron-main": lambda z: floored(z, 1e-6, -1),
    "lucidrains": lambda z: floored(z, 1e-12, -2),
    "motif": motif,
    "mhc-lite": lambda z: in_log(z, -2, 20),
    "paper": lambda z: in_log(z, -2, 20),
    "tokenbender": lambda z: in_log(z, -1, 10, 0.05),
}


def logits(spread=3.0, count=300, d=4, seed=7):
    return (spread * np.random.default_rng(seed).standard_normal((count, d, d))).astype(np.float32)


def made(kernel, z, **settings):
    """A dump as a float32 kernel leaves it."""
    return kernel(torch.from_numpy(z), **settings).numpy()


def names(found):
    return {found.name, *(a.kernel for a in found.also if not a.changes)}


def test_every_known_kernel_has_its_code_here():
    assert CODE.keys() == RECIPES.keys()


TURNED = ("result transposed", "logits transposed")


@pytest.mark.parametrize(
    "name, orientation",
    [(name, "as is") for name in RECIPES]
    + [(name, t) for name in ("deepseek-v4", "megatron-main", "tokenbender") for t in TURNED],
)
def test_a_known_kernel_is_named(name, orientation):
    z = logits(10.0 if name in ("motif", "xing") else 0.3 if name == "tokenbender" else 3.0)
    # columns first is logits and result transposed: two names for one map, and either will do
    h = made(CODE[name], z.swapaxes(1, 2).copy() if orientation.startswith("logits") else z)
    found = identify(z, h.swapaxes(1, 2) if orientation.startswith("result") else h)
    told = {(found.name, found.orientation)}
    told |= {(a.kernel, a.orientation) for a in found.also}
    assert (name, orientation) in told
    assert len(found.changes) == (orientation != "as is")
    assert found.confirmation.within_rounding
    assert found.fit.recipe.iters == RECIPES[name].iters


CHANGED = {
    "iterations 19": (lambda z: v4(z, 19), {"iters": 19}),
    "iterations 100": (lambda z: v4(z, 100), {"iters": 100}),
    "eps 1e-8": (lambda z: v4(z.double(), eps=1e-8).to(F32), {"eps": 1e-8}),
    "eps 0.02": (lambda z: v4(z, eps=0.02), {"eps": 0.02}),
    "iterations 7, eps 1e-5": (lambda z: v4(z, 7, 1e-5), {"iters": 7, "eps": 1e-5}),
    "clamp 5": (lambda z: v4(z.clamp(-5, 5)), {"clamp": 5}),
    "tau 0.37": (lambda z: v4(z / 0.37), {"tau": 0.37}),
}


@pytest.mark.parametrize("change", CHANGED)
def test_what_was_changed_in_a_kernel_is_named(change):
    code, settings = CHANGED[change]
    z = logits()
    found = identify(z, made(code, z))
    assert found.name == "deepseek-v4"
    assert len(found.changes) == len(settings)
    for field, value in settings.items():
        assert getattr(found.fit.recipe, field) == pytest.approx(value, rel=1e-3)
    for field in {"iters", "eps", "tau", "clamp"} - settings.keys():
        assert getattr(found.fit.recipe, field) == getattr(RECIPES["deepseek-v4"], field)


def test_exp_without_the_row_maximum_is_told_where_it_matters():
    z = np.random.default_rng(3).uniform(-40, 40, (400, 4, 4)).astype(np.float32)
    h = np.exp(z.astype(float))
    for _ in range(20):
        h /= h.sum(2, keepdims=True) + 1e-6
        h /= h.sum(1, keepdims=True) + 1e-6
    found = identify(z, h.astype(np.float32))
    assert found.fit.recipe.start == "raw"


@pytest.mark.parametrize("form", ["bf16", "fp16"])
def test_results_that_were_rounded_and_stored_wider(form):
    z = logits()
    h = round_to(made(v4, z), form)
    assert format_of(h.astype(np.float64)) == form
    found = identify(z, h)
    assert (found.name, found.changes, found.form) == ("deepseek-v4", (), form)
    assert found.confirmation.within_rounding


@pytest.mark.parametrize("dtype, form", [(torch.bfloat16, "bf16"), (torch.float16, "fp16")])
def test_arithmetic_in_a_narrow_format(dtype, form):
    z = round_to(logits(2.0), form)
    h = v4(torch.from_numpy(z).to(dtype), eps=1e-6 if form == "bf16" else 1e-5)
    found = identify(z, h.to(F32).numpy())
    assert found.name == "deepseek-v4"
    assert found.fit.arithmetic.startswith(form)
    assert found.fit.recipe.iters == 20


def test_random_matrices_have_no_match_and_the_nearest_is_told():
    z = logits()
    h = np.random.default_rng(1).dirichlet(np.ones(4), (300, 4)).astype(np.float32)
    summary = run(Stack(h, "random", "float32"), logits=Stack(z, "logits", "float32")).summary
    assert summary["verdict"] == "no_match" and summary["match"] is None
    assert summary["within_rounding"] is False and summary["matching"] == 0
    assert 0.5 < summary["error_max"] <= 1 and summary["near"][0]["change"] in RECIPES


def test_logits_that_are_all_alike_say_nothing():
    z = np.zeros((50, 4, 4), np.float32)
    summary = run(Stack(made(v4, z), "h", "float32"), logits=Stack(z, "z", "float32")).summary
    assert summary["verdict"] == "no_information" and summary["match"] is None


def test_uniform_matrices_say_nothing_whatever_the_logits():
    z = logits()
    h = np.full_like(z, 0.25)
    summary = run(Stack(h, "h", "float32"), logits=Stack(z, "z", "float32")).summary
    assert summary["verdict"] == "no_information" and summary["match"] is None


def test_settings_that_inputs_cannot_tell_are_said():
    z = logits(0.3)
    summary = run(Stack(made(v4, z), "h", "float32"), logits=Stack(z, "z", "float32")).summary
    assert summary["match"] == "deepseek-v4" and summary["iters"] == 20
    said = [change for entry in summary["also"] for change in entry["changes"]]
    assert any(word.startswith("iterations ") and "100 and more" in word for word in said)
    assert "megatron-dev" in {entry["match"] for entry in summary["also"]}


def test_a_clamp_that_nothing_exceeds_is_null():
    z = logits(2.0)
    summary = run(Stack(made(xing, z), "h", "float32"), logits=Stack(z, "z", "float32")).summary
    assert (summary["match"], summary["clamp"]) == ("xing", None)
    wide = logits(20.0)
    stacks = Stack(made(xing, wide), "h", "float32"), Stack(wide, "z", "float32")
    summary = run(stacks[0], logits=stacks[1]).summary
    assert (summary["match"], summary["clamp"]) == ("xing", 30)


def test_one_wrong_matrix_of_many_is_found():
    z = logits()
    h = made(v4, z)
    h[17] = h[18]
    result = run(Stack(h, "h", "float32"), logits=Stack(z, "z", "float32"), fail_on="mismatch")
    summary = result.summary
    assert summary["match"] == "deepseek-v4" and not summary["within_rounding"]
    assert summary["matching"] == pytest.approx(299 / 300)
    assert "99.67 %" in result.failed()


def test_the_near_misses_say_what_each_changes():
    z = logits()
    found = identify(z, made(v4, z))
    reference = made(v4, z).astype(float)
    misses = {m.change: m.error_max for m in found.near}
    for word, other in {
        "iterations 19 instead of 20": v4(torch.from_numpy(z).double(), 19),
        "iterations 21 instead of 20": v4(torch.from_numpy(z).double(), 21),
    }.items():
        assert misses[word] == pytest.approx(np.abs(other.numpy() - reference).max(), rel=1e-3)


@pytest.mark.parametrize("d", [2, 3, 8])
def test_other_sides(d):
    z = logits(d=d)
    assert "deepseek-v4" in names(identify(z, made(v4, z)))


def test_a_single_stream_says_nothing():
    z = logits(d=1, count=20)
    assert not identify(z, made(v4, z)).informative


def test_few_matrices_and_masked_logits():
    z = logits(count=5)
    assert "deepseek-v4" in names(identify(z, made(v4, z)))
    z = logits(count=100)
    z[:10, 0, 1] = -np.inf
    found = identify(z, made(v4, z))
    assert found.name == "deepseek-v4" and found.confirmation.within_rounding
    assert identify(np.full((3, 4, 4), np.nan), np.full((3, 4, 4), np.nan)) is None


@pytest.mark.parametrize("variant", CODE_BASES)
def test_a_match_is_the_variant_of_the_method_that_makes_these_matrices(variant):
    z = logits(
        0.3 if variant == "tokenbender" else 10.0 if RECIPES[variant].clamp < np.inf else 3.0
    )
    z = z.astype(float)
    stored = z.swapaxes(1, 2) if CODE_BASES[variant].transposed else z
    h = np.asarray(MHC(4, variant=variant)(stored.reshape(len(z), -1)))
    found = identify(z, h.swapaxes(1, 2) if CODE_BASES[variant].transposed else h)
    assert variant in names(found)
    MHC(4, variant=found.name)


EVERY_RECIPE = [*dict.fromkeys(RECIPES.values()), Recipe("max", "rows", "sums", 0.3, 1.5, 0.7, 2.0)]


@pytest.mark.parametrize("recipe", EVERY_RECIPE, ids=lambda r: f"{r.start}-{r.eps_on}-{r.iters}")
def test_the_exact_gradient_is_that_of_finite_differences(recipe):
    from birkhoff_cli.analyses.kernels.run import apply

    rng = np.random.default_rng(0)
    z = rng.normal(0, 0.5, (3, 3, 3))
    up, direction = rng.normal(size=(2, 3, 3, 3))
    step = 1e-6
    moved = [apply(z + s * direction, recipe, "float64") for s in (step, -step)]
    slope = ((moved[0] - moved[1]) * up).sum() / (2 * step)
    assert (pull_back(z, up, recipe, False) * direction).sum() == pytest.approx(slope, rel=2e-7)


def gradients(z, constant):
    x = torch.from_numpy(z).double().requires_grad_()
    top = x.amax(-1, keepdim=True)
    h = torch.exp(x - (top.detach() if constant else top))
    for _ in range(3):
        h = h / (h.sum(-1, keepdim=True) + 0.05)
        h = h / (h.sum(-2, keepdim=True) + 0.05)
    up = torch.from_numpy(np.random.default_rng(5).standard_normal(z.shape))
    (down,) = torch.autograd.grad(h, x, up)
    return [t.detach().to(F32).numpy() for t in (h, up, down)]


@pytest.mark.parametrize("constant", [True, False])
def test_a_row_maximum_treated_as_constant_is_told(constant):
    z = logits(1.0)
    h, up, down = gradients(z, constant)
    stacks = {"logits": z, "cotangent": up, "gradient": down}
    given = {name: Stack(x, name, "float32") for name, x in stacks.items()}
    summary = run(Stack(h, "h", "float32"), **given).summary
    assert summary["gradient_within_rounding"]
    assert summary["gradient_row_maximum"] == ("constant" if constant else "differentiated")
    given["gradient"] = Stack(1.01 * down, "gradient", "float32")
    summary = run(Stack(h, "h", "float32"), **given).summary
    assert not summary["gradient_within_rounding"]


def test_a_row_maximum_that_cancels_is_said():
    z = logits(1.0)
    x = torch.from_numpy(z).double().requires_grad_()
    h = v4(x)
    up = torch.from_numpy(np.random.default_rng(5).standard_normal(z.shape))
    (down,) = torch.autograd.grad(h, x, up)
    stacks = {"logits": z, "cotangent": up.numpy(), "gradient": down.numpy()}
    given = {name: Stack(a, name, "float64") for name, a in stacks.items()}
    summary = run(Stack(h.detach().numpy(), "h", "float64"), **given).summary
    assert summary["gradient_within_rounding"] and summary["gradient_row_maximum"] == "cancels"


def test_two_dumps_are_compared_without_logits():
    z = logits()
    h = made(v4, z)
    against = Stack(h.swapaxes(1, 2).copy(), "b", "float32")
    summary = run(Stack(h, "a", "float32"), against=against).summary
    assert (summary["verdict"], summary["orientation"]) == ("match", "result transposed")
    against = Stack(made(v4, z, iters=19), "b", "float32")
    result = run(Stack(h, "a", "float32"), against=against, fail_on="mismatch")
    assert result.summary["matching"] < 1 and "differ by" in result.failed()
    rounded = Stack(round_to(h, "bf16"), "b", "float32")
    summary = run(Stack(h, "a", "float32"), against=rounded).summary
    assert summary["verdict"] == "match" and summary["dtype"] == "bf16"
