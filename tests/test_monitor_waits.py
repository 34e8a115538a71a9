"""How often a step waits for its device, counted on one that has no numbers: torch's meta device.

What must be known here before the next line of ours can run (``item``, ``bool``, ``nonzero``) is an
error there, which a monitor says as a warning. Copies from or to this memory, for which a device is
waited for as well, are counted. So the count is that of any device, CUDA's included.
"""

import warnings

import pytest

torch = pytest.importorskip("torch")
nn = torch.nn

from torch.utils._python_dispatch import TorchDispatchMode  # noqa: E402
from torch.utils._pytree import tree_leaves  # noqa: E402

import test_monitor_libraries as libraries  # noqa: E402
import test_recorder as recorder  # noqa: E402
from birkhoff_cli import monitor  # noqa: E402
from test_recording_survives import Model  # noqa: E402

PACKAGES = ("hyper_connections", "manifold_constrained_hyper_connections", "mHCv2")


class Copies(TorchDispatchMode):
    """Counts copies between devices; one from meta gives zeros."""

    def __init__(self):
        super().__init__()
        self.to_us = self.to_it = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        tensors = [t for t in tree_leaves((args, kwargs)) if isinstance(t, torch.Tensor)]
        there = {t.device.type for t in tensors}
        target = kwargs.get("device") or (tensors[0].device if tensors else "cpu")
        if "copy" in function.name() and there | {torch.device(target).type} == {"cpu", "meta"}:
            if torch.device(target).type == "cpu":
                self.to_us += 1
                return torch.zeros(args[0].shape, dtype=args[0].dtype)
            self.to_it += 1
        return function(*args, **kwargs)


def deepseek():
    model = Model()
    for layer in model.layers:
        layer.attn_hc.input_norm = nn.RMSNorm(32, eps=1e-6)  # with it what a site reads is known
    return model, lambda: model(torch.randn(2, 5, 4, 8, device="meta"))


def lucidrains(name):
    model = recorder.Stack(recorder.module(name))
    return model, lambda: model(torch.randn(2, 5, 64, device="meta"))


def stand_in(folder):
    model, streams, _ = recorder.loaded(folder, **recorder.STANDINS[folder.name])
    for site in model.modules():
        if hasattr(site, "applied"):
            site.applied = site.applied.to("meta")
    streams = [s.to("meta") for s in streams]
    return model, lambda: model(streams)


def qwen():
    package = pytest.importorskip("transformers", minversion="5.23", reason=libraries.NO_PACKAGE)
    model = libraries.Gated(package)
    return model, lambda: model(torch.randn(2, 7, 48, device="meta"))


def megatron(folder):
    model, streams, _ = libraries.megatron(folder)
    for layer in model.layers:
        for site in layer.values():
            site.recorded = [part.to("meta") for part in site.recorded]
    streams = [s.to("meta") for s in streams]
    return model, lambda: model(streams)


KINDS = ("deepseek", "qwen", "megatron_main", *PACKAGES, *recorder.STANDINS)
LIKE_OTHERS = ("mHCv2", "manifold_constrained_hyper_connections", "mhclite_hc_n4", "tb_mhc_tau1")


def listed():
    """Every kind; those that differ little from another are for a release."""
    for kind in KINDS:
        yield pytest.param(kind, marks=[pytest.mark.release] if kind in LIKE_OTHERS else [])


@pytest.mark.parametrize("kind", [*listed()])
def test_a_measured_step_waits_for_the_device_once_and_others_never(kind, checkpoints):
    """Sites of mhc-lite's family waited several times each, for a bound and for small tables."""
    if kind in PACKAGES:
        model, run = lucidrains(kind)
    elif kind in ("deepseek", "qwen"):
        model, run = {"deepseek": deepseek, "qwen": qwen}[kind]()
    else:
        model, run = (megatron if "megatron" in kind else stand_in)(checkpoints / kind)
    numbers, counts = [], []
    with warnings.catch_warnings(), monitor(model, every=2, to=lambda n, _: numbers.append(n)) as m:
        warnings.simplefilter("error")
        model.to("meta")  # Megatron's modules are asked once, at the start, what they apply
        for _ in range(2):
            with Copies() as copies:
                run()
                m.step()
            counts.append((copies.to_us, copies.to_it))
    assert counts == [(0, 0), (1, 0)]
    assert len(numbers) == 1
