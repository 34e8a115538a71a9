"""The reference trainer: every method learns, stays what it is, and leaves what can be read."""

import json
import signal
import subprocess
import sys
import time

import numpy as np
import pyarrow.parquet as pq
import pytest

from birkhoff_cli import checkpoints, files, streams
from birkhoff_cli.analyses import parameterizations
from birkhoff_cli.analyses.core.errors import BadInput, CannotWrite, UsageError
from birkhoff_cli.analyses.core.parameterization import COLUMNS, ROWS
from birkhoff_cli.analyses.networks.language_model import states
from birkhoff_cli.commands import train
from birkhoff_cli.temporaries import temporary_path
from birkhoff_cli.training import folder, network, text
from birkhoff_cli.training import run as running
from birkhoff_cli.training.network import Sizes

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.usefixtures("single_thread")

METHODS = tuple(parameterizations.load(name)() for name in parameterizations.names())
TINY = {"layers": 1, "heads": 2, "width": 8, "length": 16, "batch": 8, "warmup": 5}


def trained(method, folder, updates=40, every=20, **more):
    return train.run(method, output=folder, updates=updates, every=every, **(TINY | more))


@pytest.mark.parametrize("method", METHODS, ids=lambda m: m.name)
def test_every_method_learns_and_its_checkpoint_gives_the_matrices_of_the_trainer(method, tmp_path):
    summary = trained(method, tmp_path / "run", learning_rate=0.03).summary
    log = pq.read_table(tmp_path / "run" / "log.parquet").to_pydict()
    assert summary["held_out_loss"] < log["held_out_loss"][19] < np.log(94)
    for side, error in ((ROWS, "row_error"), (COLUMNS, "column_error")):
        if side in method.exact:
            assert summary[error] < 1e-5
    path = tmp_path / "run" / "ckpt_000040.pt"
    found = checkpoints.read(path)
    assert (found.map.name, found.d, found.step) == (method.name, method.d, 40)
    chosen = streams.Inputs(f"tokens={tmp_path}/run/val.bin", sequences=3)
    matrices = streams.trace(found, chosen, 0).matrices
    saved = torch.load(path, weights_only=True)["model"]
    model = network.model(saved, method, Sizes(1, 2, 8, 16, 94))
    tokens = np.fromfile(tmp_path / "run" / "val.bin", "<u2")[: 3 * 16].astype(np.int64)
    with torch.inference_mode():
        run = states(model, torch.from_numpy(tokens.reshape(3, 16)))
        expected = [s.weights.mixing.expand(3, 16, method.d, method.d) for s in run]
    expected = torch.stack(expected, dim=2).flatten(0, 1).numpy()
    np.testing.assert_allclose(matrices, expected, atol=1e-5)


def test_a_run_that_was_stopped_ends_as_one_that_was_not(tmp_path):
    method = parameterizations.load("mhc")(d=3)
    assert trained(method, tmp_path / "whole").summary["updates"] == 40
    steps = trained(method, tmp_path / "stopped").steps
    for _ in range(27):
        next(steps)
    steps.close()
    resumed = trained(method, tmp_path / "stopped")
    assert resumed.total == 20  # it goes on from its last checkpoint
    assert resumed.summary["updates"] == 40
    for name in ("ckpt_000000.pt", "ckpt_000020.pt", "ckpt_000040.pt", "log.parquet", "val.bin"):
        whole, other = (tmp_path / run / name for run in ("whole", "stopped"))
        assert whole.read_bytes() == other.read_bytes(), name
    assert trained(method, tmp_path / "stopped").total == 0


def test_a_run_does_not_go_on_with_another_text_or_from_another_run(tmp_path):
    """Texts of the same letters and length: it went on from what another run had learned."""
    words, method = "the quick brown fox " * 20, parameterizations.load("identity")(d=2)
    source = files_text(tmp_path / "text.txt", words)
    small = {"updates": 2, "every": 2, "text": source, "length": 8}
    for seed in (0, 1):
        assert trained(method, tmp_path / f"run{seed}", seed=seed, **small).summary["updates"] == 2
    state, other = (tmp_path / f"run{k}" / "resume" / "state.pt" for k in (0, 1))
    files_text(source, words[::-1])
    with pytest.raises(BadInput, match="is of another run or another text"):
        trained(method, tmp_path / "run0", **small)
    state.unlink()
    with pytest.raises(UsageError, match="train.bin: is not as this text makes it"):
        trained(method, tmp_path / "run0", **small)
    files_text(source, words)
    state.write_bytes(other.read_bytes())
    with pytest.raises(BadInput, match="is of another run or another text"):
        trained(method, tmp_path / "run0", **small)
    state.unlink()
    held_out = tmp_path / "run0" / "val.bin"
    held_out.write_bytes(held_out.read_bytes()[:40])
    with pytest.raises(UsageError, match="val.bin: is not as this text makes it"):
        trained(method, tmp_path / "run0", **small)


