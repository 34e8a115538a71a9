"""Our trainer takes the recorded run's first update: same random numbers, same tensors.

The recorded runs are of mhc-lite's own code with torch's seed 1337. Its random numbers are drawn
again here in its order: modules as they are made, their initialisation (branches twice, since they
hang in two places), then two evaluations of ten batches beside the first batch.
"""

import math

import numpy as np
import pytest

from birkhoff_cli.analyses import parameterizations
from birkhoff_cli.analyses.networks.language_model import loss
from birkhoff_cli.training import network, run, text
from birkhoff_cli.training.network import Sizes
from birkhoff_cli.training.run import Plan

torch = pytest.importorskip("torch")
nn = torch.nn

SIZES = Sizes(6, 4, 64, 64, 94)
SEED = 1337
FIRST_LOSS = 4.5313  # as the notes of the recorded run have it


def linear(inputs, outputs):
    return nn.Linear(inputs, outputs, bias=False)


def drawn():
    """Embeddings and branches by their names, as torch's seed gives them in that code's order."""
    torch.manual_seed(SEED)
    model = nn.ModuleDict(
        {
            "transformer": nn.ModuleDict(
                {"wte": nn.Embedding(94, 64), "wpe": nn.Embedding(64, 64), "h": nn.ModuleList()}
            )
        }
    )
    for _ in range(SIZES.layers):
        attn = nn.ModuleDict({"c_attn": linear(64, 192), "c_proj": linear(64, 64)})
        mlp = nn.ModuleDict({"c_fc": linear(64, 256), "c_proj": linear(256, 64)})
        again = {f"hc_{n}": nn.ModuleDict({"branch": b}) for n, b in (("attn", attn), ("mlp", mlp))}
        block = nn.ModuleDict({"branch_attn": attn, "branch_mlp": mlp, **again})
        model["transformer"]["h"].append(block)
    model["lm_head"] = linear(64, 94)
    model["transformer"]["wte"].weight = model["lm_head"].weight
    model.apply(lambda m: nn.init.normal_(m.weight, std=0.02) if hasattr(m, "weight") else None)
    for name, tensor in model.named_parameters():
        if name.endswith("c_proj.weight"):
            nn.init.normal_(tensor, std=0.02 / math.sqrt(2 * SIZES.layers))
    parts = model.state_dict().items()
    return {n.replace("_attn.c", "_attn.1.c").replace("_mlp.c", "_mlp.1.c"): t for n, t in parts}


def batch(tokens):
    at = torch.randint(len(tokens) - SIZES.length, (16,))
    rows = torch.stack([tokens[i : i + SIZES.length + 1] for i in at])
    return rows[:, :-1], rows[:, 1:]


def test_the_first_update_of_the_recorded_run(checkpoints):
    read = text.read(None, SIZES.length)
    held_out = np.fromfile(checkpoints / "series_mhc_n4" / "val.bin", "<u2")
    if not np.array_equal(read.held_out, held_out):
        pytest.skip("this Python's help topics are not those that the recorded run learned")
    path = checkpoints / "series_mhc_n4" / "ckpt_000001.pt"
    recorded = torch.load(path, weights_only=True)["model"]
    method = parameterizations.load("mhc")(d=4, variant="mhc-lite")
    random = drawn()
    state = {n: random.get(n, t) for n, t in network.start(method, SIZES, 0).items()}
    for name in state:  # which stream a site reads came from another generator: it is read off
        if name.endswith("static_beta"):
            stream = torch.round(recorded[name])
            state[name] = stream
            state[name.replace("beta", "alpha")][:, 0] = stream
    state = {name: tensor.clone().requires_grad_() for name, tensor in state.items()}
    plan = Plan(method, SIZES, 1000, 16, 0.01, 20, 100, 0, "cpu", "float32")
    under_way = run.Run(plan, read, state, run.adamw(plan, state))
    learned = torch.from_numpy(read.learned)
    seen, following = batch(learned)
    first = loss(network.model(state, method, SIZES), seen, following)
    assert first.item() == pytest.approx(FIRST_LOSS, abs=5e-5)
    first.backward()
    torch.nn.utils.clip_grad_norm_(state.values(), run.CLIP)
    for group in under_way.optimizer.param_groups:
        group["lr"] = run.learning_rate(plan, 0)
    under_way.optimizer.step()
    step = run.learning_rate(plan, 0)
    kept = {name for name in state if recorded[name].any()}  # all zeros if it is cut
    last = "transformer.h.5.branch_attn.1.c_proj.weight"
    assert {"transformer.wte.weight", "transformer.wpe.weight", last} <= kept
    for name in sorted(kept):
        tensor = state[name]
        apart = (tensor.detach() - recorded[name]).abs()
        # Adam's first step is the gradient's sign: where that is rounding, it may be the other one
        assert (apart < 1e-6).float().mean() > 0.97, name
        assert apart.max() < 2.1 * step, name
