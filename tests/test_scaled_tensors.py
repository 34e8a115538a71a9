"""Mixers in 8-bit floats with a scale for every block, and what few bits cost in H."""

import json

import numpy as np
import pytest

from birkhoff_cli import checkpoints
from birkhoff_cli.analyses.core.errors import BadInput, Unsupported
from birkhoff_cli.checkpoints.sites.names import NamedStore
from birkhoff_cli.checkpoints.sites.scaled import half_step, rounding_cost
from birkhoff_cli.containers import open_store

torch = pytest.importorskip("torch")
save_file = pytest.importorskip("safetensors.torch").save_file

N, WIDTH, LAYERS = 4, 75, 2
WIDE = N * WIDTH
CONFIG = {"model_type": "deepseek_v4", "hc_mult": N, "hidden_size": WIDTH, "hc_sinkhorn_iters": 7}


def blocks(weight, kind):
    """A weight as fp8 and the scales of its blocks, in plain loops; and the product again."""
    largest = torch.finfo(kind).max
    rows, columns = (-(-length // 128) for length in weight.shape)
    scale = torch.zeros(rows, columns)
    narrow = torch.zeros(weight.shape, dtype=kind)
    again = torch.zeros(weight.shape)
    for i in range(rows):
        for j in range(columns):
            here = slice(128 * i, 128 * (i + 1)), slice(128 * j, 128 * (j + 1))
            scale[i, j] = weight[here].abs().max().clamp(min=1e-6) / largest
            narrow[here] = (weight[here] / scale[i, j]).to(kind)
            again[here] = narrow[here].float() * scale[i, j]
    return narrow, scale, again


def save(folder, kind=None, scaled=True):
    """A model of V4's tensors with ``fn`` in fp8, or what that stands for in float32."""
    folder.mkdir()
    generator = torch.Generator().manual_seed(0)
    tensors = {}
    for layer in range(LAYERS):
        for branch in ("attn", "ffn"):
            begin = f"model.layers.{layer}.hc_{branch}_"
            weight = torch.randn((N * (N + 2), WIDE), generator=generator) / WIDE**0.5
            # rows of more than one block are those of padded fn
            weight = torch.cat([weight, torch.zeros(136 - len(weight), WIDE)])
            narrow, scale, again = blocks(weight, kind or torch.float8_e4m3fn)
            tensors[f"{begin}fn"] = again if kind is None else narrow
            if kind is not None and scaled:
                tensors[f"{begin}fn_scale_inv"] = scale
            tensors[f"{begin}base"] = torch.randn(N * (N + 2), generator=generator)
            tensors[f"{begin}scale"] = torch.ones(3)
    save_file(tensors, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps({**CONFIG, "num_hidden_layers": LAYERS}))
    return folder


def connections(folder):
    found = checkpoints.read(folder)
    with found.opened() as store:
        return found, list(found.connect(store))


def test_blocks_are_multiplied_by_their_scales(tmp_path):
    kind = torch.float8_e4m3fn
    found, narrow = connections(save(tmp_path / "narrow", kind))
    _, wide = connections(save(tmp_path / "wide"))
    streams = np.random.default_rng(0).standard_normal((5, N, WIDTH)).astype(np.float32)
    for one, other in zip(narrow, wide, strict=True):
        np.testing.assert_array_equal(one(streams).mixing, other(streams).mixing)
    assert {*found.dtypes["fn"].values()} == {"float8_e4m3fn"}
    with found.opened() as store:
        assert not [name for name in store.tensors if "scale_inv" in name]


def test_what_few_bits_cost_is_measured_and_said(birkhoff, tmp_path):
    save(tmp_path / "narrow", torch.float8_e4m3fn)
    save(tmp_path / "wide")
    costs = {}
    for name in ("narrow", "wide"):
        done = birkhoff("inspect", name, "--json", "--strict")
        assert done.returncode == 0, done.stderr
        costs[name] = json.loads(done.stdout)["rounding_cost"]
    assert costs["wide"] is None
    assert 1e-3 < costs["narrow"] < 0.3
    done = birkhoff("inspect", "narrow", "--fail-on", "dtype")
    assert done.returncode == 1 and "less than 16 bits cost" in done.stdout
    coarse = checkpoints.read(save(tmp_path / "coarse", torch.float8_e5m2))
    assert rounding_cost(coarse) > costs["narrow"]


def test_fp8_without_its_scales_is_refused(tmp_path):
    folder = save(tmp_path / "bare", torch.float8_e4m3fn, scaled=False)
    found = checkpoints.read(folder)
    with found.opened() as store, pytest.raises(Unsupported, match="dtype float8_e4m3fn"):
        list(found.connect(store))


def test_scales_of_other_blocks_are_refused(tmp_path):
    tensors = {"fn": torch.zeros(200, 200).to(torch.float8_e4m3fn)}
    save_file({**tensors, "fn_scale_inv": torch.ones(3, 2)}, tmp_path / "a.safetensors")
    with open_store(tmp_path / "a.safetensors") as store:
        named = NamedStore(store)
        with pytest.raises(BadInput, match=r"'fn_scale_inv' has shape \(3, 2\)"):
            named.read("fn")


@pytest.mark.parametrize("kind", [torch.float8_e4m3fn, torch.float8_e5m2])
def test_half_a_step_is_half_the_distance_to_the_next_number(kind):
    bits = torch.arange(8, 120, dtype=torch.uint8)
    numbers = bits.view(kind).float().numpy()
    numbers = numbers[np.isfinite(numbers)]
    smallest = torch.finfo(kind).smallest_normal
    normal = numbers[numbers >= smallest]
    steps = half_step(normal[:-1], str(kind).removeprefix("torch."))
    np.testing.assert_array_equal(2 * steps, np.diff(normal))
