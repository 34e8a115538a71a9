"""A model as the named tensors that a checkpoint holds: their start, and what they compute.

Names and shapes are those of the mhc-lite repository. Its four types are stored as its own code
stores them, so that it can read them; every other map stores n numbers of pre and then its
parameters in ``static_alpha``, in our orientation, and ``model_args`` say which map it is.

Source: github.com/FFTYYY/mhc-lite @ ea19775; github.com/karpathy/nanoGPT.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, fields
from math import sqrt
from typing import Any

import numpy as np

from birkhoff_cli.analyses.core.parameterization import Parameterization, require
from birkhoff_cli.analyses.networks import language_model
from birkhoff_cli.analyses.networks.connection import Connection
from birkhoff_cli.analyses.networks.language_model import Affine, Branch, LanguageModel
from birkhoff_cli.checkpoints.gpt.layout import OPTIONS
from birkhoff_cli.checkpoints.modules import forks
from birkhoff_cli.checkpoints.modules.mhc_lite import ITERS, LAYOUTS
from birkhoff_cli.training import text
from birkhoff_cli.training.text import Tokens

State = dict[str, Any]
"""Torch tensors by name; what a checkpoint calls ``model``."""

BRANCHES = (("attn", "c_attn", 3), ("mlp", "c_fc", 4))
"""Name of a branch, name of its first layer, and how much wider than a stream that is."""

LAYER = re.compile(r"transformer\.h\.(\d+)\.")

SPREAD = 0.02
GATE = 0.01


@dataclass(frozen=True)
class Sizes:
    """Of the language model around the hyper-connections."""

    layers: int
    heads: int
    width: int
    length: int
    vocabulary: int

    def __post_init__(self) -> None:
        """Refuse what no model can be."""
        for name in ("layers", "heads", "width", "length"):
            require(getattr(self, name) >= 1, f"--{name} {getattr(self, name)}", "at least 1")
        fits = self.width % self.heads == 0
        require(fits, f"--width {self.width} with --heads {self.heads}", "a multiple of the heads")


def type_of(map_: Parameterization) -> str | None:
    """The type of the mhc-lite repository that is this very map; None if there is none."""
    for name, layout in LAYOUTS.items():
        fits = layout.method == map_.name and layout.alpha(map_.d)[0] > 0
        if fits and _same(layout.map(map_.d, ITERS), map_):
            return name
    return None


def _same(a: Parameterization, b: Parameterization) -> bool:
    """Whether two maps of one class agree, however their options were said."""
    theta = np.linspace(-1, 1, a.parameters)
    return a.parameters == b.parameters and np.array_equal(a(theta), b(theta))


def arguments(map_: Parameterization, sizes: Sizes) -> dict[str, Any]:
    """What a checkpoint says of itself under ``model_args``."""
    repository = {"hyper_conn_n": map_.d, "hyper_conn_type": type_of(map_)}
    return {
        "n_layer": sizes.layers,
        "n_head": sizes.heads,
        "n_embd": sizes.width,
        "block_size": sizes.length,
        "bias": False,
        "vocab_size": sizes.vocabulary,
        "dropout": 0.0,
        **(repository if type_of(map_) else named(map_)),
    }


def named(map_: Parameterization) -> dict[str, Any]:
    """The method and its options, as every method can be said."""
    options = {f.name: getattr(map_, f.name) for f in fields(map_) if f.name != "d"}
    return {
        "hyper_conn_n": map_.d,
        "hyper_conn_type": map_.name,
        OPTIONS: {k: v for k, v in options.items() if v is not None},
    }


def start(map_: Parameterization, sizes: Sizes, seed: int) -> State:
    """Every tensor as published: nanoGPT's weights, gates almost shut, H at its initial value."""
    import torch

    generator = torch.Generator().manual_seed(seed)
    streams = np.random.default_rng(seed)

    def normal(*shape: int, spread: float = SPREAD) -> Any:
        return torch.randn(*shape, generator=generator) * spread

    width, last = sizes.width, SPREAD / sqrt(2 * sizes.layers)
    state = {
        "transformer.wte.weight": normal(sizes.vocabulary, width),
        "transformer.wpe.weight": normal(sizes.length, width),
        "transformer.ln_f.weight": torch.ones(width),
    }
    for layer in range(sizes.layers):
        for name, first, times in BRANCHES:
            at = f"transformer.h.{layer}"
            inner = f"{at}.branch_{name}.1"
            hidden = width if name == "attn" else times * width
            state[f"{at}.branch_{name}.0.weight"] = torch.ones(width)
            state[f"{inner}.{first}.weight"] = normal(times * width, width)
            state[f"{inner}.c_proj.weight"] = normal(width, hidden, spread=last)
            site = _site(map_, width, int(streams.integers(map_.d)))
            state |= {f"{at}.hc_{name}.{tensor}": value for tensor, value in site.items()}
    return state