def files_text(path, words):
    path.write_text(words)
    return path


@pytest.mark.parametrize("mix", ["streams", "tokens"])
def test_gradient_norms_of_layers_are_those_of_their_tensors(mix, tmp_path):
    method = parameterizations.load("be-hc")(d=8, k=4)
    steps = trained(method, tmp_path, mix=mix, layers=2, length=8, heads=1, updates=2).steps
    started = folder.opened(tmp_path, plan := _plan(method, mix), text.read(None, 8))
    prefix = {"streams": "transformer.h.{}.", "tokens": "blocks.{}."}[mix]
    loss = running._loss(started, started.text.learned, plan.seed, 0)
    names, tensors = zip(*started.state.items(), strict=True)
    slopes = torch.autograd.grad(loss, tensors)
    squares = [slope.double().square().sum().item() for slope in slopes]
    of = [[n.startswith(prefix.format(k)) for n in names] for k in range(2)]
    expected = np.sqrt(np.array(of) @ squares)
    for _ in steps:
        pass
    first = pq.read_table(tmp_path / "log.parquet").to_pylist()[0]
    np.testing.assert_allclose(first["layer_gradient_norms"], expected, rtol=1e-6)
    assert 0 < np.hypot(*first["layer_gradient_norms"]) < first["gradient_norm"]


def _plan(method, mix):
    sizes = Sizes(2, 1, 8, 8, len(text.read(None, 8).characters))
    return running.Plan(method, sizes, 2, 8, 0.01, 5, 20, 0, "cpu", "float32", mix)


def test_a_run_of_an_older_version_goes_on(tmp_path):
    """Its rows have no gradient norms of layers; those of the steps that follow have."""
    _ = trained(METHODS[0], tmp_path, updates=4, every=2).steps
    steps = trained(METHODS[0], tmp_path, updates=4, every=2).steps
    next(steps), next(steps)
    steps.close()
    path = tmp_path / "resume" / "state.pt"
    state = torch.load(path, weights_only=True)
    for row in state["log"]:
        del row["layer_gradient_norms"]
    torch.save(state, path)
    assert trained(METHODS[0], tmp_path, updates=4, every=2).summary["updates"] == 4
    norms = pq.read_table(tmp_path / "log.parquet")["layer_gradient_norms"].to_pylist()
    assert [n is None for n in norms] == [True, True, False, False]


@pytest.mark.parametrize("file", range(4))
def test_a_run_that_was_stopped_at_its_beginning_is_begun_again(file, tmp_path, monkeypatch):
    method, opened, written = parameterizations.load("mhc")(d=3), files.opened, []

    def stop(path):
        if len(written) == file:
            raise KeyboardInterrupt
        written.append(path)
        return opened(path)

    monkeypatch.setattr(files, "opened", stop)
    with pytest.raises(KeyboardInterrupt):
        [*trained(method, tmp_path / "run", updates=2, every=2).steps]
    monkeypatch.undo()
    assert trained(method, tmp_path / "run", updates=2, every=2).summary["updates"] == 2
    assert trained(method, tmp_path / "whole", updates=2, every=2).summary["updates"] == 2
    runs = [
        {p.name: p.read_bytes() for p in (tmp_path / n).iterdir() if p.is_file()}
        for n in ("run", "whole")
    ]
    assert runs[0] == runs[1]


def test_a_run_that_was_killed_as_it_wrote_its_plan_is_begun_again(tmp_path):
    """What it left was taken for somebody else's file, and the folder refused for ever."""
    (tmp_path / "run").mkdir()
    temporary_path(tmp_path / "run" / folder.PLAN_FILE).write_bytes(b'{"mix"')
    assert trained(METHODS[0], tmp_path / "run", updates=1, every=1).summary["updates"] == 1
    assert not [*(tmp_path / "run").glob("*.tmp")]


