"""The monitor in the loops that people run: too long for every day, run before a release."""

import gc
import json
import os
import pickle
import random
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from birkhoff_cli import MonitorCallback, load  # noqa: E402
from test_recording_survives import Model  # noqa: E402

pytestmark = [pytest.mark.release, pytest.mark.filterwarnings("ignore")]
ROOT = Path(__file__).parents[1]


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def trainer(folder, callbacks, reentrant=None):
    """transformers' Trainer of a small DeepSeek-V4, which generates after every second step."""
    transformers = pytest.importorskip("transformers", minversion="5.23")
    import test_transformers

    transformers.set_seed(0)
    model = test_transformers.deepseek_v4()
    tokens = [torch.randint(3, 32, (9,)) for _ in range(16)]
    data = [{"input_ids": t, "labels": t} for t in tokens]

    class Generate(transformers.TrainerCallback):
        def on_step_end(self, args, state, control, **more):
            del args, control
            if state.global_step % 2 == 0:
                more["model"].generate(tokens[0][None], max_new_tokens=3, do_sample=False)

    arguments = transformers.TrainingArguments(
        folder,
        max_steps=4,
        per_device_train_batch_size=2,
        gradient_accumulation_steps=2,
        eval_strategy="steps",
        eval_steps=2,
        logging_steps=1,
        report_to=[],
        use_cpu=True,
        gradient_checkpointing=reentrant is not None,
        gradient_checkpointing_kwargs=reentrant and {"use_reentrant": reentrant},
        save_strategy="no",
        disable_tqdm=True,
    )
    return transformers.Trainer(
        model,
        arguments,
        train_dataset=data,
        eval_dataset=data[:4],
        callbacks=[Generate(), *callbacks],
    )


def own_hooks(model):
    """Hooks of ours that a model has; others are its library's."""
    hooks = [h for m in model.modules() for h in (*m._forward_hooks.values(),)]
    return [h for h in hooks if "birkhoff" in getattr(h, "__module__", "")]


@pytest.mark.parametrize("reentrant", [None, False, True])
def test_transformers_trainer(tmp_path, reentrant):
    path, losses = tmp_path / "hc.ndjson", []
    for callbacks in ([], [MonitorCallback(every=1, to=path)]):
        training = trainer(tmp_path / "out", callbacks, reentrant)
        training.train()
        losses.append([row["loss"] for row in training.state.log_history if "loss" in row])
        assert not own_hooks(training.model)
    assert losses[0] == losses[1] and len(losses[0]) == 4
    found = lines(path)
    assert [line["step"] for line in found] == [1, 2, 3, 4]
    for line in found:
        sites = [numbers for name, numbers in line.items() if name.startswith("layers")]
        assert len(sites) == 6 and "finished" not in line
        assert all(None not in numbers.values() for numbers in sites)


def fails_at(place, step):
    """A callback that makes a training fail: in the model, in the optimizer, or by Ctrl-C."""
    transformers = pytest.importorskip("transformers", minversion="5.23")

    class Fails(transformers.TrainerCallback):
        def on_step_begin(self, args, state, control, **more):
            del args, control
            if state.global_step != step:
                return
            if place == "model":
                branch = more["model"].model.layers[1].mlp
                self.undo = branch.register_forward_pre_hook(lambda *_: 1 / 0)
            elif place == "optimizer":
                self.undo = more["optimizer"].optimizer.register_step_pre_hook(lambda *_: 1 / 0)
            else:
                raise KeyboardInterrupt

    return Fails()


@pytest.mark.parametrize("place", ["model", "optimizer", "callback"])
def test_after_an_exception_in_a_trainer_no_hook_is_left(tmp_path, place):
    """They stood until the callback was collected."""
    path = tmp_path / "hc.ndjson"
    training = trainer(tmp_path / "out", [MonitorCallback(every=1, to=path)], None)
    training.add_callback(fails_at(place, 3))
    try:
        training.train()
    except (ZeroDivisionError, KeyboardInterrupt) as error:
        assert own_hooks(training.model) and error.__traceback__
    gc.collect()  # of an exception that a frame of somebody else's holds
    assert not own_hooks(training.model)  # though Trainer and callback are there
    found = lines(path)
    finished = [line["step"] for line in found if line.get("finished", True)]
    assert finished == [1, 2, 3]
    unfinished = {"model": 4, "optimizer": 6, "callback": None}[place]  # sites that it met
    assert [sum(n.startswith("layers") for n in line) for line in found[3:]] == (
        [unfinished] if unfinished else []
    )
    from birkhoff_cli import degeneration

    assert degeneration(load(path)).summary["step"] == found[-1]["step"]


