"""What people do to a model while a monitor watches it: it trains as without, and is told once."""

import copy
import io
import json
import os
import threading
import warnings

import numpy as np
import pytest

torch = pytest.importorskip("torch")
nn = torch.nn

from birkhoff_cli import load, monitor, record  # noqa: E402
from birkhoff_cli.analyses.core.errors import BirkhoffError  # noqa: E402
from birkhoff_cli.recording.running import Running  # noqa: E402
from birkhoff_cli.recording.sinks import LogFile  # noqa: E402
from test_monitor import steps, train  # noqa: E402
from test_recording_survives import Layer, Model, Site  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore:.*jit.trace.*", "ignore:.*len to get tensor.*")


@pytest.fixture
def model():
    torch.manual_seed(0)
    return Model()


def measured(model, work, every=1):
    """Numbers of every measured step, and what was said beside them."""
    numbers = []
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always", RuntimeWarning)
        with monitor(model, every=every, to=lambda found, _: numbers.append(found)):
            work()
    return numbers, [str(w.message) for w in said if "birkhoff" in str(w.message)]


class Mixing(nn.Module):
    """Lucidrains' sites, with a method that a monitor hides."""

    def __init__(self):
        super().__init__()
        package = pytest.importorskip("hyper_connections.hyper_connections")
        streams = package.get_init_and_expand_reduce_stream_functions(4, dim=8)
        build, self.expand, self.reduce = streams
        self.layers = nn.ModuleList(build(branch=nn.Linear(8, 8), layer_index=k) for k in range(2))
        with torch.no_grad():
            for parameter in self.parameters():
                parameter.add_(torch.randn_like(parameter) / 4)

    def forward(self, x):
        x = self.expand(x)
        for layer in self.layers:
            x = layer(x)
        return self.reduce(x)


def pickled(model):
    file = io.BytesIO()
    torch.save(model, file)
    file.seek(0)
    return torch.load(file, weights_only=False)


@pytest.mark.parametrize("copied", [copy.deepcopy, pickled, lambda m: copy.deepcopy(pickled(m))])
def test_a_copy_is_a_model_of_its_own(copied):
    """It mixed its streams by the tensors of the model, for ever; a file of it was refused."""
    torch.manual_seed(0)
    model, x = Mixing(), torch.randn(2, 5, 8)
    plain = model(x).detach()
    with monitor(model, every=1) as mine:
        twin = copied(model)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.zero_()
        np.testing.assert_array_equal(twin(x).detach(), plain)
        assert mine.passes == 0
    np.testing.assert_array_equal(twin(x).detach(), plain)
    assert not any("width_connection" in vars(layer) for layer in model.layers)
    assert not any(m._forward_pre_hooks or m._forward_hooks for m in model.modules())


def test_a_file_of_a_watched_model_is_read_without_birkhoff(model):
    file = io.BytesIO()
    with monitor(model, every=1):
        torch.save(model.layers[0].attn, file)
        torch.save(model.layers[0].attn_hc, file)
    assert b"birkhoff" not in file.getvalue()


def test_a_replica_has_its_own_tensors_and_is_not_the_model(model):
    """DataParallel's: with the attributes of what it is made from."""
    mixing = Mixing()
    site = mixing.layers[0]
    x = torch.randn(4, 5, 8)
    with monitor(mixing, every=1), monitor(model, every=1) as mine:
        replica = site._replicate_for_data_parallel()
        for name, value in site._parameters.items():
            object.__setattr__(replica, name, value * 0)
        replica._modules = dict(site._modules)
        mixed = replica.width_connection(x)  # before its forward it is still that of the model
        assert "width_connection" in vars(replica)
        replica(x)
        assert "width_connection" not in vars(replica)
        assert not torch.equal(replica.width_connection(x)[1], mixed[1])
        whole = model._replicate_for_data_parallel()
        whole._modules = dict(model._modules)
        whole(torch.randn(2, 5, 4, 8))
        assert mine.passes == 0


@pytest.mark.parametrize("build", [Mixing, Model])
def test_monitors_come_and_go_in_any_order(build):
    torch.manual_seed(0)
    model, x = build(), torch.randn(*((2, 5, 8) if build is Mixing else (2, 5, 4, 8)))
    optimizer, found = torch.optim.SGD(model.parameters(), 1e-3), []
    first, second = (
        monitor(model, every=1, to=lambda _, step, name=name: found.append((name, step)))
        for name in "ab"
    )
    for act in (first.__enter__, second.__enter__, first.__exit__):
        act(*[None] * 3 if act == first.__exit__ else [])
        model(x).sum().backward()
        optimizer.step()
    second.__exit__(None, None, None)
    assert found == [("a", 1), ("a", 2), ("b", 1), ("b", 2)]
    assert not any(
        m._forward_hooks or m._forward_pre_hooks or "width_connection" in vars(m)
        for m in model.modules()
    )


