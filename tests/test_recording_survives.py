"""Recordings of runs that are ended from outside, and of models that are checkpointed."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import birkhoff_cli
from birkhoff_cli import Recorder, matrices, record
from birkhoff_cli.analyses.core.errors import BadInput, UsageError

torch = pytest.importorskip("torch")
nn = torch.nn

RUN = """
import os, signal, sys
import numpy as np
from birkhoff_cli import Recorder

def end(how):
    if how == "exit":
        sys.exit(3)
    if how == "memory":
        raise MemoryError
    os.kill(os.getpid(), getattr(signal, how))

signal.signal(signal.SIGINT, signal.default_int_handler)
with Recorder(sys.argv[1]) as recorder:
    for step in range(9):
        for site in range(2):
            recorder.add(site, "attn", np.full((3, 2, 2), float(step)))
            if step == 5 and site == 1:
                recorder.trace
                end(sys.argv[2])
"""


@pytest.mark.parametrize("how", ["SIGKILL", "SIGTERM", "SIGINT", "memory", "exit"])
def test_all_passes_before_the_end_of_the_process_are_read(tmp_path, how):
    path = tmp_path / "trace.parquet"
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    done = subprocess.run([sys.executable, "-c", RUN, path, how], check=False, env=environment)
    assert done.returncode != 0
    (left,) = tmp_path.iterdir()
    killed = how in ("SIGKILL", "SIGTERM")
    assert left.name == ("trace.part.arrow" if killed else "trace.parquet")
    found = matrices.read(left)
    assert found.samples == 18
    np.testing.assert_array_equal(found.matrices[:, 0, 0, 0], np.repeat(np.arange(6.0), 3))


def test_a_file_whose_recording_has_not_ended_names_its_part(tmp_path):
    recorder = Recorder(tmp_path / "f.parquet")
    recorder.add(0, "attn", np.eye(2)[None])
    assert recorder.trace.samples == 1
    with pytest.raises(BadInput, match=r"recording has not ended; give .*f\.part\.arrow"):
        birkhoff_cli.load(tmp_path / "f.parquet")
    assert matrices.read(tmp_path / "f.part.arrow").samples == 1


@pytest.mark.parametrize("cut", range(1, 400, 41))
def test_a_batch_that_is_cut_is_left_out(tmp_path, cut):
    recorder = Recorder(tmp_path / "f.parquet")
    for value in range(3):
        recorder.add(0, "attn", np.full((1, 2, 2), float(value)))
    assert recorder.trace.samples == 3
    part = tmp_path / "f.part.arrow"
    part.write_bytes(part.read_bytes()[:-cut])
    trace = matrices.read(part)
    assert trace.matrices[:, 0, 0, 0].tolist() == [0.0, 1.0]
    assert trace.meta["assumptions"][0].startswith("the recording did not end, and holds no digest")


def test_a_part_of_an_earlier_run_is_kept(tmp_path):
    for _ in range(2):
        recorder = Recorder(tmp_path / "f.parquet")
        recorder.add(0, "attn", np.eye(2)[None])
        assert recorder.trace.samples == 1
    assert sorted(p.name for p in tmp_path.iterdir()) == ["f.1.part.arrow", "f.part.arrow"]


def test_every_rank_has_a_file(tmp_path, monkeypatch):
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    with Recorder(tmp_path / "f.parquet") as recorder:
        recorder.add(0, "attn", np.eye(2)[None])
    assert [p.name for p in tmp_path.iterdir()] == ["f.rank1.parquet"]


class Site(nn.Module):
    """DeepSeek-V4's tensors and outputs, small."""

    def __init__(self, n=4, width=8):
        super().__init__()
        self.hc_mult, self.hc_eps, self.input_norm = n, 1e-6, nn.Identity()
        self.fn = nn.Parameter(torch.randn(n * (n + 2), n * width) / 8)
        self.base = nn.Parameter(torch.randn(n * (n + 2)))
        self.scale = nn.Parameter(torch.ones(3))

    def forward(self, streams):
        n = self.hc_mult
        flat = streams.flatten(2) @ self.fn.T
        pre, post, comb = (flat * self.scale[0] + self.base).split([n, n, n * n], -1)
        comb = comb.unflatten(-1, (n, n)).softmax(-2)
        return post.sigmoid(), comb, (pre.sigmoid().unsqueeze(-1) * streams).sum(2)


class Layer(nn.Module):
    def __init__(self):
        super().__init__()
        self.attn_hc, self.attn = Site(), nn.Linear(8, 8)

    def forward(self, x):
        post, comb, read = self.attn_hc(x)
        return comb.mT @ x + post.unsqueeze(-1) * self.attn(read).unsqueeze(-2)


class Model(nn.Module):
    """Three layers, each of them checkpointed if that is asked for."""

    def __init__(self, reentrant=None):
        super().__init__()
        self.layers, self.reentrant = nn.ModuleList(Layer() for _ in range(3)), reentrant

    def forward(self, x):
        from torch.utils.checkpoint import checkpoint

        for layer in self.layers:
            if self.reentrant is None:
                x = layer(x)
            else:
                x = checkpoint(layer, x, use_reentrant=self.reentrant)
        return x