def test_ctrl_c_leaves_a_run_that_goes_on(tmp_path):
    words = ["train", "--method", "identity", "-o", "run", "--updates", "4000", "--every", "10"]
    words += ["--layers", "1", "--width", "8", "--batch", "2", "--length", "16"]
    command = [sys.executable, "-m", "birkhoff_cli", *words]
    with subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE) as process:
        while not (tmp_path / "run" / "ckpt_000020.pt").exists():
            assert process.poll() is None
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        said = process.stderr.read()
    assert process.returncode == 130 and b"Traceback" not in said
    assert not list((tmp_path / "run").rglob("*.tmp"))
    method = parameterizations.load("identity")()
    with pytest.raises(UsageError, match="holds a run with updates = 4000, not 40"):
        trained(method, tmp_path / "run", every=10, layers=1, heads=4, width=8, batch=2, warmup=20)


def test_another_plan_or_other_files_are_not_overwritten(tmp_path):
    method = parameterizations.load("mhc")(d=3)
    assert trained(method, tmp_path / "run", updates=2, every=2).summary["updates"] == 2
    with pytest.raises(UsageError, match="width = 8, not 16"):
        trained(method, tmp_path / "run", updates=2, every=2, width=16)
    with pytest.raises(UsageError, match="method_d = 3, not 4"):
        trained(parameterizations.load("mhc")(d=4), tmp_path / "run", updates=2, every=2)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.tex").write_text("years of work")
    with pytest.raises(CannotWrite, match="holds no run"):
        trained(method, tmp_path / "other")
    with pytest.raises(UsageError, match="give -o DIR"):
        trained(method, None)


@pytest.mark.parametrize(
    "more, said",
    [
        ({"heads": 3}, "a multiple of the heads"),
        ({"layers": 0}, "--layers 0"),
        ({"batch": 0}, "--batch 0"),
        ({"learning_rate": float("nan")}, "--learning-rate nan"),
        ({"updates": 0}, "--updates 0"),
        ({"warmup": -1}, "--warmup -1"),
    ],
)
def test_what_no_run_can_be_is_refused_before_anything_is_made(more, said, tmp_path):
    with pytest.raises(UsageError, match=said):
        trained(METHODS[0], tmp_path / "run", **more)
    assert not (tmp_path / "run").exists()


def test_a_run_that_diverges_says_so_and_keeps_what_it_had(tmp_path):
    method = parameterizations.load("hc")(d=3)
    with pytest.raises(BadInput, match="diverged at step"):
        _ = trained(method, tmp_path / "run", updates=60, learning_rate=1e12, warmup=0).summary
    assert (tmp_path / "run" / "ckpt_000000.pt").exists()


def test_the_text_of_a_user_is_learned_character_by_character(tmp_path):
    path = tmp_path / "text.txt"
    path.write_text("\ufeffäbc " * 200, encoding="utf-8")
    read = text.read(path, 16)
    assert "".join(sorted(set("äbc \ufeff"))) in (read.characters, read.characters + "\ufeff")
    whole = np.concatenate([read.learned, read.held_out])
    written = "".join(read.characters[k] for k in whole)
    assert written == path.read_text(encoding="utf-8-sig")
    assert len(read.learned) == int(0.9 * len(whole))


@pytest.mark.parametrize(
    "content, said",
    [(b"", "0 characters"), (b"short", "need 170 or more"), (b"\xff\xfe\xfa" * 99, "no UTF-8")],
)
def test_what_is_no_text_is_refused(content, said, tmp_path):
    path = tmp_path / "text.txt"
    path.write_bytes(content)
    with pytest.raises(BadInput, match=said):
        text.read(path, 16)


def test_the_text_that_comes_with_python_is_the_one_of_the_recorded_runs(checkpoints):
    """The recorded corpus was made from the same module, by other code, on Python 3.11.7."""
    if sys.version_info[:2] != (3, 11):
        pytest.skip("the help topics of this Python are not those of 3.11")
    held_out = np.fromfile(checkpoints / "mhclite_mhc_n4" / "val.bin", "<u2")
    read = text.read(None, 64)
    same = np.array_equal(read.held_out, held_out)
    assert same or sys.version_info[2] != 7
    assert abs(len(read.characters) - 94) <= 5