@pytest.mark.parametrize("again", ["the same callback", "another callback", "by hand"])
def test_a_training_after_an_exception_is_measured_once(tmp_path, again):
    """Of an exception that somebody keeps, whose frames stay, and the first monitor with them."""
    path, other = tmp_path / "hc.ndjson", tmp_path / "other.ndjson"
    results = []
    for watched in (False, True):
        callbacks = [MonitorCallback(every=1, to=path)] if watched else []
        training = trainer(tmp_path / "out", callbacks, None)
        broken = fails_at("model", 2)
        training.add_callback(broken)
        with pytest.raises(ZeroDivisionError) as kept:
            training.train()
        broken.undo.remove()
        training.remove_callback(broken)
        assert kept.tb and (not watched or own_hooks(training.model))
        if again == "by hand":
            torch.manual_seed(0)
            model = training.model.train()
            optimizer, losses = torch.optim.SGD(model.parameters(), 1e-3), []
            for _ in range(2):
                tokens = torch.randint(3, 32, (2, 9))
                loss = model(input_ids=tokens, labels=tokens).loss
                loss.backward()
                optimizer.step()
                losses.append(loss.item())
        else:
            if again == "another callback" and watched:
                training.remove_callback(callbacks[0])
                training.add_callback(MonitorCallback(every=1, to=other))
            training.train()
            losses = [row["loss"] for row in training.state.log_history if "loss" in row]
        results.append(losses)
        assert not own_hooks(training.model)
    assert results[0] == results[1]
    first = [(line["step"], line.get("finished", True)) for line in lines(path)]
    assert first[:3] == [(1, True), (2, True), (3, False)]
    every = [(step, True) for step in (1, 2, 3, 4)]
    assert first[3:] == (every if again == "the same callback" else [])
    if again == "another callback":
        assert [(n["step"], n.get("finished", True)) for n in lines(other)] == every


COMPILED = [("inductor", False), ("inductor", True), ("aot_eager", False), ("aot_eager", True)]


@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
@pytest.mark.parametrize(("backend", "whole"), COMPILED)
def test_a_compiled_model_trains_as_without(tmp_path, backend, whole, before):
    """By the compiler's own default too; a graph that must be whole is told at once."""
    from contextlib import nullcontext

    from birkhoff_cli import monitor

    def train(path, steps=3, told=None):
        torch.compiler.reset()
        torch.manual_seed(0)
        model = Model()
        compiled = torch.compile(model, backend=backend, fullgraph=whole) if before else None
        optimizer, losses = torch.optim.SGD(model.parameters(), 1e-3), []

        def step(compiled):
            loss = compiled(torch.randn(2, 5, 4, 8)).square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())

        if before:
            step(compiled)
        with monitor(model, every=1, to=path) if path else nullcontext():
            if compiled is None:
                compiled = torch.compile(model, backend=backend, fullgraph=whole)
            for _ in range(steps):
                step(compiled)
                assert told is None or told() == 1  # from the first step on
        step(compiled)
        return losses

    path = tmp_path / "f"
    plain = train(None)
    if not whole:
        assert train(path) == plain
        assert [line["step"] for line in lines(path)] == [1, 2, 3]
        return
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always", RuntimeWarning)
        assert (
            train(path, told=lambda: sum("leaves no room" in str(w.message) for w in said)) == plain
        )
    assert path.read_text() == ""


def lightning_module(broken=None):
    """A module of Lightning, which raises an error in its training step of that number."""
    lightning = pytest.importorskip("lightning.pytorch")

    class Module(lightning.LightningModule):
        def __init__(self):
            super().__init__()
            self.net, self.losses = Model(), []

        def training_step(self, batch, _):
            loss = self.net(batch).square().mean()
            self.losses.append(loss.item())
            assert len(self.losses) != broken
            return loss

        def validation_step(self, batch, _):
            self.net(batch)

        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), 1e-3)

    return Module()


def lightning_trained(callbacks, broken=None):
    """A trainer, and the function that trains a module of the same start."""
    lightning = pytest.importorskip("lightning.pytorch")
    lightning.seed_everything(0, verbose=False)
    data = torch.utils.data.DataLoader(torch.randn(8, 5, 4, 8), batch_size=2)
    module = lightning_module(broken)
    trainer = lightning.Trainer(
        max_epochs=1,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        accelerator="cpu",
        val_check_interval=2,
        callbacks=callbacks,
    )
    if broken:
        with pytest.raises(AssertionError):
            trainer.fit(module, data, data)
    else:
        trainer.fit(module, data, data)
    return module


@pytest.mark.parametrize("broken", [None, 3])
def test_lightning(tmp_path, broken):
    from birkhoff_cli.recording.lightning import MonitorCallback

    path = tmp_path / "hc.ndjson"
    plain = lightning_trained([], broken)
    callback = pickle.loads(pickle.dumps(MonitorCallback(every=1, to=path)))
    watched = lightning_trained([callback], broken)
    assert plain.losses == watched.losses
    found = [(line["step"], line.get("finished", True)) for line in lines(path)]
    whole = [(1, True), (2, True), (3, True), (4, True)]
    assert found == (whole if not broken else [*whole[:2], (3, False)])
    assert not own_hooks(watched)