def trained(model, steps=3, broken=None):
    """Losses of some steps; ``broken``: the one whose streams hold NaN."""
    torch.manual_seed(1)
    optimizer, losses = torch.optim.SGD(model.parameters(), 1e-3), []
    for step in range(1, steps + 1):
        x = torch.randn(2, 5, 4, 8, requires_grad=True)
        loss = model(x * float("nan") if step == broken else x).square().mean()
        optimizer.zero_grad()
        loss.backward()
        if step != broken:
            optimizer.step()
        losses.append(loss.item())
    return losses


@pytest.mark.parametrize("reentrant", [None, False, True])
@pytest.mark.filterwarnings("ignore")
def test_training_with_checkpoints_is_recorded_as_it_is(tmp_path, reentrant):
    torch.manual_seed(0)
    model = Model(reentrant)
    start = {name: value.clone() for name, value in model.state_dict().items()}
    plain = trained(model)
    model.load_state_dict(start)
    with record(model, tmp_path / "f.parquet", tokens=4) as recorder:
        assert trained(model) == plain
    assert (recorder.samples, len(recorder.sites)) == (12, 3)
    import pyarrow.parquet as pq

    rows = pq.read_table(tmp_path / "f.parquet")
    assert np.unique(rows["step"]).tolist() == [1, 2, 3]
    assert all(rows["training"].to_pylist())


def test_nan_is_kept_and_training_goes_on():
    torch.manual_seed(0)
    model = Model()
    with record(model) as recorder:
        losses = trained(model, 4, broken=3)
    assert np.isfinite(losses).tolist() == [True, True, False, True]
    block = next(recorder.trace.reader(40, 0)).reshape(4, -1)
    assert np.isnan(block).any(1).tolist() == [False, False, True, False]


def test_another_version_ends_the_recording_and_not_the_training(monkeypatch):
    from birkhoff_cli.analyses.core.errors import Unsupported

    model = Model()
    original = Site.forward
    turned = lambda self, x: (lambda a, b, c: (a, b.mT, c))(*original(self, x))  # noqa: E731
    monkeypatch.setattr(Site, "forward", turned)
    losses = []
    with pytest.raises(Unsupported, match="columns sum to 1 within"), record(model):
        losses = trained(model)
    assert len(losses) == 3


def rows(path):
    """Step, sample and matrix of every row of the first site."""
    import pyarrow.parquet as pq

    table = pq.read_table(path).to_pylist()
    return [(r["step"], r["sample"], np.array(r["matrix"])) for r in table if r["layer"] == 0]


def recorded(path, **options):
    torch.manual_seed(0)
    model = Model()
    with record(model, path, **options):
        trained(model, 7)
    return rows(path)


@pytest.mark.parametrize("every", [2, 3, 8])
def test_of_every_so_many_passes_the_last_is_recorded(tmp_path, every):
    whole = recorded(tmp_path / "whole.parquet")
    assert [step for step, *_ in whole] == [step for step in range(1, 8) for _ in range(10)]
    if every > 7:
        with pytest.raises(BadInput, match="no mixing was recorded"):
            recorded(tmp_path / "f.parquet", every=every)
        return
    found = recorded(tmp_path / "f.parquet", every=every)
    wanted = [row for row in whole if row[0] % every == 0]
    assert [(step, sample) for step, sample, _ in found] == [
        (step, number) for number, (step, *_) in enumerate(wanted)
    ]
    for (*_, h), (*_, other) in zip(found, wanted, strict=True):
        np.testing.assert_array_equal(h, other)


@pytest.mark.parametrize(("tokens", "picked"), [(4, (0, 3, 6, 9)), (1, (0,)), (10, range(10))])
def test_so_many_tokens_of_a_pass_are_recorded_evenly_spaced(tmp_path, tokens, picked):
    whole = recorded(tmp_path / "whole.parquet")
    found = recorded(tmp_path / "f.parquet", tokens=tokens)
    wanted = [row for number, row in enumerate(whole) if number % 10 in picked]
    assert [step for step, *_ in found] == [step for step, *_ in wanted]
    for (*_, h), (*_, other) in zip(found, wanted, strict=True):
        np.testing.assert_array_equal(h, other)


@pytest.mark.parametrize("options", [{"every": 0}, {"tokens": 0}, {"every": -1}], ids=str)
def test_numbers_below_one_are_refused_before_anything_runs(tmp_path, options):
    (name,) = options
    with (
        pytest.raises(UsageError, match=f"{name} = .*give 1 or more"),
        record(Model(), tmp_path / "f.parquet", **options),
    ):
        raise AssertionError
    assert not [*tmp_path.iterdir()]


def test_passes_without_gradients_count_for_every(tmp_path):
    model = Model().eval()
    with record(model, tmp_path / "f.parquet", every=2, tokens=3) as recorder:
        for _ in range(5):
            with torch.no_grad():
                model(torch.randn(2, 5, 4, 8))
    assert recorder.samples == 2 * 3