def test_a_site_that_is_called_twice_is_in_no_product(model):
    """The product over all sites was that of the first calls."""
    model.layers[2].attn_hc = model.layers[0].attn_hc
    numbers, said = measured(model, lambda: train(model, 2))
    assert [set(n["composite"].values()) for n in numbers] == [{None}, {None}]
    assert numbers[0]["layers.0.attn"]["row_max_p50"] is not None
    assert [text.split(":")[1] for text in said] == [" layers.0.attn is called twice in a pass"]


@pytest.mark.parametrize("change", ["replaced", "more"])
def test_of_other_sites_than_at_the_beginning_no_product_is_said(model, change):
    """The product over all sites was that of those that are watched."""

    def work():
        train(model, 1)
        if change == "more":
            model.layers.append(Layer())
        else:
            model.layers[1].attn_hc = Site()
        train(model, 2)

    numbers, said = measured(model, work)
    assert [None in n["composite"].values() for n in numbers] == [False, True, True]
    assert len(said) == 1 and "other sites than when the monitor began" in said[0]


def test_two_threads_are_not_one_pass(model):
    """Sites of both stood in one step, and passes of other lengths were not measured."""
    optimizer = torch.optim.SGD(model.parameters(), 1e-3)
    at_once = threading.Barrier(2, timeout=60)
    model.layers[0].attn.register_forward_hook(lambda *_: [at_once.wait()][:0] or None)

    def run(length):
        model(torch.randn(2, length, 4, 8)).square().mean().backward()

    def work():
        for _ in range(5):
            threads = [threading.Thread(target=run, args=(length,)) for length in (5, 6)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            optimizer.step()

    numbers, said = measured(model, work)
    assert not said and len(numbers) == 5
    assert all(None not in n["composite"].values() for n in numbers)


def test_where_no_pass_is_seen_it_is_said_once(model):
    """A run in evaluation mode, say, had an empty log and no word."""
    model.eval()
    numbers, said = measured(model, lambda: train(model, 3))
    assert not numbers and len(said) == 1
    assert said[0].startswith("birkhoff: step 1 is not measured: no complete pass")


def test_a_batch_without_tokens_is_no_pass(model):
    optimizer = torch.optim.SGD(model.parameters(), 1e-3)

    def work():
        for batch in (0, 2):
            model(torch.randn(batch, 5, 4, 8)).square().sum().backward()
            optimizer.step()

    numbers, said = measured(model, work)
    assert [n["step"] for n in numbers] == [2] and len(said) == 1 and "without tokens" in said[0]
    with record(model) as recorder:
        for batch in (0, 2):
            model(torch.randn(batch, 5, 4, 8))
    assert recorder.samples == 10


def test_sites_of_several_d_are_said_in_words():
    class Narrowing(nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = nn.ModuleList([Layer(), Layer()])
            self.layers[1].attn_hc = Site(2, 8)

        def forward(self, x):
            return self.layers[1](self.layers[0](x)[:, :, :2])

    model = Narrowing()
    numbers, said = measured(model, lambda: train(model, 2))
    assert not numbers
    wanted = "layers.1.attn mixed 10 tokens with d = 2, layers.0.attn 10 tokens with d = 4"
    assert said == [f"birkhoff: step 1 is not measured: {wanted}"]


def test_what_torch_takes_down_or_transforms_is_no_pass(model):
    x = torch.randn(2, 5, 4, 8)

    def work():
        torch.jit.trace(model, x, check_trace=False)
        torch.func.vmap(model)(x[None])
        train(model, 1)

    numbers, said = measured(model, work)
    assert [n["step"] for n in numbers] == [1] and not said


class Unhashable(torch.optim.SGD):
    __hash__ = None


class Bare(torch.optim.Optimizer):
    """One that holds another, without groups of its own."""

    _optimizer_step_pre_hooks, _optimizer_step_post_hooks = {}, {}

    def __init__(self, parameters, rate):
        self.inner = torch.optim.SGD(parameters, rate)
        self._patch_step_function()

    def step(self):
        self.inner.step()


@pytest.mark.parametrize("kind", [Unhashable, Bare])
def test_an_optimizer_of_another_kind_steps_as_without(model, kind):
    """Ours raised into its step."""
    optimizer = kind(model.parameters(), 1e-3)

    def work():
        model(torch.randn(2, 5, 4, 8)).square().mean().backward()
        optimizer.step()

    numbers, said = measured(model, work)
    assert [n["step"] for n in numbers] == [1] and not said


@pytest.mark.parametrize("depth", [1, 2])
def test_a_folder_that_is_taken_away_is_made_again(model, tmp_path, depth):
    path = tmp_path / "run" / "hc.ndjson"
    with (
        pytest.warns(RuntimeWarning, match="was taken away; a new file begins with step 2"),
        monitor(model, every=1, to=path),
    ):
        train(model, 1)
        path.unlink()
        if depth == 2:
            path.parent.rmdir()
        train(model, 2)
    assert steps(path) == [2, 3]


def test_a_run_that_goes_to_another_directory_writes_the_same_file(model, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with monitor(model, every=1, to="hc.ndjson"):
        train(model, 1)
        (tmp_path / "other").mkdir()
        os.chdir("other")
        train(model, 1)
    assert steps(tmp_path / "hc.ndjson") == [1, 2]


def test_a_line_that_has_no_room_leaves_no_part_of_it(tmp_path):
    """The log ended in half a line, and with the next it could not be read."""
    resource = pytest.importorskip("resource")
    path, there = tmp_path / "f", resource.getrlimit(resource.RLIMIT_FSIZE)
    log = LogFile(path)
    site = {"layer 0": {"row_max_p50": 1.0}}
    numbers = {"step": 1, "d": 4, "verdict": None, "composite": {}, **site}
    log(numbers, 1)
    size = path.stat().st_size
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size + 9, there[1]))
        with pytest.raises(OSError, match="too large"):
            log({**numbers, "step": 2}, 2)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, there)
    assert path.stat().st_size == size
    log({**numbers, "step": 3}, 3)
    log.close()
    assert [step.step for step in load(path).measured.steps] == [1, 3]