RANKS = """
import json, os, sys
import torch, torch.distributed as dist
from test_recording_survives import Model
from birkhoff_cli import monitor

how, path = sys.argv[1:]
dist.init_process_group("gloo")

def train(path):
    torch.manual_seed(0)
    model = inner = Model()
    if how == "ddp":
        model = torch.nn.parallel.DistributedDataParallel(inner)
    else:
        from torch.distributed.fsdp import fully_shard
        from torch.distributed.device_mesh import init_device_mesh
        mesh = init_device_mesh("cpu", (2,))
        for layer in model.layers:
            fully_shard(layer, mesh=mesh)
        fully_shard(model, mesh=mesh)
    optimizer, losses = torch.optim.SGD(model.parameters(), 1e-3), []
    torch.manual_seed(1 + dist.get_rank())
    from contextlib import nullcontext
    with monitor(model, every=1, to=path) if path else nullcontext():
        for _ in range(4):
            loss = model(torch.randn(2, 5, 4, 8)).square().mean()
            loss.backward(); optimizer.step(); optimizer.zero_grad()
            losses.append(loss.item())
    return losses

assert train(None) == train(path)
dist.destroy_process_group()
"""


@pytest.mark.parametrize("how", ["ddp", "fsdp2"])
def test_two_ranks_write_a_file_each(tmp_path, how):
    (tmp_path / "run.py").write_text(RANKS)
    environment = {
        **os.environ,
        "PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(random.Random(os.getpid()).randint(20000, 60000)),
        "WORLD_SIZE": "2",
        "OMP_NUM_THREADS": "1",
    }
    command = [sys.executable, tmp_path / "run.py", how, tmp_path / "hc.ndjson"]
    ranks = [subprocess.Popen(command, env={**environment, "RANK": str(k)}) for k in range(2)]
    assert [rank.wait() for rank in ranks] == [0, 0]
    assert sorted(p.name for p in tmp_path.glob("*.ndjson")) == [
        "hc.rank0.ndjson",
        "hc.rank1.ndjson",
    ]
    for path in tmp_path.glob("*.ndjson"):
        assert [line["step"] for line in lines(path)] == [1, 2, 3, 4]


KILLED = """
import sys, torch
from test_recording_survives import Model
from birkhoff_cli import monitor
how, last = sys.argv[2], int(sys.argv[3])
torch.set_num_threads(1)
model = Model()
optimizer = torch.optim.SGD(model.parameters(), 1e-4)
with monitor(model, every=1, to=sys.argv[1]):
    for step in range(1, 10**6):
        loss = model(torch.randn(2, 5, 4, 8)).square().mean()
        if step == last:
            if how == "MemoryError":
                raise MemoryError
            if how == "SystemExit":
                sys.exit(3)
        loss.backward()
        optimizer.step(); optimizer.zero_grad()
        print(step, flush=True)
"""


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("how", ["SIGKILL", "SIGTERM", "SIGINT", "MemoryError", "SystemExit"])
def test_a_run_that_is_ended_leaves_every_finished_step(tmp_path, birkhoff, how, seed):
    path, number = tmp_path / "hc.ndjson", random.Random(f"{how}{seed}").randint(3, 60)
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}"}
    command = [sys.executable, "-c", KILLED, path, how, str(number)]
    run = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment
    )
    if how.startswith("SIG"):
        for _ in range(number):
            run.stdout.readline()
        time.sleep(random.Random(seed).random() / 50)
        run.send_signal(getattr(signal, how))
    rest, _ = run.communicate()
    assert run.returncode != 0
    last = max([int(line) for line in rest.split()], default=number)
    steps = [step.step for step in load(path).measured.steps]
    np.testing.assert_array_equal(steps, np.arange(1, len(steps) + 1))
    finished = [line for line in lines(path) if line.get("finished", True)]
    assert len(finished) >= (last if how.startswith("SIG") else number - 1)
    done = birkhoff("degeneration", path, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["step"] == len(steps)


def test_the_log_of_the_example_is_what_its_code_writes(tmp_path):
    pytest.importorskip("hyper_connections")
    path, kept = tmp_path / "collapse.ndjson", ROOT / "examples" / "collapse.ndjson"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    script = ROOT / "examples" / "collapse.py"
    subprocess.run([sys.executable, script, path], check=True, env=environment)
    for made, there in zip(lines(path), lines(kept), strict=True):
        assert [made[n] for n in ("step", "verdict")] == [there[n] for n in ("step", "verdict")]
        assert made.get("alarm") == there.get("alarm")
        assert made["row_max_p50"] == pytest.approx(there["row_max_p50"], rel=1e-2)


def test_autocast_in_bfloat16(tmp_path):
    from contextlib import nullcontext

    from birkhoff_cli import monitor

    def train(path):
        torch.manual_seed(0)
        model = Model()
        optimizer, losses = torch.optim.SGD(model.parameters(), 1e-3), []
        with monitor(model, every=1, to=path) if path else nullcontext():
            for _ in range(3):
                with torch.autocast("cpu", torch.bfloat16):
                    loss = model(torch.randn(2, 5, 4, 8)).float().square().mean()
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                losses.append(loss.item())
        return losses

    assert train(None) == train(tmp_path / "f")
    assert [line["step"] for line in lines(tmp_path / "f")] == [1, 2, 3]
