"""BE-HC's own network: it learns, is what its paper says, and leaves what commands read."""

import json

import numpy as np
import pyarrow.parquet as pq
import pytest
from numpy.testing import assert_allclose

from birkhoff_cli import checkpoints
from birkhoff_cli.analyses import parameterizations
from birkhoff_cli.analyses.core.errors import BadInput, UsageError
from birkhoff_cli.analyses.core.parameterization import COLUMNS, ROWS
from birkhoff_cli.analyses.networks.token_mixing import logits, mixed, states
from birkhoff_cli.analyses.parameterizations.be_hc import BEHC
from birkhoff_cli.commands import train
from birkhoff_cli.training import text, token_mixing
from birkhoff_cli.training.network import Sizes

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.usefixtures("single_thread")

D = 8
METHODS = (
    BEHC(D, k=5, basis="local-shift"),
    BEHC(D, k=12, basis_seed=3),
    BEHC(D, k=9, basis="structured"),
    parameterizations.load("mhc")(d=D),
    parameterizations.load("hc")(d=D),
    parameterizations.load("identity")(d=D),
)
SMALL = {"mix": "tokens", "layers": 3, "width": 16, "batch": 8, "warmup": 5}


def trained(method, folder, updates=40, every=20, **more):
    return train.run(method, output=folder, updates=updates, every=every, **(SMALL | more))


def started(method, layers=3, width=16, vocabulary=11, seed=0):
    """A network whose tensors are none of the zeros and ones of a start."""
    sizes = Sizes(layers, 1, width, method.d, vocabulary)
    state = token_mixing.start(method, sizes, seed)
    generator = torch.Generator().manual_seed(seed)
    for value in state.values():
        value += 0.5 * torch.randn(value.shape, generator=generator)
    return state, sizes


def dense(method, theta):
    """H of the definition: a sum of permutation matrices."""
    weights = np.exp(theta - theta.max())
    eye = np.eye(method.d)
    parts = [w * eye[p] for w, p in zip(weights / weights.sum(), method.permutations, strict=True)]
    return np.sum(parts, axis=0)


@pytest.mark.parametrize("method", METHODS[:3], ids=lambda m: m.basis)
def test_gathering_is_the_product_with_the_dense_matrix_and_has_its_gradients(method, rng):
    theta, x, onto = (rng.standard_normal(s) for s in (method.parameters, (D, 3, 4), (D, 3, 4)))
    inputs = [torch.tensor(a, requires_grad=True) for a in (theta, x)]
    found = mixed(method, *inputs)
    assert_allclose(found.detach(), np.tensordot(dense(method, theta), x, 1), atol=1e-12)
    gradients = torch.autograd.grad((found * torch.tensor(onto)).sum(), inputs)
    assert_allclose(gradients[1], np.tensordot(dense(method, theta).T, onto, 1), atol=1e-12)
    step = 1e-6 * rng.standard_normal(method.parameters)
    change = dense(method, theta + step) - dense(method, theta - step)
    expected = np.sum(np.tensordot(change, x, 1) * onto) / 2
    assert gradients[0].numpy() @ step == pytest.approx(expected, rel=1e-5)


def test_the_network_is_that_of_the_paper(rng):
    """Sections 2.3 and B.2 in plain numpy, in float64, with dense matrices."""
    from scipy.special import erf

    method = METHODS[1]
    state, sizes = started(method)
    tokens = rng.integers(sizes.vocabulary + 1, size=(4, D))
    w = {name: value.double().numpy() for name, value in state.items()}

    def norm(x, gain):
        return x / np.sqrt((x**2).mean(-1, keepdims=True) + 1e-5) * gain

    x = w["embedding"][tokens] + w["positions"]
    for layer in range(sizes.layers):
        theta, norm_mix, norm_mlp, inner, outer = (
            w[f"blocks.{layer}.{n}"] for n in ("theta", "norm_mix", "norm_mlp", "inner", "outer")
        )
        x = x + dense(method, theta) @ norm(x, norm_mix)
        hidden = norm(x, norm_mlp) @ inner.T
        x = x + (hidden * (1 + erf(hidden / np.sqrt(2))) / 2) @ outer.T
    expected = norm(x, w["norm"]) @ w["embedding"][:-1].T
    found = logits(token_mixing.model(state, method, sizes), torch.from_numpy(tokens))
    assert_allclose(found, expected, atol=1e-3)


@pytest.mark.parametrize("method", METHODS, ids=str)
def test_it_learns_and_its_checkpoint_gives_the_matrices_of_the_trainer(method, tmp_path):
    summary = trained(method, tmp_path / "run", learning_rate=0.03).summary
    log = pq.read_table(tmp_path / "run" / "log.parquet").to_pydict()
    assert summary["held_out_loss"] < log["loss"][0] - 0.5
    for side, error in ((ROWS, "row_error"), (COLUMNS, "column_error")):
        if side in method.exact:
            assert summary[error] < 1e-5
    path = tmp_path / "run" / "ckpt_000040.pt"
    found = checkpoints.read(path)
    assert found.map == method and (found.format, found.step) == ("token-mixing", 40)
    assert [site[:2] for site in found.sites] == [(k, "tokens") for k in range(3)]
    state = torch.load(path, weights_only=True)["model"]
    sizes = Sizes(3, 1, 16, D, summary["parameters"])
    applied = torch.stack(list(token_mixing.matrices(state, method, sizes, None)))
    assert_allclose(found.trace().matrices[0], applied, atol=1e-6)
    assert not np.allclose(applied, applied[:1]) or method.name == "identity"


