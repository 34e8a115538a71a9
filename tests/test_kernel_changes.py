"""Every known kernel with every change that people make, each written here in plain loops."""

import re

import numpy as np
import pytest
import torch

from birkhoff_cli.analyses.core.stack import Stack
from birkhoff_cli.analyses.geometry.recipes import CODE_BASES
from birkhoff_cli.analyses.verify import run

ROWS, COLUMNS = -1, -2


def softmax_plus_eps(z, first, iters, eps):
    h = torch.softmax(z, first) + eps
    for k in range(1, round(2 * iters)):
        axis = first if k % 2 == 0 else ROWS + COLUMNS - first
        h = h / (h.sum(axis, keepdim=True) + eps)
    return h


def exp_and_divide(z, first, iters, eps, floor, maximum=True):
    h = torch.exp(z - z.amax(first, keepdim=True) if maximum else z)
    for k in range(round(2 * iters)):
        total = h.sum(first if k % 2 == 0 else ROWS + COLUMNS - first, keepdim=True)
        h = h / (total.clamp(min=eps) if floor else total + eps)
    return h


def logarithms(z, first, iters, eps):
    assert not eps
    for k in range(round(2 * iters)):
        z = z - z.logsumexp(first if k % 2 == 0 else ROWS + COLUMNS - first, keepdim=True)
    return z.exp()


def sums(z, *settings):
    return exp_and_divide(z, *settings, floor=False)


def floor(z, *settings):
    return exp_and_divide(z, *settings, floor=True)


def raw_floor(z, *settings):
    return exp_and_divide(z, *settings, floor=True, maximum=False)


KERNELS = {
    "deepseek-v4": (softmax_plus_eps, ROWS, 20, 1e-6, None, 1),
    "megatron-dev": (softmax_plus_eps, ROWS, 20, 1e-6, None, 1),
    "xing": (sums, ROWS, 20, 1e-6, 30, 1),
    "megatron-main": (floor, ROWS, 20, 1e-6, None, 1),
    "lucidrains": (floor, COLUMNS, 20, 1e-12, None, 1),
    "motif": (raw_floor, ROWS, 20, 1e-8, 20, 1),
    "mhc-lite": (logarithms, COLUMNS, 20, 0, None, 1),
    "paper": (logarithms, COLUMNS, 20, 0, None, 1),
    "tokenbender": (logarithms, ROWS, 10, 0, None, 0.05),
}
CHANGES = {
    "iterations 19": {"iters": 19},
    "iterations 4.5": {"iters": 4.5},
    "eps 1e-8": {"eps": 1e-8},
    "eps 0.02": {"eps": 0.02},
    "iterations 7, eps 1e-5": {"iters": 7, "eps": 1e-5},
    "other order": {"swap": True},
    "logits transposed": {"turn_logits": True},
    "result transposed": {"turn_result": True},
    "clamp 20": {"clamp": 20},
    "tau 0.5": {"tau": 0.5},
    "bf16 output": {"output": torch.bfloat16},
    "fp16 output": {"output": torch.float16},
    "bf16 arithmetic": {"dtype": torch.bfloat16},
    "exp without maximum": {"maximum": False},
    "iterations 19, fp16 output": {"iters": 19, "output": torch.float16},
    "iterations 10, logits transposed": {"iters": 10, "turn_logits": True},
}


def dump(name, change, count=60, d=4, seed=0):
    """Logits and what the changed kernel makes of them, as people save them."""
    kernel, first, iters, eps, clamp, tau = KERNELS[name]
    scale = 0.3 if name == "tokenbender" and "tau" not in change else 4.0
    scale = 12.0 if clamp is not None or "clamp" in change else scale
    z = torch.from_numpy(np.random.default_rng(seed).normal(0, scale, (count, d, d))).float()
    z = z.to(change.get("dtype", torch.float32))
    x = z.transpose(1, 2) if "turn_logits" in change else z
    limit = change.get("clamp", clamp)
    x = x if limit is None else x.clamp(-limit, limit)
    x = x / change.get("tau", tau)
    first = ROWS + COLUMNS - first if "swap" in change else first
    settings = first, change.get("iters", iters), change.get("eps", eps)
    if "maximum" in change and kernel is sums:
        h = exp_and_divide(x, *settings, floor=False, maximum=False)
    else:  # a softmax and a floor that no sum falls below cancel the maximum
        h = kernel(x, *settings)
    h = h.to(change["output"]) if "output" in change else h
    h = h.transpose(1, 2) if "turn_result" in change else h
    return z.float().numpy(), h.float().contiguous().numpy()


def covered(value, told, found, field):
    """Whether a number is the one that was found, or in the range that is told to be as good."""
    if found is not None and found == pytest.approx(value, rel=2e-3):
        return True
    word = {"iters": "iterations", "eps": "eps"}[field]
    for low, high in re.findall(rf"{word} ([\d.e-]+) to ([\d.e+-]+)", told):
        if float(low) * 0.999 <= value <= float(high) * 1.05 or "100 and more" in told:
            return True
    return False


DISTINCT = {base.recipe: name for name, base in reversed(CODE_BASES.items())}.values()
"""One name of every recipe."""


CASES = [
    (name, change)
    for name in DISTINCT
    for change, settings in CHANGES.items()
    if KERNELS[name][3] or "eps" not in settings
    if name == "deepseek-v4" or "eps" in settings or len(settings) == 1
]


def spread(cases):
    """All cases; those whose kernel and whose change others have are left for a release."""
    shown = set()
    for name, change in cases:
        marks = [pytest.mark.release] if {(0, name), (1, change)} <= shown else []
        shown |= {(0, name), (1, change)}
        yield pytest.param(name, change, marks=marks)


@pytest.mark.parametrize("name, change", [*spread(CASES)])
def test_the_change_is_named_or_what_cannot_be_told_from_it(name, change):
    settings = CHANGES[change]
    eps = KERNELS[name][3]
    z, h = dump(name, settings)
    summary = run(Stack(h, "h", "float32"), logits=Stack(z, "z", "float32")).summary
    entries = [(summary["match"], summary["orientation"], summary["changes"])]
    entries += [(e["match"], e["orientation"], e["changes"]) for e in summary["also"]]
    assert summary["within_rounding"] and summary["matching"] == 1
    assert name in {entry[0] for entry in entries}
    told = "; ".join(c for _, _, changes in entries for c in changes)
    if summary["match"] in (name, None) or CODE_BASES[summary["match"]].recipe.eps_on != "none":
        assert covered(settings.get("eps", eps), told, summary["eps"], "eps") or not eps
    assert covered(settings.get("iters", KERNELS[name][2]), told, summary["iters"], "iters")
    assert summary["tau"] == settings.get("tau", KERNELS[name][5])
    clamp = settings.get("clamp", KERNELS[name][4])
    assert summary["clamp"] == (clamp if clamp and np.abs(z).max() > clamp else None)
    turned = "turn_logits" in settings, "turn_result" in settings
    ours = {entry[1] for entry in entries if entry[0] == name}
    wanted = {(True, False): "logits transposed", (False, True): "result transposed"}
    assert wanted.get(turned, "as is") in ours
    if "output" in settings or "dtype" in settings:
        form = {torch.bfloat16: "bf16", torch.float16: "fp16"}
        assert summary["dtype"] == form[settings.get("output", settings.get("dtype"))]


def test_every_known_kernel_is_here():
    assert KERNELS.keys() == CODE_BASES.keys()