def test_the_start_is_that_of_the_recorded_runs(checkpoints):
    """One update of 5e-4 after the start: no tensor is farther than that from ours.

    Of a checkpoint that is cut, tensors that are all zeros are not the recorded ones.
    """
    path = checkpoints / "series_mhc_n4" / "ckpt_000001.pt"
    saved = torch.load(path, weights_only=True)["model"]
    method = parameterizations.load("mhc")(d=4, variant="mhc-lite")
    ours = network.stored(network.start(method, Sizes(6, 4, 64, 64, 94), 0))
    assert {n: v.shape for n, v in ours.items()} == {n: v.shape for n, v in saved.items()}
    kept = {name: tensor.float() for name, tensor in saved.items() if tensor.any()}
    last = "transformer.h.5.hc_attn.branch.1.c_proj.weight"
    assert {"transformer.wte.weight", "transformer.wpe.weight", last} <= kept.keys()
    for name, theirs in kept.items():
        value = ours[name]
        if value.numel() > 100 and value.dim() == 2 and value.std() > 1e-3:
            assert value.std().item() == pytest.approx(theirs.std().item(), rel=0.08), name
        elif "alpha" in name or "beta" in name:  # which stream is read is random
            ordered = torch.sort(value.flatten()).values - torch.sort(theirs.flatten()).values
            assert ordered.abs().max() < 2e-3, name
        else:
            assert (value - theirs).abs().max() < 2e-3, name


def test_bfloat16_learns_too(tmp_path):
    method = parameterizations.load("go-mhc")(d=2, s=2)
    summary = trained(method, tmp_path / "run", precision="bfloat16", learning_rate=0.03).summary
    assert summary["held_out_loss"] < 4.3 and summary["row_error"] < 1e-5


def test_no_gpu_is_said(tmp_path):
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    from birkhoff_cli.analyses.core.errors import Unsupported

    with pytest.raises(Unsupported, match="--device cpu"):
        trained(METHODS[0], tmp_path / "run", device="cuda")


def test_the_command_line_goes_on_and_says_what_it_did(birkhoff):
    words = (
        "train",
        "--method",
        "kromhc",
        "--d",
        "2",
        "-o",
        "run",
        "--updates",
        "4",
        "--every",
        "2",
    )
    words += ("--layers", "1", "--width", "8", "--heads", "1", "--batch", "2", "--length", "8")
    first, again = birkhoff(*words, "--json"), birkhoff(*words, "--json")
    assert first.returncode == 0, first.stderr
    assert json.loads(first.stdout) == json.loads(again.stdout)
    series = birkhoff("depth-drift", "run", "--json")
    assert [row["step"] for row in json.loads(series.stdout)["steps"]] == [0, 2, 4]


def _evil(state):
    class Payload:
        def __reduce__(self):
            return print, ("executed",)

    state["more"] = Payload()


TAMPERED = {
    "payload": _evil,
    "log of numbers": lambda s: s.update(log=[1] * 2),
    "log of words": lambda s: s.update(log=[dict.fromkeys(s["log"][1], "x")] * 2),
    "norms of words": lambda s: s["log"][1].update(layer_gradient_norms=["x"]),
    "log without losses": lambda s: s.update(log=[{}, {}]),
    "step": lambda s: s.update(step=-1),
    "no tensors": lambda s: s.update(model={}),
    "moments": lambda s: s["optimizer"]["state"][0].update(exp_avg=torch.zeros(3)),
}


@pytest.mark.parametrize("name", TAMPERED)
def test_a_way_back_of_another_hand_is_refused(name, tmp_path, capfd):
    _ = trained(METHODS[0], tmp_path, updates=2, every=2).summary
    path = tmp_path / "resume" / "state.pt"
    state = torch.load(path, weights_only=True)
    TAMPERED[name](state)
    torch.save(state, path)
    with pytest.raises(BadInput, match="resume/state.pt: .*damaged") as refused:
        trained(METHODS[0], tmp_path, updates=2, every=2)
    assert "weights_only" not in str(refused.value) and capfd.readouterr() == ("", "")


@pytest.mark.parametrize("plan", ["[]", "5", "null", '"plan"', "{", "[" * 100_000])
def test_a_plan_of_another_hand_is_refused(plan, tmp_path):
    _ = trained(METHODS[0], tmp_path, updates=2, every=2).summary
    (tmp_path / "plan.json").write_text(plan)
    with pytest.raises((BadInput, UsageError)):
        trained(METHODS[0], tmp_path, updates=2, every=2)