def test_masks_are_hidden_asked_for_and_as_many_in_every_sequence():
    sizes = Sizes(1, 1, 4, 20, 94)
    tokens = text.read(None, 20).learned
    seen, wanted = token_mixing.batch(tokens, 50, sizes, 7, 3)
    masked = seen == sizes.vocabulary
    assert (masked.sum(1) == 3).all()  # 15 % of 20
    assert (wanted[~masked] == token_mixing.UNASKED).all()
    whole, _ = text.batch(tokens, 50, 20, 7, 3)
    assert torch.equal(torch.where(masked, wanted, seen), whole)
    assert masked.any(0).all()  # not always the same places


def test_the_loss_is_the_mean_over_masked_tokens_alone():
    method = METHODS[0]
    state, sizes = started(method, vocabulary=94)
    seen, wanted = token_mixing.batch(text.read(None, D).learned, 6, sizes, 0)
    value = token_mixing.loss(state, method, sizes, seen, wanted)
    found = logits(token_mixing.model(state, method, sizes), seen).double().log_softmax(-1)
    asked = wanted >= 0
    expected = -found[asked].gather(-1, wanted[asked][:, None]).mean()
    assert value.item() == pytest.approx(expected.item(), rel=1e-5)


@pytest.mark.parametrize("layers", [1, 40, 200])
def test_x_grows_by_at_most_one_gain_per_block_whatever_the_depth(layers):
    """|H RMSNorm(X)| <= 1 in root mean square for doubly stochastic H; the mlp is switched off."""
    for method in METHODS[:2]:
        sizes = Sizes(layers, 1, 16, D, 94)
        state = token_mixing.start(method, sizes, 0)
        for name in state:
            if name.endswith("outer"):
                state[name].zero_()
        state = {name: value.requires_grad_() for name, value in state.items()}
        seen, wanted = token_mixing.batch(text.read(None, D).learned, 4, sizes, 0)
        model = token_mixing.model(state, method, sizes)
        x = [s.detach().square().mean().sqrt().item() for s in states(model, seen)]
        assert (np.diff(x) <= 1 + 1e-5).all()
        token_mixing.loss(state, method, sizes, seen, wanted).backward()
        assert all(torch.isfinite(v.grad).all() for v in state.values() if v.grad is not None)


def test_bfloat16_learns_too(tmp_path):
    summary = trained(
        METHODS[0], tmp_path / "run", precision="bfloat16", learning_rate=0.03
    ).summary
    assert summary["held_out_loss"] < 4 and summary["row_error"] < 1e-5


def test_a_run_that_was_stopped_ends_as_one_that_was_not(tmp_path):
    method = METHODS[0]
    assert trained(method, tmp_path / "whole").summary["updates"] == 40
    steps = trained(method, tmp_path / "stopped").steps
    for _ in range(27):
        next(steps)
    steps.close()
    resumed = trained(method, tmp_path / "stopped")
    assert resumed.total == 20 and resumed.summary["updates"] == 40
    for name in ("ckpt_000000.pt", "ckpt_000020.pt", "ckpt_000040.pt", "log.parquet"):
        whole, other = (tmp_path / run / name for run in ("whole", "stopped"))
        assert whole.read_bytes() == other.read_bytes(), name


def test_streams_and_tokens_are_different_runs(tmp_path):
    method = METHODS[3]
    assert trained(method, tmp_path / "run", updates=2).summary["updates"] == 2
    with pytest.raises(UsageError, match="mix = tokens, not None"):
        trained(method, tmp_path / "run", updates=2, mix="streams", length=D)
    with pytest.raises(UsageError, match="--d 8 and sequences of 9 tokens"):
        trained(method, tmp_path / "other", length=9)
    assert not (tmp_path / "other" / "plan.json").exists()


@pytest.mark.parametrize(
    "change, said",
    [
        ({"n_layer": 4}, "n_layer = 4, its tensors say 3"),
        ({"block_size": 9}, "block_size = 9"),
        ({"n_embd": 17}, "norm_mix has shape"),
        ({"hyper_conn_options": {"k": 6, "basis": "local-shift"}}, "theta has shape"),
        ({"hyper_conn_options": {"k": 9, "basis": "local-shift"}}, "cannot be those of be-hc"),
    ],
)
def test_a_checkpoint_that_contradicts_itself_is_refused(change, said, tmp_path):
    assert trained(METHODS[0], tmp_path / "run", updates=1).summary["updates"] == 1
    saved = torch.load(tmp_path / "run" / "ckpt_000001.pt", weights_only=True)
    saved["model_args"] |= change
    torch.save(saved, tmp_path / "changed.pt")
    with pytest.raises(BadInput, match=said):
        checkpoints.read(tmp_path / "changed.pt")


def test_the_commands_read_what_the_command_line_trained(birkhoff):
    words = "--mix tokens --method be-hc --d 8 --k 3 --basis local-shift --layers 2 --width 8"
    more = "--updates 4 --every 2 --batch 2 -o run --json"
    done = birkhoff("train", *words.split(), *more.split())
    assert done.returncode == 0, done.stderr
    for command in ("inspect", "depth-drift", "spectrum", "degeneration"):
        read = birkhoff(command, "run", "--json")
        assert read.returncode == 0, read.stderr
        assert [row["step"] for row in json.loads(read.stdout)["steps"]] == [0, 2, 4]
