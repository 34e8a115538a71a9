"""Small files in place of those that the examples of an analysis name.

A file is told by what it holds, so that one array stands for every kind of table: random logits,
and the matrices that mHC makes of them. Everything else is a language model of two layers with the
same matrices, and tokens that it knows.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from birkhoff_cli.analyses import parameterizations
from birkhoff_cli.analyses.core.arrays import Array

METHOD = "mhc"
"""What the matrices are made with; its parameters are logits. A model may say another by name."""

TOKENS = ".bin"
MODELS = (".pt", ".pth", ".safetensors", "")
"""Suffixes of files that hold a model; every other one holds matrices."""

LOGITS = ("z", "logits", "cotangent", "gradient", "up", "down")
"""Names, without their suffix, of files that hold what is no mixing matrix."""

LAYERS, VOCABULARY, LENGTH = 2, 16, 8
SITES = 2 * LAYERS


@dataclass(frozen=True)
class Sizes:
    """How much the files hold.

    Attributes:
        samples: of every site.
        d: number of streams.
    """

    samples: int = 5
    d: int = 4


def logits(sizes: Sizes) -> Array:
    """``(samples, sites, d, d)``, always the same."""
    shape = (sizes.samples, SITES, sizes.d, sizes.d)
    return np.random.default_rng(0).normal(size=shape)


def matrices(sizes: Sizes) -> Array:
    """What mHC makes of `logits`."""
    stack: Array = parameterizations.load(METHOD)(sizes.d)(
        logits(sizes).reshape(sizes.samples, SITES, sizes.d**2)
    )
    return stack


Holding = Literal["models", "arrays", "logs"]
"""What files of an analysis hold: models or arrays as their names say, or only the other."""


def write(path: Path, sizes: Sizes, holding: Holding = "models") -> None:
    """Write the file that an example names, unless it is there.

    Args:
        path: its name says what it holds; ``FILE#entry`` is an entry of an archive.
        sizes: how much.
        holding: what the files of the analysis hold.
    """
    name, _, entry = path.name.partition("#")
    path = path.with_name(name)
    if path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    if holding == "logs":
        _write_log(path if path.suffix else path / "log.parquet", sizes)
        return
    stem = entry or path.stem
    with path.open("wb") as file:
        if path.suffix == TOKENS:
            file.write(np.random.default_rng(0).integers(VOCABULARY, size=400, dtype="<u2").data)
        elif path.suffix in MODELS and holding == "models":
            step = int("".join(filter(str.isdecimal, path.stem)) or 0)
            _write_model(file, sizes, step, _method_of(path))
        else:
            values = (logits if stem in LOGITS else matrices)(sizes)
            np.savez(file, **{entry: values}) if entry else np.save(file, values)


def _method_of(path: Path) -> str:
    """The method that a file or its folder is named after, else `METHOD`."""
    known = parameterizations.names()
    return next((part for part in (path.stem, path.parent.name) if part in known), METHOD)


def _write_log(path: Path, sizes: Sizes) -> None:
    """A training log, four steps for every sample; text, whatever the name says."""
    path.parent.mkdir(exist_ok=True)
    rng = np.random.default_rng(0)
    names = ("loss", "held_out_loss", "gradient_norm", "learning_rate")
    with path.open("w", encoding="utf-8") as file:
        for step in range(4 * sizes.samples):
            norms = rng.random(LAYERS).tolist()
            row = {"step": step, **dict(zip(names, rng.random(4).tolist(), strict=True))}
            print(json.dumps(row | {"layer_gradient_norms": norms}), file=file)


def _write_model(file: Any, sizes: Sizes, step: int, method: str) -> None:
    """As `birkhoff train` writes it, with every number moved a little."""
    import torch

    from birkhoff_cli.training import network

    model = network.Sizes(LAYERS, heads=1, width=4, length=LENGTH, vocabulary=VOCABULARY)
    map_ = parameterizations.load(method)(sizes.d)
    generator = torch.Generator().manual_seed(step)
    state: Mapping[str, Any] = network.start(map_, model, seed=0)
    moved = {k: v + 0.3 * torch.randn(v.shape, generator=generator) for k, v in state.items()}
    arguments = network.arguments(map_, model)
    torch.save({"model": moved, "model_args": arguments, "iter_num": step}, file)