def test_two_that_write_one_file_write_no_line_over_another(model, tmp_path):
    path = tmp_path / "f"
    with monitor(model, every=1, to=path), monitor(model, every=1, to=path):
        train(model, 3)
    assert sorted(steps(path)) == [1, 1, 2, 2, 3, 3]


@pytest.mark.parametrize("text", ["loss 3.", '{"step":1}\nloss'])
def test_what_is_not_ours_is_not_cut(tmp_path, text):
    """The rest of a line that somebody else had written was taken away."""
    path = tmp_path / "f"
    path.write_text(text)
    log = LogFile(path)
    log({"step": 2}, 2)
    log.close()
    assert path.read_text() == text + '\n{"step":2}\n'


@pytest.mark.skipif(os.name == "nt", reason="there are no such pipes")
def test_a_pipe_takes_lines(model, tmp_path):
    path = tmp_path / "pipe"
    os.mkfifo(path)
    end = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    with monitor(model, every=1, to=path):
        train(model, 2)
    text = os.read(end, 1 << 16).decode()
    os.close(end)
    assert [json.loads(line)["step"] for line in text.splitlines()] == [1, 2]


def test_a_call_that_has_ended_is_known_by_its_frame():
    """An exception keeps the frames that it left, until it has been dealt with."""
    ended, kept = [], []
    code = "def call(function, breaks): function(breaks)"
    package = {"__name__": "package.loop"}
    exec(code, package)

    def begin(breaks):
        running = Running("package", lambda: ended.append(1))
        assert not running.has_ended()
        kept.append(running)
        if breaks:
            raise ValueError

    package["call"](begin, False)
    assert ended == [1] and kept[0].has_ended()
    try:
        package["call"](begin, True)
    except ValueError as error:
        assert ended == [1] and kept[1].has_ended()
        assert error.__traceback__ is not None
    assert ended == [1, 1]
    nothing = Running("no_such_package", lambda: ended.append(1))
    assert not nothing.has_ended() and ended == [1, 1]


@pytest.mark.filterwarnings("ignore")
def test_a_compiled_optimizer_steps_as_without(model):
    """Nothing of ours is compiled into it."""
    torch.compiler.reset()
    optimizer = torch.optim.SGD(model.parameters(), 1e-3)
    step = torch.compile(optimizer.step, backend="eager")

    def run():
        torch.manual_seed(1)
        for _ in range(3):
            model(torch.randn(2, 5, 4, 8)).square().mean().backward()
            step()
            optimizer.zero_grad()
        return [p.detach().clone() for p in model.parameters()]

    start = copy.deepcopy(model.state_dict())
    plain = run()
    model.load_state_dict(start)
    result = []
    numbers, said = measured(model, lambda: result.extend(run()))
    assert all(torch.equal(a, b) for a, b in zip(plain, result, strict=True))
    assert [n["step"] for n in numbers] == [1, 2, 3] and not said


def test_a_run_that_breaks_off_in_its_first_step_is_told_nothing_that_is_not_so(model):
    def work():
        with pytest.raises(RuntimeError):
            model(torch.randn(2, 5, 4, 7))

    numbers, said = measured(model, work)
    assert not numbers
    assert said == [] or "no optimizer of the model's own parameters took one" in said[0]


REFUSED = {
    "every = 0; give a whole number, 1 or more": {"every": 0},
    "every = 1.5; give a whole number": {"every": 1.5},
    "tokens = None; give a whole number": {"tokens": None},
    "first = -1; give a whole number, 0 or more": {"first": -1},
    "after and alarm have no effect without on": {"after": 3},
    "alarm have no effect without on": {"alarm": print},
    "to = int: give a path, a function": {"to": 3},
    "call it run/hc.ndjson": {"to": "run/hc.parquet"},
    "s3://bucket/hc.ndjson: is a URL": {"to": "s3://bucket/hc.ndjson"},
}


@pytest.mark.parametrize("sentence", REFUSED)
def test_what_would_have_no_effect_or_another_is_refused_at_once(
    model, tmp_path, monkeypatch, sentence
):
    """Lines of JSON stood in a file .parquet, a URL was a folder here, an alarm never rang."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BirkhoffError, match=sentence), monitor(model, **REFUSED[sentence]):
        raise AssertionError
    assert not [*tmp_path.iterdir()]
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())
