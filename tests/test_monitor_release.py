"""The monitor in the loops that people run: too long for every day, run before a release."""

import json
import os
import random
import signal
import subprocess
import sys
import time
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


@pytest.mark.parametrize("reentrant", [None, False, True])
def test_transformers_trainer(tmp_path, reentrant):
    transformers = pytest.importorskip("transformers", minversion="5.23")
    import test_transformers

    def train(callbacks):
        transformers.set_seed(0)
        model = test_transformers.deepseek_v4()
        tokens = [torch.randint(3, 32, (9,)) for _ in range(16)]
        data = [{"input_ids": t, "labels": t} for t in tokens]
        arguments = transformers.TrainingArguments(
            tmp_path / "out",
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
        trainer = transformers.Trainer(
            model, arguments, train_dataset=data, eval_dataset=data[:4], callbacks=callbacks
        )
        trainer.train()
        return [row["loss"] for row in trainer.state.log_history if "loss" in row]

    path = tmp_path / "hc.ndjson"
    assert train([]) == train([MonitorCallback(every=1, to=path)])
    found = lines(path)
    assert [line["step"] for line in found] == [1, 2, 3, 4]
    assert all(sum(name.startswith("layers") for name in line) == 6 for line in found)


def test_lightning(tmp_path):
    lightning = pytest.importorskip("lightning.pytorch")
    from birkhoff_cli.recording.lightning import MonitorCallback

    class Module(lightning.LightningModule):
        def __init__(self):
            super().__init__()
            self.net, self.losses = Model(), []

        def training_step(self, batch, _):
            loss = self.net(batch).square().mean()
            self.losses.append(loss.item())
            return loss

        def validation_step(self, batch, _):
            self.net(batch)

        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), 1e-3)

    def train(callbacks):
        lightning.seed_everything(0, verbose=False)
        data = torch.utils.data.DataLoader(torch.randn(8, 5, 4, 8), batch_size=2)
        module = Module()
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
        trainer.fit(module, data, data)
        return module.losses

    path = tmp_path / "hc.ndjson"
    assert train([]) == train([MonitorCallback(every=1, to=path)])
    assert [line["step"] for line in lines(path)] == [1, 2, 3, 4]


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
torch.set_num_threads(1)
model = Model()
optimizer = torch.optim.SGD(model.parameters(), 1e-4)
with monitor(model, every=1, to=sys.argv[1]):
    for step in range(1, 10**6):
        model(torch.randn(2, 5, 4, 8)).square().mean().backward()
        optimizer.step(); optimizer.zero_grad()
        print(step, flush=True)
"""


@pytest.mark.parametrize("how", ["SIGKILL", "SIGTERM", "SIGINT"])
def test_a_killed_run_leaves_every_finished_step(tmp_path, how):
    path = tmp_path / "hc.ndjson"
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}"}
    command = [sys.executable, "-c", KILLED, path]
    run = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    for _ in range(random.Random(how).randint(5, 40)):
        run.stdout.readline()
    time.sleep(0.01)
    run.send_signal(getattr(signal, how))
    rest, _ = run.communicate()
    last = max([int(line) for line in rest.split()], default=1)
    steps = [step.step for step in load(path).measured.steps]
    np.testing.assert_array_equal(steps, np.arange(1, len(steps) + 1))
    assert len(steps) >= last


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