def _site(map_: Parameterization, width: int, stream: int) -> State:
    """A site that reads one stream and writes to it, and whose H is where the map begins."""
    import torch

    n, type_ = map_.d, type_of(map_)
    one = torch.nn.functional.one_hot(torch.tensor(stream), n).float()
    if type_ == "hc":
        return {
            "norm.gamma": torch.zeros(width),
            "static_alpha": torch.cat([one[:, None], torch.eye(n)], 1),
            "dynamic_alpha_fn": torch.zeros(width, n + 1),
            "dynamic_alpha_scale": torch.tensor(GATE),
            "static_beta": torch.ones(n),
            "dynamic_beta_fn": torch.zeros(width),
            "dynamic_beta_scale": torch.tensor(GATE),
        }
    entries = _entries(map_)
    alpha = torch.empty(len(entries.pre) + len(entries.mixing))
    alpha[entries.pre] = 2 * one - 1
    alpha[entries.mixing] = torch.tensor(map_.initial(), dtype=torch.float32)
    square = type_ == "mhc"
    return {
        "norm.gamma": torch.zeros(n * width),
        "static_alpha": alpha.reshape(n, n + 1) if square else alpha,
        "dynamic_alpha_fn": torch.zeros(n * width, len(alpha)),
        "pre_branch_scale": torch.full((1,), GATE),
        "residual_scale": torch.full((1,), GATE),
        "static_beta": 2 * one - 1,
        "dynamic_beta_fn": torch.zeros(n * width, n),
        "h_post_scale": torch.tensor(GATE),
    }


def _entries(map_: Parameterization) -> forks.Entries:
    type_ = type_of(map_)
    return LAYOUTS[type_].entries(map_.d) if type_ else forks.in_order(map_)


def model(state: State, map_: Parameterization, sizes: Sizes) -> LanguageModel:
    """What the tensors compute; gradients go through to them."""
    branches, connections = [], []
    for layer in range(sizes.layers):
        for name, first, _ in BRANCHES:
            at = f"transformer.h.{layer}"
            inner = f"{at}.branch_{name}.1"
            branches.append(
                Branch(
                    "attn" if name == "attn" else "mlp",
                    Affine(state[f"{at}.branch_{name}.0.weight"]),
                    Affine(state[f"{inner}.{first}.weight"]),
                    Affine(state[f"{inner}.c_proj.weight"]),
                )
            )
            connections.append(_connection(state, map_, f"{at}.hc_{name}."))
    return LanguageModel(
        embedding=state["transformer.wte.weight"],
        positions=state["transformer.wpe.weight"],
        branches=tuple(branches),
        connections=tuple(connections),
        norm=Affine(state["transformer.ln_f.weight"]),
        heads=sizes.heads,
    )


def _connection(state: State, map_: Parameterization, prefix: str) -> Connection:
    tensors = {n.removeprefix(prefix): v for n, v in state.items() if n.startswith(prefix)}
    if type_of(map_) == "hc":
        return forks.unconstrained(tensors, map_)
    return forks.together(tensors, map_, _entries(map_))


def batch(tokens: Tokens, count: int, sizes: Sizes, *seed: int) -> tuple[Any, Any]:
    """Sequences ``(count, length)``, and what follows each token."""
    return text.batch(tokens, count, sizes.length, *seed)


def loss(state: State, map_: Parameterization, sizes: Sizes, seen: Any, targets: Any) -> Any:
    """Mean cross entropy, in nats, of the tokens that follow."""
    return language_model.loss(model(state, map_, sizes), seen, targets)


def matrices(state: State, map_: Parameterization, sizes: Sizes, seen: Any) -> Iterator[Any]:
    """H of every site, for every token, ``(..., d, d)``."""
    for site in language_model.states(model(state, map_, sizes), seen):
        yield site.weights.mixing


def layer_of(name: str) -> int | None:
    """The layer that a tensor belongs to, with its branches and sites; None of one outside."""
    match = LAYER.match(name)
    return int(match[1]) if match else None


def stored(state: State) -> State:
    """The state under every name that the repository's own modules have for its tensors."""
    saved = {name: value.detach() for name, value in state.items()}
    for name, value in list(saved.items()):
        for branch, _, _ in BRANCHES:
            again = name.replace(f".branch_{branch}.", f".hc_{branch}.branch.")
            saved[again] = value
    return saved | {"lm_head.weight": saved["transformer.wte.weight"]}
